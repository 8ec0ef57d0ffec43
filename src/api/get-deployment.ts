/** GET /api/deployments/{name}: the spec as given, and what was seen of the stack when it was last looked at. */
import type { HttpHandler } from '@azure/functions';
import type { Finding, Severity } from '../graph/finding.ts';
import { activePauses } from './active-pauses.ts';
import { activeDebugPods } from './debug-pods.ts';
import { healthInShort, loadHealth } from './deployment-health.ts';
import { loadDeployment } from './deployment-state.ts';
import { onDeployment } from './on-deployment.ts';
import { deploymentUrl, type HealthReading, operationUrl, respond } from './respond.ts';

/** Its ETag is that of the spec, for If-Match: the rest of the answer changes without anybody's doing. */
export const getDeployment = ({
  store,
  now = () => new Date(),
  staleAfterMilliseconds,
}: HealthReading): HttpHandler =>
  onDeployment(store, async (record, request) => {
    const { name } = record;
    const known = await loadDeployment(store, record);
    const { state, progress, resources, lastOperation } = known;
    const health = await loadHealth(store, known, now(), staleAfterMilliseconds);
    return respond(
      200,
      {
        name,
        url: deploymentUrl(request, name),
        state,
        revision: record.revision,
        createdAt: record.createdAt,
        updatedAt: record.updatedAt,
        spec: record.spec,
        progress,
        ...(lastOperation
          ? {
              lastOperation: {
                id: lastOperation.id,
                url: operationUrl(request, lastOperation.id),
                state: lastOperation.state,
                cause: lastOperation.cause,
                revision: lastOperation.revision,
                requestedAt: lastOperation.requestedAt,
                finishedAt: lastOperation.finishedAt,
                failure: lastOperation.failure,
              },
            }
          : {}),
        health: healthInShort(health),
        findings: resources.flatMap(({ findings = [] }) => findings).toSorted(bySeverity),
        quarantine: record.quarantine,
        pauses: activePauses(record.pauses, now()),
        debugPods: activeDebugPods(record.wishes, now()),
        missedEvents: record.missedEvents,
        ...(record.sweptAt === undefined ? {} : { sweptAt: record.sweptAt }),
        resources: resources.map(({ ordinal: _, findings: __, wish: ___, ...resource }) => resource),
      },
      { etag: record.etag },
    );
  });

const severities: readonly Severity[] = ['error', 'warning', 'info'];

/** The worst first, the oldest of them first. */
const bySeverity = (one: Finding, other: Finding): number =>
  severities.indexOf(one.severity) - severities.indexOf(other.severity) ||
  one.since.localeCompare(other.since);

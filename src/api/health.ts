/**
 * GET /api/deployments/{name}/health and GET /api/health: what is wrong, the root of it first.
 * POST /api/deployments/{name}/check: look now.
 */
import type { HttpHandler, InvocationContext } from '@azure/functions';
import type { StartedCheck } from '../reactions/start-check.ts';
import { healthInShort, loadHealth } from './deployment-health.ts';
import { loadDeployment } from './deployment-state.ts';
import { onDeployment } from './on-deployment.ts';
import { answering, deploymentUrl, type HealthReading, respond } from './respond.ts';

export interface HealthDependencies extends HealthReading {
  readonly startCheck: (context: InvocationContext, deployment: string) => Promise<StartedCheck>;
}

const RETRY_AFTER_SECONDS = '10';

export const getHealth = ({
  store,
  now = () => new Date(),
  staleAfterMilliseconds,
}: HealthReading): HttpHandler =>
  onDeployment(store, async (record) => {
    const known = await loadDeployment(store, record);
    const health = await loadHealth(store, known, now(), staleAfterMilliseconds);
    return respond(200, { deployment: record.name, ...health });
  });

export const getFleetHealth = ({
  store,
  now = () => new Date(),
  staleAfterMilliseconds,
}: HealthReading): HttpHandler =>
  answering(async (request) => {
    const records = await store.listDeployments();
    const deployments = await Promise.all(
      records.map(async (record) => {
        const known = await loadDeployment(store, record);
        const health = await loadHealth(store, known, now(), staleAfterMilliseconds);
        return {
          name: record.name,
          url: `${deploymentUrl(request, record.name)}/health`,
          ...healthInShort(health),
        };
      }),
    );
    const totals = { healthy: 0, degraded: 0, failing: 0, unknown: 0 };
    for (const { status } of deployments) totals[status] += 1;
    return respond(200, { deployments, totals });
  });

/** `after` is what `checkedAt` of the answer to come is not before; joined to a check under way, that is its start. */
export const postCheck = ({ store, startCheck }: HealthDependencies): HttpHandler =>
  onDeployment(store, async (record, request, context) => {
    const { isNew, since } = await startCheck(context, record.name);
    const health = `${deploymentUrl(request, record.name)}/health`;
    return respond(
      202,
      { deployment: record.name, health, after: since.toISOString(), joined: !isNew },
      { location: health, 'retry-after': RETRY_AFTER_SECONDS },
    );
  });

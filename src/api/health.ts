/**
 * GET /api/deployments/{name}/health and GET /api/health: what is wrong, the root of it first.
 * POST /api/deployments/{name}/check: look now.
 */
import type { HttpHandler, InvocationContext } from '@azure/functions';
import type { StartedCheck } from '../reactions/start-check.ts';
import { type DeploymentHealth, loadHealth } from './deployment-health.ts';
import { onDeployment } from './on-deployment.ts';
import { type ApiDependencies, answering, deploymentUrl, respond } from './respond.ts';

export interface HealthDependencies extends Pick<ApiDependencies, 'store' | 'now'> {
  /** A deployment's health is not known any more when it was last checked so many milliseconds ago. */
  readonly staleAfterMilliseconds: number;
  readonly startCheck: (context: InvocationContext, deployment: string) => Promise<StartedCheck>;
}

const RETRY_AFTER_SECONDS = '10';

export const getHealth = ({
  store,
  now = () => new Date(),
  staleAfterMilliseconds,
}: HealthDependencies): HttpHandler =>
  onDeployment(store, async (record) => {
    const health = await loadHealth(store, record, now(), staleAfterMilliseconds);
    return respond(200, { deployment: record.name, ...health });
  });

export const getFleetHealth = ({
  store,
  now = () => new Date(),
  staleAfterMilliseconds,
}: HealthDependencies): HttpHandler =>
  answering(async (request) => {
    const records = await store.listDeployments();
    const deployments = await Promise.all(
      records.map(async (record) => {
        const health = await loadHealth(store, record, now(), staleAfterMilliseconds);
        return {
          name: record.name,
          url: `${deploymentUrl(request, record.name)}/health`,
          ...inShort(health),
        };
      }),
    );
    const totals = { healthy: 0, degraded: 0, failing: 0, unknown: 0 };
    for (const { status } of deployments) totals[status] += 1;
    return respond(200, { deployments, totals });
  });

function inShort({ status, why, checkedAt, findings, news }: DeploymentHealth) {
  const count = (severity: string): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const [worst] = findings;
  return {
    status,
    ...(why === undefined ? {} : { why }),
    ...(checkedAt === undefined ? {} : { checkedAt }),
    ...(worst === undefined ? {} : { worst }),
    findings: { error: count('error'), warning: count('warning') },
    news: news.length,
  };
}

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

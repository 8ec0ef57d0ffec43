/** GET /api/deployments: every deployment in a few words. */
import type { HttpHandler } from '@azure/functions';
import { loadDeployment } from './deployment-state.ts';
import { type ApiDependencies, answering, deploymentUrl, operationUrl, respond } from './respond.ts';

export const listDeployments = ({ store }: ApiDependencies): HttpHandler =>
  answering(async (request) => {
    const records = await store.listDeployments();
    const known = await Promise.all(records.map((record) => loadDeployment(store, record)));
    const deployments = known.map(({ record, state, progress, lastOperation }) => ({
      name: record.name,
      url: deploymentUrl(request, record.name),
      state,
      revision: record.revision,
      createdAt: record.createdAt,
      updatedAt: record.updatedAt,
      hostName: record.spec.tunnel.hostName,
      progress,
      ...(lastOperation
        ? {
            lastOperation: {
              id: lastOperation.id,
              url: operationUrl(request, lastOperation.id),
              state: lastOperation.state,
            },
          }
        : {}),
    }));
    return respond(200, { deployments });
  });

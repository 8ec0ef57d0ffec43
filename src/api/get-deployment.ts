/** GET /api/deployments/{name}: the spec as given, and what was seen of the stack when it was last looked at. */
import type { HttpHandler } from '@azure/functions';
import { deploymentName } from '../spec/spec.ts';
import { loadDeployment } from './deployment-state.ts';
import { refuse } from './problem.ts';
import { type ApiDependencies, answering, deploymentUrl, operationUrl, respond } from './respond.ts';

/** Its ETag is that of the spec, for If-Match: the rest of the answer changes without anybody's doing. */
export const getDeployment = ({ store }: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
    const name = request.params['name'] ?? '';
    const record = deploymentName.safeParse(name).success ? await store.findDeployment(name) : undefined;
    if (!record) {
      return refuse(request, context, 'not-found', { detail: 'There is no deployment of this name.' });
    }
    const { state, progress, resources, lastOperation } = await loadDeployment(store, record);
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
        resources: resources.map(({ ordinal: _, ...resource }) => resource),
      },
      { etag: record.etag },
    );
  });

/** GET /api/deployments/{name}/operations: what was done, and why. Newest first. */
import type { HttpHandler } from '@azure/functions';
import { onDeployment } from './on-deployment.ts';
import { refuse } from './problem.ts';
import { type ApiDependencies, operationUrl, respond } from './respond.ts';
import { topOf } from './top.ts';

export const getOperations = ({ store }: ApiDependencies): HttpHandler =>
  onDeployment(store, async (record, request, context) => {
    const top = topOf(request, 200);
    if (!top.ok) return refuse(request, context, 'invalid-request', top.details);
    const operations = await store.listOperations(record.name, top.value);
    return respond(200, {
      operations: operations.map(({ deployment: _, ...operation }) => ({
        ...operation,
        url: operationUrl(request, operation.id),
      })),
    });
  });

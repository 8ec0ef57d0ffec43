/** The HTTP door: every route and its handler. */
import { app } from '@azure/functions';
import { input } from 'durable-functions';
import { getDeployment } from './get-deployment.ts';
import { getOperation } from './get-operation.ts';
import { listDeployments } from './list-deployments.ts';
import { putDeployment } from './put-deployment.ts';
import type { ApiDependencies } from './respond.ts';
import { schema } from './schema.ts';

export function registerApi(dependencies: ApiDependencies): void {
  app.http('putDeployment', {
    methods: ['PUT'],
    route: 'deployments/{name}',
    authLevel: 'function',
    // What `lookAgain` reaches the engine through; without it the invocation has no client.
    extraInputs: [input.durableClient()],
    handler: putDeployment(dependencies),
  });
  app.http('getDeployment', {
    methods: ['GET'],
    route: 'deployments/{name}',
    authLevel: 'function',
    handler: getDeployment(dependencies),
  });
  app.http('listDeployments', {
    methods: ['GET'],
    route: 'deployments',
    authLevel: 'function',
    handler: listDeployments(dependencies),
  });
  app.http('getOperation', {
    methods: ['GET'],
    route: 'operations/{id}',
    authLevel: 'function',
    handler: getOperation(dependencies),
  });
  app.http('getSchema', {
    methods: ['GET'],
    route: 'schema',
    authLevel: 'anonymous',
    handler: schema(),
  });
}

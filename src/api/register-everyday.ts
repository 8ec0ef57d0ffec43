/** The calls for a deployment that runs: what people did by hand, and what has happened. */
import { app, type HttpHandler, type HttpMethod } from '@azure/functions';
import { input } from 'durable-functions';
import { getDatabase } from './get-database.ts';
import { getOperations } from './get-operations.ts';
import { getTimeline } from './get-timeline.ts';
import { deleteModel, getModels, postModels } from './models.ts';
import { patchConfig } from './patch-config.ts';
import { postResize } from './post-resize.ts';
import { postRestart } from './post-restart.ts';
import { postScale } from './post-scale.ts';
import { postSync } from './post-sync.ts';
import type { CloudDependencies } from './respond.ts';

export function registerEveryday(dependencies: CloudDependencies): void {
  const looking = (name: string, route: string, handler: HttpHandler): void =>
    app.http(name, {
      methods: ['GET'],
      route: `deployments/{name}/${route}`,
      authLevel: 'function',
      handler,
    });
  /** Without the client, `wake` cannot reach the engine. */
  const asking = (name: string, method: HttpMethod, route: string, handler: HttpHandler): void =>
    app.http(name, {
      methods: [method],
      route: `deployments/{name}/${route}`,
      authLevel: 'function',
      extraInputs: [input.durableClient()],
      handler,
    });
  asking('postScale', 'POST', 'scale', postScale(dependencies));
  asking('patchConfig', 'PATCH', 'config', patchConfig(dependencies));
  asking('postResize', 'POST', 'resize', postResize(dependencies));
  asking('postSync', 'POST', 'sync', postSync(dependencies));
  asking('postRestart', 'POST', 'restart', postRestart(dependencies));
  asking('postModels', 'POST', 'models', postModels(dependencies));
  // Names of models have slashes.
  asking('deleteModel', 'DELETE', 'models/{*model}', deleteModel(dependencies));
  looking('getDatabase', 'database', getDatabase(dependencies));
  looking('getModels', 'models', getModels(dependencies));
  looking('getOperations', 'operations', getOperations(dependencies));
  looking('getTimeline', 'timeline', getTimeline(dependencies));
}

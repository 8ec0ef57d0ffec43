/** The HTTP door: every route and its handler. */
import { app } from '@azure/functions';
import { input } from 'durable-functions';
import { deleteDebugPod, postDebugPods } from './debug-pods.ts';
import { deleteQuarantine } from './delete-quarantine.ts';
import { getDeployment } from './get-deployment.ts';
import { getDrift } from './get-drift.ts';
import { getEvents } from './get-events.ts';
import { getLogs } from './get-logs.ts';
import { getOperation } from './get-operation.ts';
import { listDeployments } from './list-deployments.ts';
import { postAccept } from './post-accept.ts';
import { postPause, postResume } from './post-pause.ts';
import { postRepair } from './post-repair.ts';
import { postRotate } from './post-rotate.ts';
import { putDeployment } from './put-deployment.ts';
import { registerEveryday } from './register-everyday.ts';
import type { CloudDependencies, HealthReading } from './respond.ts';
import { schema } from './schema.ts';

export function registerApi(dependencies: CloudDependencies & HealthReading): void {
  registerEveryday(dependencies);
  app.http('putDeployment', {
    methods: ['PUT'],
    route: 'deployments/{name}',
    authLevel: 'function',
    // What `wake` reaches the engine through; without it the invocation has no client.
    extraInputs: [input.durableClient()],
    handler: putDeployment(dependencies),
  });
  app.http('postRotate', {
    methods: ['POST'],
    route: 'deployments/{name}/rotate',
    authLevel: 'function',
    extraInputs: [input.durableClient()],
    handler: postRotate(dependencies),
  });
  app.http('deleteQuarantine', {
    methods: ['DELETE'],
    route: 'deployments/{name}/quarantine/{digest}',
    authLevel: 'function',
    extraInputs: [input.durableClient()],
    handler: deleteQuarantine(dependencies),
  });
  app.http('postDebugPods', {
    methods: ['POST'],
    route: 'deployments/{name}/debug-pods',
    authLevel: 'function',
    extraInputs: [input.durableClient()],
    handler: postDebugPods(dependencies),
  });
  app.http('deleteDebugPod', {
    methods: ['DELETE'],
    route: 'deployments/{name}/debug-pods/{kind}',
    authLevel: 'function',
    extraInputs: [input.durableClient()],
    handler: deleteDebugPod(dependencies),
  });
  app.http('getLogs', {
    methods: ['GET'],
    route: 'deployments/{name}/logs/{workload}',
    authLevel: 'function',
    handler: getLogs(dependencies),
  });
  app.http('getDrift', {
    methods: ['GET'],
    route: 'deployments/{name}/drift',
    authLevel: 'function',
    handler: getDrift(dependencies),
  });
  app.http('postRepair', {
    methods: ['POST'],
    route: 'deployments/{name}/repair',
    authLevel: 'function',
    extraInputs: [input.durableClient()],
    handler: postRepair(dependencies),
  });
  app.http('postAccept', {
    methods: ['POST'],
    route: 'deployments/{name}/accept',
    authLevel: 'function',
    extraInputs: [input.durableClient()],
    handler: postAccept(dependencies),
  });
  app.http('postPause', {
    methods: ['POST'],
    route: 'deployments/{name}/pause',
    authLevel: 'function',
    extraInputs: [input.durableClient()],
    handler: postPause(dependencies),
  });
  app.http('postResume', {
    methods: ['POST'],
    route: 'deployments/{name}/resume',
    authLevel: 'function',
    extraInputs: [input.durableClient()],
    handler: postResume(dependencies),
  });
  app.http('getEvents', {
    methods: ['GET'],
    route: 'deployments/{name}/events',
    authLevel: 'function',
    handler: getEvents(dependencies),
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

import { app } from '@azure/functions';
import { input } from 'durable-functions';
import { getFleetHealth, getHealth, type HealthDependencies, postCheck } from './health.ts';
import { getLive, getReady, type Readiness } from './ready.ts';

export function registerHealth(dependencies: HealthDependencies, readiness: Readiness): void {
  app.http('getHealth', {
    methods: ['GET'],
    route: 'deployments/{name}/health',
    authLevel: 'function',
    handler: getHealth(dependencies),
  });
  app.http('getFleetHealth', {
    methods: ['GET'],
    route: 'health',
    authLevel: 'function',
    handler: getFleetHealth(dependencies),
  });
  app.http('postCheck', {
    methods: ['POST'],
    route: 'deployments/{name}/check',
    authLevel: 'function',
    extraInputs: [input.durableClient()],
    handler: postCheck(dependencies),
  });
  app.http('getLive', { methods: ['GET'], route: 'live', authLevel: 'anonymous', handler: getLive() });
  app.http('getReady', {
    methods: ['GET'],
    route: 'ready',
    authLevel: 'anonymous',
    handler: getReady(readiness),
  });
}

/** GET /api/deployments/{name}/timeline: everything that happened, in one list. Newest first. */
import type { HttpHandler } from '@azure/functions';
import { onDeployment } from './on-deployment.ts';
import { refuse } from './problem.ts';
import { type ApiDependencies, operationUrl, respond } from './respond.ts';
import { timelineOf } from './timeline.ts';
import { topOf } from './top.ts';

export const getTimeline = ({ store }: ApiDependencies): HttpHandler =>
  onDeployment(store, async (record, request, context) => {
    const top = topOf(request, 200);
    if (!top.ok) return refuse(request, context, 'invalid-request', top.details);
    const [operations, events, drift, findings] = await Promise.all([
      store.listOperations(record.name, top.value),
      store.inbox.events(record.name, top.value),
      store.drift.list(record.name),
      store.health.history(record.name),
    ]);
    const entries = timelineOf({ operations, events, drift, findings }, top.value);
    return respond(200, {
      timeline: entries.map(({ operationId, ...entry }) => ({
        ...entry,
        ...(operationId === undefined
          ? {}
          : { operation: { id: operationId, url: operationUrl(request, operationId) } }),
      })),
    });
  });

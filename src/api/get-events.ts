/** GET /api/deployments/{name}/events: what came, what it led to, and how long until that was proven. Newest first. */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import type { EventRecord } from '../store/inbox.ts';
import { secondsBetween } from './critical-path.ts';
import { onDeployment } from './on-deployment.ts';
import { refuse } from './problem.ts';
import { type ApiDependencies, operationUrl, respond } from './respond.ts';

const topSchema = z.coerce.number().int().min(1).max(1000);
const DEFAULT_TOP = '100';

export const getEvents = ({ store }: ApiDependencies): HttpHandler =>
  onDeployment(store, async (record, request, context) => {
    const top = topSchema.safeParse(request.query.get('top') ?? DEFAULT_TOP);
    if (!top.success) {
      const errors = [{ field: 'top', message: 'must be a whole number from 1 to 1000' }];
      return refuse(request, context, 'invalid-request', { detail: 'The query is not right.', errors });
    }
    const shown = (event: EventRecord) => {
      const { look: _, deployment: __, operationId, ...rest } = event;
      return {
        ...rest,
        ...(operationId === undefined
          ? {}
          : { operation: { id: operationId, url: operationUrl(request, operationId) } }),
        ...(event.provenAt === undefined
          ? {}
          : { secondsToProof: secondsBetween(event.occurredAt, event.provenAt) }),
      };
    };
    const events = await store.inbox.events(record.name, top.data);
    return respond(200, { missedEvents: record.missedEvents, events: events.map(shown) });
  });

/** The Event Grid extension's webhook. */
import { z } from 'zod';
import { emptyResponse, type HostRequest, type HostResponse, jsonResponse } from './http-messages.ts';
import { type Invocations, triggerOf, triggerType } from './invocations.ts';
import type { RegisteredFunction, Worker } from './worker.ts';

/** In lower case: the path is compared without regard to case. */
export const eventGridPath = '/runtime/webhooks/eventgrid';

const validationSchema = z.tuple([z.object({ data: z.object({ validationCode: z.string().min(1) }) })]);
const eventsSchema = z.union([z.array(z.record(z.string(), z.unknown())), z.record(z.string(), z.unknown())]);

export interface EventGridOptions {
  readonly worker: Worker;
  readonly invocations: Invocations;
}

/**
 * 404 for an unknown function; the handshakes of both event schemas; 202 when every event was handled, 500 when an
 * invocation failed (Event Grid then delivers again), 400 for what is not Event Grid's.
 */
export async function serveEventGrid(options: EventGridOptions, request: HostRequest): Promise<HostResponse> {
  const name = request.query.get('functionName') ?? '';
  const called = options.worker.functions.find(
    (registered) =>
      registered.name.toLowerCase() === name.toLowerCase() && triggerType(registered) === 'eventgridtrigger',
  );
  if (!called) {
    return {
      status: 404,
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      body: `cannot find function: '${name}'`,
    };
  }
  if (request.method === 'OPTIONS') return allowOrigin(request);
  if (request.method !== 'POST') return emptyResponse(404);
  switch (request.headers['aeg-event-type']?.toLowerCase()) {
    case 'subscriptionvalidation':
      return validate(request);
    case 'notification':
      return deliver(options.invocations, called, request);
    case 'unsubscribe':
      return emptyResponse(202);
    default:
      return emptyResponse(400);
  }
}

/** CloudEvents' abuse protection: whoever asks is allowed, as often as it likes. */
function allowOrigin(request: HostRequest): HostResponse {
  const origin = request.headers['webhook-request-origin'];
  if (!origin) return emptyResponse(400);
  return { status: 200, headers: { 'webhook-allowed-origin': origin, 'webhook-allowed-rate': '*' } };
}

async function validate(request: HostRequest): Promise<HostResponse> {
  const event = validationSchema.safeParse(toJson(await request.text()));
  if (!event.success) return emptyResponse(400);
  return jsonResponse(200, { validationResponse: event.data[0].data.validationCode });
}

async function deliver(
  invocations: Invocations,
  called: RegisteredFunction,
  request: HostRequest,
): Promise<HostResponse> {
  const parsed = eventsSchema.safeParse(toJson(await request.text()));
  if (!parsed.success) return emptyResponse(400);
  const events = Array.isArray(parsed.data) ? parsed.data : [parsed.data];
  const takesBatch = String(triggerOf(called).binding['cardinality'] ?? 'one').toLowerCase() === 'many';
  const values: unknown[] = takesBatch ? [events] : events;
  const results = await Promise.allSettled(
    values.map((value) => {
      const json = JSON.stringify(value);
      const data = (value as { data?: unknown }).data;
      return invocations.invoke(called, {
        value: { json },
        metadata: data === undefined ? {} : { data: { json: JSON.stringify(data) } },
      });
    }),
  );
  return emptyResponse(results.some((result) => result.status === 'rejected') ? 500 : 202);
}

function toJson(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    return undefined;
  }
}

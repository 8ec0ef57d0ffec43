/**
 * One exchange between a caller and a simulated service: the place where faults strike and calls are recorded. It is
 * the same behind the proxy and at the identity endpoint.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Fault } from './faults.ts';
import type { CallContext, Service, ServiceName, World } from './world.ts';

export interface Wire {
  readonly incoming: IncomingMessage | Http2ServerRequest;
  readonly outgoing: ServerResponse | Http2ServerResponse;
}

/** Lets the service answer, as the faults and the record of calls want it. */
export async function exchange(
  world: World,
  service: Service,
  host: string,
  request: Request,
  wire: Wire,
): Promise<Response> {
  const started = performance.now();
  const call: CallContext = { host, caller: 'anonymous' };
  const url = new URL(request.url);
  const record = (status: number): void =>
    world.calls.add({
      time: new Date(world.clock.now()).toISOString(),
      service: service.name,
      method: request.method,
      host,
      path: url.pathname + url.search,
      status,
      caller: call.caller,
      milliseconds: Math.round((performance.now() - started) * 1000) / 1000,
    });
  const fault = world.faults.strike(
    { service: service.name, method: request.method, target: host + url.pathname + url.search },
    ['answer', 'cut-before', 'cut-after', 'truncate', 'delay'],
  );
  if (fault?.kind === 'cut-before') {
    record(0);
    return cut(wire);
  }
  if (fault?.kind === 'answer') {
    record(fault.status);
    return injectedAnswer(service.name, fault);
  }
  if (fault?.kind === 'delay') {
    await world.clock.wait(fault.milliseconds, request.signal).catch(() => undefined);
    if (request.signal.aborted) {
      record(0);
      return cut(wire);
    }
  }
  const response = await answerOf(service, request, call);
  if (mayChangeWorld(service.name, request.method, url.pathname)) world.touch();
  if (fault?.kind === 'cut-after') {
    await response.body?.cancel();
    record(0);
    return cut(wire);
  }
  record(response.status);
  return fault?.kind === 'truncate' ? truncate(response, wire) : response;
}

/**
 * What users do on the site changes rows of a database and nothing that any cloud looks at; what is written to a cluster
 * concerns that cluster, which sees it by itself; whoever only wants a token or a key changes nothing.
 */
function mayChangeWorld(service: ServiceName, method: string, path: string): boolean {
  if (method === 'GET' || method === 'HEAD') return false;
  if (service === 'site' || service === 'kubernetes' || service === 'entra') return false;
  return !(method === 'POST' && /\/(list|check)\w*$|\/oauth2\/\w+$/i.test(path));
}

async function answerOf(service: Service, request: Request, call: CallContext): Promise<Response> {
  try {
    return await service.fetch(request, call);
  } catch (error) {
    // A service answers every request; an exception is a defect of the sandbox and must be seen by whoever runs it.
    console.error(`${service.name} failed on ${request.method} ${request.url}`, error);
    return injectedAnswer(service.name, {
      status: 500,
      code: 'InternalServerError',
      message: 'The sandbox has a defect: see its output.',
    });
  }
}

function cut(wire: Wire): Response {
  wire.incoming.socket.destroy();
  return RESPONSE_ALREADY_SENT;
}

/** Announces the whole body, sends half of it and hangs up. */
async function truncate(response: Response, wire: Wire): Promise<Response> {
  const body = Buffer.from(await response.arrayBuffer());
  const headers = Object.fromEntries(response.headers);
  delete headers['transfer-encoding'];
  const socket = wire.incoming.socket;
  const head = Object.entries({ ...headers, 'content-length': String(Math.max(body.length, 2)) })
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  socket.write(`HTTP/1.1 ${response.status} ${response.statusText}\r\n${head}\r\n`);
  socket.end(body.subarray(0, Math.floor(body.length / 2)), () => socket.destroy());
  return RESPONSE_ALREADY_SENT;
}

/** The error in the envelope of the service that it pretends to come from. */
function injectedAnswer(
  service: ServiceName,
  fault: Pick<Extract<Fault, { kind: 'answer' }>, 'status' | 'code' | 'message' | 'retryAfterSeconds'>,
): Response {
  const headers: Record<string, string> =
    fault.retryAfterSeconds === undefined ? {} : { 'retry-after': String(fault.retryAfterSeconds) };
  return Response.json(envelope(service, fault), { status: fault.status, headers });
}

function envelope(
  service: ServiceName,
  { status, code, message }: { status: number; code: string; message: string },
): unknown {
  switch (service) {
    case 'cloudflare':
      return {
        success: false,
        errors: [{ code: Number.isInteger(Number(code)) ? Number(code) : status, message }],
        messages: [],
        result: null,
      };
    case 'kubernetes':
      return {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message,
        reason: code,
        code: status,
      };
    case 'registry':
      return { errors: [{ code, message }] };
    case 'entra':
      return { error: code, error_description: message };
    case 'identity':
      return { statusCode: status, message };
    default:
      return { error: { code, message } };
  }
}

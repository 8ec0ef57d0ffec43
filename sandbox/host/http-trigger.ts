/** The door of HTTP-triggered functions: routes, methods, authorization levels, and the two ways to hand a request over. */
import { randomUUID } from 'node:crypto';
import { type IncomingMessage, request as sendRequest } from 'node:http';
import { pipeline } from 'node:stream';
import type { RpcHttpCookie, RpcHttpData, RpcTypedData } from './functions-core.ts';
import { emptyResponse, type HostRequest, type HostResponse } from './http-messages.ts';
import { parseRoute, type RouteTemplate } from './http-route.ts';
import { type Invocations, triggerOf, triggerType } from './invocations.ts';
import type { Keys } from './keys.ts';
import type { RegisteredFunction, Worker } from './worker.ts';

type AuthLevel = 'anonymous' | 'function' | 'admin';

export interface HttpFunction {
  readonly registered: RegisteredFunction;
  /** Without the prefix. */
  readonly route: RouteTemplate;
  /** Upper case; empty is every method. */
  readonly methods: readonly string[];
  readonly authLevel: AuthLevel;
}

/** The app's HTTP functions, those with the most specific routes first. Throws for a route that cannot be. */
export function httpFunctions(worker: Worker): HttpFunction[] {
  return worker.functions
    .filter((registered) => triggerType(registered) === 'httptrigger')
    .map((registered) => {
      const { binding } = triggerOf(registered);
      const { route, methods, authLevel } = binding as {
        route?: string;
        methods?: string[];
        authLevel?: string;
      };
      const level = (authLevel ?? 'function').toLowerCase();
      if (level !== 'anonymous' && level !== 'function' && level !== 'admin') {
        throw new Error(
          `Function '${registered.name}': authLevel '${authLevel}' is not anonymous, function or admin`,
        );
      }
      return {
        registered,
        route: parseRoute(route ?? registered.name),
        methods: (methods ?? []).map((method) => method.toUpperCase()),
        authLevel: level as AuthLevel,
      };
    })
    .sort((a, b) =>
      a.route.precedence < b.route.precedence ? -1 : a.route.precedence > b.route.precedence ? 1 : 0,
    );
}

export interface HttpTriggerOptions {
  readonly functions: readonly HttpFunction[];
  readonly routePrefix: string;
  readonly keys: Keys;
  readonly invocations: Invocations;
  readonly worker: Worker;
}

/**
 * Answers a request if a function's route and methods fit; undefined otherwise. A known route with another method is
 * not found (404): the method is a constraint of the route in the real host (azure-functions-host #10098).
 */
export async function serveHttpTrigger(
  options: HttpTriggerOptions,
  request: HostRequest,
): Promise<HostResponse | undefined> {
  const prefix = options.routePrefix === '' ? '/' : `/${options.routePrefix}/`;
  const path = request.path.endsWith('/') ? request.path : `${request.path}/`;
  if (!path.toLowerCase().startsWith(prefix.toLowerCase())) return undefined;
  const rest = request.path.slice(prefix.length);
  for (const candidate of options.functions) {
    if (candidate.methods.length > 0 && !candidate.methods.includes(request.method)) continue;
    const params = candidate.route.match(rest);
    if (!params) continue;
    if (!isAuthorized(options.keys, candidate, request)) return emptyResponse(401);
    return options.worker.httpProxy
      ? streamed(options, candidate, request, params, options.worker.httpProxy)
      : buffered(options, candidate, request, params);
  }
  return undefined;
}

function isAuthorized(keys: Keys, { authLevel }: HttpFunction, request: HostRequest): boolean {
  if (authLevel === 'anonymous') return true;
  const key = request.query.get('code') ?? request.headers['x-functions-key'] ?? '';
  return authLevel === 'admin' ? keys.isMaster(key) : keys.opensFunction(key);
}

/** The classic way: the whole request in the invocation, the whole response in its result. */
async function buffered(
  { invocations }: HttpTriggerOptions,
  called: HttpFunction,
  request: HostRequest,
  params: Record<string, string>,
): Promise<HostResponse> {
  const body = await request.bytes();
  const http: RpcHttpData = {
    method: request.method,
    url: request.url,
    headers: { ...request.headers },
    query: joinedQuery(request.query),
    params,
    body: body.length > 0 ? { bytes: body } : null,
  };
  try {
    const response = await invocations.invoke(called.registered, {
      value: { http },
      metadata: metadataOf(request, params),
    });
    return toResponse(response.returnValue?.http);
  } catch {
    return emptyResponse(500);
  }
}

/** Repeated parameters arrive joined by commas (azure-functions-nodejs-library #168). */
function joinedQuery(query: URLSearchParams): Record<string, string> {
  return Object.fromEntries([...new Set(query.keys())].map((name) => [name, query.getAll(name).join(',')]));
}

function metadataOf(request: HostRequest, params: Record<string, string>): Record<string, RpcTypedData> {
  return {
    ...Object.fromEntries(Object.entries(params).map(([name, value]) => [name, { string: value }])),
    Query: { json: JSON.stringify(joinedQuery(request.query)) },
    Headers: { json: JSON.stringify(request.headers) },
  };
}

/** A function that returned nothing is 204, as in the real host since version 2. */
function toResponse(http: RpcHttpData | undefined): HostResponse {
  if (!http) return emptyResponse(204);
  const headers: Record<string, string | string[]> = { ...http.headers };
  if (http.cookies?.length) headers['set-cookie'] = http.cookies.map(serializeCookie);
  const body = http.body?.bytes ?? http.body?.string;
  return { status: Number(http.statusCode ?? 200), headers, ...(body === undefined ? {} : { body }) };
}

function serializeCookie(cookie: RpcHttpCookie): string {
  const sameSite = { lax: 'Lax', strict: 'Strict', explicitNone: 'None', none: undefined }[
    cookie.sameSite ?? 'none'
  ];
  const parts = [
    `${cookie.name}=${encodeURIComponent(cookie.value)}`,
    cookie.expires && `expires=${new Date(cookie.expires.value.seconds * 1000).toUTCString()}`,
    cookie.maxAge && `max-age=${cookie.maxAge.value}`,
    cookie.domain && `domain=${cookie.domain.value}`,
    `path=${cookie.path?.value ?? '/'}`,
    cookie.secure?.value && 'secure',
    sameSite && `samesite=${sameSite.toLowerCase()}`,
    cookie.httpOnly?.value && 'httponly',
  ];
  return parts.filter((part) => typeof part === 'string').join('; ');
}

/**
 * The way with `app.setup({ enableHttpStream: true })`: the library runs its own HTTP server in the worker; the host
 * forwards the request to it, named by an invocation id, and streams the answer back.
 */
async function streamed(
  { invocations }: HttpTriggerOptions,
  called: HttpFunction,
  request: HostRequest,
  params: Record<string, string>,
  proxy: URL,
): Promise<HostResponse> {
  const invocationId = randomUUID();
  const { connection: _connection, ...headers } = request.headers;
  const forwarded = sendRequest({
    host: proxy.hostname,
    port: proxy.port,
    method: request.method,
    path: request.incoming.url,
    headers: {
      ...headers,
      'x-ms-invocation-id': invocationId,
      'x-forwarded-host': request.headers['host'] ?? 'localhost',
      'x-forwarded-proto': 'http',
    },
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    forwarded.once('response', resolve);
    forwarded.once('error', reject);
  });
  pipeline(request.incoming, forwarded, () => undefined);
  const invoked = invocations
    .invoke(called.registered, {
      invocationId,
      value: { http: { method: request.method, url: request.url } },
      metadata: metadataOf(request, params),
    })
    .then(
      () => 'returned' as const,
      () => 'failed' as const,
    );
  let answer = await Promise.race([answered.catch(() => 'failed' as const), invoked]);
  // The answer's head may still be on its way; a function that returned nothing never sends one.
  if (answer === 'returned') answer = await Promise.race([answered, settle(answer)]);
  if (typeof answer === 'string') {
    forwarded.destroy();
    return emptyResponse(answer === 'failed' ? 500 : 204);
  }
  return { status: answer.statusCode ?? 200, headers: keepHeaders(answer), body: answer };
}

/**
 * How long the head of an answer may take from the library's server in this very process: in turns of the event loop, each
 * of which reads what has come, since under load one turn alone may take longer than all of them otherwise.
 */
const headTurns = 20;
const turnMilliseconds = 5;

async function settle<Value>(value: Value): Promise<Value> {
  for (let turn = 0; turn < headTurns; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, turnMilliseconds));
  }
  return value;
}

function keepHeaders(answer: IncomingMessage): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value === undefined || ['connection', 'keep-alive', 'transfer-encoding'].includes(name)) continue;
    headers[name] = value;
  }
  return headers;
}

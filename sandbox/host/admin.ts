/** The part of the admin API that a deployment and a developer need: status, functions, keys, running by hand. */
import {
  emptyResponse,
  type HostRequest,
  type HostResponse,
  jsonResponse,
  pathSegments,
} from './http-messages.ts';
import { type Invocations, triggerOf, triggerType } from './invocations.ts';
import type { Keys } from './keys.ts';
import { timerInfo } from './timer-trigger.ts';
import { hostVersion, type RegisteredFunction, type Worker } from './worker.ts';

export interface AdminOptions {
  readonly worker: Worker;
  readonly invocations: Invocations;
  readonly keys: Keys;
  readonly routePrefix: string;
}

/** Everything needs the master key but the status, which is then reduced to nothing. */
export async function serveAdmin(options: AdminOptions, request: HostRequest): Promise<HostResponse> {
  const [, area, first, second, ...rest] = pathSegments(request.path) ?? [];
  if (rest.length > 0) return emptyResponse(404);
  const key = request.query.get('code') ?? request.headers['x-functions-key'] ?? '';
  const isMaster = options.keys.isMaster(key);
  const path = [area, first].join('/').toLowerCase();
  if (path === 'host/ping') return emptyResponse(200);
  if (path === 'host/status' && request.method === 'GET' && second === undefined) {
    return jsonResponse(200, isMaster ? status() : {});
  }
  if (!isMaster) return emptyResponse(401);
  if (area?.toLowerCase() === 'functions' && second === undefined) return functions(options, request, first);
  if (request.method !== 'GET') return emptyResponse(404);
  switch (path) {
    case 'host/systemkeys':
      return systemKeys(options.keys, second);
    case 'host/functionkeys':
    case 'host/keys':
      return functionKeys(options.keys, second);
    default:
      return emptyResponse(404);
  }
}

function status(): Record<string, unknown> {
  return {
    id: 'sandbox',
    state: 'Running',
    version: hostVersion,
    versionDetails: 'local development host',
    platformVersion: '',
    instanceId: '',
    computerName: '',
    processUptime: Math.round(process.uptime() * 1000),
    functionAppContentEditingState: 'Unknown',
  };
}

async function functions(
  options: AdminOptions,
  request: HostRequest,
  name: string | undefined,
): Promise<HostResponse> {
  if (!name) {
    if (request.method !== 'GET') return emptyResponse(404);
    return jsonResponse(
      200,
      options.worker.functions.map((registered) => describe(options, request, registered)),
    );
  }
  const found = options.worker.functions.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (!found) return emptyResponse(404);
  if (request.method === 'GET') return jsonResponse(200, describe(options, request, found));
  return request.method === 'POST' ? runByHand(options.invocations, found, request) : emptyResponse(404);
}

function describe(
  { routePrefix }: AdminOptions,
  request: HostRequest,
  registered: RegisteredFunction,
): Record<string, unknown> {
  const isHttp = triggerType(registered) === 'httptrigger';
  const route = String(triggerOf(registered).binding['route'] ?? registered.name);
  const path = [routePrefix, route].filter((part) => part !== '').join('/');
  return {
    name: registered.name,
    href: `${request.origin}/admin/functions/${encodeURIComponent(registered.name)}`,
    invoke_url_template: isHttp ? `${request.origin}/${path}` : null,
    language: 'node',
    isDisabled: false,
    config: {
      name: registered.name,
      language: 'node',
      bindings: Object.entries(registered.metadata.bindings).map(([name, binding]) => ({ ...binding, name })),
    },
  };
}

/** Only what the extensions of this host use; an unknown key is 404. */
function systemKeys(keys: Keys, name: string | undefined): HostResponse {
  const all = Object.entries(keys.system).map(([key, value]) => ({ name: key, value }));
  if (name === undefined) return jsonResponse(200, { keys: all, links: [] });
  const found = all.find((key) => key.name === name.toLowerCase());
  return found ? jsonResponse(200, { ...found, links: [] }) : emptyResponse(404);
}

function functionKeys(keys: Keys, name: string | undefined): HostResponse {
  const key = { name: 'default', value: keys.functionDefault };
  if (name === undefined) return jsonResponse(200, { keys: [key], links: [] });
  if (name.toLowerCase() === '_master')
    return jsonResponse(200, { name: '_master', value: keys.master, links: [] });
  return name.toLowerCase() === 'default' ? jsonResponse(200, { ...key, links: [] }) : emptyResponse(404);
}

/** 202 at once; how the invocation goes is for the log. Orchestrators and entities cannot be run like this. */
async function runByHand(
  invocations: Invocations,
  registered: RegisteredFunction,
  request: HostRequest,
): Promise<HostResponse> {
  const type = triggerType(registered);
  if (['httptrigger', 'orchestrationtrigger', 'entitytrigger'].includes(type)) {
    return jsonResponse(400, `The function '${registered.name}' cannot be run by hand: it has a ${type}.`);
  }
  const text = await request.text();
  let input: unknown;
  try {
    input = text.trim() === '' ? undefined : (JSON.parse(text) as { input?: unknown } | null)?.input;
  } catch {
    return emptyResponse(400);
  }
  const given = typeof input === 'string' ? input : JSON.stringify(input ?? null);
  const value = type === 'timertrigger' ? { json: timerInfo(undefined, false) } : { string: given };
  // The invocation logs its own failure.
  void invocations.invoke(registered, { value }).catch(() => undefined);
  return emptyResponse(202);
}

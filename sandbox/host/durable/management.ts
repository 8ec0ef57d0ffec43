/**
 * The management API of the Durable extension (HttpApiHandler): one handler, mounted for everybody with the system key
 * and, without one, for the app's own client on the loopback address.
 */
import { randomUUID } from 'node:crypto';
import {
  emptyResponse,
  errorResponse,
  type HostRequest,
  type HostResponse,
  jsonResponse,
  pathSegments,
} from '../http-messages.ts';
import {
  AlreadyExistsError,
  BadArgumentError,
  purgeInstance,
  restartInstance,
  rewindInstance,
  startInstance,
  tellInstance,
} from './client.ts';
import { managementLinks } from './client-binding.ts';
import { deleteOrSignalEntity, getEntity, listEntities } from './entity-management.ts';
import { listMany, purgeMany } from './instance-list.ts';
import { instanceStatus } from './instance-status.ts';
import { findInstance, isFinished, readHistory } from './instances.ts';
import type { TaskHub } from './task-hub.ts';

export interface ManagementOptions {
  readonly hub: TaskHub;
  readonly systemKey: string;
}

/** `path` is what follows the mount point, without a leading slash. */
export async function manage(
  options: ManagementOptions,
  request: HostRequest,
  path: string,
): Promise<HostResponse> {
  try {
    const taskHub = request.query.get('taskHub');
    if (taskHub && taskHub.toLowerCase() !== options.hub.settings.hubName.toLowerCase()) {
      return errorResponse(400, `This host serves the task hub '${options.hub.settings.hubName}' only.`);
    }
    return (await route(options, request, path)) ?? emptyResponse(404);
  } catch (error) {
    if (error instanceof BadArgumentError) return errorResponse(400, error.message);
    throw error;
  }
}

async function route(
  options: ManagementOptions,
  request: HostRequest,
  path: string,
): Promise<HostResponse | undefined> {
  const [area, first, second, third, ...rest] = pathSegments(path) ?? [];
  if (rest.length > 0) return undefined;
  switch (area?.toLowerCase()) {
    case 'orchestrators':
      if (request.method !== 'POST' || !first || third !== undefined) return undefined;
      return start(options, request, first, second);
    case 'entities':
      if (third !== undefined) return undefined;
      if (request.method === 'GET') {
        return first && second
          ? getEntity(options.hub, first, second)
          : listEntities(options.hub, request, first);
      }
      if (request.method !== 'POST' && request.method !== 'DELETE') return undefined;
      return first ? deleteOrSignalEntity(options.hub, request, first, second ?? '') : undefined;
    case 'instances':
      return routeInstances(options, request, first, second, third);
    default:
      return undefined;
  }
}

async function routeInstances(
  options: ManagementOptions,
  request: HostRequest,
  id: string | undefined,
  operation: string | undefined,
  eventName: string | undefined,
): Promise<HostResponse | undefined> {
  const { hub } = options;
  if (!id) {
    if (request.method === 'GET') return listMany(hub, request);
    if (request.method === 'DELETE') return purgeMany(hub, request);
    return undefined;
  }
  if (operation === undefined) {
    if (request.method === 'GET') return getStatus(hub, request, id);
    if (request.method === 'DELETE') return purgeOne(hub, id);
    return undefined;
  }
  if (request.method !== 'POST') return undefined;
  if (operation.toLowerCase() === 'raiseevent')
    return eventName ? raise(hub, request, id, eventName) : undefined;
  if (eventName !== undefined) return undefined;
  switch (operation.toLowerCase()) {
    case 'terminate':
    case 'suspend':
    case 'resume':
      return tell(hub, request, id, operation.toLowerCase() as 'terminate' | 'suspend' | 'resume');
    case 'rewind':
      return rewind(hub, request, id);
    case 'restart':
      return restart(options, request, id);
    default:
      return undefined;
  }
}

async function start(
  options: ManagementOptions,
  request: HostRequest,
  name: string,
  instanceId: string | undefined,
): Promise<HostResponse> {
  const text = await request.text();
  const input = text === '' ? null : toJson(text);
  if (input === undefined) return errorResponse(400, 'Invalid JSON content');
  const id = instanceId || randomUUID().replaceAll('-', '');
  try {
    startInstance(options.hub, { name, id, input, version: request.query.get('version') });
  } catch (error) {
    if (error instanceof AlreadyExistsError) return errorResponse(409, error.message);
    throw error;
  }
  return started(options, request, id);
}

/** With `timeout` and `pollingInterval` (seconds) the answer waits for the end of the instance. */
async function started(options: ManagementOptions, request: HostRequest, id: string): Promise<HostResponse> {
  const [timeout, interval] = ['timeout', 'pollingInterval'].map((name) =>
    Number(request.query.get(name) || 'none'),
  );
  if (timeout !== undefined && interval !== undefined && timeout >= interval) {
    const deadline = performance.now() + timeout * 1000;
    for (;;) {
      const instance = findInstance(options.hub.store, id);
      if (instance && isFinished(instance.status)) {
        const status = instanceStatus(instance, { showInput: true });
        return jsonResponse(200, instance.status === 'Completed' ? status['output'] : status);
      }
      const left = deadline - performance.now();
      if (left <= 0) break;
      await new Promise((resolve) => setTimeout(resolve, Math.min(left, interval * 1000)));
    }
  }
  const links = managementLinks(request.origin, options.hub.settings.hubName, options.systemKey, id);
  return jsonResponse(202, links, { location: links['statusQueryGetUri'] ?? '', 'retry-after': '10' });
}

function getStatus(hub: TaskHub, request: HostRequest, id: string): HostResponse {
  const instance = findInstance(hub.store, id);
  if (!instance) return emptyResponse(404);
  const status = instanceStatus(instance, {
    showInput: flag(request, 'showInput') ?? true,
    ...(flag(request, 'showHistory') ? { history: readHistory(hub.store, id) } : {}),
    showHistoryOutput: flag(request, 'showHistoryOutput') ?? false,
  });
  if (!isFinished(instance.status)) {
    return jsonResponse(202, status, { location: request.url, 'retry-after': '5' });
  }
  const isError = instance.status === 'Failed' && flag(request, 'returnInternalServerErrorOnFailure');
  return jsonResponse(isError ? 500 : 200, status);
}

function purgeOne(hub: TaskHub, id: string): HostResponse {
  const instance = findInstance(hub.store, id);
  if (!instance) return emptyResponse(404);
  if (!isFinished(instance.status)) {
    return jsonResponse(
      412,
      `Only orchestrations in a terminal state can be purged, but the orchestration with instance ID ${id} has status ${instance.status}`,
    );
  }
  purgeInstance(hub, id);
  return jsonResponse(200, { instancesDeleted: 1 });
}

/** 404 for an unknown instance, 410 for a finished one; otherwise nothing. */
function refuseUnlessOpen(hub: TaskHub, id: string): HostResponse | undefined {
  const instance = findInstance(hub.store, id);
  if (!instance) return emptyResponse(404);
  return isFinished(instance.status) ? emptyResponse(410) : undefined;
}

function tell(
  hub: TaskHub,
  request: HostRequest,
  id: string,
  kind: 'terminate' | 'suspend' | 'resume',
): HostResponse {
  const refusal = refuseUnlessOpen(hub, id);
  if (refusal) return refusal;
  tellInstance(hub, id, { kind, reason: request.query.get('reason') });
  return emptyResponse(202);
}

async function raise(hub: TaskHub, request: HostRequest, id: string, name: string): Promise<HostResponse> {
  const text = await request.text();
  const refusal = refuseUnlessOpen(hub, id);
  if (refusal) return refusal;
  const mediaType = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (mediaType !== 'application/json') {
    return errorResponse(400, 'Only application/json request content is supported');
  }
  const input = text === '' ? null : toJson(text);
  if (input === undefined) return errorResponse(400, 'Invalid JSON content');
  tellInstance(hub, id, { kind: 'raise', name, input });
  return emptyResponse(202);
}

function rewind(hub: TaskHub, request: HostRequest, id: string): HostResponse {
  const instance = findInstance(hub.store, id);
  if (!instance) return jsonResponse(404, `No orchestration with instance ID "${id}" found.`);
  if (instance.status !== 'Failed') {
    return jsonResponse(
      412,
      `This orchestration has status ${instance.status}, but only orchestrations in the "Failed" state can be rewound.`,
    );
  }
  rewindInstance(hub, id, request.query.get('reason'));
  return emptyResponse(202);
}

async function restart(options: ManagementOptions, request: HostRequest, id: string): Promise<HostResponse> {
  const newId = flag(request, 'restartWithNewInstanceId') === false ? id : randomUUID().replaceAll('-', '');
  try {
    if (restartInstance(options.hub, id, newId) === undefined) {
      return errorResponse(400, 'InstanceId does not match a valid orchestration instance.');
    }
  } catch (error) {
    if (!(error instanceof AlreadyExistsError)) throw error;
    return errorResponse(409, 'A non-terminal instance with this instance ID already exists.');
  }
  return started(options, request, newId);
}

function flag(request: HostRequest, name: string): boolean | undefined {
  const value = request.query.get(name)?.toLowerCase();
  return value === 'true' ? true : value === 'false' ? false : undefined;
}

/** The text, compacted; undefined when it is not JSON. */
function toJson(text: string): string | undefined {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The `instances/` part of the management API: many instances at once, listed or purged by the same filters. */
import { emptyResponse, type HostRequest, type HostResponse, jsonResponse } from '../http-messages.ts';
import { BadArgumentError, type InstanceFilter, listInstances, purgeInstance } from './client.ts';
import { instanceStatus } from './instance-status.ts';
import { type Instance, isFinished, type RuntimeStatus } from './instances.ts';
import type { TaskHub } from './task-hub.ts';

const statuses: readonly string[] = [
  'Pending',
  'Running',
  'Completed',
  'ContinuedAsNew',
  'Failed',
  'Canceled',
  'Terminated',
  'Suspended',
];

/** A page in order of creation; the header `x-ms-continuation-token` asks for, and gives, the next. */
export function listMany(hub: TaskHub, request: HostRequest): HostResponse {
  const limit = Number.parseInt(request.query.get('top') ?? '', 10) || 100;
  const after = parseContinuation(request.headers['x-ms-continuation-token']);
  const found = listInstances(hub, filterOf(request), { limit: limit + 1, after });
  const page = found.slice(0, limit);
  const last = page.at(-1);
  const showInput = request.query.get('showInput')?.toLowerCase() === 'true';
  return jsonResponse(
    200,
    page.map((instance) => instanceStatus(instance, { showInput })),
    { 'x-ms-continuation-token': found.length > limit && last ? continuationAfter(last) : '' },
  );
}

function continuationAfter({ created, id }: Instance): string {
  return Buffer.from(JSON.stringify({ created, id })).toString('base64');
}

function parseContinuation(token: string | undefined): { created: number; id: string } | undefined {
  if (!token || token === 'bnVsbA==') return undefined;
  try {
    const { created, id } = JSON.parse(Buffer.from(token, 'base64').toString()) as Record<string, unknown>;
    if (typeof created === 'number' && typeof id === 'string') return { created, id };
  } catch {
    // refused below, like a token that is JSON of something else
  }
  throw new BadArgumentError('The continuation token is not one of this host.');
}

/** Purges the finished ones; `createdTimeFrom` is a must. */
export function purgeMany(hub: TaskHub, request: HostRequest): HostResponse {
  const filter = filterOf(request);
  if (filter.createdFrom === undefined) {
    return jsonResponse(400, "Please provide value for 'createdTimeFrom' parameter.");
  }
  const found = listInstances(hub, filter, { limit: Number.MAX_SAFE_INTEGER });
  const finished = found.filter((instance) => isFinished(instance.status));
  for (const { id } of finished) purgeInstance(hub, id);
  const instancesDeleted = finished.length;
  return instancesDeleted === 0 ? emptyResponse(404) : jsonResponse(200, { instancesDeleted });
}

function filterOf(request: HostRequest): InstanceFilter {
  const time = (name: string): number | undefined => {
    const at = Date.parse(request.query.get(name) ?? '');
    return Number.isNaN(at) ? undefined : at;
  };
  const wanted = request.query
    .getAll('runtimeStatus')
    .flatMap((value) => value.split(','))
    .filter((value): value is RuntimeStatus => statuses.includes(value));
  return {
    createdFrom: time('createdTimeFrom'),
    createdTo: time('createdTimeTo'),
    statuses: wanted,
    idPrefix: request.query.get('instanceIdPrefix') ?? undefined,
  };
}

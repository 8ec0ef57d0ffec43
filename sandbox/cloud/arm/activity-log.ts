/**
 * Microsoft.Insights, as far as it is the activity log: who changed what. Filters and members as
 * https://learn.microsoft.com/rest/api/monitor/activity-logs/list tells them.
 */
import { type Activity, shownActivities } from './frame/activity.ts';
import { callerOf, claimsOf } from './frame/audit.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import type { Call, ResourceType } from './frame/resource-type.ts';
import { groupIdOf, lastName, sameId } from './frame/target.ts';

const PERMISSION = 'Microsoft.Insights/eventtypes/values/read';
const PAGE_SIZE = 200;
const KEPT_MILLISECONDS = 90 * 86_400_000;

const EVENT_NAMES = {
  Started: { value: 'BeginRequest', localizedValue: 'Begin request' },
  Accepted: { value: 'EndRequest', localizedValue: 'End request' },
  Succeeded: { value: 'EndRequest', localizedValue: 'End request' },
  Failed: { value: 'EndRequest', localizedValue: 'End request' },
} as const;

interface Filter {
  readonly from: number;
  readonly to: number;
  /** What the one condition beside the time asks for; there may be none. */
  readonly where?: { readonly field: Field; readonly value: string };
}

const FIELDS = ['resourceGroupName', 'resourceUri', 'resourceProvider', 'correlationId'] as const;
type Field = (typeof FIELDS)[number];

/** `…/eventtypes/management/values`. */
const values: ResourceType = {
  type: 'Microsoft.Insights/eventtypes/values',
  apiVersions: ['2015-04-01'],
  scope: 'subscription',
  document: (call) => {
    const { frame, url, caller, now } = call;
    if (!sameId(call.target.names[0] ?? '', 'management')) {
      throw new Refusal(404, 'NotFound', `There are no events of the type '${call.target.names[0]}'.`);
    }
    const filter = readFilter(url.searchParams.get('$filter'), now);
    frame.rights.require(caller, PERMISSION, scopeOf(frame, filter));
    const members = readSelect(url.searchParams.get('$select'));
    const found = shownActivities(frame.world).filter((activity) => matches(activity, filter));
    const from = Number(url.searchParams.get('$skiptoken') ?? 0);
    const page = found
      .slice(from, from + PAGE_SIZE)
      .map((activity) => select(show(frame, activity), members));
    return { value: page, ...(found.length > from + PAGE_SIZE ? { nextLink: next(call, from) } : {}) };
  },
};

function next({ url }: Call, from: number): string {
  const link = new URL(url);
  link.searchParams.set('$skiptoken', String(from + PAGE_SIZE));
  return link.href;
}

/** Whoever may read a group may read what happened in it. */
function scopeOf({ subscriptionScope }: Frame, { where }: Filter): string {
  if (where?.field === 'resourceUri') return where.value;
  return where?.field === 'resourceGroupName'
    ? `${subscriptionScope}/resourceGroups/${where.value}`
    : subscriptionScope;
}

function readFilter(text: string | null, now: number): Filter {
  const refuse = (why: string): Refusal =>
    new Refusal(400, 'BadRequest', `The $filter '${text ?? ''}' ${why}.`);
  let from: number | undefined;
  let to = Number.POSITIVE_INFINITY;
  let where: Filter['where'];
  for (const part of (text ?? '').split(/\s+and\s+/i).filter(Boolean)) {
    const [, name = '', operator = '', value = ''] = /^(\w+) (ge|le|eq) '([^']*)'$/.exec(part.trim()) ?? [];
    const field = FIELDS.find((known) => known.toLowerCase() === name.toLowerCase());
    const time = Date.parse(value);
    if (name === 'eventTimestamp' && operator !== 'eq' && !Number.isNaN(time)) {
      if (operator === 'ge') from = time;
      else to = time;
    } else if (field && operator === 'eq' && !where) where = { field, value };
    else throw refuse(`is not of a form that the log knows: ${part}`);
  }
  if (from === undefined) throw refuse("needs the start: eventTimestamp ge '…'");
  if (from < now - KEPT_MILLISECONDS) throw refuse('starts more than 90 days ago');
  return { from, to, ...(where ? { where } : {}) };
}

function matches({ at, resourceId, cause }: Activity, { from, to, where }: Filter): boolean {
  if (at < from || at > to) return false;
  switch (where?.field) {
    case undefined:
      return true;
    case 'resourceUri':
      return sameId(resourceId, where.value);
    case 'resourceGroupName':
      return sameId(groupOf(resourceId), where.value);
    case 'resourceProvider':
      return sameId(cause.action.split('/')[0] ?? '', where.value);
    case 'correlationId':
      return sameId(cause.correlationId, where.value);
  }
}

const groupOf = (id: string): string => lastName(groupIdOf(id) ?? '');

const both = (value: string): Json => ({ value, localizedValue: value });

function show({ world }: Frame, { id, at, shownAt, status, resourceId, cause }: Activity): Json {
  const { subscriptionId, tenantId } = world.settings;
  const type = cause.action.split('/').slice(0, -1).join('/');
  // .NET's ticks: tenths of microseconds since the year 1.
  const ticks = BigInt(at) * 10_000n + 621_355_968_000_000_000n;
  return {
    authorization: {
      action: cause.action,
      scope: resourceId,
      ...(cause.role && { role: cause.role.name }),
    },
    caller: callerOf(world, cause),
    channels: 'Operation',
    claims: claimsOf(world, cause),
    correlationId: cause.correlationId,
    description: '',
    eventDataId: id,
    eventName: EVENT_NAMES[status],
    category: both('Administrative'),
    httpRequest: {
      clientRequestId: cause.clientRequestId,
      clientIpAddress: '127.0.0.1',
      method: cause.method,
    },
    id: `${resourceId}/events/${id}/ticks/${ticks}`,
    level: status === 'Failed' ? 'Error' : 'Informational',
    resourceGroupName: groupOf(resourceId),
    resourceProviderName: both(cause.action.split('/')[0] ?? ''),
    resourceType: both(type),
    resourceId,
    operationId: cause.correlationId,
    operationName: both(cause.action),
    properties: { eventCategory: 'Administrative', entity: resourceId, message: cause.action },
    status: both(status),
    subStatus: { value: '', localizedValue: '' },
    eventTimestamp: new Date(at).toISOString(),
    submissionTimestamp: new Date(shownAt).toISOString(),
    subscriptionId,
    tenantId,
  };
}

/** Member names that `$select` takes, beside `id` which always comes. */
const SELECTABLE = [
  'authorization',
  'caller',
  'claims',
  'correlationId',
  'description',
  'eventDataId',
  'eventName',
  'eventTimestamp',
  'httpRequest',
  'id',
  'level',
  'operationId',
  'operationName',
  'properties',
  'resourceGroupName',
  'resourceProviderName',
  'resourceId',
  'status',
  'submissionTimestamp',
  'subStatus',
  'subscriptionId',
];

function readSelect(text: string | null): readonly string[] | undefined {
  const names = text?.split(',').map((name) => name.trim());
  const unknown = names?.find((name) => !SELECTABLE.includes(name));
  if (unknown === undefined) return names;
  throw new Refusal(400, 'BadRequest', `The $select names '${unknown}', which events do not have.`);
}

function select(event: Json, members: readonly string[] | undefined): Json {
  if (!members) return event;
  return Object.fromEntries(
    Object.entries(event).filter(([name]) => name === 'id' || members.includes(name)),
  );
}

export const activityLogTypes = [values] as const;

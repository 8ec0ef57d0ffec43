/**
 * Who changed something, as the subscription's activity log tells it. Azure shows an event within 3 to 20 minutes, so a
 * change just made may have no author yet: https://learn.microsoft.com/azure/azure-monitor/platform/activity-log
 */
import type { EventData, MonitorClient } from '@azure/arm-monitor';
import { type ChangeLog, type LoggedWrite, latestFirst } from './change-log.ts';

const OBJECT_ID = 'http://schemas.microsoft.com/identity/claims/objectidentifier';
const FIELDS =
  'authorization,caller,claims,correlationId,eventTimestamp,operationName,resourceId,resourceGroupName,status';

/** Ids are those of ARM. `ownNames` are those of the control plane, whose own writes are not told. */
export function createActivityLog(
  client: Pick<MonitorClient, 'activityLogs'>,
  ownNames: () => Promise<readonly string[]>,
): ChangeLog {
  return {
    writes: async (resourceId, since) => {
      const own = await ownNames();
      const writes = new Map<string, LoggedWrite>();
      const done = new Set<string>();
      const refused = new Set<string>();
      for await (const event of client.activityLogs.list(filterFor(resourceId, since), { select: FIELDS })) {
        if (!isPartOf(event.resourceId ?? '', resourceId) || isBy(event, own) || !changes(event)) continue;
        const request = requestOf(event);
        const status = event.status?.value?.toLowerCase();
        if (status === 'failed') refused.add(request);
        // An accepted operation has changed what is asked for, though it may be under way for long.
        if (status === 'succeeded' || status === 'accepted') done.add(request);
        const known = writes.get(request);
        const write = toWrite(event);
        if (!known || write.at < known.at) writes.set(request, write);
      }
      return [...writes]
        .filter(([request]) => done.has(request) && !refused.has(request))
        .map(([, write]) => write)
        .sort(latestFirst);
    },
  };
}

/** The log finds one resource or one group; what lies below a resource is found through its group. */
function filterFor(resourceId: string, since: Date): string {
  const group = /^\/subscriptions\/[^/]+\/resourceGroups\/([^/]+)/i.exec(resourceId)?.[1];
  const where = group === undefined ? `resourceUri eq '${resourceId}'` : `resourceGroupName eq '${group}'`;
  return `eventTimestamp ge '${since.toISOString()}' and ${where}`;
}

/**
 * Whether something is the resource or a part of it, as a subnet is of a network. What hangs on it under a provider of its
 * own is not: neither what lies in a resource group, nor a role assignment.
 */
export function isPartOf(id: string, resourceId: string): boolean {
  const [inner, around] = [id.toLowerCase(), resourceId.toLowerCase()];
  return (
    inner === around ||
    (inner.startsWith(`${around}/`) && !inner.slice(around.length).startsWith('/providers/'))
  );
}

export const isOneOf = (names: readonly string[], name: string | undefined): boolean =>
  name !== undefined && names.some((one) => one.toLowerCase() === name.toLowerCase());

const isBy = ({ claims, caller }: EventData, names: readonly string[]): boolean =>
  isOneOf(names, claims?.[OBJECT_ID]) || isOneOf(names, caller);

/** Reads that have to be POSTs (`listKeys/action`) are logged like writes. */
function changes({ authorization, operationName }: EventData): boolean {
  const operation = authorization?.action ?? operationName?.value ?? '';
  return (
    /\/(write|delete|action)$/i.test(operation) && !/\/(list|check|validate)\w*\/action$/i.test(operation)
  );
}

const requestOf = ({ correlationId, operationName, resourceId }: EventData): string =>
  [correlationId, operationName?.value, resourceId].join(' ').toLowerCase();

function toWrite({ caller, claims, eventTimestamp }: EventData): LoggedWrite {
  return {
    caller: caller ?? claims?.['appid'] ?? claims?.[OBJECT_ID] ?? 'unknown',
    at: (eventTimestamp ?? new Date(0)).toISOString(),
  };
}

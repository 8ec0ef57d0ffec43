/**
 * Who changed something, as the subscription's activity log tells it. Azure shows an event within 3 to 20 minutes, so a
 * change just made may have no author yet: https://learn.microsoft.com/azure/azure-monitor/platform/activity-log
 */
import type { EventData, MonitorClient } from '@azure/arm-monitor';

export interface LoggedWrite {
  /** A user's principal name, or the id of an application. */
  readonly caller: string;
  /** RFC 3339: when it was asked for, as far as the log tells. */
  readonly at: string;
  /** `Microsoft.KeyVault/vaults/write`. */
  readonly operation: string;
}

export interface ActivityLog {
  /** The latest write to the resource, or to what lies below it, that succeeded and that somebody else made. */
  latestWrite(resourceId: string, since: Date): Promise<LoggedWrite | undefined>;
}

const OBJECT_ID = 'http://schemas.microsoft.com/identity/claims/objectidentifier';
const FIELDS =
  'authorization,caller,claims,correlationId,eventTimestamp,operationName,resourceId,resourceGroupName,status';

/** `ownPrincipalId` is whose writes are not told: the control plane's own. */
export function createActivityLog(
  client: Pick<MonitorClient, 'activityLogs'>,
  ownPrincipalId: () => Promise<string>,
): ActivityLog {
  return {
    latestWrite: async (resourceId, since) => {
      const own = await ownPrincipalId();
      const writes = new Map<string, LoggedWrite>();
      const done = new Set<string>();
      const refused = new Set<string>();
      for await (const event of client.activityLogs.list(filterFor(resourceId, since), { select: FIELDS })) {
        if (!isWithin(event.resourceId ?? '', resourceId) || isBy(event, own) || !changes(event)) continue;
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
        .sort((a, b) => b.at.localeCompare(a.at))[0];
    },
  };
}

/** The log finds one resource or one group; what lies below a resource is found through its group. */
function filterFor(resourceId: string, since: Date): string {
  const group = /^\/subscriptions\/[^/]+\/resourceGroups\/([^/]+)/i.exec(resourceId)?.[1];
  const where = group === undefined ? `resourceUri eq '${resourceId}'` : `resourceGroupName eq '${group}'`;
  return `eventTimestamp ge '${since.toISOString()}' and ${where}`;
}

function isWithin(id: string, outer: string): boolean {
  const [inner, around] = [id.toLowerCase(), outer.toLowerCase()];
  return inner === around || inner.startsWith(`${around}/`);
}

const isBy = ({ claims, caller }: EventData, principalId: string): boolean =>
  [claims?.[OBJECT_ID], caller].some((id) => id?.toLowerCase() === principalId.toLowerCase());

/** Reads that have to be POSTs (`listKeys/action`) are logged like writes. */
function changes({ authorization, operationName }: EventData): boolean {
  const operation = authorization?.action ?? operationName?.value ?? '';
  return (
    /\/(write|delete|action)$/i.test(operation) && !/\/(list|check|validate)\w*\/action$/i.test(operation)
  );
}

const requestOf = ({ correlationId, operationName, resourceId }: EventData): string =>
  [correlationId, operationName?.value, resourceId].join(' ').toLowerCase();

function toWrite({ caller, claims, eventTimestamp, operationName, authorization }: EventData): LoggedWrite {
  return {
    caller: caller ?? claims?.['appid'] ?? claims?.[OBJECT_ID] ?? 'unknown',
    at: (eventTimestamp ?? new Date(0)).toISOString(),
    operation: operationName?.value ?? authorization?.action ?? 'unknown',
  };
}

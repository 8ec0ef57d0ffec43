/**
 * Who changed something in Microsoft Entra, as the directory's audit log tells it some minutes later:
 * https://learn.microsoft.com/graph/api/directoryaudit-list
 *
 * To read it takes AuditLog.Read.All and Directory.Read.All, which reach far beyond one application. Whoever does not
 * grant them is not told who.
 */
import type { Client } from '@azure-rest/core-client';
import { z } from 'zod';
import { isOneOf } from './activity-log.ts';
import { type ChangeLog, type LoggedWrite, latestFirst } from './change-log.ts';
import { graphDone, graphPath } from './graph.ts';

/** So many at most, the latest of them: more within an hour is a storm, and then there is the log. */
const MOST_ENTRIES = 100;

const text = z.string().nullish();
const auditSchema = z.object({
  activityDateTime: z.string(),
  result: text,
  initiatedBy: z.object({
    user: z.object({ id: text, userPrincipalName: text, displayName: text }).nullish(),
    app: z.object({ appId: text, servicePrincipalId: text, displayName: text }).nullish(),
  }),
});
type Audit = z.output<typeof auditSchema>;

/** Ids are those of objects: an application's, a service principal's. `ownNames` are those of the control plane. */
export function createDirectoryAudit(graph: Client, ownNames: () => Promise<readonly string[]>): ChangeLog {
  return {
    writes: async (id, since) => {
      const answer = await graphPath(graph)`/auditLogs/directoryAudits`.get({
        queryParameters: {
          $filter: `activityDateTime ge ${since.toISOString()} and targetResources/any(t:t/id eq '${id}')`,
          $orderby: 'activityDateTime desc',
          $top: MOST_ENTRIES,
        },
      });
      if (answer.status === '403') return [];
      const { body } = await graphDone(Promise.resolve(answer));
      const { value } = z.object({ value: z.array(auditSchema) }).parse(body);
      const own = await ownNames();
      return value.flatMap((entry) => toWrite(entry, own)).sort(latestFirst);
    },
  };
}

function toWrite({ initiatedBy, result, activityDateTime }: Audit, own: readonly string[]): LoggedWrite[] {
  const { user, app } = initiatedBy;
  const names = [
    ...(user ? [user.userPrincipalName, user.displayName, user.id] : []),
    ...(app ? [app.displayName, app.appId, app.servicePrincipalId] : []),
  ].flatMap((name) => name || []);
  const isOurs = names.some((name) => isOneOf(own, name));
  const [caller] = names;
  if (result !== 'success' || isOurs || caller === undefined) return [];
  return [{ caller, at: new Date(activityDateTime).toISOString() }];
}

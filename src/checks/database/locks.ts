/**
 * Who waits for whom. The finding names those at the head of the queue, which wait for nobody: to end those who wait
 * themselves helps nobody. For a moment there is always somebody waiting, and that is no finding.
 */
import type { Check, CheckFinding } from '../check.ts';
import { type DatabaseSession, type DatabaseSnapshot, lookAtDatabase } from './snapshot.ts';
import { listed, who } from './words.ts';

/** Longer than a page takes to load; PostgreSQL itself has looked for a deadlock after one. */
const LONGEST_SECONDS = 10;

export const databaseLocks: Check = {
  id: 'database-locks',
  system: 'database',
  title: 'No session waits for a lock for more than 10 seconds',
  run: async (scope) => judgeLocks(await lookAtDatabase(scope)),
};

export function judgeLocks(
  { database, sessions }: Pick<DatabaseSnapshot, 'database' | 'sessions'>,
  longestSeconds = LONGEST_SECONDS,
): readonly CheckFinding[] {
  const byPid = new Map(sessions.map((session) => [session.pid, session]));
  const waiting = sessions.filter(({ wait }) => wait !== null && wait.seconds > longestSeconds);
  if (waiting.length === 0) return [];
  const heads = new Map<number, { readonly since: string; readonly on: string }>();
  for (const session of waiting) {
    const wait = { since: session.wait?.since ?? '', on: session.wait?.relation ?? '' };
    for (const head of headsOf(session, byPid)) {
      const first = heads.get(head);
      if (!first || wait.since < first.since) heads.set(head, wait);
    }
  }
  // Let go of in the very moment.
  if (heads.size === 0) return [];
  const blockers = [...heads].toSorted(([one], [other]) => one - other);
  const pids = blockers.map(([pid]) => pid).filter((pid) => pid > 0);
  return [
    {
      id: 'database-sessions-wait-for-locks',
      resource: 'azure/postgres-database',
      severity: 'error',
      what: `Sessions of the database ${database} wait for locks that another session does not give up.`,
      evidence: `${listed(blockers.map(([pid, first]) => sentence(byPid.get(pid), pid, first)))}.`,
      breaks:
        'Whatever needs the same tables or rows hangs: chats are not saved, pages do not load, pods do not start.',
      remedy:
        pids[0] === undefined
          ? 'A prepared transaction holds them: SELECT gid FROM pg_prepared_xacts; then ROLLBACK PREPARED.'
          : `Have it commit or roll back; or end it: SELECT pg_terminate_backend(${pids[0]});`,
    },
  ];
}

/** Those it waits for in the end; a pid of 0 is a prepared transaction. */
function headsOf(session: DatabaseSession, byPid: ReadonlyMap<number, DatabaseSession>): ReadonlySet<number> {
  const heads = new Set<number>();
  const seen = new Set<number>();
  const open = [session.pid];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    if (seen.has(pid)) continue;
    seen.add(pid);
    const blockers = byPid.get(pid)?.wait?.blockers ?? [];
    if (blockers.length === 0 && pid !== session.pid) heads.add(pid);
    open.push(...blockers);
  }
  return heads;
}

/** Of a transaction that goes on, its statements change, and so do the tables that it has locked. */
function sentence(
  blocker: DatabaseSession | undefined,
  pid: number,
  { since, on }: { readonly since: string; readonly on: string },
): string {
  const held = `has kept others waiting${on === '' ? '' : ` for ${on}`} since ${since}`;
  if (!blocker) return `${pid === 0 ? 'a prepared transaction' : `the session ${pid}`} ${held}`;
  const { inTransactionSince: begun } = blocker;
  return `${who(blocker)} (pid ${pid})${begun === null ? '' : `, in a transaction since ${begun},`} ${held}`;
}

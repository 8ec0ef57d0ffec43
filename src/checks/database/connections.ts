/**
 * Connections against the limit that is nearest: of the server, of the database, of the user. Who comes beyond it is
 * refused, and each Open WebUI pod opens more of them when it has more to do.
 */
import { hasCode } from '../../clients/cloud-failure.ts';
import type { Check, CheckFinding } from '../check.ts';
import type { ConnectionHolder, ConnectionLimit, DatabaseSnapshot } from './snapshot.ts';
import { lookAtDatabase } from './snapshot.ts';
import { listed, who } from './words.ts';

const NEAR = 0.8;
/** What has been told is over only below this: pools breathe. */
const STILL_NEAR = 0.7;
const NEAR_LIMIT = 'database-connections-near-limit';
const AT_LIMIT = 0.95;
/** Whoever holds less than this part of all is not what it is about. */
const WORTH_NAMING = 0.1;

const common = {
  resource: 'azure/postgres-server',
  breaks:
    'Who comes beyond it is refused ("too many clients already", "remaining connection slots are reserved"): pages fail, and pods do not start.',
  remedy:
    'End what nobody needs (SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE …), run fewer replicas or smaller pools (DATABASE_POOL_SIZE), or raise postgres.parameters.max_connections, for which the server restarts.',
} as const;

export const databaseConnections: Check = {
  id: 'database-connections',
  system: 'database',
  title: 'The database has connections left',

  async run(scope) {
    try {
      return judgeConnections(await lookAtDatabase(scope), scope.foundBefore?.has(NEAR_LIMIT));
    } catch (error) {
      if (!hasCode(error, 'ConnectionsExhausted')) throw error;
      return [
        {
          ...common,
          id: 'database-connections-exhausted',
          severity: 'error',
          what: 'The database takes no more connections: all that it may have are taken.',
          evidence: 'A login is answered with 53300 (too_many_connections).',
        },
      ];
    }
  },
};

/** The limit with the smallest part left; the server's own is always among them. */
export function nearestLimit({ limits }: Pick<DatabaseSnapshot, 'limits'>): ConnectionLimit | undefined {
  return limits.toSorted((one, other) => shareOf(other) - shareOf(one))[0];
}

export function judgeConnections(snapshot: DatabaseSnapshot, wasNear = false): readonly CheckFinding[] {
  const limit = nearestLimit(snapshot);
  if (!limit || shareOf(limit) < (wasNear ? STILL_NEAR : NEAR)) return [];
  const isFull = shareOf(limit) >= AT_LIMIT;
  const { database, user } = snapshot;
  const whose = { server: 'the server', database: `the database ${database}`, user: `the user ${user}` };
  return [
    {
      ...common,
      id: NEAR_LIMIT,
      severity: isFull ? 'error' : 'warning',
      what: `${isFull ? 'Almost all' : 'Most'} of the ${limit.most} connections that ${whose[limit.of]} may have are taken.`,
      evidence: `More than ${100 * (isFull ? AT_LIMIT : STILL_NEAR)} %, held by ${namesOf(snapshot.holders, limit)}.`,
    },
  ];
}

const shareOf = ({ used, most }: ConnectionLimit): number => (most <= 0 ? 1 : used / most);

/** Without numbers and states, and in an order that stays: they change from look to look. */
function namesOf(holders: readonly ConnectionHolder[], { of, used }: ConnectionLimit): string {
  const counts = { server: () => true, database: isOfDatabase, user: isOfUser };
  const held = new Map<string, number>();
  for (const holder of holders.filter(counts[of])) {
    held.set(who(holder), (held.get(who(holder)) ?? 0) + holder.count);
  }
  const named = [...held].filter(([, count]) => count >= used * WORTH_NAMING).map(([name]) => name);
  return named.length === 0 ? 'many' : listed(named.toSorted());
}

const isOfDatabase = ({ ofDatabase }: ConnectionHolder): boolean => ofDatabase;
const isOfUser = ({ ofUser }: ConnectionHolder): boolean => ofUser;

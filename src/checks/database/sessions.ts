/** Statements that run for too long, and transactions that somebody has left open. */
import type { Check, CheckFinding } from '../check.ts';
import { type DatabaseSession, type DatabaseSnapshot, lookAtDatabase } from './snapshot.ts';
import { described, listed } from './words.ts';

/** Nothing that Open WebUI asks takes a minute; a person's query may. */
const LONGEST_SECONDS = 300;

export const longStatements: Check = {
  id: 'database-long-statements',
  system: 'database',
  title: 'No statement runs for more than 5 minutes',
  run: async (scope) => judgeStatements(await lookAtDatabase(scope)),
};

export const openTransactions: Check = {
  id: 'database-open-transactions',
  system: 'database',
  title: 'No transaction is left open for more than 5 minutes',
  run: async (scope) => judgeTransactions(await lookAtDatabase(scope)),
};

/** What waits for a lock is no long statement: whoever holds the lock is the trouble, and locks.ts tells. */
export function judgeStatements(
  { database, sessions }: Pick<DatabaseSnapshot, 'database' | 'sessions'>,
  longestSeconds = LONGEST_SECONDS,
): readonly CheckFinding[] {
  const long = sessions.filter(
    ({ state, wait, seconds }) => state === 'active' && wait === null && seconds > longestSeconds,
  );
  if (long.length === 0) return [];
  return [
    {
      id: 'database-statements-run-long',
      resource: 'azure/postgres-database',
      severity: 'warning',
      what: `Statements have been running in the database ${database} for more than ${inWords(longestSeconds)}.`,
      evidence: `${listed(long.map((session) => `${described(session)} since ${session.since}`))}.`,
      breaks:
        'They take the server’s processor and memory, and keep what was deleted from being cleared away.',
      remedy: `If nobody waits for it: ${long.map(({ pid }) => `SELECT pg_cancel_backend(${pid});`)[0]} The plan of a query that comes back: EXPLAIN.`,
    },
  ];
}

export function judgeTransactions(
  { database, sessions }: Pick<DatabaseSnapshot, 'database' | 'sessions'>,
  longestSeconds = LONGEST_SECONDS,
): readonly CheckFinding[] {
  const open = sessions.filter(
    ({ state, seconds }) => state.startsWith('idle in transaction') && seconds > longestSeconds,
  );
  if (open.length === 0) return [];
  return [
    {
      id: 'database-transactions-left-open',
      resource: 'azure/postgres-database',
      severity: 'warning',
      what: `Transactions have been left open in the database ${database} for more than ${inWords(longestSeconds)}.`,
      evidence: `${listed(open.map((session) => `${described(session)} idle since ${session.since}`))}.`,
      breaks: 'Their locks stay, others wait for them, and what was deleted is not cleared away.',
      remedy: `Have whoever it is commit or roll back; or end it: ${open.map(terminate)[0]} To have it done always: idle_in_transaction_session_timeout in postgres.parameters.`,
    },
  ];
}

const terminate = ({ pid }: DatabaseSession): string => `SELECT pg_terminate_backend(${pid});`;

const inWords = (seconds: number): string =>
  seconds >= 60 ? `${Math.round(seconds / 60)} minutes` : `${seconds} seconds`;

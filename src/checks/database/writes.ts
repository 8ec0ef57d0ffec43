/**
 * Whether the database takes what Open WebUI writes. A server that is nearly full still answers every question, and takes
 * nothing in: https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-storage
 */
import type { Check, CheckFinding } from '../check.ts';
import { CREATE_IN_SCHEMA, type DatabaseSnapshot, lookAtDatabase } from './snapshot.ts';
import { listed } from './words.ts';

const breaks =
  'Pages load and chats can be read; no message, no sign-in and no file is saved, and pods that start anew may fail.';

export const databaseWrites: Check = {
  id: 'database-writes',
  system: 'database',
  title: 'The database takes writes',
  run: async (scope) => judgeWrites(await lookAtDatabase(scope)),
};

/** The first of what keeps from writing: where nobody may, whose rights they are is beside the point. */
export function judgeWrites({
  database,
  user,
  isReadOnly,
  isStandby,
  lackingRights,
}: Pick<
  DatabaseSnapshot,
  'database' | 'user' | 'isReadOnly' | 'isStandby' | 'lackingRights'
>): readonly CheckFinding[] {
  if (isStandby) {
    return [
      {
        id: 'database-read-only',
        resource: 'azure/postgres-server',
        severity: 'error',
        what: 'The database server is a standby, which takes no writes.',
        evidence: 'pg_is_in_recovery() is true.',
        breaks,
        remedy:
          'See whether a failover is under way, or whether the name leads to a replica: az postgres flexible-server show --query "{role:replicationRole, ha:highAvailability.state}"; a replica can be promoted.',
      },
    ];
  }
  if (isReadOnly) {
    return [
      {
        id: 'database-read-only',
        resource: 'azure/postgres-server',
        severity: 'error',
        what: 'The database server is read-only.',
        evidence: 'default_transaction_read_only is on for a session that has just begun.',
        breaks,
        remedy:
          'Azure sets it when the storage is nearly full (metric storage_percent): raise postgres.storageGiB, or free room (DROP, VACUUM FULL after SET default_transaction_read_only = off; a replication slot that nobody reads). Azure lifts it by itself. Else somebody has set it: ALTER DATABASE or ALTER ROLE … RESET default_transaction_read_only.',
      },
    ];
  }
  if (lackingRights.length === 0) return [];
  const isOnlyUpgrade = lackingRights.every((right) => right.startsWith(CREATE_IN_SCHEMA));
  return [
    {
      id: 'database-rights-lacking',
      resource: 'azure/postgres-database',
      severity: isOnlyUpgrade ? 'warning' : 'error',
      what: `The user ${user} may not write everything that Open WebUI writes in the database ${database}.`,
      evidence: `It lacks ${listed(lackingRights)}.`,
      breaks: isOnlyUpgrade
        ? 'Nothing yet; a newer Open WebUI that brings new tables does not start.'
        : breaks,
      remedy: `As the owner of the tables: GRANT ALL ON ALL TABLES IN SCHEMA public TO "${user}"; GRANT CREATE ON SCHEMA public TO "${user}".`,
    },
  ];
}

/**
 * What only SQL tells about the database, read at one moment in one session. Texts of statements hold what users write:
 * they do not leave the server, only their first word does, with the names of the tables that the session has locked.
 *
 * Everything is in pg_stat_activity and pg_locks: https://www.postgresql.org/docs/18/monitoring-stats.html. A login that
 * is no member of pg_read_all_stats sees of other users' sessions only that they are there, and whom they keep waiting;
 * Open WebUI's own are of the same user.
 */
import { z } from 'zod';
import { type Query, READ_ONLY_BEFORE } from '../../clients/database.ts';
import type { CheckScope } from '../check.ts';
import { oncePerRound } from '../round.ts';
import { inSession, loginOf } from './session.ts';

/** So many sessions are told apart; the database has fewer that do something, or it has other troubles. */
const MOST_SESSIONS = 200;
const LONGEST_NAME = 40;

/** Shown as it is, in a text for people. */
const name = z
  .string()
  .nullable()
  .transform((text) => (text ?? '').replaceAll(/[^\x20-\x7e]/g, '?').slice(0, LONGEST_NAME));

const serverSchema = z.object({
  version: z.string(),
  database: z.string(),
  user: z.string(),
  limits: z.array(
    z.object({ of: z.enum(['server', 'database', 'user']), used: z.number(), most: z.number() }),
  ),
  extensions: z.array(z.object({ name: z.string(), version: z.string(), schema: z.string() })),
  /** Whether anybody has made tables in it yet. */
  hasTables: z.boolean(),
  /** Transactions cannot write unless they ask for it, which Open WebUI's do not. */
  isReadOnly: z.boolean(),
  /** Follows another server, and takes writes from nobody else. */
  isStandby: z.boolean(),
  /** What the user may not do and Open WebUI does: `INSERT on chat`. */
  lackingRights: z.array(z.string()),
});

const holderSchema = z.object({
  application: name,
  user: name,
  state: name,
  count: z.number(),
  ofDatabase: z.boolean(),
  ofUser: z.boolean(),
});

const sessionSchema = z.object({
  pid: z.number(),
  application: name,
  user: name,
  /** `active`, `idle in transaction`, and so on; for others than clients what they are, `autovacuum worker`. */
  state: z.string(),
  statement: z
    .string()
    .nullable()
    .transform((word) => (word !== null && keywords.includes(word) ? word : 'a statement')),
  /** ISO 8601, to the second: when the statement began, or since when a session idles. */
  since: z.string(),
  seconds: z.number(),
  inTransactionSince: z.string().nullable(),
  /** Tables and views that it has locked, in whatever way. */
  relations: z.array(name),
  /** What it waits for, if it does. */
  wait: z
    .object({
      mode: z.string(),
      relation: name,
      since: z.string(),
      seconds: z.number(),
      blockers: z.array(z.number()),
    })
    .nullable(),
});

export type DatabaseSession = z.output<typeof sessionSchema>;
export type ConnectionLimit = z.output<typeof serverSchema>['limits'][number];
export type ConnectionHolder = z.output<typeof holderSchema>;

export interface DatabaseSnapshot extends z.output<typeof serverSchema> {
  /** Who else has how many connections to the server, the most first. */
  readonly holders: readonly ConnectionHolder[];
  /** All that are doing something, wait, or are waited for; ours is not among them. */
  readonly sessions: readonly DatabaseSession[];
}

/** Once per round; throws what keeps from looking. */
export const lookAtDatabase = (scope: CheckScope): Promise<DatabaseSnapshot> =>
  oncePerRound(scope, 'database snapshot', async () => {
    const snapshot = await inSession(scope, readSnapshot);
    // In the words of the connection string, which is what people look for.
    const { database, user } = await loginOf(scope);
    return { ...snapshot, database, user };
  });

export async function readSnapshot(query: Query): Promise<DatabaseSnapshot> {
  const [server] = z.tuple([serverSchema]).parse(await query(SERVER));
  return {
    ...server,
    holders: z.array(holderSchema).parse(await query(HOLDERS)),
    sessions: z.array(sessionSchema).parse(await query(SESSIONS)),
  };
}

/** How the right to make tables is told among the lacking ones. */
export const CREATE_IN_SCHEMA = 'CREATE in the schema';

/** First words of statements; anything else that stands there may be anything. */
const keywords: readonly string[] =
  'SELECT INSERT UPDATE DELETE MERGE WITH VALUES TABLE COPY LOCK TRUNCATE CREATE ALTER DROP GRANT REVOKE COMMENT VACUUM ANALYZE REINDEX CLUSTER REFRESH BEGIN START COMMIT ROLLBACK SAVEPOINT RELEASE SET RESET SHOW EXPLAIN DO CALL PREPARE EXECUTE DECLARE FETCH CLOSE LISTEN NOTIFY CHECKPOINT'.split(
    ' ',
  );

/** Each chat and each sign-in writes into these; the schema gets new tables when Open WebUI is upgraded. */
const WRITTEN_TABLES = ['auth', 'user', 'chat', 'file'];

/** Sessions of clients; what another user's session is may be hidden, and only those have a user. */
const IS_CLIENT = `usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'`;
const iso = (time: string): string => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`;
const secondsSince = (time: string): string => `extract(epoch FROM clock_timestamp() - ${time})::float8`;

/**
 * How many connections a server takes of ordinary users: https://www.postgresql.org/docs/18/runtime-config-connection.html.
 * `reserved_connections` came with version 16. A limit of -1 is none.
 */
const SERVER = `
  WITH clients AS MATERIALIZED (SELECT datname, usename FROM pg_stat_activity WHERE ${IS_CLIENT})
  SELECT current_setting('server_version') AS version, current_database() AS database, current_user AS "user",
    (SELECT jsonb_agg(jsonb_build_object('of', "of", 'used', used, 'most', most)) FROM (
      SELECT 'server' AS "of", (SELECT count(*) FROM clients) AS used,
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
          - coalesce(current_setting('reserved_connections', true)::int, 0) AS most
      UNION ALL
      SELECT 'database', (SELECT count(*) FROM clients WHERE datname = current_database()), datconnlimit
        FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0
      UNION ALL
      SELECT 'user', (SELECT count(*) FROM clients WHERE usename = current_user), rolconnlimit
        FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0
    ) AS every) AS limits,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('name', extname, 'version', extversion, 'schema', nspname)
        ORDER BY extname), '[]') FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace) AS extensions,
    EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relkind IN ('r', 'p') AND nspname !~ '^(pg_|information_schema$)') AS "hasTables",
    coalesce(current_setting('${READ_ONLY_BEFORE}', true), 'off') = 'on' AS "isReadOnly",
    pg_is_in_recovery() AS "isStandby",
    (SELECT coalesce(jsonb_agg(missing ORDER BY missing), '[]') FROM (
      SELECT privilege || ' on ' || relname AS missing
        FROM pg_class c CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
          AND relname IN (${WRITTEN_TABLES.map((table) => `'${table}'`).join(', ')})
          AND NOT has_table_privilege(c.oid, privilege)
      UNION ALL
      SELECT '${CREATE_IN_SCHEMA} ' || current_schema()
        WHERE NOT has_schema_privilege(current_schema(), 'CREATE')
    ) AS lacking) AS "lackingRights"`;

const HOLDERS = `
  SELECT application_name AS application, usename::text AS "user", state, count(*)::int AS count,
    datname IS NOT DISTINCT FROM current_database() AS "ofDatabase", usename = current_user AS "ofUser"
  FROM pg_stat_activity WHERE ${IS_CLIENT} AND pid <> pg_backend_pid()
  GROUP BY 1, 2, 3, 5, 6 ORDER BY count DESC, 1, 2, 3, 5, 6`;

/** Whom a session waits for is asked for those only that wait: it stops the lock manager for a moment. */
const SESSIONS = `
  WITH waiting AS MATERIALIZED (
    SELECT a.pid, pg_blocking_pids(a.pid) AS blockers, l.mode, l.relation, coalesce(l.waitstart, a.query_start) AS since
    FROM pg_stat_activity a
    JOIN LATERAL (SELECT mode, relation, waitstart FROM pg_locks WHERE pid = a.pid AND NOT granted LIMIT 1) l ON true
    WHERE a.datname = current_database() AND a.wait_event_type = 'Lock')
  SELECT a.pid, a.application_name AS application, a.usename::text AS "user",
    coalesce(CASE WHEN ${IS_CLIENT} THEN state ELSE backend_type END, 'hidden') AS state,
    upper(substring(query FROM '^(?:\\s|/\\*(?:[^*]|\\*[^/])*\\*/|--[^\\n]*\\n)*([A-Za-z]+)')) AS statement,
    ${iso('begun')} AS since, ${secondsSince('begun')} AS seconds,
    ${iso('xact_start')} AS "inTransactionSince",
    ARRAY(SELECT DISTINCT CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END || relname
      FROM pg_locks k JOIN pg_class c ON c.oid = k.relation JOIN pg_namespace n ON n.oid = relnamespace
      WHERE k.pid = a.pid AND k.granted AND relkind IN ('r', 'p', 'm', 'v')
        AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND nspname !~ '^(pg_|information_schema$)' ORDER BY 1) AS relations,
    CASE WHEN w.pid IS NOT NULL THEN jsonb_build_object('mode', w.mode, 'relation', c.relname,
      'since', ${iso('w.since')}, 'seconds', ${secondsSince('w.since')}, 'blockers', to_jsonb(w.blockers)) END AS wait
  FROM pg_stat_activity a
    LEFT JOIN waiting w ON w.pid = a.pid
    LEFT JOIN pg_class c ON c.oid = w.relation
    CROSS JOIN LATERAL (SELECT coalesce(
      CASE WHEN state LIKE 'idle%' THEN state_change ELSE query_start END, xact_start, backend_start, now()) AS begun) b
  WHERE a.pid <> pg_backend_pid() AND (w.pid IS NOT NULL
    OR a.pid IN (SELECT unnest(blockers) FROM waiting)
    OR (a.datname = current_database() AND ${IS_CLIENT} AND state <> 'idle'))
  ORDER BY begun, a.pid LIMIT ${MOST_SESSIONS}`;

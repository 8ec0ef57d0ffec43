/** What SQL tells, against a real PostgreSQL 18: the database is broken as people break it, and looked at. */
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { judgeConnections } from '../../../src/checks/database/connections.ts';
import { judgeExtension } from '../../../src/checks/database/extension.ts';
import { judgeLocks } from '../../../src/checks/database/locks.ts';
import { judgeStatements, judgeTransactions } from '../../../src/checks/database/sessions.ts';
import type { DatabaseSnapshot } from '../../../src/checks/database/snapshot.ts';
import { judgeWrites } from '../../../src/checks/database/writes.ts';
import { toFailure } from '../../../src/clients/cloud-failure.ts';
import { inDatabase } from '../../../src/clients/database.ts';
import { type ADatabase, startDatabase } from './a-database.ts';

let database: ADatabase;
beforeAll(async () => {
  database = await startDatabase();
}, 60_000);
afterEach(() => database.disconnectAll());
afterAll(() => database.stop());

const SECRET = 'what-a-user-wrote';
/** Resolves as soon as a look shows it. */
const until = async (holds: (snapshot: DatabaseSnapshot) => boolean): Promise<DatabaseSnapshot> => {
  let seen: DatabaseSnapshot | undefined;
  await expect
    .poll(
      async () => {
        seen = await database.look();
        return holds(seen);
      },
      { timeout: 30_000, interval: 100 },
    )
    .toBe(true);
  if (!seen) throw new Error('nothing was seen');
  return seen;
};
const pidOf = async (client: pg.Client): Promise<number> =>
  (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid ?? 0;
const failureOf = async (answer: Promise<unknown>) =>
  toFailure(
    await answer.then(
      () => undefined,
      (error: unknown) => error,
    ),
  );

describe('a healthy database', () => {
  test('has no finding, idle connections or not', async () => {
    await database.open('open-webui');
    const snapshot = await database.look();
    expect(snapshot).toMatchObject({ database: 'openwebui', user: 'webui', hasTables: true });
    expect(snapshot.version).toMatch(/^18\./);
    expect(snapshot.holders).toContainEqual({
      application: 'open-webui',
      user: 'webui',
      state: 'idle',
      count: 1,
      ofDatabase: true,
      ofUser: true,
    });
    expect([
      ...judgeConnections(snapshot),
      ...judgeLocks(snapshot),
      ...judgeStatements(snapshot),
      ...judgeTransactions(snapshot),
      ...judgeWrites(snapshot),
    ]).toEqual([]);
  });

  test('is looked at by a session that cannot write', async () => {
    const { code } = await failureOf(
      inDatabase(database.login, undefined, (query) => query('CREATE TABLE other (id int)')),
    );
    // 25006 is read_only_sql_transaction.
    expect(code).toBe('DatabaseError');
    await database.administer('SELECT 1');
  });
});

describe('what is found in a real database', () => {
  test('a lock held open: who holds it, since when, and who is first to wait', async () => {
    const holder = await database.open('psql');
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE chat IN ACCESS EXCLUSIVE MODE');
    const pid = await pidOf(holder);
    const first = await database.open('open-webui');
    const second = await database.open('open-webui');
    const ended = [
      first.query(`UPDATE chat SET title = '${SECRET}'`),
      second.query(`SELECT * FROM chat WHERE title = '${SECRET}'`),
    ].map((query) => query.catch(() => undefined));
    const snapshot = await until(({ sessions }) => sessions.filter(({ wait }) => wait).length === 2);
    // For a moment somebody always waits.
    expect(judgeLocks(snapshot, 3600)).toEqual([]);
    const [finding, ...others] = judgeLocks(snapshot, 0);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      id: 'database-sessions-wait-for-locks',
      resource: 'azure/postgres-database',
      severity: 'error',
    });
    expect(finding?.evidence).toMatch(
      new RegExp(
        `^"psql" as webui \\(pid ${pid}\\), in a transaction since \\S+Z, has kept others waiting for chat since \\S+Z\\.$`,
      ),
    );
    expect(finding?.remedy).toContain(`pg_terminate_backend(${pid})`);
    // The same words each time, and none of a user's.
    expect(judgeLocks(await database.look(), 0)).toEqual([finding]);
    expect(JSON.stringify(snapshot)).not.toContain(SECRET);
    expect((await database.facts()).largestTables).toEqual({ why: expect.stringContaining('locked') });
    await holder.query('ROLLBACK');
    await Promise.all(ended);
    expect(judgeLocks(await database.look(), 0)).toEqual([]);
  }, 60_000);

  test('of a queue, who stands at its head and waits for nobody', async () => {
    await database.administer("INSERT INTO chat VALUES ('1', 'one') ON CONFLICT DO NOTHING");
    const head = await database.open('head');
    await head.query('BEGIN');
    await head.query("UPDATE chat SET title = 'a' WHERE id = '1'");
    const middle = await database.open('middle');
    await middle.query('BEGIN');
    const waiting = middle.query("UPDATE chat SET title = 'b' WHERE id = '1'");
    await until(({ sessions }) => sessions.some(({ wait }) => wait));
    const last = await database.open('last');
    const alsoWaiting = last.query('ALTER TABLE chat ADD COLUMN more text').catch(() => undefined);
    const snapshot = await until(({ sessions }) => sessions.filter(({ wait }) => wait).length === 2);
    const [finding] = judgeLocks(snapshot, 0);
    expect(finding?.evidence).toContain('"head"');
    expect(finding?.evidence).not.toContain('"middle"');
    await head.query('ROLLBACK');
    await waiting;
    await last.end();
    await alsoWaiting;
  }, 60_000);

  test('a long query: who runs it, its first word, never its text', async () => {
    const person = await database.open('report');
    const running = person
      .query(`/* ${SECRET} */ SELECT pg_sleep(3600), '${SECRET}' FROM chat`)
      .catch(() => undefined);
    await database.administer("INSERT INTO chat VALUES ('2', 'two') ON CONFLICT DO NOTHING");
    const again = await database.open('report 2');
    const alsoRunning = again.query('SELECT pg_sleep(3600), title FROM chat').catch(() => undefined);
    const snapshot = await until(
      ({ sessions }) => sessions.filter(({ state, seconds }) => state === 'active' && seconds > 1).length > 0,
    );
    expect(judgeStatements(snapshot)).toEqual([]);
    const [finding] = judgeStatements(snapshot, 1);
    expect(finding).toMatchObject({
      id: 'database-statements-run-long',
      resource: 'azure/postgres-database',
      severity: 'warning',
    });
    expect(finding?.evidence).toMatch(/^"report( 2)?" as webui \(pid \d+, SELECT on chat\) since \S+Z/);
    expect(finding?.remedy).toMatch(/pg_cancel_backend\(\d+\)/);
    expect(JSON.stringify(snapshot)).not.toContain(SECRET);
    await database.disconnectAll();
    await Promise.all([running, alsoRunning]);
  }, 60_000);

  test('a transaction that somebody has left open', async () => {
    const person = await database.open('psql');
    await person.query('BEGIN');
    await person.query("UPDATE chat SET title = 'x' WHERE id = 'none'");
    const snapshot = await until(({ sessions }) =>
      sessions.some(({ state, seconds }) => state === 'idle in transaction' && seconds > 1),
    );
    expect(judgeTransactions(snapshot)).toEqual([]);
    const [finding] = judgeTransactions(snapshot, 1);
    expect(finding?.evidence).toMatch(/^"psql" as webui \(pid \d+, UPDATE on chat\) idle since \S+Z\.$/);
    expect(judgeTransactions(await database.look(), 1)).toEqual([finding]);
    expect(judgeLocks(snapshot, 0)).toEqual([]);
  }, 60_000);

  test('connections near the limit, whoever’s it is, and none left', async () => {
    // The look takes one of the user's ten, too.
    const opened = await Promise.all(Array.from({ length: 7 }, () => database.open('open-webui')));
    const most = judgeConnections(await database.look());
    expect(most).toMatchObject([
      {
        id: 'database-connections-near-limit',
        resource: 'azure/postgres-server',
        severity: 'warning',
        what: 'Most of the 10 connections that the user webui may have are taken.',
        evidence: 'More than 70 %, held by "open-webui" as webui.',
      },
    ]);
    expect(judgeConnections(await database.look())).toEqual(most);
    // Nor do the words change with what they do: two of seven in a transaction, and five idle.
    const [first, second] = opened;
    await first?.query('BEGIN');
    await second?.query('BEGIN');
    expect(judgeConnections(await database.look())).toEqual(most);
    // Seven of ten are news to nobody, and no end of what has been told.
    await first?.end();
    const fewer = await until(({ limits }) => limits.some(({ of, used }) => of === 'user' && used === 7));
    expect(judgeConnections(fewer)).toEqual([]);
    expect(judgeConnections(fewer, true)).toEqual(most);
    await database.open('open-webui');
    await database.administer('ALTER DATABASE openwebui CONNECTION LIMIT 8');
    const full = judgeConnections(await database.look());
    expect(full).toMatchObject([
      { severity: 'error', what: expect.stringContaining('8 connections that the database openwebui') },
    ]);
    await database.open('open-webui');
    expect(await failureOf(database.look())).toMatchObject({
      code: 'ConnectionsExhausted',
      kind: 'retryable',
    });
    await database.administer('ALTER DATABASE openwebui CONNECTION LIMIT -1');
    await database.disconnectAll();
    expect(judgeConnections(await database.look())).toEqual([]);
  }, 60_000);

  test('a server that Azure has made read-only, although the look itself is read-only, too', async () => {
    await database.administer(
      'ALTER SYSTEM SET default_transaction_read_only = on',
      'SELECT pg_reload_conf()',
    );
    const snapshot = await until(({ isReadOnly }) => isReadOnly);
    const found = judgeWrites(snapshot);
    expect(found).toMatchObject([
      {
        id: 'database-read-only',
        resource: 'azure/postgres-server',
        severity: 'error',
        remedy: expect.stringContaining('postgres.storageGiB'),
      },
    ]);
    expect(judgeWrites(await database.look())).toEqual(found);
    await database.administer('ALTER SYSTEM RESET default_transaction_read_only', 'SELECT pg_reload_conf()');
    expect(judgeWrites(await until(({ isReadOnly }) => !isReadOnly))).toEqual([]);
  }, 60_000);

  test('a user for whom somebody has made the database read-only', async () => {
    await database.administer('ALTER ROLE webui SET default_transaction_read_only = on');
    expect(judgeWrites(await database.look())).toMatchObject([{ id: 'database-read-only' }]);
    await database.administer('ALTER ROLE webui RESET default_transaction_read_only');
    expect(judgeWrites(await database.look())).toEqual([]);
  });

  test('a standby, whatever the user may', async () => {
    const snapshot = await database.look();
    expect(snapshot.isStandby).toBe(false);
    expect(judgeWrites({ ...snapshot, isStandby: true })).toMatchObject([
      { id: 'database-read-only', what: expect.stringContaining('standby') },
    ]);
  });

  test('a user that may not write into the tables of Open WebUI, or not make new ones', async () => {
    await database.administer(
      'ALTER TABLE chat OWNER TO CURRENT_USER',
      'GRANT SELECT, DELETE ON chat TO webui',
    );
    expect(judgeWrites(await database.look())).toMatchObject([
      {
        id: 'database-rights-lacking',
        resource: 'azure/postgres-database',
        severity: 'error',
        evidence: 'It lacks INSERT on chat; UPDATE on chat.',
      },
    ]);
    await database.administer(
      'ALTER TABLE chat OWNER TO webui',
      'ALTER DATABASE openwebui OWNER TO CURRENT_USER',
    );
    expect(judgeWrites(await database.look())).toMatchObject([
      { severity: 'warning', evidence: 'It lacks CREATE in the schema public.' },
    ]);
    await database.administer('ALTER DATABASE openwebui OWNER TO webui');
    expect(judgeWrites(await database.look())).toEqual([]);
  });

  test('a missing extension, once there are tables', async () => {
    await database.administer('CREATE EXTENSION vector');
    expect(judgeExtension(await database.look())).toEqual([]);
    await database.administer('DROP EXTENSION vector');
    const snapshot = await database.look();
    expect(judgeExtension(snapshot)).toMatchObject([
      { id: 'extension-missing', resource: 'azure/postgres-database', severity: 'error' },
    ]);
    expect(judgeExtension({ ...snapshot, hasTables: false })).toEqual([]);
  });
});

describe('what keeps from looking', () => {
  test.each([
    ['a wrong password', { password: 'a wrong one' }, 'PasswordRefused'],
    ['a user that is not there', { user: 'nobody' }, 'PasswordRefused'],
    ['a database that is not there', { database: 'other' }, 'NoSuchDatabase'],
    ['nobody who answers', { port: 1 }, 'DatabaseUnreachable'],
    ['a name that leads nowhere', { host: 'psql.invalid' }, 'DatabaseUnreachable'],
    ['a certificate for another name', { host: '127.0.0.1' }, 'DatabaseCertificateUntrusted'],
  ])('%s is told as what it is, without the password', async (_, part, code) => {
    const failure = await failureOf(inDatabase({ ...database.login, ...part }, undefined, async () => []));
    expect(failure.code).toBe(code);
    expect(JSON.stringify(failure)).not.toContain(database.login.password);
    expect(JSON.stringify(failure)).not.toContain('a wrong one');
  });

  test('a role that may not log in is no wrong password', async () => {
    await database.administer('ALTER ROLE webui NOLOGIN');
    expect((await failureOf(database.look())).code).toBe('LoginRefused');
    await database.administer('ALTER ROLE webui LOGIN');
  });

  test('a session that is ended from outside says so', async () => {
    const failure = await failureOf(
      inDatabase(database.login, undefined, async (query) => {
        const running = query('SELECT pg_sleep(60)');
        await Promise.all([database.disconnectAll(), running]);
      }),
    );
    expect(failure).toMatchObject({ code: 'DatabaseUnreachable', kind: 'retryable' });
  });
});

describe('the facts of a database', () => {
  test('are its size and largest tables, and why there are no slow statements', async () => {
    await database.administer(
      "INSERT INTO chat SELECT 'row ' || g, repeat('x', 500) FROM generate_series(1, 2000) g",
    );
    const facts = await database.facts();
    expect(facts.bytes).toBeGreaterThan(1_000_000);
    expect(facts.largestTables).toMatchObject({ known: [{ schema: 'public', name: 'chat' }] });
    expect(facts.slowStatements).toEqual({
      why: expect.stringContaining('CREATE EXTENSION pg_stat_statements'),
    });
  });

  test('are slow statements, too, where they are kept, without what was in them', async () => {
    await database.administer(
      'CREATE EXTENSION pg_stat_statements',
      'GRANT pg_read_all_stats TO webui',
      'SELECT pg_stat_statements_reset()',
    );
    const person = await database.open('psql');
    await person.query(`SELECT title FROM chat WHERE title = '${SECRET}' -- ${SECRET}`);
    await database.administer(`CREATE ROLE another LOGIN PASSWORD '${SECRET}'`);
    await database.facts();
    const { slowStatements } = await database.facts();
    expect(slowStatements).toEqual({ known: expect.any(Array) });
    const text = JSON.stringify(slowStatements);
    expect(text).toContain('SELECT title FROM chat WHERE title = $1');
    expect(text).not.toContain(SECRET);
    // Nor what looking itself has cost.
    expect(text).not.toContain('pg_blocking_pids');
    await database.administer('DROP EXTENSION pg_stat_statements', 'DROP ROLE another');
  });
});

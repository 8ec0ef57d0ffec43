/** The checks of a whole running stack, as the README shows them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nameIn } from '../../sandbox/cloud/arm/postgresql-engine.ts';
import { settings } from '../../sandbox/cloud/bootstrap.ts';
import { expectedFunctions } from '../../src/functions.ts';
import { callsSince, isMutation, type Sample, startSample } from './sample.ts';

interface Health {
  readonly status: string;
  readonly checkedAt?: string;
  readonly findings: readonly {
    readonly id: string;
    readonly resource: string;
    readonly what: string;
    readonly evidence: string;
  }[];
  readonly systems: readonly {
    readonly system: string;
    readonly checks: readonly { readonly id: string; readonly state: string; readonly why?: string }[];
  }[];
}

describe('the health of a stack', () => {
  let sample: Sample;
  beforeAll(async () => {
    sample = await startSample({ speed: 60 });
    expect((await sample.ask()).failure).toBeUndefined();
  }, 180_000);
  afterAll(async () => {
    await sample?.stop();
  });

  const health = async (): Promise<Health> => (await sample.call('GET', 'health')).body;
  /** Asks for a check, and answers what it found. */
  const check = async (): Promise<Health> => {
    const { status, body } = await sample.call('POST', 'check');
    expect(status).toBe(202);
    await expect
      .poll(async () => (await health()).checkedAt ?? '', { timeout: 60_000 })
      .satisfies((at: string) => at >= body.after);
    return health();
  };
  const told = async (): Promise<
    readonly { channel: string; event: { type: string; data: { id: string } } }[]
  > => (await (await fetch(`${sample.sandbox.endpoints.sandbox}/notifications`)).json()) as never;

  test('is good when nothing is wrong, every check having looked, without a write', async () => {
    const { next } = await callsSince(sample, 0);
    const seen = await check();
    const unknown = seen.systems.flatMap(({ checks }) => checks.filter(({ state }) => state !== 'ok'));
    expect(unknown).toEqual([]);
    expect(seen.findings).toEqual([]);
    expect(seen.status).toBe('healthy');
    const { calls } = await callsSince(sample, next);
    // That a newer Kubernetes is offered is news, and a timer may tell it by now.
    const writes = calls.filter((call) => isMutation(call) && call.service !== 'notifications');
    expect(writes).toEqual([]);
  }, 120_000);

  test('the app itself is alive, and ready', async () => {
    expect((await sample.call('GET', '/live')).status).toBe(200);
    expect(await sample.call('GET', '/ready')).toMatchObject({ status: 200 });
    const { functions } = sample.sandbox.endpoints;
    const { masterKey } = JSON.parse(readFileSync(join(sample.sandbox.directory, 'keys.json'), 'utf8'));
    const listed = await fetch(`${functions}/admin/functions`, { headers: { 'x-functions-key': masterKey } });
    const names = ((await listed.json()) as { name: string }[]).map(({ name }) => name);
    expect(names.toSorted()).toEqual(expectedFunctions.toSorted());
  });

  test('knows what the database is busy with, and who keeps others waiting for a lock', async () => {
    const { status, body } = await sample.call('GET', 'database');
    expect(status).toBe(200);
    expect(body).toMatchObject({ version: expect.stringMatching(/^18\./), sessions: [] });
    expect(body.extensions.map(({ name }: { name: string }) => name)).toContain('vector');
    expect(body.largestTables.map(({ name }: { name: string }) => name)).toContain('chat');
    expect(body.connections.used).toBeGreaterThan(1);
    expect(body.slowStatements.unknown).toContain('CREATE EXTENSION pg_stat_statements');

    const [holder, waiting] = [await openDatabase(sample, 'psql'), await openDatabase(sample, 'report')];
    await holder.query('BEGIN; LOCK TABLE config IN ACCESS EXCLUSIVE MODE');
    const answer = waiting.query('SELECT count(*) FROM config').catch(() => undefined);
    await expect
      .poll(async () => (await check()).findings[0], { timeout: 120_000, interval: 2_000 })
      .toMatchObject({
        id: 'database-sessions-wait-for-locks',
        resource: 'azure/postgres-database',
        evidence: expect.stringMatching(/^"psql" .* has kept others waiting for config since /),
      });
    await holder.query('ROLLBACK');
    await answer;
    await Promise.all([holder.end(), waiting.end()]);
    await expect.poll(async () => (await check()).findings, { timeout: 60_000 }).toEqual([]);
  }, 240_000);

  test('names what is wrong first, tells it once on each channel, and tells when it is over', async () => {
    const server = (await sample.clouds.arm(
      `/subscriptions/${settings.subscriptionId}/resourceGroups/rg-openwebui/providers/Microsoft.DBforPostgreSQL/flexibleServers?api-version=2024-08-01`,
    )) as { body: { value: { id: string }[] } };
    const id = server.body.value[0]?.id ?? '';
    await sample.clouds.arm(`${id}/stop?api-version=2024-08-01`, { method: 'POST' });
    await expect
      .poll(async () => (await check()).findings[0]?.resource, { timeout: 60_000 })
      .toBe('azure/postgres-server');
    const [first] = (await check()).findings;
    const about = async () => (await told()).filter(({ event }) => event.data.id === first?.id);
    await expect
      .poll(async () => (await about()).map(({ channel }) => channel).toSorted(), { timeout: 60_000 })
      .toEqual(['topic', 'webhook']);
    // Whoever starts a server that is still being stopped is told that it is busy.
    await expect
      .poll(async () => (await sample.clouds.arm(`${id}?api-version=2024-08-01`)).body, { timeout: 60_000 })
      .toMatchObject({ properties: { state: 'Stopped' } });
    await sample.clouds.arm(`${id}/start?api-version=2024-08-01`, { method: 'POST' });
    await expect.poll(async () => (await check()).findings, { timeout: 60_000 }).toEqual([]);
    await expect
      .poll(async () => (await about()).map(({ event }) => event.type.split('.').at(-1)).toSorted(), {
        timeout: 60_000,
      })
      .toEqual(['FindingAppeared', 'FindingAppeared', 'FindingCleared', 'FindingCleared']);
  }, 240_000);
});

/** A session of the deployment's database, at the real PostgreSQL behind the simulated server. */
async function openDatabase({ sandbox, clouds }: Sample, application: string): Promise<pg.Client> {
  const { body } = await clouds.vault('kv-openwebui', '/secrets/postgres-connection-string?api-version=7.6');
  const url = new URL((body as { value: string }).value);
  const server = url.hostname.split('.')[0] ?? '';
  const client = new pg.Client({
    host: '127.0.0.1',
    port: Number(new URL(sandbox.endpoints.postgres ?? '').port),
    user: nameIn(server, decodeURIComponent(url.username)),
    password: decodeURIComponent(url.password),
    database: nameIn(server, url.pathname.slice(1)),
    ssl: { rejectUnauthorized: false },
    application_name: application,
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { describeChecks } from '../../src/activities/describe-checks.ts';
import { recordHealth } from '../../src/activities/record-health.ts';
import { runChecks } from '../../src/activities/run-checks.ts';
import { staleAfter } from '../../src/api/deployment-health.ts';
import { getFleetHealth, getHealth, postCheck } from '../../src/api/health.ts';
import { getReady } from '../../src/api/ready.ts';
import type { Check, CheckFinding } from '../../src/checks/check.ts';
import type { Clients } from '../../src/clients/clients.ts';
import type { StepRecord, Store } from '../../src/store/store.ts';
import { call } from '../api/requests.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';

const START = Date.parse('2026-11-24T10:00:00.000Z');
const minute = (count: number): number => START + count * 60_000;
const iso = (count: number): string => new Date(minute(count)).toISOString();
const stopped: CheckFinding = {
  id: 'stopped',
  resource: 'azure/postgres-server',
  severity: 'error',
  what: 'The server is stopped.',
  evidence: 'state Stopped',
  breaks: 'Nobody can sign in.',
  remedy: 'Start it.',
};
const aCheck = (id: string, run: Check['run'], system: Check['system'] = 'database'): Check => ({
  id,
  system,
  title: `${id} is well`,
  run,
});

let azurite: Azurite;
let store: Store;
let name: string;
let count = 0;
beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
});
afterAll(() => azurite.dispose());
beforeEach(async () => {
  count += 1;
  name = `chat-${count}`;
  await store.putDeployment(name, minimalSpec, new Date(START));
});

const step = (key: StepRecord['key'], ordinal: number, state: StepRecord['state']): StepRecord => ({
  key,
  title: 't',
  ordinal,
  state,
  did: 'nothing',
  looks: 1,
  waitsFor: [],
});
const stand = (): Promise<void> => store.recordSteps(name, [], [step('azure/resource-group', 0, 'ready')]);

/** A round of these checks, as the orchestration makes it. None of them asks a cloud. */
async function round(checks: readonly Check[], at: number): Promise<void> {
  const system = 'database';
  const { results } = await runChecks(
    store,
    () => ({}) as Clients,
    checks,
    50,
  )({ deployment: name, system, now: minute(at) });
  const told = { deployment: name, at: minute(at), systems: [{ system, results }] };
  expect(await recordHealth(store)(told)).toEqual({ ok: true });
}
/** Without what the engine noticed. */
const checks = async () => (await store.health.checks(name)).filter(({ system }) => system !== 'engine');
const finds = (...findings: CheckFinding[]) => [aCheck('server', async () => findings)];
const fails = [aCheck('server', () => Promise.reject(new Error('away')))];
const dependencies = (at: number) => ({
  store,
  now: () => new Date(minute(at)),
  staleAfterMilliseconds: staleAfter('0 */5 * * * *'),
  startCheck: async () => ({ isNew: false, since: new Date(minute(at - 1)) }),
});
const health = (at: number) =>
  call(getHealth(dependencies(at)), 'GET', `/api/deployments/${name}/health`, { name });

describe('checks', () => {
  test('that hang or throw are unknown, and keep none of the others from answering', async () => {
    const checks = [
      aCheck('hangs', () => new Promise(() => {})),
      aCheck('throws', () => {
        throw new Error('forbidden');
      }),
      aCheck('well', async () => []),
      aCheck('ill', async () => [stopped, stopped]),
      aCheck('elsewhere', async () => [stopped], 'vault'),
    ];
    const input = { deployment: name, system: 'database', now: START };
    const { results } = await runChecks(store, () => ({}) as Clients, checks, 50)(input);
    expect(results).toMatchObject([
      { id: 'hangs', state: 'unknown', why: 'did not answer in time', findings: [] },
      { id: 'throws', state: 'unknown', why: expect.stringContaining('forbidden') },
      { id: 'well', state: 'ok' },
      { id: 'ill', state: 'failing', findings: [stopped] },
    ]);
  });

  test('name the call that puts it right, for the resource that it is about', async () => {
    const repair = `POST /api/deployments/${name}/repair`;
    const rotate = `POST /api/deployments/${name}/rotate?what=postgres-password`;
    const ill = aCheck('ill', async () => [
      { ...stopped, repair },
      { ...stopped, id: 'other', repair: rotate },
    ]);
    const input = { deployment: name, system: 'database', now: START };
    const { results } = await runChecks(store, () => ({}) as Clients, [ill])(input);
    expect(results.flatMap(({ findings }) => findings.map((finding) => finding.repair))).toEqual([
      `${repair}?resources=azure/postgres-server,azure/postgres-database`,
      rotate,
    ]);
  });

  test('know what a resource told when it was last ready, whatever it is now', async () => {
    const outputs = { fqdn: 'psql.example.com' };
    await store.recordSteps(
      name,
      [],
      [{ ...step('azure/postgres-server', 0, 'waiting'), outputs, seenAt: iso(0) }],
    );
    let known: unknown;
    const looks = aCheck('looks', async (scope) => {
      known = scope.known['azure/postgres-server'];
      return [];
    });
    await runChecks(store, () => ({}) as Clients, [looks])({
      deployment: name,
      system: 'database',
      now: START,
    });
    expect(known).toEqual({ outputs, readyAt: minute(0) });
  });

  test('know what they had found, how bad it was, and since when, also when they could not be made since', async () => {
    await round(finds(stopped), 0);
    await round(fails, 5);
    let before: unknown;
    const looks = aCheck('server', async ({ foundBefore }) => {
      before = foundBefore?.get('stopped');
      return [];
    });
    await round([looks], 10);
    expect(before).toMatchObject({ severity: 'error', since: iso(0) });
  });

  test('of a deployment that is not known are unknown', async () => {
    const input = { deployment: 'nobody', system: 'database', now: START };
    expect(await runChecks(store, () => ({}) as Clients, finds())(input)).toMatchObject({
      results: [{ state: 'unknown', why: expect.stringContaining('UnknownDeployment') }],
    });
  });

  test('wait for the first operation to end, whether well or not, and for no other', async () => {
    const describing = describeChecks(store, finds());
    const begin = (id: string) =>
      store.createOperation({
        id,
        deployment: name,
        kind: 'provision',
        cause: { kind: 'request', what: 'it was asked for' },
        revision: 1,
        requestedAt: iso(0),
      });
    await begin(`${name}-1`);
    await stand();
    expect(await describing({ deployment: name })).toEqual({ ok: true, systems: [] });
    await store.recordOutcome(`${name}-1`, { state: 'failed', at: iso(1) });
    expect(await describing({ deployment: name })).toEqual({ ok: true, systems: ['database'] });
    await round(finds(), 1);
    await begin(`${name}-2`);
    expect(await describing({ deployment: name })).toEqual({ ok: true, systems: ['database'] });
  });

  test('wait until something of the deployment stands', async () => {
    const describing = describeChecks(store, finds());
    expect(await describing({ deployment: name })).toEqual({ ok: true, systems: [] });
    await stand();
    expect(await describing({ deployment: name })).toEqual({ ok: true, systems: ['database'] });
  });
});

describe('a finding', () => {
  test('keeps its time, survives a look that could not be made, and clears when it is gone', async () => {
    await round(finds(stopped), 0);
    await round(finds(stopped), 5);
    await round(fails, 10);
    expect(await checks()).toMatchObject([
      { state: 'unknown', findings: [{ since: iso(0), lastSeenAt: iso(5) }] },
    ]);
    expect(await store.health.history(name)).toHaveLength(1);
    await round(finds(), 15);
    const id = `${name}/server/stopped/azure/postgres-server/${iso(0)}`;
    expect(await store.health.history(name)).toMatchObject([
      { id: `${id}/cleared`, change: 'cleared', at: iso(15) },
      { id: `${id}/appeared`, change: 'appeared', at: iso(0) },
    ]);
    await round(finds(stopped), 20);
    expect(await checks()).toMatchObject([{ findings: [{ since: iso(20) }] }]);
    await store.health.forget(name, new Date(minute(16)));
    expect(await store.health.history(name)).toMatchObject([{ at: iso(20) }]);
  });

  test('tells which failing resource it comes from', async () => {
    await store.recordSteps(name, [], [step('azure/postgres-server', 0, 'ready')]);
    await round(finds(stopped, { ...stopped, id: 'missing', resource: 'azure/postgres-database' }), 0);
    const causes = (await store.health.history(name)).map(({ finding, causedBy }) => [finding.id, causedBy]);
    expect(Object.fromEntries(causes)).toEqual({ stopped: undefined, missing: 'azure/postgres-server' });
  });

  test('is told once more when it becomes worse, and not when it becomes less so', async () => {
    const severities = ['info', 'warning', 'warning', 'error', 'warning'] as const;
    for (const [index, severity] of severities.entries())
      await round(finds({ ...stopped, severity }), 5 * index);
    const told = (await store.health.history(name)).map(({ change, finding }) => [change, finding.severity]);
    expect(told).toEqual([
      ['worsened', 'error'],
      ['worsened', 'warning'],
      ['appeared', 'info'],
    ]);
    const ids = (await store.health.history(name)).map(({ id }) => id);
    expect(new Set(ids).size).toBe(3);
    expect(await checks()).toMatchObject([{ findings: [{ since: iso(0), severity: 'warning' }] }]);
  });

  test('is told on each channel until that has been settled', async () => {
    await round(finds(stopped), 0);
    const own = async (channel: 'webhook' | 'topic') =>
      (await store.health.pending(channel, 100)).filter(({ deployment }) => deployment === name);
    const waiting = await own('webhook');
    expect(waiting).toMatchObject([{ change: 'appeared' }]);
    await store.health.settle('webhook', waiting);
    expect([await own('webhook'), await own('topic')]).toEqual([[], waiting]);
  });

  test('goes with a check that is not made any more', async () => {
    await round(finds(stopped), 0);
    await round([aCheck('another', async () => [])], 5);
    expect(await checks()).toMatchObject([{ id: 'another', state: 'ok' }]);
    expect((await store.health.history(name))[0]).toMatchObject({ change: 'cleared' });
  });
});

describe('what a resource notices itself', () => {
  const noticed = {
    ...stopped,
    id: 'drift-fought',
    severity: 'warning',
    since: iso(0),
  } as const;
  const look = (findings: StepRecord['findings']) =>
    store.recordSteps(
      name,
      [],
      [{ ...step('azure/postgres-server', 0, 'ready'), ...(findings ? { findings } : {}) }],
    );

  test('is told when it appears and when it is gone, unless a check has found the same', async () => {
    await look([noticed]);
    await round(finds(), 5);
    await round(finds(), 10);
    await look(undefined);
    await round(finds(), 15);
    const told = (await store.health.history(name)).map(({ change, at, finding }) => [
      change,
      at,
      finding.id,
    ]);
    expect(told).toEqual([
      ['cleared', iso(15), 'drift-fought'],
      ['appeared', iso(5), 'drift-fought'],
    ]);
    await look([{ ...noticed, id: 'stopped' }]);
    await round(finds(stopped), 20);
    expect((await store.health.history(name)).filter(({ at }) => at === iso(20))).toHaveLength(1);
  });

  test('is told of all resources, however many they are and however much each has to say', async () => {
    const keys = ['azure/postgres-server', 'azure/cluster', 'azure/key-vault', 'azure/registry'] as const;
    const wordy = keys.map((resource, ordinal) => ({
      ...step(resource, ordinal, 'failed'),
      findings: [{ ...noticed, resource, what: 'x'.repeat(12_000) }],
    }));
    await store.recordSteps(name, [], wordy);
    await round(finds(), 5);
    const told = (await store.health.history(name)).map(({ finding }) => finding.resource);
    expect(told.toSorted()).toEqual([...keys].toSorted());
  });

  test('is not told of what the spec does not ask for any more', async () => {
    const redis = {
      ...step('kubernetes/redis', 1, 'ready'),
      findings: [{ ...noticed, resource: 'kubernetes/redis' }],
    } as const;
    await store.putDeployment(name, { ...minimalSpec, webui: { replicas: 1 } }, new Date(START));
    await store.recordSteps(name, [], [redis]);
    await round(finds(), 5);
    expect(await store.health.history(name)).toEqual([]);
  });
});

describe('what is being changed', () => {
  const begin = (kind: 'provision' | 'repair', id = `${name}-change`, at = 1) =>
    store.createOperation({
      id,
      deployment: name,
      kind,
      cause: { kind: 'request', what: 'it was asked for' },
      revision: 2,
      requestedAt: iso(at),
    });
  const seen = (at: number) =>
    store.recordSteps(name, [], [{ ...step('azure/postgres-server', 0, 'ready'), seenAt: iso(at) }]);
  const history = async () => (await store.health.history(name)).map(({ at, change }) => [change, at]);

  test('is not found wrong before it has been found as asked since, or for too long', async () => {
    await round(finds(), 0);
    await begin('provision');
    await seen(0);
    await round(finds(stopped), 5);
    expect(await checks()).toMatchObject([
      { state: 'unknown', why: `operation ${name}-change is changing what it is about`, findings: [] },
    ]);
    await seen(6);
    await round(finds(stopped), 10);
    expect(await history()).toEqual([['appeared', iso(10)]]);
    await round(finds(), 12);
    await seen(0);
    await round(finds(stopped), 32);
    expect((await history())[0]).toEqual(['appeared', iso(32)]);
  });

  test('is not found wrong by what a later wish changes again', async () => {
    await begin('provision', '20261124T100100-00000001', 1);
    await seen(2);
    await begin('provision', '20261124T100300-00000002', 3);
    await round(finds(stopped), 5);
    expect(await history()).toEqual([]);
    await seen(6);
    await round(finds(stopped), 10);
    expect(await history()).toEqual([['appeared', iso(10)]]);
  });

  test('is not found wrong by a check that began during the look that found it as asked', async () => {
    await begin('provision');
    const look = { ...step('azure/postgres-server', 0, 'ready'), seenAt: iso(4), readyAt: iso(6) };
    await store.recordSteps(name, [], [look]);
    await round(finds(stopped), 5);
    expect(await checks()).toMatchObject([{ state: 'unknown', findings: [] }]);
  });

  test('goes on being wrong when it was before', async () => {
    await round(finds(stopped), 0);
    await begin('provision');
    await round(finds(stopped), 5);
    expect(await checks()).toMatchObject([
      { state: 'failing', findings: [{ since: iso(0), lastSeenAt: iso(5) }] },
    ]);
  });

  test('is only what somebody wishes, and not what is put right', async () => {
    await begin('repair');
    await round(finds(stopped), 5);
    expect(await history()).toEqual([['appeared', iso(5)]]);
  });
});

describe('the health API', () => {
  test('goes from unknown to healthy to failing, and back to unknown when nobody checks', async () => {
    expect((await health(0)).body).toMatchObject({ status: 'unknown', why: 'not provisioned yet' });
    const cluster = (state: StepRecord['state']) =>
      store.recordSteps(name, [], [step('azure/cluster', 1, state)]);
    await stand();
    await cluster('waiting');
    expect((await health(0)).body).toMatchObject({
      status: 'unknown',
      why: 'not checked before its first operation has ended',
    });
    await cluster('ready');
    expect((await health(0)).body).toMatchObject({ status: 'unknown', why: 'not checked yet' });
    await round(finds(), 0);
    expect((await health(1)).body).toMatchObject({ status: 'healthy', checkedAt: iso(0), findings: [] });
    await round(fails, 5);
    expect((await health(6)).body).toMatchObject({ status: 'unknown', systems: [{ state: 'unknown' }] });
    await round(finds(stopped), 10);
    expect((await health(11)).body).toMatchObject({
      status: 'failing',
      findings: [{ id: 'stopped', check: 'server', system: 'database' }],
      systems: [{ system: 'database', state: 'failing', checks: [{ id: 'server' }] }],
    });
    const fleet = await call(getFleetHealth(dependencies(11)), 'GET', '/api/health', {});
    expect(fleet.body.deployments).toContainEqual(
      expect.objectContaining({ name, status: 'failing', findings: { error: 1, warning: 0 } }),
    );
    expect((await health(26)).body).toMatchObject({ status: 'unknown', why: 'not checked for too long' });
  });

  test('tells as news what is only good to know, and of nothing that fails', async () => {
    await stand();
    await round(finds({ ...stopped, severity: 'info' }), 0);
    expect((await health(1)).body).toMatchObject({
      status: 'healthy',
      findings: [],
      news: [{ id: 'stopped' }],
      systems: [{ state: 'ok', checks: [{ id: 'server', state: 'ok' }] }],
    });
    await round(finds({ ...stopped, severity: 'info' }, { ...stopped, id: 'other', severity: 'warning' }), 5);
    expect((await health(6)).body).toMatchObject({
      status: 'degraded',
      systems: [{ state: 'failing', checks: [{ id: 'server', state: 'failing' }] }],
    });
  });

  test('takes a request to check, also while one is running, and not for a stranger', async () => {
    const check = (of: string) =>
      call(postCheck(dependencies(3)), 'POST', `/api/deployments/${of}/check`, { name: of });
    expect(await check(name)).toMatchObject({
      status: 202,
      body: {
        after: iso(2),
        joined: true,
        health: expect.stringMatching(/\/api\/deployments\/chat-\d+\/health$/),
      },
    });
    expect((await check('nobody')).status).toBe(404);
  });

  test('is ready only when all is there, and names what is not', async () => {
    const well = { conditions: { store: () => store.check() }, missingFunctions: () => [] };
    expect((await call(getReady(well), 'GET', '/api/ready', {})).status).toBe(200);
    const ill = {
      conditions: { ...well.conditions, credential: () => Promise.reject(new Error('a detail')) },
      missingFunctions: () => ['sweep'],
    };
    const { status, body } = await call(getReady(ill), 'GET', '/api/ready', {});
    expect([status, body.detail]).toEqual([503, 'Not ready: credential, function sweep.']);
  });
});

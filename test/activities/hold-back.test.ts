/** What becomes of what a look has found, by what the store remembers and the spec says; nothing is pushed here. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { holdBack, settled } from '../../src/activities/drift.ts';
import { loadStack } from '../../src/activities/stack.ts';
import { type Asked, wishOf } from '../../src/activities/wish.ts';
import type { Difference, Observed, Outputs, ResourceKey } from '../../src/graph/resource.ts';
import { nodeIdentity } from '../../src/resources/azure/node-identity.ts';
import type { DeploymentSpecInput } from '../../src/spec/spec.ts';
import type { StepRecord, Store } from '../../src/store/store.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';

const NAME = 'chat';
const server = 'azure/postgres-server';
const account = 'azure/storage-account';
const minute = 60_000;

let azurite: Azurite;
let store: Store;
let now: number;
const iso = (): string => new Date(now).toISOString();
beforeAll(async () => {
  azurite = await Azurite.start();
});
afterAll(() => azurite.dispose());
beforeEach(async () => {
  await azurite.dispose();
  azurite = await Azurite.start();
  store = azurite.openStore();
  now = Date.parse('2026-11-24T10:00:00Z');
  await ask({});
});

const ask = (change: Partial<DeploymentSpecInput>): Promise<unknown> =>
  store.putDeployment(NAME, { ...minimalSpec, ...change }, new Date(now));
const askedOf = async (key: ResourceKey, dependencies: Asked['dependencies']) => {
  const { record, spec, names } = await loadStack(store, NAME);
  return { key, record, spec, names, dependencies };
};
/** It was found as asked a moment ago. */
async function wasReady(
  key: ResourceKey,
  dependencies: Asked['dependencies'] = {},
  more: Outputs = {},
): Promise<void> {
  const asked = await askedOf(key, dependencies);
  const name = key === server ? asked.names.postgresServer : asked.names.storageAccount;
  const outputs = { name, ...more };
  const ready = { state: 'ready', did: 'nothing', looks: 1, seenAt: iso(), outputs } as const;
  await step({ key, ...ready, wish: wishOf(asked, []) });
}
const step = (more: Pick<StepRecord, 'key' | 'state' | 'did' | 'looks'> & Partial<StepRecord>) =>
  store.recordSteps(NAME, [], [{ title: more.key, ordinal: 0, waitsFor: [], ...more }]);
async function decide(
  key: ResourceKey,
  found: readonly Difference[] | 'absent',
  dependencies: Asked['dependencies'] = {},
  resource: Parameters<typeof holdBack>[0]['resource'] = {},
) {
  now += minute;
  const seen: Observed<Outputs> =
    found === 'absent' ? { state: 'absent' } : { state: 'drifted', outputs: {}, differences: found };
  const asked = await askedOf(key, dependencies);
  return holdBack({ ...asked, store, title: 'It', resource, seen, reads: [], now: new Date(now) });
}
async function look(...asked: Parameters<typeof decide>) {
  const held = await decide(...asked);
  return 'result' in held ? held.result : isPushed;
}
const drift = () => store.drift.list(NAME);
const report = (resource: ResourceKey): Partial<DeploymentSpecInput> => ({
  drift: { rules: [{ resource, policy: 'report' }] },
});
const isPushed = undefined;

describe('what holds data and is gone', () => {
  test('is not made anew by itself, and says how to have an empty one', async () => {
    await wasReady(server);
    const { failure } = (await look(server, 'absent')) as { failure: { message: string } };
    expect(failure).toMatchObject({ kind: 'fatal', code: 'HeldBack' });
    expect(failure.message).toContain(
      'POST /api/deployments/chat/repair?resources=azure/postgres-server,azure/postgres-database',
    );
    expect(await drift()).toMatchObject([
      { resource: server, path: '', state: 'reported', policy: 'report' },
    ]);
    await store.changeDeployment(NAME, () => ({ repairAfter: { [server]: iso() } }));
    expect(await look(server, 'absent')).toBe(isPushed);
  });

  test('is made when it has never been there', async () => {
    expect(await look(server, 'absent')).toBe(isPushed);
    expect(await drift()).toEqual([]);
  });

  test('is made where a rule says repair', async () => {
    await wasReady(server);
    await ask({ drift: { rules: [{ resource: server, policy: 'repair' }] } });
    expect(await look(server, 'absent')).toBe(isPushed);
  });

  test('stays gone when something else was asked for meanwhile, and is made under another name', async () => {
    await wasReady(server, { 'azure/network': { id: 'one' } });
    const others = { 'azure/network': { id: 'other' } };
    expect(await look(server, 'absent', others)).toMatchObject({ failure: { code: 'HeldBack' } });
    await wasReady(account);
    await ask({ storage: { account: 'stanother' } });
    expect(await look(account, 'absent')).toBe(isPushed);
  });

  test('stays gone when something else was asked for meanwhile: a database of its server', async () => {
    const key = 'azure/postgres-database';
    const { spec, names } = await askedOf(key, {});
    const there = { name: spec.postgres.database, server: names.postgresServer };
    await wasReady(key, { [server]: { passwordVersion: 'one' } }, there);
    const others = { [server]: { passwordVersion: 'other' } };
    expect(await look(key, 'absent', others)).toMatchObject({ failure: { code: 'HeldBack' } });
    await ask({ postgres: { server: 'psql-another' } });
    expect(await look(key, 'absent', others)).toBe(isPushed);
  });

  test('is not made anew where it is who people are known by, and counts as gone only when that stays so', async () => {
    await wasReady('entra/application');
    for (let minutes = 0; minutes < 5; minutes += 1) {
      expect(await look('entra/application', 'absent')).toMatchObject({ kind: 'waiting', did: 'nothing' });
    }
    expect(await look('entra/application', 'absent')).toMatchObject({
      kind: 'failed',
      failure: { code: 'HeldBack', message: expect.stringContaining('get back to their account') },
    });
  });

  test('is made anew where nothing is lost by that', async () => {
    await wasReady('azure/key-vault');
    expect(await look('azure/key-vault', 'absent')).toBe(isPushed);
  });
});

describe('what has grown', () => {
  const quota = (found: number): Difference => ({ path: 'shareQuota', wanted: 100, found });

  test('stays, is told, and is put right where it is less', async () => {
    await wasReady('azure/file-share');
    expect(await look('azure/file-share', [quota(200)])).toMatchObject({
      kind: 'ready',
      held: ['shareQuota'],
      notices: [{ id: 'drift-report', evidence: expect.stringContaining('it has grown') }],
    });
    expect(await look('azure/file-share', [quota(50)])).toBe(isPushed);
  });

  test('stays also when the spec has come to ask for more than before, and still for less than there is', async () => {
    await wasReady('azure/file-share', { 'azure/storage-account': { id: 'one' } });
    const others = { 'azure/storage-account': { id: 'other' } };
    expect(await look('azure/file-share', [quota(200)], others)).toMatchObject({ held: ['shareQuota'] });
    expect(await look('azure/file-share', [quota(50)], others)).toBe(isPushed);
  });
});

describe('what is newer than asked for', () => {
  test('is told, and does not hold up what else is asked for', async () => {
    const key = 'azure/cluster';
    const version: Difference = { path: 'kubernetesVersion', wanted: '1.33', found: '1.34.1' };
    await wasReady(key, { 'azure/network': { id: 'one' } });
    const others = { 'azure/network': { id: 'other' } };
    const tier: Difference = { path: 'sku.tier', wanted: 'Standard', found: 'Free' };
    expect(await look(key, [version, tier], others)).toBe(isPushed);
    expect(await look(key, [version], others)).toMatchObject({ kind: 'ready', held: ['kubernetesVersion'] });
  });
});

describe('the identity on the nodes', () => {
  const key = 'azure/node-identity';
  const off = (scaleSet: string): Difference => ({
    path: `${scaleSet}.identity.userAssignedIdentities`,
    wanted: 'id',
    found: null,
  });

  test('was taken from nobody who has just come, and is not kept from one by a fight over another', async () => {
    await wasReady(key, {}, { scaleSets: ['old', 'other'] });
    const puts = async (...scaleSets: readonly string[]) => decide(key, scaleSets.map(off), {}, nodeIdentity);
    for (let times = 0; times < 3; times += 1) {
      expect(await puts('old')).toEqual({ pushed: [off('old')] });
      now += 5 * minute;
      await store.drift.change(NAME, key, off('old').path, (record) => settled(record, iso(), undefined));
    }
    expect(await puts('old', 'other', 'new')).toEqual({ pushed: [off('other'), off('new')] });
    const records = (await drift()).map(({ path, state }) => [path, state]);
    expect(records.toSorted()).toEqual([
      [off('old').path, 'fought'],
      [off('other').path, 'open'],
    ]);
    expect(await puts('old')).toMatchObject({ result: { kind: 'ready', held: [off('old').path] } });
  });
});

describe('what time or our own work makes different', () => {
  const key = 'entra/client-secret';
  const old: Difference = { path: 'passwordCredentials', wanted: [], found: ['one'] };

  test('is no drift, and no rule holds it', async () => {
    await ask(report(key));
    await wasReady(key);
    expect(await look(key, [{ ...old, isDue: true }])).toBe(isPushed);
    expect(await drift()).toEqual([]);
    expect(await look(key, [old])).toMatchObject({ held: ['passwordCredentials'] });
  });
});

describe('what is pushed thing by thing', () => {
  const parameters = ['a', 'b', 'c', 'd', 'e'].map((path) => ({ path, wanted: 'on', found: 'off' }));

  test('goes on at once, and what had to wait was not pushed again and again', async () => {
    const key = 'azure/postgres-parameters';
    await wasReady(key);
    for (const first of parameters.keys()) {
      expect(await look(key, parameters.slice(first))).toBe(isPushed);
      await step({ key, state: 'waiting', did: 'repaired', looks: first + 1, wish: await wishOfLook(key) });
      now += 4 * minute;
    }
    expect((await drift()).map(({ repairs }) => repairs)).toEqual(parameters.map(() => []));
  });

  test('is made for as long as it takes: nobody fights over what does not show yet', async () => {
    const key = 'azure/key-vault';
    await wasReady(key);
    const pushes: boolean[] = [];
    for (let minutes = 0; minutes < 8; minutes += 1) {
      pushes.push((await look(key, 'absent')) === isPushed);
      await step({ key, state: 'waiting', did: 'created', looks: minutes, wish: await wishOfLook(key) });
    }
    expect(pushes).toEqual([true, false, true, false, true, false, true, false]);
    expect(await drift()).toMatchObject([{ state: 'open', repairs: [] }]);
  });

  const wishOfLook = async (key: ResourceKey): Promise<string> =>
    (await store.findLook(NAME, key))?.wish ?? '';
});

describe('what a person wants repaired', () => {
  test('is pushed though a rule says report, also when no look had found it before', async () => {
    const wrong = [{ path: 'minimumTlsVersion', wanted: 'TLS1_2', found: 'TLS1_0' }];
    await ask(report(account));
    await wasReady(account);
    now += minute;
    await store.changeDeployment(NAME, () => ({ repairAfter: { [account]: iso() } }));
    expect(await look(account, wrong)).toBe(isPushed);
  });
});

describe('who has changed it', () => {
  const tls = (found: string): Difference => ({ path: 'minimumTlsVersion', wanted: 'TLS1_2', found });

  test('stays known while the value stays, and is another when it is another', async () => {
    await ask(report(account));
    await wasReady(account);
    const asAsked = iso();
    await look(account, [tls('TLS1_0')]);
    const actor = { name: 'somebody', how: 'activity-log' } as const;
    const [first] = await drift();
    expect(first).toMatchObject({ since: iso(), lastAsAskedAt: asAsked });
    expect(first).not.toHaveProperty('foundSince');
    await store.drift.put(NAME, first ? [{ ...first, actor }] : []);
    await look(account, [tls('TLS1_0')]);
    expect((await drift())[0]).toMatchObject({ actor, lastAsAskedAt: asAsked });

    const seenBefore = iso();
    await look(account, [tls('TLS1_1')]);
    const [second] = await drift();
    expect(second).not.toHaveProperty('actor');
    const changed = { since: first?.since, foundSince: iso(), lastAsAskedAt: seenBefore };
    expect(second).toMatchObject(changed);
    await look(account, [tls('TLS1_1')]);
    expect((await drift())[0]).toMatchObject(changed);
  });
});

describe('what people are told', () => {
  test('is cut where it is long, and names the call for this resource', async () => {
    await ask(report(account));
    await wasReady(account);
    const many = Array.from({ length: 40 }, (_, index) => ({
      path: `tags.a-name-of-a-tag-${index}`,
      wanted: 'one',
      found: null,
    }));
    const held = await look(account, many);
    const [notice] = held?.kind === 'ready' ? (held.notices ?? []) : [];
    expect(notice?.what).toMatch(/^It: tags.*…$/);
    expect([notice?.what.length, notice?.evidence.length]).toEqual([400, 400]);
    expect(notice).toMatchObject({ repair: `POST /api/deployments/chat/repair?resources=${account}` });
  });
});

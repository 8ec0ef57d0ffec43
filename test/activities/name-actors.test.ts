/** Who changed things: by the events that came, and by the logs of the clouds where none did. */
import { MonitorClient } from '@azure/arm-monitor';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { nameActors } from '../../src/activities/name-actors.ts';
import { createActivityLog } from '../../src/clients/activity-log.ts';
import type { Clients } from '../../src/clients/clients.ts';
import type { DriftRecord } from '../../src/store/drift.ts';
import type { EventRecord } from '../../src/store/inbox.ts';
import type { Store } from '../../src/store/store.ts';
import {
  givenGroup,
  location,
  MINUTE,
  openTenant,
  subscriptionId,
  type Tenant,
  tenantId,
} from '../cloud/arm/tenant.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';

let azurite: Azurite;
let store: Store;
let tenant: Tenant;
let group: string;
let name: string;
let count = 0;
/** Questions to the log. */
let asked: number;
beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
});
afterAll(() => azurite.dispose());
beforeEach(async () => {
  tenant = openTenant();
  group = await givenGroup(tenant);
  tenant.pass(10 * MINUTE);
  asked = 0;
  count += 1;
  name = `chat-${count}`;
  await store.putDeployment(name, minimalSpec, new Date(now()));
});

const now = (): number => tenant.world.clock.now();
const iso = (at = now()): string => new Date(at).toISOString();
const operator = () => tenant.world.settings.operator.userPrincipalName;
const own = () => tenant.world.settings.controlPlane;
const vaultId = (vault: string) => `${group}/providers/Microsoft.KeyVault/vaults/${vault}`;
async function write(vault: string): Promise<void> {
  const properties = { tenantId, sku: { family: 'A', name: 'standard' } };
  const path = `${vaultId(vault)}?api-version=2026-02-01`;
  expect((await tenant.call('PUT', path, { location, properties })).status).toBeLessThan(300);
}
const drifted = (more: Partial<DriftRecord> = {}): DriftRecord => ({
  resource: 'azure/key-vault',
  path: 'properties.publicNetworkAccess',
  ...{ wanted: 'Enabled', found: 'Disabled', state: 'repaired', policy: 'repair', repairs: [] },
  ...{ since: iso(), lastSeenAt: iso() },
  ...{ lastAsAskedAt: iso(now() - 5 * MINUTE), resourceId: vaultId('kv-one') },
  ...more,
});
const event = (id: string, more: Partial<EventRecord> = {}): EventRecord => ({
  ...{ id, deployment: name, type: 'Microsoft.Resources.ResourceWriteSuccess', source: '', what: 'x' },
  ...{ subject: vaultId('KV-One'), look: [], occurredAt: iso(now() - MINUTE), receivedAt: iso() },
  ...{ outcome: 'ignored', caller: 'somebody@example.com' },
  ...more,
});

async function nameThem(more: Partial<Clients> = {}): Promise<unknown> {
  const ownNames = async () => [own().principalId, own().clientId];
  const log = createActivityLog(new MonitorClient(tenant.as(), subscriptionId, tenant.options), ownNames);
  const counting: typeof log = {
    writes: (...question) => {
      asked += 1;
      return log.writes(...question);
    },
  };
  const clients = { ownNames, activityLog: () => counting, ...more } as Partial<Clients> as Clients;
  return nameActors(store, () => clients)({ deployment: name, now: now() });
}
const actors = async () => (await store.drift.list(name)).map(({ path, actor }) => [path, actor?.name]);
const actor = async () => (await store.drift.list(name))[0]?.actor;

describe('who made a change in Azure', () => {
  test('is known once the activity log shows the write, and asked about until then', async () => {
    await write('kv-one');
    const at = iso();
    tenant.pass(MINUTE);
    await store.drift.put(name, [drifted()]);
    await nameThem();
    expect(await actor()).toBeUndefined();
    tenant.pass(10 * MINUTE);
    await nameThem();
    expect(await actor()).toEqual({ name: operator(), how: 'activity-log', at });
    tenant.pass(61 * MINUTE);
    await nameThem();
    expect(asked).toBe(2);
  });

  test('is whoever wrote last, also where the log shows somebody who wrote earlier first', async () => {
    const at = (minutes: number) => iso(now() - minutes * MINUTE);
    await store.drift.put(name, [drifted()]);
    const told = (...writes: readonly { caller: string; at: string }[]) => ({
      activityLog: () => ({ writes: async () => writes }),
    });
    const [alice, bob] = [
      { caller: 'alice@example.com', at: at(4) },
      { caller: 'bob@example.com', at: at(1) },
    ];
    await nameThem(told(alice));
    expect((await actor())?.name).toBe('alice@example.com');
    await nameThem(told(bob, alice));
    expect((await actor())?.name).toBe('bob@example.com');
    await nameThem(told(alice));
    expect((await actor())?.name).toBe('bob@example.com');
  });

  test('is not whoever wrote before all was as asked, after the change was seen, or elsewhere', async () => {
    await write('kv-one');
    tenant.pass(6 * MINUTE);
    await store.drift.put(name, [
      drifted({ path: 'early', since: iso(now() - MINUTE), lastSeenAt: iso(now() - MINUTE) }),
    ]);
    tenant.pass(MINUTE);
    await write('kv-one');
    await write('kv-other');
    tenant.pass(MINUTE);
    await store.drift.put(name, [
      drifted({ path: 'late' }),
      drifted({ path: 'group', resource: 'azure/resource-group', resourceId: group }),
    ]);
    tenant.pass(10 * MINUTE);
    await nameThem();
    expect(new Map((await actors()) as [string, unknown][])).toEqual(
      new Map<string, unknown>([
        ['early', undefined],
        ['late', operator()],
        ['group', undefined],
      ]),
    );
  });

  test('is not asked about after an hour, nor of what has no id in its cloud', async () => {
    await store.drift.put(name, [
      drifted({ since: iso(now() - 61 * MINUTE) }),
      { ...drifted(), path: 'elsewhere', resourceId: undefined } as unknown as DriftRecord,
    ]);
    await nameThem();
    expect(asked).toBe(0);
  });

  test('is asked about for an hour from when the value was found that is there now', async () => {
    await write('kv-one');
    tenant.pass(MINUTE);
    const foundSince = iso();
    const since = iso(now() - 300 * MINUTE);
    tenant.pass(10 * MINUTE);
    await store.drift.put(name, [
      drifted({ since, foundSince, lastAsAskedAt: since, lastSeenAt: foundSince }),
    ]);
    await nameThem();
    expect(await actor()).toMatchObject({ name: operator(), how: 'activity-log' });
    await store.drift.put(name, [drifted({ since, foundSince: iso(now() - 61 * MINUTE) })]);
    await nameThem();
    expect(asked).toBe(1);
  });

  test.each([
    ['is entered beside what has become of it while the log was asked', { state: 'adopted' }, true],
    ['is not entered where another value is found by then', { found: 'SecuredByPerimeter' }, false],
    ['is not entered over who is known by then', { actor: { name: 'kubectl', how: 'event' } }, false],
  ] as const)('%s', async (_, meanwhile, isEntered) => {
    await store.drift.put(name, [drifted()]);
    const writes = async () => {
      await store.drift.put(name, [drifted(meanwhile)]);
      return [{ caller: 'somebody@example.com', at: iso(now() - MINUTE) }];
    };
    await nameThem({ activityLog: () => ({ writes }) });
    const [known] = await store.drift.list(name);
    expect(known).toMatchObject(meanwhile);
    expect(known?.actor?.name === 'somebody@example.com').toBe(isEntered);
  });

  test('is a failure told as data when a log does not answer, and the others are asked all the same', async () => {
    const elsewhere = (resource: DriftRecord['resource'], resourceId: string) =>
      drifted({ resource, resourceId, path: resource });
    await store.drift.put(name, [
      drifted(),
      elsewhere('entra/application', 'an-object'),
      elsewhere('cloudflare/ingress', 'a-tunnel/configurations'),
    ]);
    const told = (caller: string, wanted: string) => ({
      writes: async (id: string) => (id === wanted ? [{ caller, at: iso(now() - MINUTE) }] : []),
    });
    const answer = await nameThem({
      activityLog: () => ({ writes: () => Promise.reject(new Error('closed')) }),
      directoryAudit: () => told('alice@example.com', 'an-object'),
      cloudflareAudit: (accountId) =>
        told(accountId === minimalSpec.tunnel.accountId ? 'bob@example.com' : '', 'a-tunnel/configurations'),
    });
    expect(answer).toMatchObject({ ok: false });
    const known = (await store.drift.list(name)).map(({ resource, actor }) => [
      resource,
      actor?.name,
      actor?.how,
    ]);
    expect(known).toHaveLength(3);
    expect(known).toEqual(
      expect.arrayContaining([
        ['azure/key-vault', undefined, undefined],
        ['entra/application', 'alice@example.com', 'audit-log'],
        ['cloudflare/ingress', 'bob@example.com', 'audit-log'],
      ]),
    );
  });

  test('is who the latest event of the write names, and then nobody is asked', async () => {
    await store.drift.put(name, [drifted()]);
    for (const sent of [
      event('older', { occurredAt: iso(now() - 3 * MINUTE), caller: 'another@example.com' }),
      event('newest'),
      event('after', { occurredAt: iso(now() + 1), caller: 'another@example.com' }),
      event('before', { occurredAt: iso(now() - 6 * MINUTE), caller: 'another@example.com' }),
      event('elsewhere', { subject: vaultId('kv-one-more'), caller: 'another@example.com' }),
      event('ours', { occurredAt: iso(now() - 1), caller: own().clientId.toUpperCase() }),
      event('nobody', { occurredAt: iso(now() - 1), caller: '' }),
    ]) {
      const { caller, ...rest } = sent;
      await store.inbox.receiveEvent({ ...rest, ...(caller ? { caller } : {}) });
    }
    await nameThem();
    const at = iso(now() - MINUTE);
    expect(await actor()).toEqual({ name: 'somebody@example.com', how: 'event', at });
    expect(asked).toBe(0);
  });
});

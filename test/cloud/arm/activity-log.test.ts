/** The simulated activity log through HTTP, and the control plane's reader of it. */
import { KeyVaultManagementClient } from '@azure/arm-keyvault';
import { MonitorClient } from '@azure/arm-monitor';
import { beforeEach, describe, expect, test } from 'vitest';
import { Memory } from '../../../sandbox/cloud/world.ts';
import { createActivityLog } from '../../../src/clients/activity-log.ts';
import { readEvent } from '../../../src/reactions/event.ts';
import {
  givenGroup,
  location,
  MINUTE,
  openTenant,
  subscriptionId,
  type Tenant,
  tenantId,
  throughTime,
} from './tenant.ts';

interface Event {
  readonly caller: string;
  readonly operationName: { readonly value: string };
  readonly status: { readonly value: string };
  readonly resourceId: string;
  readonly eventTimestamp: string;
  readonly submissionTimestamp: string;
  readonly correlationId: string;
}

let memory: Memory;
let tenant: Tenant;
let group: string;
let began: Date;
beforeEach(async () => {
  memory = new Memory(':memory:');
  tenant = openTenant({}, memory);
  began = new Date(tenant.world.clock.now());
  group = await givenGroup(tenant);
});

const operator = () => tenant.world.settings.operator;
const ours = () => tenant.world.settings.controlPlane;
const since = () => `eventTimestamp ge '${began.toISOString()}'`;
const vaultId = (name: string) => `${group}/providers/Microsoft.KeyVault/vaults/${name}`;
const vault = { location, properties: { tenantId, sku: { family: 'A', name: 'standard' } } };
const put = (name: string, body: unknown = vault) =>
  tenant.call('PUT', `${vaultId(name)}?api-version=2026-02-01`, body);

const ask = (filter: string, more = ''): Promise<Response> =>
  tenant.call(
    'GET',
    `/subscriptions/${subscriptionId}/providers/Microsoft.Insights/eventtypes/management/values` +
      `?api-version=2015-04-01&$filter=${encodeURIComponent(filter)}${more}`,
  );

async function events(filter: string, more = ''): Promise<readonly Event[]> {
  const answer = await ask(filter, more);
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { value: Event[] }).value;
}

const log = (own = ours().principalId) =>
  createActivityLog(new MonitorClient(tenant.as(), subscriptionId, tenant.options), async () => [own]);
const latestWrite = async (id: string, from: Date, own?: string) => (await log(own).writes(id, from))[0];

describe('the simulated activity log', () => {
  test('shows a write from its start to its end, some minutes later', async () => {
    await put('kv-one');
    tenant.pass(MINUTE);
    expect(await events(`${since()} and resourceUri eq '${vaultId('kv-one')}'`)).toEqual([]);
    tenant.pass(10 * MINUTE);
    const found = await events(`${since()} and resourceUri eq '${vaultId('KV-One')}'`);
    expect(found.map(({ status }) => status.value)).toEqual(['Succeeded', 'Started']);
    for (const event of found) {
      expect(event).toMatchObject({
        caller: operator().userPrincipalName,
        resourceId: vaultId('kv-one'),
        operationName: { value: 'Microsoft.KeyVault/vaults/write' },
        authorization: { action: 'Microsoft.KeyVault/vaults/write', scope: vaultId('kv-one') },
        claims: { 'http://schemas.microsoft.com/identity/claims/objectidentifier': operator().principalId },
        httpRequest: { method: 'PUT' },
        resourceGroupName: 'rg',
        correlationId: found[0]?.correlationId,
      });
      const lag = Date.parse(event.submissionTimestamp) - Date.parse(event.eventTimestamp);
      expect(lag).toBeGreaterThanOrEqual(2 * MINUTE);
      expect(lag).toBeLessThanOrEqual(6 * MINUTE);
    }
  });

  test('tells of an operation that lasts when it was accepted and when it ended', async () => {
    const zone = `${group}/providers/Microsoft.Network/privateDnsZones/a.example.com`;
    await tenant.call('PUT', `${zone}?api-version=2020-06-01`, { location: 'global' });
    tenant.pass(10 * MINUTE);
    await tenant.call('GET', `${zone}?api-version=2020-06-01`);
    tenant.pass(10 * MINUTE);
    const found = await events(`${since()} and resourceUri eq '${zone}'`);
    expect(found.map(({ status }) => status.value)).toEqual(['Succeeded', 'Accepted', 'Started']);
  });

  test('finds by group and by time, and shows only what is selected', async () => {
    await givenGroup(tenant, 'other');
    tenant.pass(10 * MINUTE);
    const only = await events(`${since()} and resourceGroupName eq 'OTHER'`, '&$select=resourceId,status');
    expect(only.length).toBeGreaterThan(0);
    for (const event of only) expect(Object.keys(event).toSorted()).toEqual(['id', 'resourceId', 'status']);
    const late = `eventTimestamp ge '${new Date(tenant.world.clock.now()).toISOString()}'`;
    expect(await events(late)).toEqual([]);
    const early = `${since()} and eventTimestamp le '${began.toISOString()}'`;
    expect((await events(early)).length).toBeGreaterThan(0);
  });

  test('comes in pages', async () => {
    for (let count = 0; count < 90; count += 1) {
      await tenant.call('PUT', `${group}?api-version=2025-04-01`, {
        location,
        tags: { count: String(count) },
      });
    }
    tenant.pass(10 * MINUTE);
    const first = (await (await ask(since())).json()) as { value: Event[]; nextLink?: string };
    expect(first.value).toHaveLength(182);
    for (let count = 0; count < 20; count += 1) {
      await tenant.call('PUT', `${group}?api-version=2025-04-01`, {
        location,
        tags: { count: String(count) },
      });
    }
    tenant.pass(10 * MINUTE);
    const page = (await (await ask(since())).json()) as { value: Event[]; nextLink: string };
    expect(page.value).toHaveLength(200);
    const { pathname, search } = new URL(page.nextLink);
    const rest = (await (await tenant.call('GET', pathname + search)).json()) as typeof first;
    expect(rest.value).toHaveLength(22);
    expect(rest.nextLink).toBeUndefined();
  });

  test('refuses a filter without a start, one of another form, and whoever may not read', async () => {
    const statuses = await Promise.all(
      [
        '',
        `resourceGroupName eq 'rg'`,
        `${since()} and caller eq 'me'`,
        `eventTimestamp ge '2020-01-01T00:00:00Z'`,
      ].map(async (filter) => (await ask(filter)).status),
    );
    expect(statuses).toEqual([400, 400, 400, 400]);
    expect((await ask(since(), '&$select=everything')).status).toBe(400);
    const stranger = tenant.directory.addManagedIdentity('stranger');
    const client = new MonitorClient(tenant.as(stranger.id), subscriptionId, tenant.options);
    await expect(client.activityLogs.list(since()).next()).rejects.toMatchObject({ statusCode: 403 });
  });

  test('is kept when the process ends', async () => {
    await tenant.close();
    tenant = openTenant({}, memory, tenant.world.clock);
    tenant.pass(10 * MINUTE);
    expect((await events(since())).length).toBeGreaterThan(0);
  });
});

test('the event of a write says who made it, as the log does', async () => {
  const event = async (vault: string, by?: string): Promise<unknown> => {
    const client = new KeyVaultManagementClient(tenant.as(by), subscriptionId, tenant.options);
    const properties = { tenantId, sku: { family: 'A', name: 'standard' } as const };
    await throughTime(tenant, client.vaults.createOrUpdate('rg', vault, { location, properties }));
    return tenant.events.find(({ subject }) => subject === vaultId(vault));
  };
  const caller = (sent: unknown) => readEvent({ id: 'an id', ...(sent as object) })?.data.caller;
  expect(caller(await event('kv-one'))).toBe(operator().userPrincipalName);
  expect(caller(await event('kv-two', ours().principalId))).toBe(ours().clientId);
});

describe('the latest write', () => {
  test('of somebody else is told with caller and time', async () => {
    await put('kv-one');
    tenant.pass(10 * MINUTE);
    expect(await latestWrite(vaultId('kv-one').toUpperCase(), began)).toEqual({
      caller: operator().userPrincipalName,
      at: expect.stringMatching(/^2026-11-23T08:/),
    });
  });

  test('is not known before Azure shows it, nor one from before the time asked about', async () => {
    await put('kv-one');
    expect(await latestWrite(vaultId('kv-one'), began)).toBeUndefined();
    tenant.pass(10 * MINUTE);
    const later = new Date(tenant.world.clock.now());
    expect(await latestWrite(vaultId('kv-one'), later)).toBeUndefined();
  });

  test('is never our own, one that failed, one that only read, or one to a neighbour of a similar name', async () => {
    await put('kv-one');
    tenant.pass(10 * MINUTE);
    expect(await latestWrite(vaultId('kv-one'), began, operator().principalId)).toBeUndefined();
    const account = `${group}/providers/Microsoft.Storage/storageAccounts/stlog`;
    await tenant.call('PUT', `${account}?api-version=2025-06-01`, {
      location,
      kind: 'StorageV2',
      sku: { name: 'Standard_LRS' },
      properties: {},
    });
    tenant.pass(10 * MINUTE);
    await tenant.call('GET', `${account}?api-version=2025-06-01`);
    tenant.pass(MINUTE);
    const later = new Date(tenant.world.clock.now());
    expect((await tenant.call('POST', `${account}/listKeys?api-version=2025-06-01`)).status).toBe(200);
    expect((await put('kv-one', { ...vault, properties: { tenantId, unknown: true } })).status).toBe(400);
    await put('kv-one-more');
    tenant.pass(10 * MINUTE);
    expect(await latestWrite(account, later)).toBeUndefined();
    expect(await latestWrite(vaultId('kv-one'), later)).toBeUndefined();
  });

  test('is not what lies in a group, nor a role on the resource: these are other things', async () => {
    tenant.pass(10 * MINUTE);
    const later = new Date(tenant.world.clock.now());
    await put('kv-one');
    tenant.pass(10 * MINUTE);
    const latest = new Date(tenant.world.clock.now());
    const assignments = `${vaultId('kv-one')}/providers/Microsoft.Authorization/roleAssignments`;
    const roleDefinitionId = `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6`;
    const role = { properties: { roleDefinitionId, principalId: ours().principalId } };
    const id = `${assignments}/00000000-0000-4000-8000-000000000009`;
    expect((await tenant.call('PUT', `${id}?api-version=2022-04-01`, role)).status).toBe(201);
    tenant.pass(10 * MINUTE);
    expect(await latestWrite(group, later)).toBeUndefined();
    expect(await latestWrite(vaultId('kv-one'), latest)).toBeUndefined();
    expect(await latestWrite(assignments, latest)).toMatchObject({});
  });

  test('counts when it was to something below', async () => {
    const network = `${group}/providers/Microsoft.Network/virtualNetworks/vnet`;
    await tenant.call('PUT', `${network}?api-version=2025-05-01`, {
      location,
      properties: { addressSpace: { addressPrefixes: ['10.0.0.0/16'] } },
    });
    tenant.pass(10 * MINUTE);
    await tenant.call('GET', `${network}?api-version=2025-05-01`);
    tenant.pass(MINUTE);
    const later = new Date(tenant.world.clock.now());
    await tenant.call('PUT', `${network}/subnets/more?api-version=2025-05-01`, {
      properties: { addressPrefix: '10.0.9.0/24' },
    });
    tenant.pass(10 * MINUTE);
    expect(await latestWrite(network, later)).toMatchObject({});
  });
});

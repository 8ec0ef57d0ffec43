import { ManagedServiceIdentityClient } from '@azure/arm-msi';
import { ResourceManagementClient } from '@azure/arm-resources';
import { beforeEach, describe, expect, test } from 'vitest';
import { Memory } from '../../../sandbox/cloud/world.ts';
import {
  givenGroup,
  location,
  MINUTE,
  openTenant,
  refusalOf,
  subscriptionId,
  type Tenant,
  tenantId,
  throughTime,
} from './tenant.ts';

let tenant: Tenant;
beforeEach(() => {
  tenant = openTenant();
});

const vaultPath = (name: string, version = '2026-02-01'): string =>
  `/subscriptions/${subscriptionId}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/${name}?api-version=${version}`;
const vault = { location, properties: { tenantId, sku: { family: 'A', name: 'standard' } } };

async function errorOf(
  answer: Promise<Response>,
): Promise<{ status: number; code: string; message: string }> {
  const response = await answer;
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  return { status: response.status, ...error };
}

describe('a call', () => {
  test('without a token is refused with a challenge', async () => {
    const answer = await tenant.arm.fetch(
      new Request(`https://management.azure.com/subscriptions/${subscriptionId}?api-version=2022-12-01`),
      { host: 'management.azure.com', caller: '' },
    );
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toContain(`login.microsoftonline.com/${tenantId}`);
    expect(await answer.json()).toMatchObject({ error: { code: 'AuthenticationFailed' } });
  });

  test('without an api-version, or with one nobody has, is refused and told which there are', async () => {
    await givenGroup(tenant);
    expect(await errorOf(tenant.call('GET', vaultPath('v').split('?')[0] ?? ''))).toMatchObject({
      status: 400,
      code: 'MissingApiVersionParameter',
    });
    const unsupported = await errorOf(tenant.call('GET', vaultPath('v', '1999-01-01')));
    expect(unsupported).toMatchObject({ status: 400, code: 'NoRegisteredProviderFound' });
    expect(unsupported.message).toContain('2026-02-01');
  });

  test('to an unknown provider, type or path is refused', async () => {
    const group = await givenGroup(tenant);
    const codes = await Promise.all(
      [
        `${group}/providers/Microsoft.Nothing/things/x?api-version=2020-01-01`,
        `${group}/providers/Microsoft.KeyVault/cellars/x?api-version=2026-02-01`,
        `${group}/somewhere/else?api-version=2026-02-01`,
        '/subscriptions/00000000-0000-0000-0000-000000000000?api-version=2022-12-01',
      ].map(async (path) => {
        const { status, code } = await errorOf(tenant.call('GET', path));
        return `${status} ${code}`;
      }),
    );
    expect(codes).toEqual([
      '404 InvalidResourceNamespace',
      '404 InvalidResourceType',
      '404 InvalidResourceType',
      '404 SubscriptionNotFound',
    ]);
  });

  test('with a body member nobody knows is refused by name', async () => {
    await givenGroup(tenant);
    const answer = await errorOf(
      tenant.call('PUT', vaultPath('kv-one'), {
        ...vault,
        properties: { ...vault.properties, colour: 'red' },
      }),
    );
    expect(answer).toMatchObject({ status: 400, code: 'InvalidRequestContent' });
    expect(answer.message).toContain("'colour'");
  });

  test('by somebody without a role is refused with who, what and where', async () => {
    const group = await givenGroup(tenant);
    const stranger = tenant.directory.addManagedIdentity('stranger');
    const client = new ResourceManagementClient(tenant.as(stranger.id), subscriptionId, tenant.options);
    await expect(client.resourceGroups.get('rg')).rejects.toThrow(
      `'${stranger.appId}' with object id '${stranger.id}' does not have authorization to perform action ` +
        `'Microsoft.Resources/subscriptions/resourceGroups/read' over scope '${group}'`,
    );
  });

  test('beyond the token bucket is refused until virtual time has refilled it', async () => {
    const path = `/subscriptions/${subscriptionId}?api-version=2022-12-01`;
    const statuses: number[] = [];
    for (let count = 0; count < 251; count += 1) statuses.push((await tenant.call('GET', path)).status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(250);
    const refused = await tenant.call('GET', path);
    expect(refused.status).toBe(429);
    const wait = Number(refused.headers.get('retry-after'));
    tenant.pass(wait * 1000);
    const answer = await tenant.call('GET', path);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-ms-ratelimit-remaining-subscription-reads')).toBe('24');
  });
});

describe('resource groups', () => {
  test('are created, listed, tagged and deleted with all they hold', async () => {
    const client = new ResourceManagementClient(tenant.as(), subscriptionId, tenant.options);
    const created = await client.resourceGroups.createOrUpdate('RG-Mixed', { location: 'East Asia' });
    expect(created).toMatchObject({ location, properties: { provisioningState: 'Succeeded' } });
    expect(await client.resourceGroups.get('rg-mixed')).toMatchObject({ name: 'RG-Mixed' });
    await client.resourceGroups.update('rg-mixed', { tags: { a: 'b' } });
    const identities = new ManagedServiceIdentityClient(tenant.as(), subscriptionId, tenant.options);
    const identity = await identities.userAssignedIdentities.createOrUpdate('rg-mixed', 'uai-one', {
      location,
    });
    expect(identity.id).toContain('/resourceGroups/RG-Mixed/');
    const principal = identity.principalId ?? '';
    expect(tenant.directory.findPrincipal(principal)).toBeDefined();
    await throughTime(tenant, client.resourceGroups.beginDeleteAndWait('rg-mixed'));
    expect(await client.resourceGroups.checkExistence('rg-mixed')).toMatchObject({ body: false });
    expect(tenant.directory.findPrincipal(principal)).toBeUndefined();
  });

  test('in deletion refuse new resources', async () => {
    const group = await givenGroup(tenant);
    expect((await tenant.call('DELETE', `${group}?api-version=2025-04-01`)).status).toBe(202);
    expect(await errorOf(tenant.call('PUT', vaultPath('kv-one'), vault))).toMatchObject({
      status: 409,
      code: 'ResourceGroupBeingDeleted',
    });
  });
});

describe('providers', () => {
  test('that are not registered refuse, and can be registered', async () => {
    const client = new ResourceManagementClient(tenant.as(), subscriptionId, tenant.options);
    await givenGroup(tenant);
    await client.providers.unregister('Microsoft.KeyVault');
    tenant.pass(2 * MINUTE);
    expect(await errorOf(tenant.call('PUT', vaultPath('kv-one'), vault))).toMatchObject({
      status: 409,
      code: 'MissingSubscriptionRegistration',
    });
    expect(await client.providers.register('microsoft.keyvault')).toMatchObject({
      registrationState: 'Registering',
    });
    tenant.pass(2 * MINUTE);
    expect(await client.providers.get('Microsoft.KeyVault')).toMatchObject({
      registrationState: 'Registered',
    });
    expect((await tenant.call('PUT', vaultPath('kv-one'), vault)).status).toBe(201);
  });
});

describe('long operations', () => {
  const network = { location, properties: { addressSpace: { addressPrefixes: ['10.0.0.0/16'] } } };
  const path = (group: string): string =>
    `${group}/providers/Microsoft.Network/virtualNetworks/vnet?api-version=2025-05-01`;

  test('survive the end of the process', async () => {
    const memory = new Memory(':memory:');
    const first = openTenant({}, memory);
    const group = await givenGroup(first);
    const accepted = await first.call('PUT', path(group), network);
    expect(accepted.status).toBe(201);
    const status = new URL(accepted.headers.get('azure-asyncoperation') ?? '');
    await first.close();

    const second = openTenant({}, memory, first.world.clock);
    const poll = async (): Promise<unknown> =>
      (await second.call('GET', status.pathname + status.search)).json();
    expect(await poll()).toMatchObject({ status: 'InProgress' });
    second.pass(MINUTE);
    expect(await poll()).toMatchObject({ status: 'Succeeded' });
    expect(await (await second.call('GET', path(group))).json()).toMatchObject({
      properties: { provisioningState: 'Succeeded' },
    });
  });

  test('fail when that is dialled in, and the resource says so', async () => {
    const group = await givenGroup(tenant);
    tenant.world.faults.replace([
      {
        id: 'x',
        path: 'virtualNetworks',
        times: 1,
        fault: { kind: 'operation-fails', code: 'AllocationFailed', message: 'no room' },
      },
    ]);
    const accepted = await tenant.call('PUT', path(group), network);
    const status = new URL(accepted.headers.get('azure-asyncoperation') ?? '');
    tenant.pass(MINUTE);
    expect(await (await tenant.call('GET', status.pathname + status.search)).json()).toMatchObject({
      status: 'Failed',
      error: { code: 'AllocationFailed', message: 'no room' },
    });
    expect(await (await tenant.call('GET', path(group))).json()).toMatchObject({
      properties: { provisioningState: 'Failed' },
    });
    expect(tenant.events.at(-1)?.eventType).toBe('Microsoft.Resources.ResourceWriteFailure');
    expect((await tenant.call('PUT', path(group), network)).status).toBe(200);
  });

  test('fire their consequences on time though nobody looks', async () => {
    const group = await givenGroup(tenant);
    await tenant.call('PUT', path(group), network);
    await new Promise((resolve) => setImmediate(resolve));
    const touched = new Promise<void>((resolve) => tenant.world.onTouch(resolve));
    tenant.pass(MINUTE);
    await touched;
    expect(tenant.events.at(-1)).toMatchObject({
      eventType: 'Microsoft.Resources.ResourceWriteSuccess',
      subject: `${group}/providers/Microsoft.Network/virtualNetworks/vnet`,
      data: {
        operationName: 'Microsoft.Network/virtualNetworks/write',
        status: 'Succeeded',
        resourceProvider: 'Microsoft.Network',
      },
    });
  });

  test('occupy what they work on', async () => {
    const group = await givenGroup(tenant);
    await tenant.call('PUT', path(group), network);
    expect(await errorOf(tenant.call('DELETE', path(group)))).toMatchObject({
      status: 429,
      code: 'RetryableErrorDueToAnotherOperation',
    });
  });
});

test('a condition on the etag is kept', async () => {
  const group = await givenGroup(tenant);
  const path = `${group}/providers/Microsoft.Network/privateDnsZones/a.example.com?api-version=2020-06-01`;
  await tenant.call('PUT', path, { location: 'global' });
  tenant.pass(MINUTE);
  expect((await tenant.call('PUT', path, { location: 'global' }, { 'if-none-match': '*' })).status).toBe(412);
  expect((await tenant.call('PUT', path, { location: 'global' }, { 'if-match': 'W/"other"' })).status).toBe(
    412,
  );
  const { etag } = (await (await tenant.call('GET', path)).json()) as { etag: string };
  expect((await tenant.call('PUT', path, { location: 'global' }, { 'if-match': etag })).status).toBe(200);
});

test('the clients read refusals as they read those of Azure', async () => {
  const client = new ResourceManagementClient(tenant.as(), subscriptionId, tenant.options);
  expect(await refusalOf(client.resourceGroups.get('absent'))).toEqual({
    status: 404,
    code: 'ResourceGroupNotFound',
  });
});

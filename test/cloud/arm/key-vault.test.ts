import { KeyVaultManagementClient } from '@azure/arm-keyvault';
import { beforeEach, expect, test } from 'vitest';
import type { Vaults } from '../../../sandbox/cloud/neighbours.ts';
import {
  givenGroup,
  location,
  openTenant,
  refusalOf,
  subscriptionId,
  type Tenant,
  tenantId,
  throughTime,
} from './tenant.ts';

let tenant: Tenant;
let client: KeyVaultManagementClient;
const forgotten: string[] = [];

beforeEach(async () => {
  forgotten.length = 0;
  const vaults: Vaults = {
    readSecret: () => ({ ok: false, code: 'none', reason: 'none' }),
    versionsOf: () => [],
    forget: (host) => forgotten.push(host),
  };
  tenant = openTenant({ vaults });
  await givenGroup(tenant);
  client = new KeyVaultManagementClient(tenant.as(), subscriptionId, tenant.options);
});

const create = (properties: object = {}) =>
  throughTime(
    tenant,
    client.vaults.createOrUpdate('rg', 'kv-one', {
      location,
      properties: {
        tenantId,
        sku: { family: 'A', name: 'standard' },
        enableRbacAuthorization: true,
        softDeleteRetentionInDays: 7,
        ...properties,
      },
    }),
  );
const find = () => tenant.arm.vaultResources.find('kv-one.vault.azure.net');

test('a vault has a host name until it is deleted, and its name stays taken', async () => {
  const created = await create();
  expect(created.properties?.vaultUri).toBe('https://kv-one.vault.azure.net/');
  expect(find()).toMatchObject({
    id: created.id,
    enableRbacAuthorization: true,
    softDeleteRetentionInDays: 7,
  });
  await client.vaults.delete('rg', 'kv-one');
  expect(find()).toBeUndefined();
  expect(await client.vaults.getDeleted('kv-one', location)).toMatchObject({
    properties: { vaultId: created.id, location },
  });
  expect(
    await client.vaults.checkNameAvailability({ name: 'kv-one', type: 'Microsoft.KeyVault/vaults' }),
  ).toMatchObject({ nameAvailable: false });
  expect(await refusalOf(create())).toEqual({ status: 409, code: 'ConflictError' });
});

test('a deleted vault comes back by createMode recover, and only then', async () => {
  await create();
  expect(
    await refusalOf(
      create({ createMode: 'recover' }).then(() => client.vaults.getDeleted('kv-one', location)),
    ),
  ).toMatchObject({ status: 404 });
  await client.vaults.delete('rg', 'kv-one');
  const recovered = await create({ createMode: 'recover' });
  expect(recovered.properties?.enableRbacAuthorization).toBe(true);
  expect(find()).toBeDefined();
  expect(forgotten).toEqual([]);
});

test('recovering what is not deleted is refused', async () => {
  expect(await refusalOf(create({ createMode: 'recover' }))).toEqual({
    status: 404,
    code: 'DeletedVaultNotFound',
  });
});

test('a purged vault frees its name, and so does the end of its retention', async () => {
  await create();
  await client.vaults.delete('rg', 'kv-one');
  await throughTime(tenant, client.vaults.purgeDeleted('kv-one', location));
  expect(forgotten).toEqual(['kv-one.vault.azure.net']);
  await create();
  await client.vaults.delete('rg', 'kv-one');
  tenant.pass(8 * 24 * 3600 * 1000);
  expect((await create()).name).toBe('kv-one');
});

test('purge protection cannot be taken back', async () => {
  await create({ enablePurgeProtection: true });
  expect(
    await refusalOf(client.vaults.update('rg', 'kv-one', { properties: { enablePurgeProtection: false } })),
  ).toMatchObject({ status: 400 });
  await client.vaults.delete('rg', 'kv-one');
  expect(await refusalOf(client.vaults.purgeDeleted('kv-one', location).submitted())).toEqual({
    status: 409,
    code: 'MethodNotAllowed',
  });
});

test('a vault of another tenant, and a bad name, are refused', async () => {
  expect(await refusalOf(create({ tenantId: '00000000-0000-4000-8000-000000000000' }))).toMatchObject({
    status: 400,
  });
  const sku = { family: 'A', name: 'standard' } as const;
  const body = { location, properties: { tenantId, sku } };
  expect(await refusalOf(client.vaults.createOrUpdate('rg', 'kv--one', body).submitted())).toMatchObject({
    status: 400,
    code: 'VaultNameNotValid',
  });
});

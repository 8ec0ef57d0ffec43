import { ContainerRegistryManagementClient } from '@azure/arm-containerregistry';
import { beforeEach, expect, test } from 'vitest';
import type { Registries } from '../../../sandbox/cloud/neighbours.ts';
import {
  givenGroup,
  location,
  openTenant,
  refusalOf,
  subscriptionId,
  type Tenant,
  throughTime,
} from './tenant.ts';

let tenant: Tenant;
let client: ContainerRegistryManagementClient;
let imports: unknown[][];

beforeEach(async () => {
  imports = [];
  const registries: Registries = {
    pull: () => ({ ok: false, code: 'none', reason: 'none' }),
    importImage: (...given) => {
      imports.push(given);
      return given[1].image.startsWith('absent')
        ? { ok: false, code: 'NotFound', reason: 'no such image' }
        : { ok: true, digest: 'sha256:1' };
    },
    forget: () => undefined,
  };
  tenant = openTenant({ registries });
  await givenGroup(tenant);
  client = new ContainerRegistryManagementClient(tenant.as(), subscriptionId, tenant.options);
});

const create = (more: object = {}) =>
  throughTime(
    tenant,
    client.registries.create('rg', 'acrOne', { location, sku: { name: 'Standard' }, ...more }),
  );
const importImage = (sourceImage: string) =>
  client.registries.importImage('rg', 'acrOne', {
    source: { registryUri: 'ghcr.io', sourceImage },
    targetTags: ['open-webui:1'],
  });

test('a registry has a login server as soon as it is made', async () => {
  await client.registries.create('rg', 'acrOne', { location, sku: { name: 'Standard' } }).submitted();
  expect(tenant.arm.registryResources.find('acrone.azurecr.io')).toBeUndefined();
  const made = await create().catch(() => throughTime(tenant, create()));
  expect(made).toMatchObject({ loginServer: 'acrone.azurecr.io', provisioningState: 'Succeeded' });
  expect(tenant.arm.registryResources.find('acrone.azurecr.io')).toMatchObject({ id: made.id });
});

test('an import is carried out after it was accepted, and its failure told at the end', async () => {
  await create();
  const accepted = importImage('open-webui/open-webui:main');
  await accepted.submitted();
  expect(imports).toEqual([]);
  await throughTime(tenant, accepted);
  expect(imports).toEqual([
    [
      'acrone.azurecr.io',
      { registry: 'ghcr.io', image: 'open-webui/open-webui:main' },
      ['open-webui:1'],
      'NoForce',
    ],
  ]);
  await expect(throughTime(tenant, importImage('absent/image:1'))).rejects.toThrow('no such image');
});

test('credentials are for registries with an administrator', async () => {
  await create();
  expect(await refusalOf(client.registries.listCredentials('rg', 'acrOne'))).toMatchObject({ status: 400 });
  await throughTime(tenant, client.registries.update('rg', 'acrOne', { adminUserEnabled: true }));
  expect((await client.registries.listCredentials('rg', 'acrOne')).passwords).toHaveLength(2);
});

test('names are unique, and private access needs Premium', async () => {
  await create();
  expect(
    await client.registries.checkNameAvailability({
      name: 'ACRONE',
      type: 'Microsoft.ContainerRegistry/registries',
    }),
  ).toMatchObject({ nameAvailable: false });
  const change = client.registries.update('rg', 'acrOne', { publicNetworkAccess: 'Disabled' }).submitted();
  expect(await refusalOf(change)).toEqual({ status: 400, code: 'FeatureNotSupported' });
  await throughTime(tenant, client.registries.delete('rg', 'acrOne'));
  expect(await refusalOf(client.registries.get('rg', 'acrOne'))).toMatchObject({ status: 404 });
});

import { describe, expect, test } from 'vitest';
import { cloudIdOf } from '../../src/activities/cloud-id.ts';
import type { Outputs, ResourceKey } from '../../src/graph/resource.ts';

const subscriptionId = '0b1f6471-1bf0-4dda-aec3-cb9272f09590';
const group = `/subscriptions/${subscriptionId}/resourceGroups/rg/providers`;
const server = `${group}/Microsoft.DBforPostgreSQL/flexibleServers/psql`;
const zone = (name: string) => `${group}/Microsoft.Network/privateDnsZones/privatelink.${name}`;

const idOf = (
  key: ResourceKey,
  path: string,
  outputs: Outputs = {},
  dependencies: Readonly<Partial<Record<ResourceKey, Outputs>>> = {},
) => cloudIdOf(key, { path, outputs, dependencies, subscriptionId });

describe('what the log of its cloud calls a thing', () => {
  test('is the id that its resource tells', () => {
    expect(idOf('azure/postgres-server', 'sku.name', { id: server })).toBe(server);
  });

  test('is of the zone that the difference is about', () => {
    const outputs = {
      fileZoneId: zone('file.core.windows.net'),
      postgresZoneId: zone('postgres.database.azure.com'),
    };
    const link = 'privatelink.postgres.database.azure.com: properties.virtualNetwork.id';
    expect(idOf('azure/private-dns-zones', link, outputs)).toBe(outputs.postgresZoneId);
    expect(idOf('azure/private-dns-zones', 'tags.owner', outputs)).toBeUndefined();
  });

  test('is put together for what stands below another', () => {
    const known = { 'azure/postgres-server': { id: server } };
    expect(idOf('azure/postgres-parameters', 'max_connections', {}, known)).toBe(
      `${server}/configurations/max_connections`,
    );
    expect(idOf('azure/postgres-database', 'charset', { name: 'openwebui' }, known)).toBe(
      `${server}/databases/openwebui`,
    );
    expect(idOf('azure/vault-roles', 'x', {}, { 'azure/key-vault': { id: `${group}/v` } })).toBe(
      `${group}/v/providers/Microsoft.Authorization/roleAssignments`,
    );
  });

  test('is of the scale set that lacks the identity', () => {
    const known = { 'azure/cluster': { nodeResourceGroup: 'MC_rg' } };
    expect(idOf('azure/node-identity', 'aks-user-vmss.identity.userAssignedIdentities', {}, known)).toBe(
      `/subscriptions/${subscriptionId}/resourceGroups/MC_rg/providers/Microsoft.Compute/virtualMachineScaleSets/aks-user-vmss`,
    );
  });

  test('is not known as long as what it stands below is not, and of what Azure does not keep', () => {
    expect(idOf('azure/postgres-parameters', 'max_connections')).toBeUndefined();
    expect(idOf('azure/node-identity', 'aks-user-vmss.identity.userAssignedIdentities')).toBeUndefined();
    expect(
      idOf('azure/file-share', 'shareQuota', { name: '' }, { 'azure/storage-account': { id: group } }),
    ).toBeUndefined();
    expect(
      idOf('azure/node-identity', '', {}, { 'azure/cluster': { nodeResourceGroup: 'MC_rg' } }),
    ).toBeUndefined();
    expect(idOf('azure/postgres-server', 'sku.name', { id: 'psql' })).toBeUndefined();
    expect(idOf('kubernetes/ollama', 'spec', { id: server })).toBeUndefined();
  });

  test('is an object in the directory, and the end of a path at Cloudflare', () => {
    const known = {
      'entra/application': { objectId: 'app', clientId: 'client' },
      'entra/service-principal': { id: 'principal' },
      'cloudflare/tunnel': { id: 'tunnel' },
    };
    expect(idOf('entra/application', 'displayName', { objectId: 'app' })).toBe('app');
    expect(idOf('entra/service-principal', '', { id: 'principal' })).toBe('principal');
    expect(idOf('entra/admin-consent', 'scope', {}, known)).toBe('principal');
    expect(idOf('cloudflare/tunnel', '', { id: 'tunnel' })).toBe('tunnel');
    expect(idOf('cloudflare/dns-record', 'proxied', { hostName: 'x', id: 'record' })).toBe('record');
    expect(idOf('cloudflare/ingress', 'ingress', {}, known)).toBe('tunnel/configurations');
    expect(idOf('cloudflare/ingress', 'ingress')).toBeUndefined();
  });

  test('is not that of what a vault holds, unless the secret itself is another where it comes from', () => {
    const known = { 'entra/application': { objectId: 'app' }, 'cloudflare/tunnel': { id: 'tunnel' } };
    expect(idOf('entra/client-secret', 'passwordCredentials', {}, known)).toBe('app');
    expect(idOf('entra/client-secret', 'openwebui-client-secret.tags.keyId', {}, known)).toBeUndefined();
    expect(idOf('cloudflare/tunnel-token', 'cf-tunnel-token.value', {}, known)).toBe('tunnel');
    expect(idOf('cloudflare/tunnel-token', 'cf-tunnel-token.contentType', {}, known)).toBeUndefined();
  });
});

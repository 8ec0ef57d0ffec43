import { describe, expect, test } from 'vitest';
import { mergedSubnet, networkDifferences, wantedSubnets } from '../../../src/resources/azure/network.ts';
import { specOf } from '../spec.ts';

const { spec } = specOf();
const asAsked = {
  addressSpace: { addressPrefixes: [spec.network.addressSpace] },
  subnets: wantedSubnets(spec),
};

describe('azure/network', () => {
  test('only a server in the subnet has it delegated, with Storage in reach', () => {
    expect(wantedSubnets(spec)[2]).toMatchObject({
      delegations: [{ serviceName: 'Microsoft.DBforPostgreSQL/flexibleServers' }],
      serviceEndpoints: [{ service: 'Microsoft.Storage' }],
    });
    const { spec: other } = specOf({ postgres: { privateAccess: 'private-endpoint' } });
    expect(wantedSubnets(other)[2]).not.toHaveProperty('delegations');
  });

  test('subnets, ranges and service endpoints of others are no difference', () => {
    const found = {
      addressSpace: { addressPrefixes: ['172.16.0.0/16', spec.network.addressSpace] },
      subnets: [
        { name: 'theirs', addressPrefix: '172.16.0.0/24' },
        ...wantedSubnets(spec).map(({ addressPrefix = '', ...subnet }) => ({
          ...subnet,
          addressPrefixes: [addressPrefix],
        })),
      ],
    };
    expect(networkDifferences(spec, found)).toEqual([]);
  });

  test.each([
    ['a subnet is gone', { ...asAsked, subnets: asAsked.subnets.slice(1) }, ['subnets.snet-aks']],
    [
      'a range is another',
      { ...asAsked, addressSpace: { addressPrefixes: [] } },
      ['addressSpace.addressPrefixes'],
    ],
    [
      'the delegation is gone',
      { ...asAsked, subnets: asAsked.subnets.map(({ delegations: _, ...subnet }) => subnet) },
      ['subnets.snet-postgresql.delegations'],
    ],
  ])('%s', (_, found, paths) => {
    expect(networkDifferences(spec, found).map(({ path }) => path)).toEqual(paths);
  });

  test('a mended subnet keeps what others put on it', () => {
    const wanted = wantedSubnets(spec)[2];
    expect(wanted).toBeDefined();
    const found = {
      id: '/subnets/pg',
      addressPrefixes: ['10.10.17.0/28'],
      routeTable: { id: '/routes' },
      networkSecurityGroup: { id: '/nsg' },
      serviceEndpoints: [{ service: 'Microsoft.KeyVault' }],
    };
    expect(mergedSubnet(wanted ?? {}, found)).toEqual({
      ...wanted,
      id: '/subnets/pg',
      routeTable: { id: '/routes' },
      networkSecurityGroup: { id: '/nsg' },
      serviceEndpoints: [{ service: 'Microsoft.KeyVault' }, { service: 'Microsoft.Storage' }],
    });
  });
});

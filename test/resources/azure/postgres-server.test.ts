import { describe, expect, test } from 'vitest';
import { serverBody, serverDifferences } from '../../../src/resources/azure/postgres-server.ts';
import { specOf } from '../spec.ts';

const places = { network: { postgresSubnetId: '/net/subnets/pg' }, zones: { postgresZoneId: '/zones/pg' } };
const password = { value: 'a password', version: '0123' };
const window = { customWindow: 'Enabled', dayOfWeek: 2, startHour: 1, startMinute: 0 };

describe('azure/postgres-server', () => {
  test('a server in a delegated subnet names subnet and zone and says nothing of public access', () => {
    const body = serverBody(specOf(), places, password);
    expect(body).toMatchObject({
      sku: { name: 'Standard_B1ms', tier: 'Burstable' },
      storage: { storageSizeGB: 32, tier: 'P4' },
      administratorLogin: 'openwebuiadmin',
      administratorLoginPassword: 'a password',
      tags: { 'password-version': '0123', deployment: specOf().names.deployment },
      network: { delegatedSubnetResourceId: '/net/subnets/pg', privateDnsZoneArmResourceId: '/zones/pg' },
    });
    expect(body.network).not.toHaveProperty('publicNetworkAccess');
  });

  test('a server behind a private endpoint has its public side off and no subnet', () => {
    const body = serverBody(specOf({ postgres: { privateAccess: 'private-endpoint' } }), places, password);
    expect(body.network).toEqual({ publicNetworkAccess: 'Disabled' });
  });

  test('the maintenance window is not sent at creation, and then asked for: Tuesday is day two', () => {
    const { spec, names } = specOf();
    const body = serverBody({ spec, names }, places, password);
    expect(body).not.toHaveProperty('maintenanceWindow');
    const differing = serverDifferences(spec, places, body).map(({ path }) => path);
    expect(differing).toEqual(Object.keys(window).map((field) => `maintenanceWindow.${field}`));
  });

  test('a server that is as asked does not differ, whatever Azure adds', () => {
    const { spec, names } = specOf();
    const found = {
      ...serverBody({ spec, names }, places, password),
      maintenanceWindow: window,
      location: 'East Asia',
      minorVersion: '1',
      availabilityZone: '3',
      network: {
        delegatedSubnetResourceId: '/NET/subnets/pg',
        privateDnsZoneArmResourceId: '/zones/pg',
        publicNetworkAccess: 'Disabled',
      },
    };
    expect(serverDifferences(spec, places, found)).toEqual([]);
  });

  test('storage that has grown is left alone, storage that is too small is not', () => {
    const { spec, names } = specOf({ postgres: { storageGiB: 64, performanceTier: 'P6' } });
    const body = { ...serverBody({ spec, names }, places, password), maintenanceWindow: window };
    expect(
      serverDifferences(spec, places, { ...body, storage: { storageSizeGB: 128, tier: 'P10' } }),
    ).toEqual([]);
    expect(serverDifferences(spec, places, { ...body, storage: { storageSizeGB: 32, tier: 'P6' } })).toEqual([
      { path: 'storage.storageSizeGB', wanted: 64, found: 32 },
    ]);
  });
});

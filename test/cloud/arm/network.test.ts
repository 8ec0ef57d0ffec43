import { NetworkManagementClient } from '@azure/arm-network';
import { PrivateDnsManagementClient } from '@azure/arm-privatedns';
import { StorageManagementClient } from '@azure/arm-storage';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  givenGroup,
  location,
  MINUTE,
  openTenant,
  refusalOf,
  subscriptionId,
  type Tenant,
  throughTime,
} from './tenant.ts';

let tenant: Tenant;
let group: string;
let network: NetworkManagementClient;
let dns: PrivateDnsManagementClient;
let storage: StorageManagementClient;

beforeEach(async () => {
  tenant = openTenant();
  group = await givenGroup(tenant);
  network = new NetworkManagementClient(tenant.as(), subscriptionId, tenant.options);
  dns = new PrivateDnsManagementClient(tenant.as(), subscriptionId, tenant.options);
  storage = new StorageManagementClient(tenant.as(), subscriptionId, tenant.options);
});

const vnetId = (): string => `${group}/providers/Microsoft.Network/virtualNetworks/vnet`;
const subnetId = (name: string): string => `${vnetId()}/subnets/${name}`;
const accountId = (): string => `${group}/providers/Microsoft.Storage/storageAccounts/stone`;
const zoneName = 'privatelink.file.core.windows.net';
const zoneId = (): string => `${group}/providers/Microsoft.Network/privateDnsZones/${zoneName}`;

const givenNetwork = () =>
  throughTime(
    tenant,
    network.virtualNetworks.beginCreateOrUpdateAndWait('rg', 'vnet', {
      location,
      addressSpace: { addressPrefixes: ['10.0.0.0/16'] },
      subnets: [
        { name: 'snet-aks', addressPrefix: '10.0.0.0/20' },
        { name: 'snet-pe', addressPrefix: '10.0.16.0/24' },
        {
          name: 'snet-pg',
          addressPrefix: '10.0.17.0/28',
          delegations: [{ name: 'pg', serviceName: 'Microsoft.DBforPostgreSQL/flexibleServers' }],
        },
      ],
    }),
  );

async function givenAccount(publicNetworkAccess = 'Enabled'): Promise<string> {
  await throughTime(
    tenant,
    storage.storageAccounts.create('rg', 'stone', {
      location,
      kind: 'StorageV2',
      sku: { name: 'Standard_LRS' },
      publicNetworkAccess,
      enableHttpsTrafficOnly: true,
      minimumTlsVersion: 'TLS1_2',
    }),
  );
  await storage.fileShares.create('rg', 'stone', 'data', { shareQuota: 50 });
  const { keys } = await storage.storageAccounts.listKeys('rg', 'stone');
  return keys?.[0]?.value ?? '';
}

const givenEndpoint = (manual = false) => {
  const connection = {
    name: 'connection',
    privateLinkServiceId: accountId(),
    groupIds: ['file'],
    ...(manual && { requestMessage: 'please' }),
  };
  return throughTime(
    tenant,
    network.privateEndpoints.beginCreateOrUpdateAndWait('rg', 'pe', {
      location,
      subnet: { id: subnetId('snet-pe') },
      ...(manual
        ? { manualPrivateLinkServiceConnections: [connection] }
        : { privateLinkServiceConnections: [connection] }),
    }),
  );
};

const givenZone = async (isLinked = true): Promise<void> => {
  await throughTime(
    tenant,
    dns.privateZones.beginCreateOrUpdateAndWait('rg', zoneName, { location: 'global' }),
  );
  if (!isLinked) return;
  await throughTime(
    tenant,
    dns.virtualNetworkLinks.beginCreateOrUpdateAndWait('rg', zoneName, 'link', {
      location: 'global',
      virtualNetwork: { id: vnetId() },
      registrationEnabled: false,
    }),
  );
};

const givenZoneGroup = () =>
  throughTime(
    tenant,
    network.privateDnsZoneGroups.beginCreateOrUpdateAndWait('rg', 'pe', 'default', {
      privateDnsZoneConfigs: [{ name: 'file', privateDnsZoneId: zoneId() }],
    }),
  );

const mount = (key: string, share = 'data') =>
  tenant.arm.storageAccounts.mountShare({ account: 'stone', key, share, vnetId: vnetId() });

describe('a virtual network', () => {
  test('shows its subnets with their delegations', async () => {
    const created = await givenNetwork();
    expect(created.provisioningState).toBe('Succeeded');
    expect(created.subnets?.map(({ name }) => name)).toEqual(['snet-aks', 'snet-pe', 'snet-pg']);
    const subnet = await network.subnets.get('rg', 'vnet', 'snet-pg');
    expect(subnet.delegations?.[0]).toMatchObject({
      serviceName: 'Microsoft.DBforPostgreSQL/flexibleServers',
      provisioningState: 'Succeeded',
    });
  });

  test('refuses subnets outside of it and over each other', async () => {
    await givenNetwork();
    const put = (name: string, addressPrefix: string) =>
      refusalOf(network.subnets.beginCreateOrUpdateAndWait('rg', 'vnet', name, { addressPrefix }));
    expect(await put('far', '192.168.0.0/24')).toEqual({ status: 400, code: 'NetcfgInvalidSubnet' });
    expect(await put('over', '10.0.16.128/25')).toEqual({ status: 400, code: 'NetcfgSubnetRangesOverlap' });
    expect(await put('odd', '10.0.20.1/24')).toEqual({ status: 400, code: 'InvalidCIDRNotation' });
  });

  test('put without a subnet loses it, unless it is in use', async () => {
    await givenNetwork();
    await givenAccount();
    await givenEndpoint();
    const body = { location, addressSpace: { addressPrefixes: ['10.0.0.0/16'] } };
    expect(await refusalOf(network.virtualNetworks.beginCreateOrUpdateAndWait('rg', 'vnet', body))).toEqual({
      status: 400,
      code: 'InUseSubnetCannotBeDeleted',
    });
    const kept = { ...body, subnets: [{ name: 'snet-pe', addressPrefix: '10.0.16.0/24' }] };
    const after = await throughTime(
      tenant,
      network.virtualNetworks.beginCreateOrUpdateAndWait('rg', 'vnet', kept),
    );
    expect(after.subnets?.map(({ name }) => name)).toEqual(['snet-pe']);
  });
});

describe('a private endpoint', () => {
  test('has an interface with an address and an approved connection on its target', async () => {
    await givenNetwork();
    await givenAccount();
    const endpoint = await givenEndpoint();
    expect(endpoint.privateLinkServiceConnections?.[0]?.privateLinkServiceConnectionState?.status).toBe(
      'Approved',
    );
    expect(endpoint.customDnsConfigs?.[0]).toMatchObject({
      fqdn: 'stone.file.core.windows.net',
      ipAddresses: ['10.0.16.4'],
    });
    const [first] = endpoint.networkInterfaces ?? [];
    const nic = await network.networkInterfaces.get('rg', first?.id?.split('/').at(-1) ?? '');
    expect(nic.ipConfigurations?.[0]?.privateIPAddress).toBe('10.0.16.4');
    const account = await storage.storageAccounts.getProperties('rg', 'stone');
    expect(account.privateEndpointConnections).toHaveLength(1);
  });

  test('asked for by hand waits until its connection is approved', async () => {
    await givenNetwork();
    await givenZone();
    const key = await givenAccount('Disabled');
    await givenEndpoint(true);
    await givenZoneGroup();
    expect(mount(key)).toMatchObject({ ok: false, code: 'mount error(115)' });
    const account = await storage.storageAccounts.getProperties('rg', 'stone');
    const [connection] = account.privateEndpointConnections ?? [];
    expect(connection?.privateLinkServiceConnectionState?.status).toBe('Pending');
    await storage.privateEndpointConnections.put('rg', 'stone', connection?.name ?? '', {
      privateLinkServiceConnectionState: { status: 'Approved', description: 'fine' },
    });
    const endpoint = await network.privateEndpoints.get('rg', 'pe');
    expect(
      endpoint.manualPrivateLinkServiceConnections?.[0]?.privateLinkServiceConnectionState,
    ).toMatchObject({
      status: 'Approved',
    });
    expect(mount(key)).toEqual({ ok: true, quotaGiB: 50 });
  });

  test('takes its records and its connection with it', async () => {
    await givenNetwork();
    await givenZone();
    await givenAccount();
    await givenEndpoint();
    await givenZoneGroup();
    const record = await dns.recordSets.get('rg', zoneName, 'A', 'stone');
    expect(record.aRecords).toEqual([{ ipv4Address: '10.0.16.4' }]);
    await throughTime(tenant, network.privateEndpoints.beginDeleteAndWait('rg', 'pe'));
    expect(await refusalOf(dns.recordSets.get('rg', zoneName, 'A', 'stone'))).toMatchObject({ status: 404 });
    const account = await storage.storageAccounts.getProperties('rg', 'stone');
    expect(account.privateEndpointConnections).toEqual([]);
  });
});

describe('a name', () => {
  const resolve = () => tenant.arm.network.resolve('stone.file.core.windows.net', vnetId());

  test('is private only with endpoint, zone, link and record', async () => {
    await givenNetwork();
    expect(resolve()).toMatchObject({ ok: false, code: 'NXDOMAIN' });
    await givenAccount();
    expect(resolve()).toMatchObject({ ok: true, isPrivate: false });
    await givenEndpoint();
    expect(resolve()).toMatchObject({ ok: true, isPrivate: false });
    await givenZone(false);
    await givenZoneGroup();
    expect(resolve()).toMatchObject({ ok: true, isPrivate: false });
    await givenZone();
    expect(resolve()).toEqual({ ok: true, address: '10.0.16.4', isPrivate: true });
  });

  test('does not resolve where the zone is linked and has no record', async () => {
    await givenNetwork();
    await givenAccount();
    await givenEndpoint();
    await givenZone();
    expect(resolve()).toMatchObject({ ok: false, code: 'NXDOMAIN' });
  });

  test('has one zone of its kind per network', async () => {
    await givenNetwork();
    await givenZone();
    await givenGroup(tenant, 'rg2');
    await throughTime(
      tenant,
      dns.privateZones.beginCreateOrUpdateAndWait('rg2', zoneName, { location: 'global' }),
    );
    const link = dns.virtualNetworkLinks.beginCreateOrUpdateAndWait('rg2', zoneName, 'link', {
      location: 'global',
      virtualNetwork: { id: vnetId() },
      registrationEnabled: false,
    });
    expect(await refusalOf(link)).toEqual({ status: 400, code: 'BadRequest' });
    expect(await refusalOf(dns.privateZones.beginDeleteAndWait('rg', zoneName))).toEqual({
      status: 409,
      code: 'CannotDeleteResource',
    });
  });
});

describe('a storage account', () => {
  test('is followed by its Location header, and there at the end', async () => {
    const path = `${accountId()}?api-version=2025-08-01`;
    const body = { location, kind: 'StorageV2', sku: { name: 'Standard_LRS' } };
    const accepted = await tenant.call('PUT', path, body);
    expect(accepted.status).toBe(202);
    expect(accepted.headers.has('azure-asyncoperation')).toBe(false);
    const url = new URL(accepted.headers.get('location') ?? '');
    expect((await tenant.call('GET', url.pathname + url.search)).status).toBe(202);
    tenant.pass(MINUTE);
    const done = await tenant.call('GET', url.pathname + url.search);
    expect(done.status).toBe(200);
    expect(await done.json()).toMatchObject({
      name: 'stone',
      properties: { provisioningState: 'Succeeded' },
    });
  });

  test('has a name nobody else can have', async () => {
    await givenAccount();
    expect(
      await storage.storageAccounts.checkNameAvailability({
        name: 'stone',
        type: 'Microsoft.Storage/storageAccounts',
      }),
    ).toMatchObject({ nameAvailable: false, reason: 'AlreadyExists' });
    await givenGroup(tenant, 'rg2');
    const again = storage.storageAccounts.create('rg2', 'stone', {
      location,
      kind: 'StorageV2',
      sku: { name: 'Standard_LRS' },
    });
    expect(await refusalOf(again)).toEqual({ status: 409, code: 'StorageAccountAlreadyTaken' });
  });

  test('lets a share be mounted for the right key, share and way, and tells mount errors otherwise', async () => {
    await givenNetwork();
    const key = await givenAccount();
    expect(mount(key)).toEqual({ ok: true, quotaGiB: 50 });
    expect(mount(key, 'other')).toMatchObject({ ok: false, code: 'mount error(2)' });
    expect(mount('bm90IHRoZSBrZXk=')).toMatchObject({ ok: false, code: 'mount error(13)' });
    await storage.storageAccounts.regenerateKey('rg', 'stone', { keyName: 'key1' });
    expect(mount(key)).toMatchObject({ ok: false, code: 'mount error(13)' });
    const { keys } = await storage.storageAccounts.listKeys('rg', 'stone');
    const fresh = keys?.find(({ keyName }) => keyName === 'key1')?.value ?? '';
    expect(mount(fresh)).toEqual({ ok: true, quotaGiB: 50 });
    await storage.storageAccounts.update('rg', 'stone', { publicNetworkAccess: 'Disabled' });
    expect(mount(fresh)).toMatchObject({ ok: false, code: 'mount error(13)' });
    await givenEndpoint();
    await givenZone();
    await givenZoneGroup();
    expect(mount(fresh)).toEqual({ ok: true, quotaGiB: 50 });
    await storage.storageAccounts.update('rg', 'stone', { allowSharedKeyAccess: false });
    expect(mount(fresh)).toMatchObject({ ok: false, code: 'mount error(13)' });
  });

  test('refuses mounts with its key where SMB is set not to take one', async () => {
    await givenNetwork();
    const key = await givenAccount();
    const setSmb = (smb: object) =>
      storage.fileServices.setServiceProperties('rg', 'stone', { protocolSettings: { smb } });
    for (const smb of [{ versions: 'SMB2.1' }, { authenticationMethods: 'Kerberos' }]) {
      await setSmb(smb);
      const { protocolSettings } = await storage.fileServices.getServiceProperties('rg', 'stone');
      expect(protocolSettings?.smb).toMatchObject(smb);
      expect(mount(key)).toMatchObject({ ok: false, code: 'mount error(13)' });
    }
    await setSmb({ versions: 'SMB3.0;SMB3.1.1', authenticationMethods: 'NTLMv2;Kerberos' });
    expect(mount(key)).toEqual({ ok: true, quotaGiB: 50 });
  });

  test('tells how much of a share is in use when asked, and takes nobody for a share that is not there', async () => {
    await givenAccount();
    const share = { account: 'stone', share: 'data', usedBytes: 1024 ** 3 };
    tenant.arm.fillShare(share);
    expect(await storage.fileShares.get('rg', 'stone', 'data', { expand: 'stats' })).toMatchObject({
      shareQuota: 50,
      shareUsageBytes: 1024 ** 3,
    });
    expect((await storage.fileShares.get('rg', 'stone', 'data')).shareUsageBytes).toBeUndefined();
    expect(() => tenant.arm.fillShare({ ...share, share: 'other' })).toThrow(RangeError);
  });

  test('loses its share by deletion and keeps settings that an update does not name', async () => {
    await givenAccount();
    const updated = await storage.storageAccounts.update('rg', 'stone', { tags: { a: 'b' } });
    expect(updated).toMatchObject({ minimumTlsVersion: 'TLS1_2', tags: { a: 'b' } });
    await storage.fileShares.delete('rg', 'stone', 'data');
    expect(await refusalOf(storage.fileShares.get('rg', 'stone', 'data'))).toMatchObject({ status: 404 });
    await storage.storageAccounts.delete('rg', 'stone');
    expect(await refusalOf(storage.storageAccounts.getProperties('rg', 'stone'))).toMatchObject({
      status: 404,
    });
  });
});

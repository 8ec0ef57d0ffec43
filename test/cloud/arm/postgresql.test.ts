import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NetworkManagementClient } from '@azure/arm-network';
import { PostgreSQLManagementFlexibleServerClient, type Server } from '@azure/arm-postgresql-flexible';
import { PrivateDnsManagementClient } from '@azure/arm-privatedns';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type CertificateAuthority,
  openCertificateAuthority,
} from '../../../sandbox/cloud/certificate-authority.ts';
import { Memory } from '../../../sandbox/cloud/world.ts';
import { listAll } from '../start-cloud.ts';
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

const GROUP = `/subscriptions/${subscriptionId}/resourceGroups/rg`;
const VNET = `${GROUP}/providers/Microsoft.Network/virtualNetworks/vnet`;
const OTHER_VNET = `${GROUP}/providers/Microsoft.Network/virtualNetworks/other`;
const SUBNET = `${VNET}/subnets/snet-pg`;
const ZONE_NAME = 'private.postgres.database.azure.com';
const ZONE = `${GROUP}/providers/Microsoft.Network/privateDnsZones/${ZONE_NAME}`;
const PASSWORD = 'Correct-horse-7@/#';
const HOUR = 60 * MINUTE;

let directory: string;
let certificates: CertificateAuthority;
let memory: Memory;
let tenant: Tenant;
let client: PostgreSQLManagementFlexibleServerClient;

const integrated: Server = {
  location,
  sku: { name: 'Standard_B1ms', tier: 'Burstable' },
  version: '18',
  administratorLogin: 'webui',
  administratorLoginPassword: PASSWORD,
  storage: { storageSizeGB: 32, tier: 'P4' },
  network: { delegatedSubnetResourceId: SUBNET, privateDnsZoneArmResourceId: ZONE },
  createMode: 'Create',
};

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postgresql-'));
  // PostgreSQL does not run as root: another account must get to its data.
  chmodSync(directory, 0o755);
  certificates = await openCertificateAuthority(directory);
  memory = new Memory(join(directory, 'world.sqlite'));
  open();
  // Virtual time must not run away while the engine takes its real time to start.
  await tenant.arm.startPostgres();
  await givenGroup(tenant);
  const network = new NetworkManagementClient(tenant.as(), subscriptionId, tenant.options);
  const dns = new PrivateDnsManagementClient(tenant.as(), subscriptionId, tenant.options);
  for (const [name, prefix] of [
    ['vnet', '10.0'],
    ['other', '10.1'],
  ]) {
    await throughTime(
      tenant,
      network.virtualNetworks.beginCreateOrUpdateAndWait('rg', name ?? '', {
        location,
        addressSpace: { addressPrefixes: [`${prefix}.0.0/16`] },
        subnets: [
          { name: 'snet-aks', addressPrefix: `${prefix}.0.0/20` },
          {
            name: 'snet-pg',
            addressPrefix: `${prefix}.17.0/28`,
            delegations: [{ name: 'pg', serviceName: 'Microsoft.DBforPostgreSQL/flexibleServers' }],
          },
        ],
      }),
    );
  }
  await throughTime(
    tenant,
    dns.privateZones.beginCreateOrUpdateAndWait('rg', ZONE_NAME, { location: 'global' }),
  );
  await throughTime(
    tenant,
    dns.virtualNetworkLinks.beginCreateOrUpdateAndWait('rg', ZONE_NAME, 'link', {
      location: 'global',
      virtualNetwork: { id: VNET },
      registrationEnabled: false,
    }),
  );
  await create('psql-main', integrated);
});

afterAll(async () => {
  await tenant.close();
  memory.close();
  rmSync(directory, { recursive: true, force: true });
});

function open(): void {
  const clock = tenant?.world.clock;
  tenant = openTenant({ certificates }, memory, clock, directory);
  client = new PostgreSQLManagementFlexibleServerClient(tenant.as(), subscriptionId, tenant.options);
}

const create = (name: string, body: Server): Promise<Server> =>
  throughTime(tenant, client.servers.beginCreateOrUpdateAndWait('rg', name, body)).then((server) => {
    tenant.pass(MINUTE);
    return server;
  });

function urlOf(
  name: string,
  more: { user?: string; password?: string; database?: string; query?: string } = {},
): string {
  const { user = 'webui', password = PASSWORD, database = 'postgres', query = '?sslmode=require' } = more;
  return `postgresql://${user}:${encodeURIComponent(password)}@${name}.postgres.database.azure.com:5432/${database}${query}`;
}

/** Why a connection is refused. */
async function reasonFor(url: string, vnet = VNET): Promise<string> {
  const answer = await tenant.arm.databases.connect(url, vnet);
  if (!answer.ok) return answer.reason;
  await answer.client.end();
  return 'it was let in';
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const answer = await tenant.arm.databases.connect(url, VNET);
  if (!answer.ok) throw new Error(answer.reason);
  try {
    return await use(answer.client);
  } finally {
    await answer.client.end();
  }
}

const setting = (name: string, parameter: string): Promise<unknown> =>
  withClient(urlOf(name), async (session) => (await session.query(`SHOW ${parameter}`)).rows[0][parameter]);

const setParameter = (name: string, parameter: string, value: string) =>
  throughTime(
    tenant,
    client.configurations.beginUpdateAndWait('rg', name, parameter, { value, source: 'user-override' }),
  );

describe('a new server', () => {
  test('is Provisioning, then Ready, and only then can be logged in to', async () => {
    const making = client.servers.beginCreateOrUpdate('rg', 'psql-new', integrated);
    await making;
    expect((await client.servers.get('rg', 'psql-new')).state).toBe('Provisioning');
    expect(await reasonFor(urlOf('psql-new'))).toMatch(/^could not translate host name/);
    tenant.pass(6 * MINUTE);
    const made = await client.servers.get('rg', 'psql-new');
    expect(made).toMatchObject({
      state: 'Ready',
      fullyQualifiedDomainName: 'psql-new.postgres.database.azure.com',
      storage: { storageSizeGB: 32, tier: 'P4', iops: 120 },
      network: { publicNetworkAccess: 'Disabled', delegatedSubnetResourceId: SUBNET },
      highAvailability: { mode: 'Disabled' },
    });
    expect(JSON.stringify(made)).not.toContain('Correct');
    const who = await withClient(urlOf('psql-new'), async (session) => {
      const found = await session.query(
        `SELECT rolsuper, rolcreatedb, rolcreaterole, ssl FROM pg_roles, pg_stat_ssl
         WHERE rolname = current_user AND pid = pg_backend_pid()`,
      );
      return found.rows[0];
    });
    expect(who).toEqual({ rolsuper: false, rolcreatedb: true, rolcreaterole: true, ssl: true });
  });

  test('refuses its first writes while it settles', async () => {
    const making = client.servers.beginCreateOrUpdate('rg', 'psql-settles', integrated);
    await making;
    tenant.pass(6 * MINUTE);
    expect((await client.servers.get('rg', 'psql-settles')).state).toBe('Ready');
    expect(await refusalOf(client.databases.beginCreate('rg', 'psql-settles', 'app', {}))).toEqual({
      status: 409,
      code: 'ServerIsBusy',
    });
    tenant.pass(MINUTE);
    await throughTime(tenant, client.databases.beginCreateAndWait('rg', 'psql-settles', 'app', {}));
  });

  test.each<[string, Partial<Server>, string]>([
    [
      'a compute size of another tier',
      { sku: { name: 'Standard_B1ms', tier: 'GeneralPurpose' } },
      'InvalidParameterValue',
    ],
    ['a disk size there is not', { storage: { storageSizeGB: 33 } }, 'InvalidStorageSize'],
    ['a disk tier below the size', { storage: { storageSizeGB: 128, tier: 'P4' } }, 'InvalidPerformanceTier'],
    ['a weak password', { administratorLoginPassword: 'password' }, 'PasswordNotComplex'],
    ['a reserved login', { administratorLogin: 'azure_superuser' }, 'InvalidLoginName'],
    [
      'a standby for Burstable compute',
      { highAvailability: { mode: 'ZoneRedundant' } },
      'InvalidParameterValue',
    ],
    [
      'a subnet that is not delegated',
      {
        network: { delegatedSubnetResourceId: `${VNET}/subnets/snet-aks`, privateDnsZoneArmResourceId: ZONE },
      },
      'InvalidSubnetDelegation',
    ],
    [
      'a zone that is not there',
      { network: { delegatedSubnetResourceId: SUBNET, privateDnsZoneArmResourceId: `${ZONE}x` } },
      'PrivateDnsZoneNotFound',
    ],
    ['a subnet without a zone', { network: { delegatedSubnetResourceId: SUBNET } }, 'InvalidParameterValue'],
    [
      'a subnet and public access',
      { network: { ...integrated.network, publicNetworkAccess: 'Enabled' } },
      'InvalidParameterValue',
    ],
  ])('is refused with %s', async (_what, wrong, code) => {
    const call = client.servers.beginCreateOrUpdate('rg', 'psql-wrong', { ...integrated, ...wrong });
    expect(await refusalOf(call)).toEqual({ status: 400, code });
  });

  test('is refused with a member that Azure does not know, by its name', async () => {
    const answer = await tenant.call(
      'PUT',
      `${GROUP}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-wrong?api-version=2025-08-01`,
      { location, sku: integrated.sku, properties: { version: '18', storageGB: 32 } },
    );
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain("'storageGB'");
  });

  test('needs a name that nobody has', async () => {
    const check = (name: string) =>
      client.nameAvailability.checkGlobally({ name, type: 'Microsoft.DBforPostgreSQL/flexibleServers' });
    expect(await check('psql-main')).toMatchObject({ nameAvailable: false, reason: 'AlreadyExists' });
    expect(await check('psql-free')).toMatchObject({ nameAvailable: true });
    await givenGroup(tenant, 'rg2');
    expect(await refusalOf(client.servers.beginCreateOrUpdate('rg2', 'psql-main', integrated))).toEqual({
      status: 409,
      code: 'ServerNameAlreadyExists',
    });
  });

  test('of which the creation fails is Disabled, and can be asked for again', async () => {
    tenant.world.faults.replace([
      {
        id: 'fails',
        method: 'PUT',
        path: 'psql-fails',
        times: 1,
        fault: { kind: 'operation-fails', code: 'InternalServerError', message: 'no capacity' },
      },
    ]);
    await expect(create('psql-fails', integrated)).rejects.toThrow(/no capacity/);
    expect((await client.servers.get('rg', 'psql-fails')).state).toBe('Disabled');
    expect((await create('psql-fails', integrated)).state).toBe('Ready');
    expect(await reasonFor(urlOf('psql-fails'))).toBe('it was let in');
  });
});

describe('a client', () => {
  test('is told what a real one would be told', async () => {
    expect(await reasonFor(urlOf('psql-main', { password: 'Wrong-horse-7' }))).toMatch(
      /FATAL: {2}password authentication failed for user "webui"$/,
    );
    expect(await reasonFor(urlOf('psql-main', { user: 'nobody' }))).toMatch(
      /password authentication failed for user "nobody"$/,
    );
    expect(await reasonFor(urlOf('psql-main', { database: 'missing' }))).toMatch(
      /FATAL: {2}database "missing" does not exist$/,
    );
    expect(await reasonFor(urlOf('psql-main', { query: '?sslmode=disable' }))).toMatch(
      /no pg_hba\.conf entry for host .*, user "webui", database "postgres", no encryption$/,
    );
    expect(await reasonFor(urlOf('psql-main', { query: '?sslmode=verify-full' }))).toMatch(
      /root certificate file ".*" does not exist/,
    );
    expect(await reasonFor(urlOf('psql-main', { query: '?colour=red' }))).toBe(
      'invalid URI query parameter: "colour"',
    );
    expect(await reasonFor(urlOf('psql-none'))).toMatch(/^could not translate host name "psql-none/);
    expect(await reasonFor(urlOf('psql-main'), OTHER_VNET)).toMatch(/^could not translate host name/);
  });

  test('finds the end of an unescaped password where libpq does', async () => {
    const url = `postgresql://webui:${PASSWORD}@psql-main.postgres.database.azure.com/postgres`;
    // The @ in the password ends it, so that its slash begins the path and no host is left.
    expect(await reasonFor(url)).toMatch(/^connection to server on socket/);
  });

  test('can use what it made by SQL: a role, a database', async () => {
    await withClient(urlOf('psql-main'), async (session) => {
      await session.query("CREATE ROLE reader LOGIN PASSWORD 'reader-password'");
      await session.query('CREATE DATABASE reports');
    });
    const url = urlOf('psql-main', { user: 'reader', password: 'reader-password', database: 'reports' });
    expect(await reasonFor(url)).toBe('it was let in');
    expect(await reasonFor(url.replace('psql-main', 'psql-new'))).toMatch(/password authentication failed/);
  });
});

describe('the administrator’s password', () => {
  test('changes when the operation has ended; the old one is refused then', async () => {
    await create('psql-password', integrated);
    const changing = client.servers.beginUpdate('rg', 'psql-password', {
      administratorLoginPassword: 'Newer-horse-8',
    });
    await changing;
    expect((await client.servers.get('rg', 'psql-password')).state).toBe('Updating');
    expect(await reasonFor(urlOf('psql-password'))).toBe('it was let in');
    tenant.pass(MINUTE);
    expect(await reasonFor(urlOf('psql-password', { password: 'Newer-horse-8' }))).toBe('it was let in');
    expect(await reasonFor(urlOf('psql-password'))).toMatch(/password authentication failed/);
  });

  test('stays the old one when the operation fails', async () => {
    tenant.world.faults.replace([
      {
        id: 'fails',
        method: 'PATCH',
        path: 'psql-password',
        fault: { kind: 'operation-fails', code: 'InternalServerError', message: 'it failed' },
      },
    ]);
    const change = client.servers.beginUpdateAndWait('rg', 'psql-password', {
      administratorLoginPassword: 'Third-horse-9',
    });
    await expect(throughTime(tenant, change)).rejects.toThrow(/it failed/);
    tenant.world.faults.replace([]);
    expect((await client.servers.get('rg', 'psql-password')).state).toBe('Ready');
    expect(await reasonFor(urlOf('psql-password', { password: 'Newer-horse-8' }))).toBe('it was let in');
  });

  test('is nowhere on disk', () => {
    const files = readdirSync(directory, { recursive: true }).map((name) => join(directory, String(name)));
    const holding = files.filter(
      (file) =>
        statSync(file).isFile() &&
        /Correct-horse-7|Newer-horse-8|Third-horse-9/.test(readFileSync(file, 'latin1')),
    );
    expect(files.length).toBeGreaterThan(100);
    expect(holding).toEqual([]);
  });
});

describe('databases', () => {
  test('are made in the engine, belong to the administrator, and go', async () => {
    const made = await throughTime(
      tenant,
      client.databases.beginCreateAndWait('rg', 'psql-main', 'openwebui', {
        charset: 'UTF8',
        collation: 'en_US.utf8',
      }),
    );
    expect(made).toMatchObject({ name: 'openwebui', charset: 'UTF8', collation: 'en_US.utf8' });
    const url = urlOf('psql-main', { database: 'openwebui' });
    await withClient(url, async (session) => {
      await session.query('CREATE TABLE chat (id int)');
      await session.query('CREATE EXTENSION IF NOT EXISTS pg_trgm');
    });
    const names = (await listAll(client.databases.listByServer('rg', 'psql-main'))).map(({ name }) => name);
    expect(names.sort()).toEqual(['azure_maintenance', 'azure_sys', 'openwebui', 'postgres']);
    await throughTime(tenant, client.databases.beginDeleteAndWait('rg', 'psql-main', 'openwebui'));
    expect(await reasonFor(url)).toMatch(/database "openwebui" does not exist/);
    expect(await refusalOf(client.databases.beginDelete('rg', 'psql-main', 'postgres'))).toMatchObject({
      status: 400,
    });
  });
});

describe('parameters', () => {
  test('show the metadata that a client decides by', async () => {
    expect(await client.configurations.get('rg', 'psql-main', 'max_connections')).toMatchObject({
      value: '50',
      defaultValue: '50',
      dataType: 'Integer',
      allowedValues: '25-5000',
      source: 'system-default',
      isDynamicConfig: false,
      isReadOnly: false,
      isConfigPendingRestart: false,
    });
    expect(await client.configurations.get('rg', 'psql-main', 'shared_buffers')).toMatchObject({
      value: '32768',
      unit: '8KB',
    });
  });

  test('that are dynamic take effect at once, really', async () => {
    expect(await setting('psql-main', 'work_mem')).toBe('4MB');
    expect(await setParameter('psql-main', 'work_mem', '8192')).toMatchObject({
      source: 'user-override',
      isConfigPendingRestart: false,
    });
    expect(await setting('psql-main', 'work_mem')).toBe('8MB');
  });

  test('that are static wait for a restart', async () => {
    expect(await setParameter('psql-main', 'max_connections', '25')).toMatchObject({
      value: '25',
      isConfigPendingRestart: true,
    });
    const most = (): Promise<number> =>
      withClient(urlOf('psql-main'), async (session) =>
        Number(
          (await session.query('SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user')).rows[0]
            .rolconnlimit,
        ),
      );
    expect(await most()).toBe(35);
    await throughTime(tenant, client.servers.beginRestartAndWait('rg', 'psql-main'));
    expect(await client.configurations.get('rg', 'psql-main', 'max_connections')).toMatchObject({
      isConfigPendingRestart: false,
    });
    expect(await most()).toBe(10);
    tenant.pass(MINUTE);
  });

  test('that allow extensions reach the client', async () => {
    await setParameter('psql-main', 'azure.extensions', 'VECTOR,pg_trgm');
    const answer = await tenant.arm.databases.connect(urlOf('psql-main'), VNET);
    expect(answer).toMatchObject({ ok: true, allowedExtensions: ['vector', 'pg_trgm'] });
    if (answer.ok) await answer.client.end();
  });

  test('are refused when unknown, read-only or out of bounds', async () => {
    const put = (name: string, value: string) =>
      refusalOf(client.configurations.beginPut('rg', 'psql-main', name, { value }));
    expect(await put('work_memory', '1')).toEqual({ status: 400, code: 'ConfigurationNotExists' });
    expect(await put('data_directory', '/x')).toEqual({ status: 400, code: 'ReadOnlyConfiguration' });
    expect(await put('work_mem', '1')).toEqual({ status: 400, code: 'InvalidParameterValue' });
    expect(await put('azure.extensions', 'VECTOR,nothing')).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
    });
    expect(await refusalOf(client.configurations.get('rg', 'psql-main', 'work_memory'))).toMatchObject({
      status: 404,
    });
  });

  test('are written one at a time', async () => {
    await client.configurations.beginUpdate('rg', 'psql-main', 'work_mem', {
      value: '4096',
      source: 'user-override',
    });
    for (const call of [
      client.configurations.beginUpdate('rg', 'psql-main', 'jit', { value: 'on', source: 'user-override' }),
      client.databases.beginCreate('rg', 'psql-main', 'busy', {}),
      client.servers.beginRestart('rg', 'psql-main'),
      client.servers.beginUpdate('rg', 'psql-main', { storage: { storageSizeGB: 64 } }),
    ]) {
      expect(await refusalOf(call)).toEqual({ status: 409, code: 'ServerIsBusy' });
    }
    tenant.pass(MINUTE);
  });
});

describe('changes', () => {
  const change = (body: Parameters<typeof client.servers.beginUpdate>[2]) =>
    throughTime(tenant, client.servers.beginUpdateAndWait('rg', 'psql-main', body));

  test('of the disk only make it larger, and of its tier only every twelve hours', async () => {
    expect((await change({ storage: { storageSizeGB: 64 } })).storage).toMatchObject({
      storageSizeGB: 64,
      tier: 'P6',
    });
    expect(await refusalOf(change({ storage: { storageSizeGB: 32 } }))).toMatchObject({ status: 400 });
    expect(await refusalOf(change({ storage: { tier: 'P10' } }))).toMatchObject({
      status: 400,
      code: 'OperationNotAllowed',
    });
    tenant.pass(12 * HOUR);
    expect((await change({ storage: { tier: 'P10' } })).storage).toMatchObject({ tier: 'P10', iops: 500 });
  });

  test('of what was chosen once are refused', async () => {
    for (const wrong of [
      { administratorLogin: 'other' },
      { backup: { geoRedundantBackup: 'Enabled' } },
      { network: { delegatedSubnetResourceId: `${OTHER_VNET}/subnets/snet-pg` } },
      { network: { publicNetworkAccess: 'Enabled' } },
      { version: '17' as const },
    ]) {
      expect(await refusalOf(client.servers.beginUpdate('rg', 'psql-main', wrong))).toMatchObject({
        status: 400,
      });
    }
  });

  test('of the maintenance window need it to be enabled', async () => {
    const ignored = await change({ maintenanceWindow: { dayOfWeek: 2, startHour: 1 }, tags: { a: 'b' } });
    expect(ignored.maintenanceWindow).toMatchObject({ customWindow: 'Disabled', dayOfWeek: 0 });
    const set = await change({ maintenanceWindow: { customWindow: 'Enabled', dayOfWeek: 2, startHour: 1 } });
    expect(set.maintenanceWindow).toMatchObject({ customWindow: 'Enabled', dayOfWeek: 2, startHour: 1 });
  });
});

describe('a stopped server', () => {
  test('takes no connections and no work until it is started, or starts after a week', async () => {
    await throughTime(tenant, client.servers.beginStopAndWait('rg', 'psql-settles'));
    expect((await client.servers.get('rg', 'psql-settles')).state).toBe('Stopped');
    expect(await reasonFor(urlOf('psql-settles'))).toMatch(/timed out \(the server is Stopped\)/);
    expect(await refusalOf(listAll(client.configurations.listByServer('rg', 'psql-settles')))).toEqual({
      status: 400,
      code: 'ServerStoppedError',
    });
    expect(await refusalOf(client.servers.beginRestart('rg', 'psql-settles'))).toMatchObject({
      code: 'ServerIsNotReady',
    });
    await throughTime(tenant, client.servers.beginStartAndWait('rg', 'psql-settles'));
    expect(await reasonFor(urlOf('psql-settles'))).toBe('it was let in');
    tenant.pass(MINUTE);
    await throughTime(tenant, client.servers.beginStopAndWait('rg', 'psql-settles'));
    tenant.pass(7 * 24 * HOUR);
    expect((await client.servers.get('rg', 'psql-settles')).state).toBe('Ready');
    expect(await reasonFor(urlOf('psql-settles'))).toBe('it was let in');
  });
});

describe('a server with a public side', () => {
  test('is reached as its firewall allows', async () => {
    await create('psql-public', { ...integrated, network: { publicNetworkAccess: 'Enabled' } });
    expect(await reasonFor(urlOf('psql-public'))).toMatch(/timed out \(no firewall rule/);
    await throughTime(
      tenant,
      client.firewallRules.beginCreateOrUpdateAndWait('rg', 'psql-public', 'azure', {
        startIpAddress: '0.0.0.0',
        endIpAddress: '0.0.0.0',
      }),
    );
    expect(await reasonFor(urlOf('psql-public'))).toBe('it was let in');
    await throughTime(
      tenant,
      client.servers.beginUpdateAndWait('rg', 'psql-public', {
        network: { publicNetworkAccess: 'Disabled' },
      }),
    );
    expect(await reasonFor(urlOf('psql-public'))).toMatch(/timed out \(public network access/);
  });
});

describe('a server behind a private endpoint', () => {
  const zoneName = 'privatelink.postgres.database.azure.com';

  test('is reached through it, as long as its connection is approved', async () => {
    const network = new NetworkManagementClient(tenant.as(), subscriptionId, tenant.options);
    const dns = new PrivateDnsManagementClient(tenant.as(), subscriptionId, tenant.options);
    const server = await create('psql-private', {
      ...integrated,
      network: { publicNetworkAccess: 'Disabled' },
    });
    const url = urlOf('psql-private');
    expect(await reasonFor(url)).toMatch(/timed out \(public network access/);
    const [resource] = await listAll(client.privateLinkResources.listByServer('rg', 'psql-private'));
    expect(resource).toMatchObject({ groupId: 'postgresqlServer', requiredZoneNames: [zoneName] });
    await throughTime(
      tenant,
      network.privateEndpoints.beginCreateOrUpdateAndWait('rg', 'pe', {
        location,
        subnet: { id: `${VNET}/subnets/snet-aks` },
        privateLinkServiceConnections: [
          { name: 'pg', privateLinkServiceId: server.id ?? '', groupIds: ['postgresqlServer'] },
        ],
      }),
    );
    await throughTime(
      tenant,
      dns.privateZones.beginCreateOrUpdateAndWait('rg', zoneName, { location: 'global' }),
    );
    await throughTime(
      tenant,
      dns.virtualNetworkLinks.beginCreateOrUpdateAndWait('rg', zoneName, 'link', {
        location: 'global',
        virtualNetwork: { id: VNET },
        registrationEnabled: false,
      }),
    );
    expect(await reasonFor(url)).toMatch(/^could not translate host name/);
    await throughTime(
      tenant,
      network.privateDnsZoneGroups.beginCreateOrUpdateAndWait('rg', 'pe', 'default', {
        privateDnsZoneConfigs: [
          {
            name: 'pg',
            privateDnsZoneId: `${GROUP}/providers/Microsoft.Network/privateDnsZones/${zoneName}`,
          },
        ],
      }),
    );
    expect(await reasonFor(url)).toBe('it was let in');
    const [connection] = (await client.servers.get('rg', 'psql-private')).privateEndpointConnections ?? [];
    await throughTime(
      tenant,
      client.privateEndpointConnections.beginUpdateAndWait('rg', 'psql-private', connection?.name ?? '', {
        privateLinkServiceConnectionState: { status: 'Rejected', description: 'no' },
      }),
    );
    expect(await reasonFor(url)).toMatch(/timed out \(the private endpoint connection is Rejected\)/);
  });
});

describe('a restart of the sandbox', () => {
  test('keeps servers, passwords and data, and what is under way goes on', async () => {
    await withClient(urlOf('psql-main'), (session) => session.query('CREATE TABLE kept (id int)'));
    await client.servers.beginCreateOrUpdate('rg', 'psql-halfway', integrated);
    await tenant.close();
    memory.close();
    memory = new Memory(join(directory, 'world.sqlite'));
    open();
    const found = await withClient(urlOf('psql-main'), (session) =>
      session.query('SELECT count(*)::int AS n FROM kept'),
    );
    expect(found.rows).toEqual([{ n: 0 }]);
    expect((await client.servers.get('rg', 'psql-halfway')).state).toBe('Provisioning');
    tenant.pass(6 * MINUTE);
    expect(await reasonFor(urlOf('psql-halfway'))).toBe('it was let in');
  });
});

describe('a deleted server', () => {
  test('leaves nothing behind that a new one of its name would find', async () => {
    await withClient(urlOf('psql-new'), (session) => session.query('CREATE TABLE old (id int)'));
    await throughTime(tenant, client.servers.beginDeleteAndWait('rg', 'psql-new'));
    expect(await refusalOf(client.servers.get('rg', 'psql-new'))).toMatchObject({ status: 404 });
    expect(await reasonFor(urlOf('psql-new'))).toMatch(/^could not translate host name/);
    await create('psql-new', integrated);
    const found = await withClient(urlOf('psql-new'), (session) =>
      session.query("SELECT to_regclass('old') AS old"),
    );
    expect(found.rows).toEqual([{ old: null }]);
  });
});

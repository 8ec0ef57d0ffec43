/** What can go wrong with the file share and the database. */
import type { BrokenClouds, Fault } from '../broken-clouds.ts';

const GIB = 1024 ** 3;

const target = ({ azure }: BrokenClouds) => {
  const { spec, names, clients } = azure.scope();
  return { spec, names, clients, group: names.resourceGroup, operator: azure.operator };
};

const updateAccount = (clouds: BrokenClouds, change: object) => {
  const { names, group, operator } = target(clouds);
  return operator.storage().storageAccounts.update(group, names.storageAccount, change);
};

const setSmb = (clouds: BrokenClouds, smb: object) => {
  const { names, group, operator } = target(clouds);
  return operator
    .storage()
    .fileServices.setServiceProperties(group, names.storageAccount, { protocolSettings: { smb } });
};

const fill = (clouds: BrokenClouds, part: number) => {
  const { spec, names } = target(clouds);
  const usedBytes = Math.round(spec.storage.quotaGiB * GIB * part);
  return clouds.door('/shares', { account: names.storageAccount, share: spec.storage.share, usedBytes });
};

const unlink = async (clouds: BrokenClouds, zone: string) => {
  const { names, group, operator } = target(clouds);
  const { virtualNetworkLinks } = operator.privateDns();
  await clouds.azure.finish(virtualNetworkLinks.beginDelete(group, zone, `link-${names.deployment}`));
};

const dropZoneGroup = async (clouds: BrokenClouds) => {
  const { names, group, operator } = target(clouds);
  const { privateDnsZoneGroups } = operator.network();
  await clouds.azure.finish(privateDnsZoneGroups.beginDelete(group, names.storageEndpoint, 'default'));
};

const setParameter = async (clouds: BrokenClouds, name: string, value: string) => {
  const { names, group, operator } = target(clouds);
  const { configurations } = operator.postgres();
  // A server that has just been worked at is busy for a moment.
  await clouds.azure.cloud.world.clock.wait(10_000);
  await clouds.azure.finish(
    configurations.beginUpdate(group, names.postgresServer, name, { value, source: 'user-override' }),
  );
};

const setDatabaseRecord = async (clouds: BrokenClouds, ipv4Address: string) => {
  const { names, group, operator } = target(clouds);
  const record = { ttl: 10, aRecords: [{ ipv4Address }] };
  await operator
    .privateDns()
    .recordSets.createOrUpdate(group, names.postgresZone, 'A', names.postgresServer, record);
};

const vaultSecret = async (clouds: BrokenClouds, name: string, change: (value: string) => string) => {
  const { names, group, operator, clients } = target(clouds);
  const { properties } = await operator.vaults().vaults.get(group, names.vault);
  const secrets = clients.secrets(properties.vaultUri ?? '');
  await secrets.setSecret(name, change((await secrets.getSecret(name)).value ?? ''));
};

const mendRecord = async (clouds: BrokenClouds) => {
  await dropZoneGroup(clouds);
  await clouds.repair('azure/storage-endpoint');
};

export const dataFaults: readonly Fault[] = [
  {
    what: 'Somebody has switched the keys of the storage account off',
    finding: 'azure/storage-account storage-account-refuses-keys',
    break: (clouds) => updateAccount(clouds, { allowSharedKeyAccess: false }),
    mend: (clouds) => clouds.repair('azure/storage-account'),
  },
  {
    what: 'Somebody has opened the storage account to the internet',
    finding: 'azure/storage-account storage-account-public',
    break: (clouds) => updateAccount(clouds, { publicNetworkAccess: 'Enabled' }),
    mend: (clouds) => clouds.repair('azure/storage-account'),
  },
  {
    what: 'Somebody has allowed SMB 2.1 only',
    finding: 'azure/storage-account smb-version-refused',
    break: (clouds) => setSmb(clouds, { versions: 'SMB2.1' }),
    mend: (clouds) => setSmb(clouds, {}),
  },
  {
    what: 'Somebody has allowed SMB with Kerberos only',
    finding: 'azure/storage-account smb-key-refused',
    break: (clouds) => setSmb(clouds, { versions: 'SMB3.1.1', authenticationMethods: 'Kerberos' }),
    mend: (clouds) =>
      setSmb(clouds, { versions: 'SMB3.0;SMB3.1.1', authenticationMethods: 'NTLMv2;Kerberos' }),
  },
  {
    what: 'Somebody has unlinked the DNS zone of the share',
    finding: 'azure/private-dns-zones storage-zone-not-linked',
    break: (clouds) => unlink(clouds, target(clouds).names.fileZone),
    mend: (clouds) => clouds.repair('azure/private-dns-zones'),
  },
  {
    what: 'Somebody has deleted the private endpoint of the share',
    finding: 'azure/storage-endpoint storage-endpoint-missing',
    break: (clouds) => {
      const { names, group, operator } = target(clouds);
      return clouds.azure.finish(
        operator.network().privateEndpoints.beginDelete(group, names.storageEndpoint),
      );
    },
    mend: (clouds) => clouds.repair('azure/storage-endpoint'),
  },
  {
    what: 'Somebody has rejected the private endpoint of the share',
    finding: 'azure/storage-endpoint storage-endpoint-not-approved',
    break: async (clouds) => {
      const { names, group, operator } = target(clouds);
      const { privateEndpointConnections } = operator.storage();
      for await (const { name = '' } of privateEndpointConnections.list(group, names.storageAccount)) {
        await privateEndpointConnections.put(group, names.storageAccount, name, {
          privateLinkServiceConnectionState: { status: 'Rejected' },
        });
      }
    },
    mend: (clouds) => clouds.repair('azure/storage-endpoint'),
  },
  {
    what: 'Somebody has deleted the DNS zone group of the endpoint',
    finding: 'azure/storage-endpoint storage-endpoint-not-in-zone',
    break: dropZoneGroup,
    mend: (clouds) => clouds.repair('azure/storage-endpoint'),
  },
  {
    what: 'Somebody has deleted the DNS record of the storage account',
    finding: 'azure/storage-endpoint storage-endpoint-record-missing',
    break: (clouds) => {
      const { names, group, operator } = target(clouds);
      return operator.privateDns().recordSets.delete(group, names.fileZone, 'A', names.storageAccount);
    },
    mend: mendRecord,
  },
  {
    what: 'Somebody has set another address in the DNS record of the storage account',
    finding: 'azure/storage-endpoint storage-endpoint-record-wrong',
    break: (clouds) => {
      const { names, group, operator } = target(clouds);
      const record = { ttl: 10, aRecords: [{ ipv4Address: '10.10.16.99' }] };
      return operator
        .privateDns()
        .recordSets.createOrUpdate(group, names.fileZone, 'A', names.storageAccount, record);
    },
    mend: async (clouds) => {
      const { names, group, operator } = target(clouds);
      await operator.privateDns().recordSets.delete(group, names.fileZone, 'A', names.storageAccount);
      await mendRecord(clouds);
    },
  },
  {
    what: 'Somebody has deleted the share',
    finding: 'azure/file-share file-share-missing',
    break: (clouds) => {
      const { spec, names, group, operator } = target(clouds);
      return operator.storage().fileShares.delete(group, names.storageAccount, spec.storage.share);
    },
    mend: (clouds) => clouds.repair('azure/file-share'),
  },
  {
    what: 'The share is nearly full',
    finding: 'azure/file-share file-share-full',
    evidence: /^More than 80 %/,
    break: (clouds) => fill(clouds, 0.9),
    mend: (clouds) => fill(clouds, 0.5),
  },
  {
    what: 'The share is full',
    finding: 'azure/file-share file-share-full',
    evidence: /^More than 90 %/,
    break: (clouds) => fill(clouds, 0.99),
    mend: (clouds) => fill(clouds, 0.5),
  },
  {
    what: 'Somebody has shrunk the share',
    finding: 'azure/file-share file-share-too-small',
    break: (clouds) => {
      const { spec, names, group, operator } = target(clouds);
      const { fileShares } = operator.storage();
      return fileShares.update(group, names.storageAccount, spec.storage.share, { shareQuota: 40 });
    },
    mend: (clouds) => clouds.repair('azure/file-share'),
  },
  {
    what: 'Somebody has regenerated the key that is in use',
    finding: 'azure/storage-credentials storage-key-outdated',
    break: async (clouds) => {
      const { names, group, operator } = target(clouds);
      for (const keyName of ['key1', 'key2'])
        await operator.storage().storageAccounts.regenerateKey(group, names.storageAccount, { keyName });
    },
    mend: (clouds) => clouds.repair('azure/storage-credentials'),
  },
  {
    what: 'Somebody has stopped the database server',
    finding: 'azure/postgres-server database-server-stopped',
    break: (clouds) => {
      const { names, group, operator } = target(clouds);
      return clouds.azure.finish(operator.postgres().servers.beginStop(group, names.postgresServer));
    },
    mend: (clouds) => {
      const { names, group, operator } = target(clouds);
      return clouds.azure.finish(operator.postgres().servers.beginStart(group, names.postgresServer));
    },
  },
  {
    what: 'Somebody has unlinked the DNS zone of the database',
    finding: 'azure/private-dns-zones database-zone-not-linked',
    break: (clouds) => unlink(clouds, target(clouds).names.postgresZone),
    mend: (clouds) => clouds.repair('azure/private-dns-zones'),
  },
  {
    what: 'Somebody has deleted the DNS record of the database',
    finding: 'azure/postgres-server database-record-missing',
    break: async (clouds) => {
      const { names, group, operator } = target(clouds);
      const { recordSets } = operator.privateDns();
      for await (const { name = '' } of recordSets.listByType(group, names.postgresZone, 'A'))
        await recordSets.delete(group, names.postgresZone, 'A', name);
    },
    mend: (clouds) => setDatabaseRecord(clouds, '10.10.17.4'),
  },
  {
    what: 'Somebody has put another address into the DNS record of the database',
    finding: 'azure/postgres-server database-record-wrong',
    evidence: /A records: 10\.10\.16\.99; the server is in the subnet 10\.10\.17\.0\/28/,
    break: (clouds) => setDatabaseRecord(clouds, '10.10.16.99'),
    mend: (clouds) => setDatabaseRecord(clouds, '10.10.17.4'),
  },
  {
    what: 'Somebody has dropped the database',
    finding: 'azure/postgres-database database-missing',
    break: (clouds) => {
      const { spec, names, group, operator } = target(clouds);
      const { databases } = operator.postgres();
      return clouds.azure.finish(databases.beginDelete(group, names.postgresServer, spec.postgres.database));
    },
    mend: (clouds) => clouds.repair('azure/postgres-database'),
  },
  {
    what: 'Somebody has taken pgvector off the allow-list',
    finding: 'azure/postgres-parameters database-extension-not-allowed',
    break: (clouds) => setParameter(clouds, 'azure.extensions', ''),
    mend: (clouds) => clouds.repair('azure/postgres-parameters'),
  },
  {
    what: 'Somebody has changed a parameter',
    finding: 'azure/postgres-parameters database-parameter-work-mem',
    break: (clouds) => setParameter(clouds, 'work_mem', '8192'),
    mend: (clouds) => clouds.repair('azure/postgres-parameters'),
  },
  {
    what: 'A parameter waits for a restart',
    finding: 'azure/postgres-parameters database-restart-pending',
    break: async (clouds) => {
      const { spec, names, group, operator } = target(clouds);
      await setParameter(clouds, 'max_connections', '120');
      await clouds.azure.finish(operator.postgres().servers.beginRestart(group, names.postgresServer));
      await setParameter(clouds, 'max_connections', spec.postgres.parameters['max_connections'] ?? '');
    },
    mend: (clouds) => clouds.repair('azure/postgres-parameters'),
  },
  {
    what: 'Somebody has put a connection string without TLS into the vault',
    finding: 'azure/postgres-connection-string connection-string-wrong',
    break: (clouds) =>
      vaultSecret(clouds, 'postgres-connection-string', (value) =>
        value.replace('sslmode=require', 'sslmode=disable'),
      ),
    mend: (clouds) => clouds.repair('azure/postgres-connection-string'),
  },
  {
    what: 'Somebody has put a connection string with another port into the vault',
    finding: 'azure/postgres-connection-string connection-string-wrong',
    evidence: /the port is not 5432/,
    break: (clouds) =>
      vaultSecret(clouds, 'postgres-connection-string', (value) => value.replace(':5432/', ':6543/')),
    mend: (clouds) => clouds.repair('azure/postgres-connection-string'),
  },
  {
    what: 'The vault names another database server',
    finding: 'azure/reference-secrets server-reference-wrong',
    break: (clouds) => vaultSecret(clouds, 'postgres-server-fqdn', () => 'other.postgres.database.azure.com'),
    mend: (clouds) => clouds.repair('azure/reference-secrets'),
  },
];

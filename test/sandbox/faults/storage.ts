import { at, type Fault, group, type Hands, type Json, settled } from './fault.ts';

const account = `${group}/providers/Microsoft.Storage/storageAccounts/stopenwebui`;
const service = `${account}/fileServices/default`;
const share = `${service}/shares/openwebui-data`;
const endpoint = `${group}/providers/Microsoft.Network/privateEndpoints/pe-stopenwebui-file`;
const zone = `${group}/providers/Microsoft.Network/privateDnsZones/privatelink.file.core.windows.net`;
const version = 'api-version=2025-01-01';
const network = 'api-version=2024-05-01';
const dns = 'api-version=2024-06-01';
const GIB = 1024 ** 3;

const change = (properties: object) => (hands: Hands) =>
  hands.arm('PATCH', `${account}?${version}`, { properties });
const setSmb = (smb: object) => (hands: Hands) =>
  hands.arm('PUT', `${service}?${version}`, { properties: { protocolSettings: { smb } } });
const fill = (part: number) => (hands: Hands) =>
  hands.door('PUT', '/shares', {
    account: 'stopenwebui',
    share: 'openwebui-data',
    usedBytes: Math.round(50 * GIB * part),
  });

/** Takes the zone's link to the network away. */
export async function unlink(hands: Hands, of: string): Promise<void> {
  const links = at(await hands.arm('GET', `${of}/virtualNetworkLinks?${dns}`), 'value') as { id: string }[];
  for (const { id } of links) {
    await hands.arm('DELETE', `${id}?${dns}`);
    await settled(hands, `${id}?${dns}`);
  }
}

export interface Record {
  readonly id: string;
  readonly name: string;
  readonly properties: { readonly ttl?: number; readonly aRecords: readonly object[] };
}

/** Takes the zone's addresses away, and answers them. */
export async function dropRecords({ arm }: Hands, of: string): Promise<readonly Record[]> {
  const records = at(await arm('GET', `${of}/A?${dns}`), 'value') as Record[];
  for (const { name } of records) await arm('DELETE', `${of}/A/${name}?${dns}`);
  return records;
}
export async function putRecords({ arm }: Hands, of: string, records: readonly Record[]): Promise<void> {
  for (const { name, properties } of records) {
    const { ttl = 10, aRecords } = properties;
    const body = { properties: { ttl, aRecords } };
    await arm('PUT', `${of}/A/${name}?${dns}`, body);
  }
}

let records: readonly Record[] = [];

export const storageFaults: readonly Fault[] = [
  {
    what: 'Somebody has switched the keys of the storage account off',
    seed: 'Azure Files: mount error(13)',
    finding: 'azure/storage-account storage-account-refuses-keys',
    break: change({ allowSharedKeyAccess: false }),
    mend: 'repair',
  },
  {
    what: 'Somebody has regenerated both keys of the storage account',
    seed: 'Azure Files: mount error(13)',
    finding: 'azure/storage-credentials storage-key-outdated',
    break: async ({ arm }) => {
      for (const keyName of ['key1', 'key2'])
        await arm('POST', `${account}/regenerateKey?${version}`, { keyName });
    },
    mend: 'repair',
  },
  {
    what: 'Somebody has opened the storage account to the internet',
    seed: 'Azure Files: private endpoint and what its name resolves to',
    finding: 'azure/storage-account storage-account-public',
    break: change({ publicNetworkAccess: 'Enabled' }),
    mend: 'repair',
  },
  {
    what: 'Somebody has allowed SMB 2.1 only',
    seed: 'Azure Files: SMB connection failed',
    finding: 'azure/storage-account smb-version-refused',
    break: setSmb({ versions: 'SMB2.1' }),
    mend: setSmb({}),
  },
  {
    what: 'Somebody has allowed SMB with Kerberos only',
    seed: 'Azure Files: SMB connection failed',
    finding: 'azure/storage-account smb-key-refused',
    break: setSmb({ versions: 'SMB3.1.1', authenticationMethods: 'Kerberos' }),
    mend: setSmb({ versions: 'SMB3.0;SMB3.1.1', authenticationMethods: 'NTLMv2;Kerberos' }),
  },
  {
    what: 'Somebody has unlinked the DNS zone of the share',
    seed: 'Azure Files: private endpoint and what its name resolves to',
    finding: 'azure/private-dns-zones storage-zone-not-linked',
    break: (hands) => unlink(hands, zone),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the DNS record of the storage account',
    seed: 'Azure Files: private endpoint and what its name resolves to',
    finding: 'azure/storage-endpoint storage-endpoint-record-missing',
    break: async (hands) => {
      records = await dropRecords(hands, zone);
    },
    mend: (hands) => putRecords(hands, zone, records),
  },
  {
    what: 'Somebody has rejected the private endpoint of the share',
    seed: 'Azure Files: mount error(115)',
    finding: 'azure/storage-endpoint storage-endpoint-not-approved',
    break: async ({ arm }) => {
      const all = at(await arm('GET', `${account}/privateEndpointConnections?${version}`), 'value');
      for (const { name } of all as { name: string }[]) {
        const privateLinkServiceConnectionState = { status: 'Rejected', description: 'by hand' };
        await arm('PUT', `${account}/privateEndpointConnections/${name}?${version}`, {
          properties: { privateLinkServiceConnectionState },
        });
      }
    },
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the private endpoint of the share',
    seed: 'Azure Files: mount error(115)',
    finding: 'azure/storage-endpoint storage-endpoint-missing',
    break: async (hands): Promise<Json> => {
      await hands.arm('DELETE', `${endpoint}?${network}`);
      return settled(hands, `${endpoint}?${network}`);
    },
    mend: 'repair',
  },
  {
    what: 'The share is full',
    seed: 'Usage 6: volume, claim, mount and space of the share',
    finding: 'azure/file-share file-share-full',
    break: fill(0.99),
    mend: fill(0.5),
  },
  {
    what: 'Somebody has shrunk the share',
    seed: 'Usage 6: volume, claim, mount and space of the share',
    finding: 'azure/file-share file-share-too-small',
    break: ({ arm }) => arm('PATCH', `${share}?${version}`, { properties: { shareQuota: 40 } }),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the share',
    seed: 'Usage 6: volume, claim, mount and space of the share',
    finding: 'azure/file-share file-share-missing',
    break: ({ arm }) => arm('DELETE', `${share}?${version}`),
    mend: 'repair',
  },
];

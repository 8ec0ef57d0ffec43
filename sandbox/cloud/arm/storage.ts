/**
 * Microsoft.Storage: accounts, keys, file shares; and what mounting a share over SMB comes to. Over 300 lines because the
 * members of an account are many.
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Network, StorageAccounts } from '../neighbours.ts';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import { type Json, mergePatch } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers, inert, readOnly, tagsSchema, trackedMembers } from './frame/request-body.ts';
import { type Call, provisioningState, type ResourceType, type Stored } from './frame/resource-type.ts';
import { isWithin, lastName, parentIdOf, sameId } from './frame/target.ts';
import { isReachable } from './private-endpoints.ts';
import { privateEndpointConnections, showConnections } from './private-link.ts';

export const STORAGE_API_VERSIONS = [
  '2025-08-01',
  '2025-06-01',
  '2025-01-01',
  '2024-01-01',
  '2023-05-01',
  '2023-01-01',
];
export const STORAGE_ACCOUNTS = 'Microsoft.Storage/storageAccounts';
const FILE_SERVICES = `${STORAGE_ACCOUNTS}/fileServices`;
const SHARES = `${FILE_SERVICES}/shares`;
/** What is in a share is not simulated; how much it is, is said through the control door. */
export const SHARE_USAGE = 'arm/share-usage';

const skuSchema = z.strictObject({
  name: z.enum([
    'Standard_LRS',
    'Standard_GRS',
    'Standard_RAGRS',
    'Standard_ZRS',
    'Standard_GZRS',
    'Standard_RAGZRS',
    'Premium_LRS',
    'Premium_ZRS',
    'StandardV2_LRS',
    'StandardV2_ZRS',
    'PremiumV2_LRS',
    'PremiumV2_ZRS',
  ]),
  ...readOnly('tier'),
});
const networkAcls = z.strictObject({
  bypass: z.string().optional(),
  defaultAction: z.enum(['Allow', 'Deny']),
  virtualNetworkRules: z
    .array(z.strictObject({ id: z.string(), action: z.literal('Allow').optional(), ...readOnly('state') }))
    .optional(),
  ipRules: z.array(z.strictObject({ value: z.string(), action: z.literal('Allow').optional() })).optional(),
  ...inert('resourceAccessRules', 'ipv6Rules'),
});
const accountProperties = {
  publicNetworkAccess: z.enum(['Enabled', 'Disabled', 'SecuredByPerimeter']).optional(),
  networkAcls: networkAcls.optional(),
  allowSharedKeyAccess: z.boolean().optional(),
  supportsHttpsTrafficOnly: z.boolean().optional(),
  minimumTlsVersion: z.enum(['TLS1_0', 'TLS1_1', 'TLS1_2', 'TLS1_3']).optional(),
  allowBlobPublicAccess: z.boolean().optional(),
  accessTier: z.enum(['Hot', 'Cool', 'Premium', 'Cold']).optional(),
  largeFileSharesState: z.enum(['Disabled', 'Enabled']).optional(),
  ...inert(
    'allowedCopyScope',
    'sasPolicy',
    'keyPolicy',
    'customDomain',
    'encryption',
    'azureFilesIdentityBasedAuthentication',
    'isSftpEnabled',
    'isLocalUserEnabled',
    'enableExtendedGroups',
    'isHnsEnabled',
    'routingPreference',
    'dualStackEndpointPreference',
    'isNfsV3Enabled',
    'allowCrossTenantReplication',
    'defaultToOAuthAuthentication',
    'immutableStorageWithVersioning',
    'dnsEndpointType',
    'geoPriorityReplicationStatus',
    'allowSharedKeyAccessForServices',
    'dataCollaborationPolicyProperties',
  ),
};
const accountReadOnly = readOnly(
  'provisioningState',
  'primaryEndpoints',
  'primaryLocation',
  'statusOfPrimary',
  'secondaryLocation',
  'statusOfSecondary',
  'secondaryEndpoints',
  'creationTime',
  'keyCreationTime',
  'privateEndpointConnections',
);
const accountBody = z.strictObject({
  ...trackedMembers,
  sku: skuSchema,
  kind: z.enum(['StorageV2', 'FileStorage', 'BlockBlobStorage', 'Storage', 'BlobStorage']),
  properties: z.strictObject({ ...accountProperties, ...accountReadOnly }).optional(),
  ...inert('extendedLocation', 'zones', 'identity', 'placement'),
});
type AccountInput = z.infer<typeof accountBody>;
type AccountBody = Omit<AccountInput, 'properties'> & {
  properties: NonNullable<AccountInput['properties']> & Json;
};
type AccountHidden = { keys: { key1: string; key2: string }; keysCreated: { key1: string; key2: string } };

function findAccount(frame: Frame, name: string): Stored<AccountBody, AccountHidden> | undefined {
  return frame.store
    .ofType<AccountBody, AccountHidden>(STORAGE_ACCOUNTS)
    .find((account) => account.name.toLowerCase() === name.toLowerCase());
}

function putAccount(call: Call, input: AccountInput, before: Stored<AccountBody, AccountHidden> | undefined) {
  const { frame, name, now } = call;
  const other = findAccount(frame, name);
  if (other && !sameId(other.id, call.id)) {
    throw new Refusal(
      409,
      'StorageAccountAlreadyTaken',
      `The storage account named ${name} is already taken.`,
    );
  }
  for (const rule of input.properties?.networkAcls?.virtualNetworkRules ?? [])
    requireRuleSubnet(call, rule.id);
  const at = new Date(now).toISOString();
  const properties = {
    ...accountDefaults(name, input.location),
    ...before?.body.properties,
    ...input.properties,
    creationTime: before?.body.properties['creationTime'] ?? at,
    keyCreationTime: before?.hidden.keysCreated ?? { key1: at, key2: at },
  } as AccountBody['properties'];
  const body: AccountBody = {
    ...input,
    sku: { ...input.sku, tier: input.sku.name.split('_')[0] } as AccountBody['sku'],
    properties,
  };
  // An account that exists is updated at once; a new one is followed by its Location header.
  if (before) return { body };
  return { body, hidden: newKeys(at), takes: durations.storageAccount };
}

const newKeys = (at: string): AccountHidden => ({
  keys: { key1: newKey(), key2: newKey() },
  keysCreated: { key1: at, key2: at },
});

const accountDefaults = (name: string, location: string): Json => ({
  supportsHttpsTrafficOnly: true,
  minimumTlsVersion: 'TLS1_0',
  allowBlobPublicAccess: false,
  networkAcls: { bypass: 'AzureServices', virtualNetworkRules: [], ipRules: [], defaultAction: 'Allow' },
  primaryLocation: location,
  statusOfPrimary: 'available',
  primaryEndpoints: Object.fromEntries(
    ['blob', 'file', 'queue', 'table', 'dfs'].map((service) => [
      service,
      `https://${name}.${service}.core.windows.net/`,
    ]),
  ),
});

/** An account that has stood there for long. */
export function placeAccount(frame: Frame, id: string, location: string): void {
  const at = new Date(0).toISOString();
  frame.store.put(id, STORAGE_ACCOUNTS, {
    body: {
      location,
      tags: {},
      kind: 'StorageV2',
      sku: { name: 'Standard_LRS', tier: 'Standard' },
      properties: {
        ...accountDefaults(lastName(id), location),
        creationTime: at,
        keyCreationTime: { key1: at, key2: at },
        provisioningState: 'Succeeded',
      },
    },
    hidden: newKeys(at),
  });
}

function requireRuleSubnet(call: Call, subnetId: string): void {
  if (!call.frame.store.get(subnetId)) {
    throw new Refusal(
      400,
      'NetworkAclsValidationFailure',
      `Validation of network acls failure: ${subnetId} was not found.`,
    );
  }
  call.requireLinked('Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action', subnetId);
}

const newKey = (): string => randomBytes(64).toString('base64');

function listKeys(stored: Stored<AccountBody, AccountHidden>): Json {
  return {
    keys: (['key1', 'key2'] as const).map((keyName) => ({
      keyName,
      value: stored.hidden.keys[keyName],
      permissions: 'FULL',
      creationTime: stored.hidden.keysCreated[keyName],
    })),
  };
}

const storageAccounts: ResourceType<AccountBody, AccountHidden, AccountInput> = {
  type: STORAGE_ACCOUNTS,
  apiVersions: STORAGE_API_VERSIONS,
  scope: 'resource-group',
  name: {
    pattern: /^[a-z0-9]{3,24}$/,
    code: 'AccountNameInvalid',
    message:
      '{name} is not a valid storage account name. Storage account name must be between 3 and 24 characters in length ' +
      'and use numbers and lower-case letters only.',
  },
  tracked: true,
  state: { ...provisioningState, updating: 'Succeeded' },
  operations: { style: 'location', retryAfterSeconds: 17 },
  busy: {
    code: 'StorageAccountOperationInProgress',
    message: 'An operation is currently performing on this storage account that requires exclusive access.',
  },
  body: accountBody,
  put: putAccount,
  patchBody: z.strictObject({
    sku: skuSchema.optional(),
    tags: tagsSchema.nullish(),
    kind: z.string().optional(),
    properties: z.strictObject({ ...accountProperties, ...accountReadOnly }).optional(),
    ...inert('identity', 'zones', 'placement'),
  }),
  patch: (call, input, before) => {
    const body = mergePatch(before.body, input) as AccountBody;
    for (const rule of body.properties.networkAcls?.virtualNetworkRules ?? [])
      requireRuleSubnet(call, rule.id);
    return { body: { ...body, ...('tags' in input ? { tags: input['tags'] as AccountBody['tags'] } : {}) } };
  },
  remove: () => ({}),
  show: (frame, stored) => ({
    ...stored.body,
    properties: { ...stored.body.properties, privateEndpointConnections: showConnections(frame, stored) },
  }),
  actions: {
    listKeys: {
      run: (call, _input, stored) => {
        requireAccountReady(call.frame, stored);
        return { now: listKeys(stored as Stored<AccountBody, AccountHidden>) };
      },
    },
    regenerateKey: {
      body: z.strictObject({ keyName: z.enum(['key1', 'key2', 'kerb1', 'kerb2']) }),
      run: ({ frame, now }, input, stored) => {
        requireAccountReady(frame, stored);
        const account = stored as Stored<AccountBody, AccountHidden>;
        const keyName = String(input['keyName']);
        const keys = { ...account.hidden.keys, [keyName]: newKey() };
        const keysCreated = { ...account.hidden.keysCreated, [keyName]: new Date(now).toISOString() };
        const properties = { ...account.body.properties, keyCreationTime: keysCreated };
        const changed = frame.store.put(account.id, account.type, {
          body: { ...account.body, properties },
          hidden: { keys, keysCreated },
        });
        return { now: listKeys(changed as Stored<AccountBody, AccountHidden>) };
      },
    },
  },
};

export function requireAccountReady(frame: Frame, stored: Stored | undefined): void {
  if (frame.isReady(stored)) return;
  throw new Refusal(
    409,
    'StorageAccountIsNotProvisioned',
    `The storage account provisioning state must be 'Succeeded' before executing the operation.`,
  );
}

const smbSetting = z.strictObject({
  versions: z.string().optional(),
  authenticationMethods: z.string().optional(),
  ...inert('kerberosTicketEncryption', 'channelEncryption', 'multichannel', 'encryptionInTransit'),
});
const fileServiceBody = z.strictObject({
  ...childMembers,
  properties: z
    .strictObject({
      protocolSettings: z.strictObject({ smb: smbSetting.optional(), ...inert('nfs') }).optional(),
      ...inert('shareDeleteRetentionPolicy', 'cors'),
    })
    .optional(),
});
type FileService = { properties: NonNullable<z.infer<typeof fileServiceBody>['properties']> & Json };

/** `default` always exists. Without settings of its own it allows every version and method, and lists none. */
const fileServices: ResourceType<FileService, Json, z.infer<typeof fileServiceBody>> = {
  type: FILE_SERVICES,
  apiVersions: STORAGE_API_VERSIONS,
  scope: 'resource-group',
  isBuiltIn: true,
  body: fileServiceBody,
  put: (call, input) => {
    if (call.name !== 'default') {
      throw new Refusal(400, 'InvalidResourceName', "The file service of an account is named 'default'.");
    }
    requireAccountReady(call.frame, call.frame.store.get(call.parentId));
    return { body: { properties: { ...input.properties } as FileService['properties'] } };
  },
  get: (call) =>
    call.frame.store.get(call.parentId) && call.name === 'default'
      ? describeService(call.frame, call.id)
      : undefined,
  list: (call) => [describeService(call.frame, `${call.id}/fileServices/default`)],
};

const describeService = (frame: Frame, id: string): Json => ({
  id,
  name: 'default',
  type: FILE_SERVICES,
  properties: {
    shareDeleteRetentionPolicy: { enabled: true, days: 7 },
    protocolSettings: { smb: {} },
    ...frame.store.get<FileService>(id)?.body.properties,
  },
});

/** Why the account does not take its key over SMB 3, which is what the driver mounts with. */
function smbProblem(frame: Frame, accountId: string): string | undefined {
  const service = frame.store.get<FileService>(`${accountId}/fileServices/default`);
  const { versions, authenticationMethods } = service?.body.properties.protocolSettings?.smb ?? {};
  if (versions && !versions.includes('SMB3')) return `SMB 3 is not among the versions ${versions}`;
  return authenticationMethods && !authenticationMethods.includes('NTLMv2')
    ? `NTLMv2 is not among the authentication methods ${authenticationMethods}`
    : undefined;
}

const shareProperties = z.strictObject({
  shareQuota: z.int().min(1).max(102_400).optional(),
  enabledProtocols: z.enum(['SMB', 'NFS']).optional(),
  accessTier: z.enum(['TransactionOptimized', 'Hot', 'Cool', 'Premium']).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  ...inert(
    'rootSquash',
    'signedIdentifiers',
    'provisionedIops',
    'provisionedBandwidthMibps',
    'fileSharePaidBursting',
  ),
  ...readOnly(
    'lastModifiedTime',
    'version',
    'deleted',
    'leaseStatus',
    'leaseState',
    'accessTierChangeTime',
    'accessTierStatus',
    'shareUsageBytes',
  ),
});
const shareBody = z.strictObject({ ...childMembers, properties: shareProperties.optional() });
type Share = { properties: z.infer<typeof shareProperties> & Json };

const shares: ResourceType<Share, Json, z.infer<typeof shareBody>> = {
  type: SHARES,
  apiVersions: STORAGE_API_VERSIONS,
  scope: 'resource-group',
  name: {
    pattern: /^(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
    code: 'InvalidResourceName',
    message: "The specified resource name '{name}' contains invalid characters or has a wrong length.",
  },
  etag: true,
  body: shareBody,
  put: (call, input, before) => {
    const accountId = parentIdOf(call.parentId);
    requireAccountReady(call.frame, call.frame.store.get(accountId));
    const quota = input.properties?.shareQuota ?? before?.body.properties.shareQuota ?? 5120;
    return {
      body: {
        properties: {
          enabledProtocols: 'SMB',
          accessTier: 'TransactionOptimized',
          leaseStatus: 'unlocked',
          leaseState: 'available',
          ...before?.body.properties,
          ...input.properties,
          shareQuota: quota,
          lastModifiedTime: new Date(call.now).toISOString(),
        } as Share['properties'],
      },
    };
  },
  patchBody: shareBody,
  patch: (_call, input, before) => ({ body: mergePatch(before.body, input) as Share }),
  remove: () => ({}),
  // Only when asked for, https://learn.microsoft.com/rest/api/storagerp/file-shares/get
  get: ({ frame, id, url }) => {
    const share = frame.store.get<Share>(id);
    if (!share) return undefined;
    const shown = frame.show(share);
    if (url.searchParams.get('$expand') !== 'stats') return shown;
    const shareUsageBytes = frame.world.table<number>(SHARE_USAGE).get(id.toLowerCase()) ?? 0;
    return { ...shown, properties: { ...share.body.properties, shareUsageBytes } };
  },
};

/** Throws RangeError when there is no such share. */
export function fillShare(frame: Frame, wanted: unknown): void {
  const { account, share, usedBytes } = z
    .strictObject({ account: z.string(), share: z.string(), usedBytes: z.int().nonnegative() })
    .parse(wanted);
  const found = frame.store.ofType<Share>(SHARES).find(({ id }) => isShareOf(id, account, share));
  if (!found) throw new RangeError(`there is no share ${share} in an account ${account}`);
  frame.world.table<number>(SHARE_USAGE).set(found.id.toLowerCase(), usedBytes);
}

const isShareOf = (id: string, account: string, share: string): boolean =>
  id.toLowerCase().endsWith(`/${account}/fileservices/default/shares/${share}`.toLowerCase());

const storageProvider: ResourceType = {
  type: 'Microsoft.Storage',
  apiVersions: STORAGE_API_VERSIONS,
  scope: 'subscription',
  actions: {
    checkNameAvailability: {
      permission: 'Microsoft.Storage/checknameavailability/read',
      body: z.strictObject({ name: z.string(), type: z.literal(STORAGE_ACCOUNTS) }),
      run: ({ frame }, input) => {
        const name = String(input['name']);
        if (!/^[a-z0-9]{3,24}$/.test(name)) {
          return {
            now: {
              nameAvailable: false,
              reason: 'AccountNameInvalid',
              message: `${name} is not a valid storage account name.`,
            },
          };
        }
        return {
          now: findAccount(frame, name)
            ? {
                nameAvailable: false,
                reason: 'AlreadyExists',
                message: `The storage account named ${name} is already taken.`,
              }
            : { nameAvailable: true },
        };
      },
    },
  },
};

/** Errors are those of mount.cifs(8) for the same cause. */
export function createStorageAccounts(frame: Frame, network: Network): StorageAccounts {
  const failed = (number: number, text: string, why: string) =>
    ({
      ok: false,
      code: `mount error(${number})`,
      reason: `mount error(${number}): ${text} (${why})`,
    }) as const;
  return {
    mountShare: ({ account: name, key, share, vnetId }) => {
      void frame.operations.settle();
      const host = `${name}.file.core.windows.net`;
      const resolved = network.resolve(host, vnetId);
      if (!resolved.ok) {
        return {
          ok: false,
          code: 'could not resolve address',
          reason: `mount error: could not resolve address for ${host}: Unknown error`,
        };
      }
      const account = findAccount(frame, name);
      if (!account) return failed(115, 'Operation now in progress', `nothing answers at ${host}`);
      if (resolved.isPrivate) {
        const reachable = isReachable(frame, account, resolved.address, vnetId);
        if (!reachable.ok) return failed(115, 'Operation now in progress', reachable.reason);
      } else {
        const { publicNetworkAccess, networkAcls: rules } = account.body.properties;
        if (publicNetworkAccess === 'Disabled') {
          return failed(13, 'Permission denied', 'public network access of the account is disabled');
        }
        const isListed = (rules?.virtualNetworkRules ?? []).some(({ id }) => isWithin(id, vnetId));
        if (rules?.defaultAction === 'Deny' && !isListed) {
          return failed(13, 'Permission denied', "the account's firewall does not list the network");
        }
      }
      if (account.body.properties.allowSharedKeyAccess === false) {
        return failed(13, 'Permission denied', 'access with the shared key is disabled');
      }
      const refused = smbProblem(frame, account.id);
      if (refused) return failed(13, 'Permission denied', refused);
      const { key1, key2 } = account.hidden.keys;
      if (key !== key1 && key !== key2)
        return failed(13, 'Permission denied', 'the key is not one of the account');
      const found = frame.store
        .ofType<Share>(SHARES, account.id)
        .find(({ id }) => lastName(id).toLowerCase() === share.toLowerCase());
      if (!found) return failed(2, 'No such file or directory', `there is no share ${share}`);
      return { ok: true, quotaGiB: found.body.properties.shareQuota ?? 0 };
    },
  };
}

export const storageTypes: readonly ResourceType[] = [
  storageAccounts,
  fileServices,
  shares,
  storageProvider,
  privateEndpointConnections(STORAGE_ACCOUNTS, STORAGE_API_VERSIONS),
];

/** The storage account and its file share, as far as ARM tells. */
import { orAbsent } from '../../clients/cloud-failure.ts';
import { keyOf, keysOf, readAccountKey } from '../../resources/azure/storage-credentials.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { needed, repairOf } from '../repair.ts';
import { endpointCheck } from './endpoint.ts';
import { findAccount, neededVault } from './parts.ts';
import { zoneCheck } from './zone.ts';

const GIB = 1024 ** 3;
const SHARE_FULL = 'file-share-full';
/** Parts of the quota. What has been told is over only below `until`: uploads come and go. */
const NEARLY_FULL = { from: 0.85, until: 0.8 };
const FULL = { from: 0.95, until: 0.9 };

const breaksMount =
  'Pods of Open WebUI that start cannot mount their data and stay in ContainerCreating; uploads fail in those that run.';

const resource = 'azure/storage-account' as const;

export const storageAccountCheck: Check = {
  id: 'storage-account',
  system: 'storage',
  title: 'The storage account is provisioned, takes its keys and is closed to public networks',

  async run(scope) {
    const { storageAccount: name, resourceGroup: group } = scope.names;
    const found = await findAccount(scope);
    if (!found) {
      return [
        {
          id: 'storage-account-missing',
          resource,
          severity: 'error',
          what: `The storage account ${name} does not exist.`,
          evidence: `Azure answers 404 for it in the resource group ${group}.`,
          breaks: `${breaksMount} The files went with it.`,
          remedy:
            'An account that was deleted less than 14 days ago may be recovered in the portal (Storage accounts, Restore). Otherwise have it made anew, empty.',
          repair: repairOf(scope),
        },
      ];
    }
    const findings: CheckFinding[] = [];
    const state = found.provisioningState;
    if (state !== undefined && state !== 'Succeeded') {
      findings.push({
        id: 'storage-account-not-provisioned',
        resource,
        severity: 'warning',
        what: `The storage account ${name} is not provisioned.`,
        evidence: `provisioningState is ${state}.`,
        breaks: breaksMount,
        remedy: `az storage account show -g ${group} -n ${name}; if it stays so, ask Azure's support.`,
      });
    }
    if (found.allowSharedKeyAccess === false) {
      findings.push({
        id: 'storage-account-refuses-keys',
        resource,
        severity: 'error',
        what: `The storage account ${name} refuses its keys.`,
        evidence: 'properties.allowSharedKeyAccess is false.',
        breaks: `${breaksMount} The mount fails with error(13): Permission denied.`,
        remedy: `az storage account update -g ${group} -n ${name} --allow-shared-key-access true; look for a policy that switches it off`,
        repair: repairOf(scope),
      });
    }
    if (found.publicNetworkAccess !== 'Disabled') {
      findings.push({
        id: 'storage-account-public',
        resource,
        severity: 'warning',
        what: `The storage account ${name} is open to public networks.`,
        evidence: `properties.publicNetworkAccess is ${found.publicNetworkAccess ?? 'not set'}.`,
        breaks: 'Nothing; whoever has a key reaches the files from anywhere.',
        remedy: `az storage account update -g ${group} -n ${name} --public-network-access Disabled`,
        repair: repairOf(scope),
      });
    }
    return findings;
  },
};

/** What the driver mounts with: SMB 3 and the account's key, which is NTLMv2. Nothing listed means everything. */
export const smb: Check = {
  id: 'storage-smb',
  system: 'storage',
  title: 'The storage account allows SMB 3 with its key',

  async run(scope) {
    const { storageAccount: name, resourceGroup: group } = scope.names;
    needed(await findAccount(scope), `the storage account ${name}`);
    const { protocolSettings } = await scope.clients.storage().fileServices.getServiceProperties(group, name);
    const { versions, authenticationMethods } = protocolSettings?.smb ?? {};
    const findings: CheckFinding[] = [];
    const common = { resource, severity: 'error', breaks: breaksMount } as const;
    if (!allows(versions, 'SMB3.1.1') && !allows(versions, 'SMB3.0')) {
      findings.push({
        ...common,
        id: 'smb-version-refused',
        what: `The storage account ${name} does not allow SMB 3.`,
        evidence: `protocolSettings.smb.versions is ${versions}.`,
        remedy: `az storage account file-service-properties update -g ${group} -n ${name} --versions "SMB3.0;SMB3.1.1"`,
      });
    }
    if (!allows(authenticationMethods, 'NTLMv2')) {
      findings.push({
        ...common,
        id: 'smb-key-refused',
        what: `The storage account ${name} does not allow SMB with its key.`,
        evidence: `protocolSettings.smb.authenticationMethods is ${authenticationMethods}.`,
        remedy: `az storage account file-service-properties update -g ${group} -n ${name} --auth-methods "NTLMv2;Kerberos"`,
      });
    }
    return findings;
  },
};

const allows = (list: string | undefined, wanted: string): boolean =>
  !list || list.split(';').some((one) => one.trim().toLowerCase() === wanted.toLowerCase());

export const fileShareCheck: Check = {
  id: 'file-share',
  system: 'storage',
  title: 'The file share exists, speaks SMB and has room',

  async run(scope) {
    const { storageAccount: account, resourceGroup: group } = scope.names;
    const { share: name, quotaGiB: wanted } = scope.spec.storage;
    needed(await findAccount(scope), `the storage account ${account}`);
    const shares = scope.clients.storage().fileShares;
    const found = await orAbsent(shares.get(group, account, name, { expand: 'stats' }));
    const common = { resource: 'azure/file-share' } as const;
    if (!found) {
      return [
        {
          ...common,
          id: 'file-share-missing',
          severity: 'error',
          what: `The file share ${name} does not exist.`,
          evidence: `Azure answers 404 for it in the storage account ${account}.`,
          breaks: `${breaksMount} Uploads so far are gone unless the share is restored.`,
          remedy: `Restore it before an empty one is made: az storage share-rm restore -g ${group} --storage-account ${account} -n ${name} --deleted-version <version>, listed by az storage share-rm list --include-deleted`,
          repair: repairOf(scope),
        },
      ];
    }
    if (found.enabledProtocols !== undefined && found.enabledProtocols !== 'SMB') {
      return [
        {
          ...common,
          id: 'file-share-protocol',
          severity: 'error',
          what: `The file share ${name} does not speak SMB.`,
          evidence: `properties.enabledProtocols is ${found.enabledProtocols}.`,
          breaks: breaksMount,
          remedy: 'The protocol of a share cannot be changed: make another share and copy the files.',
        },
      ];
    }
    const findings: CheckFinding[] = [];
    const quota = found.shareQuota ?? wanted;
    const part = (found.shareUsageBytes ?? 0) / (quota * GIB);
    const isFull = isAbove(part, FULL, scope.foundBefore?.get(SHARE_FULL)?.severity === 'error');
    if (isFull || isAbove(part, NEARLY_FULL, scope.foundBefore?.has(SHARE_FULL))) {
      findings.push({
        ...common,
        id: SHARE_FULL,
        severity: isFull ? 'error' : 'warning',
        what: `The file share ${name} is ${isFull ? 'full, or as good as' : 'nearly full'}.`,
        evidence: `More than ${(isFull ? FULL : NEARLY_FULL).until * 100} % of its ${quota} GiB are in use (shareUsageBytes).`,
        breaks: isFull
          ? 'Uploads fail: no space left on device.'
          : 'Nothing yet; uploads fail once it is full.',
        remedy: 'Raise storage.quotaGiB in the spec, or remove uploads that nobody needs.',
      });
    }
    if (quota < wanted) {
      findings.push({
        ...common,
        id: 'file-share-too-small',
        severity: 'warning',
        what: `The file share ${name} is smaller than asked for.`,
        evidence: `properties.shareQuota is ${quota}, not ${wanted}.`,
        breaks: 'Nothing until it is full.',
        remedy: `az storage share-rm update -g ${group} --storage-account ${account} -n ${name} --quota ${wanted}`,
        repair: repairOf(scope),
      });
    }
    return findings;
  },
};

const isAbove = (part: number, { from, until }: typeof FULL, wasAbove = false): boolean =>
  part > (wasAbove ? until : from);

/** The two keys and the vault's are compared here and go nowhere. */
export const storedKey: Check = {
  id: 'storage-key-in-vault',
  system: 'storage',
  title: "The account key in the vault is one of the account's",

  async run(scope) {
    const { storageAccount: name } = scope.names;
    const { url } = await neededVault(scope);
    needed(await findAccount(scope), `the storage account ${name}`);
    const stored = needed(await readAccountKey(scope, url), 'the vault secret storage-account-key');
    if (keyOf(await keysOf(scope, name), stored.value)) return [];
    return [
      {
        id: 'storage-key-outdated',
        resource: 'azure/storage-credentials',
        severity: 'error',
        what: `The key in the vault is none of the two keys of the storage account ${name}.`,
        evidence: 'The vault secret storage-account-key equals neither key1 nor key2.',
        breaks: `${breaksMount} The mount fails with error(13): Permission denied.`,
        remedy: `Somebody has regenerated the key: az keyvault secret set --vault-name ${scope.names.vault} -n storage-account-key with a key from az storage account keys list -n ${name}`,
        repair: repairOf(scope),
      },
    ];
  },
};

const breaksName = `${breaksMount} The account's name leads to its public address, which is closed: mount error(115): Operation now in progress.`;

export const storageZone = zoneCheck({
  id: 'storage-zone',
  system: 'storage',
  title: 'The DNS zone of the file share is there and linked to the network',
  zone: ({ names }: Pick<CheckScope, 'names'>) => names.fileZone,
  breaks: breaksName,
});

export const storageEndpointCheck = endpointCheck({
  id: 'storage-endpoint',
  system: 'storage',
  title: 'The private endpoint of the storage account is approved, and its name leads to it',
  resource: 'azure/storage-endpoint',
  parts: ({ names }) => ({
    endpoint: names.storageEndpoint,
    zone: names.fileZone,
    target: names.storageAccount,
  }),
  breaks: breaksName,
});

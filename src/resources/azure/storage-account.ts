import { orAbsent } from '../../clients/cloud-failure.ts';
import {
  bodyDifferences,
  isRemovable,
  judge,
  missing,
  refuseToReplace,
  submitFor,
  withOurTags,
} from '../kinds/arm-resource.ts';
import { defineResource, type Scope } from '../scope.ts';
import { resourceGroup } from './resource-group.ts';

const key = 'azure/storage-account';

/** Nodes mount the share over SMB with the account's key, so shared keys stay on. */
const settings = ({ spec }: Pick<Scope, 'spec'>) => ({
  sku: { name: spec.storage.sku },
  minimumTlsVersion: 'TLS1_2',
  allowBlobPublicAccess: false,
  allowSharedKeyAccess: true,
  enableHttpsTrafficOnly: true,
  publicNetworkAccess: 'Disabled',
});

export const storageAccount = defineResource<
  { readonly group: typeof resourceGroup },
  { readonly id: string; readonly name: string }
>({
  key,
  title: 'Storage account',
  dependsOn: { group: resourceGroup },

  async observe(scope) {
    const { resourceGroup: group, storageAccount: name } = scope.names;
    const found = await orAbsent(scope.clients.storage().storageAccounts.getProperties(group, name));
    if (!found) return missing(scope, key, 5);
    return judge(scope, {
      key,
      what: `the storage account ${name}`,
      tags: { found: found.tags },
      provisioningState: found.provisioningState,
      retryAfterSeconds: 5,
      outputs: found.id ? { id: found.id, name } : undefined,
      differences: bodyDifferences(
        { location: scope.spec.location, kind: 'StorageV2', ...settings(scope) },
        // Absent means the default, which for shared keys is yes.
        { ...found, allowSharedKeyAccess: found.allowSharedKeyAccess ?? true },
      ),
    });
  },

  async ensure(scope, _deps, seen) {
    const { resourceGroup: group, storageAccount: name } = scope.names;
    refuseToReplace(`the storage account ${name}`, seen, ['location', 'kind']);
    const { storageAccounts } = scope.clients.storage();
    const found = await orAbsent(storageAccounts.getProperties(group, name));
    const tags = withOurTags(scope.names, found?.tags);
    if (found && seen.state === 'drifted') {
      await storageAccounts.update(group, name, { tags, ...settings(scope) });
      return;
    }
    const body = { location: scope.spec.location, kind: 'StorageV2', tags, ...settings(scope) };
    await submitFor(scope, key, storageAccounts.create(group, name, body));
  },

  async remove(scope, _deps, seen) {
    const { resourceGroup: group, storageAccount: name } = scope.names;
    if (isRemovable(seen)) await orAbsent(scope.clients.storage().storageAccounts.delete(group, name));
  },
});

import { orAbsent } from '../../clients/cloud-failure.ts';
import { differences } from '../../graph/differences.ts';
import { isRemovable, refuseToReplace } from '../kinds/arm-resource.ts';
import { defineResource } from '../scope.ts';
import { storageAccount } from './storage-account.ts';

/** Made and looked at through ARM only: the account's own address is closed to everybody outside the network. */
export const fileShare = defineResource<
  { readonly account: typeof storageAccount },
  { readonly name: string; readonly account: string }
>({
  key: 'azure/file-share',
  title: 'File share',
  dependsOn: { account: storageAccount },

  async observe(scope, deps) {
    const { share: name, quotaGiB } = scope.spec.storage;
    const shares = scope.clients.storage().fileShares;
    const found = await orAbsent(shares.get(scope.names.resourceGroup, deps.account.name, name));
    if (!found) return { state: 'absent' };
    const outputs = { name, account: deps.account.name };
    const wrong = differences(
      { shareQuota: quotaGiB, enabledProtocols: 'SMB' },
      { enabledProtocols: 'SMB', ...found },
    );
    return wrong.length > 0 ? { state: 'drifted', outputs, differences: wrong } : { state: 'ready', outputs };
  },

  async ensure(scope, deps, seen) {
    const { share: name, quotaGiB } = scope.spec.storage;
    const group = scope.names.resourceGroup;
    const shares = scope.clients.storage().fileShares;
    refuseToReplace(`the file share ${name}`, seen, ['enabledProtocols']);
    if (seen.state === 'drifted') {
      await shares.update(group, deps.account.name, name, { shareQuota: quotaGiB });
      return;
    }
    await shares.create(group, deps.account.name, name, { shareQuota: quotaGiB, enabledProtocols: 'SMB' });
  },

  async remove(scope, deps, seen) {
    if (!isRemovable(seen) || !deps.account) return;
    const shares = scope.clients.storage().fileShares;
    await orAbsent(shares.delete(scope.names.resourceGroup, deps.account.name, scope.spec.storage.share));
  },
});

/**
 * The account's name and one of its two keys, as vault secrets for the file share's driver. Either key is right: who
 * rotates one writes the other here first, so only a key that is neither has gone bad.
 */
import { fatal } from '../../graph/failure.ts';
import type { Difference } from '../../graph/resource.ts';
import {
  findSecret,
  putSecret,
  referenceTo,
  removeSecret,
  secretDifferences,
} from '../kinds/vault-secret.ts';
import { defineResource, type Scope, type SecretReference } from '../scope.ts';
import { storageAccount } from './storage-account.ts';
import { vaultRoles } from './vault-roles.ts';

const ACCOUNT_NAME = 'storage-account-name';
const ACCOUNT_KEY = 'storage-account-key';
const contentType = 'text/plain';

async function keysOf(scope: Scope, account: string): Promise<readonly string[]> {
  const { keys } = await scope.clients.storage().storageAccounts.listKeys(scope.names.resourceGroup, account);
  const values = (keys ?? []).flatMap(({ value }) => (value ? [value] : []));
  if (values.length === 0) {
    throw fatal('NoAccountKeys', `the storage account ${account} has no keys: are shared keys switched off?`);
  }
  return values;
}

/** The key to keep: the stored one while it works, else the first. */
export const keyToKeep = (keys: readonly string[], stored: string | undefined): string | undefined =>
  stored !== undefined && keys.includes(stored) ? stored : keys[0];

export const storageCredentials = defineResource<
  { readonly vault: typeof vaultRoles; readonly account: typeof storageAccount },
  { readonly accountName: SecretReference; readonly accountKey: SecretReference }
>({
  key: 'azure/storage-credentials',
  title: 'Storage credentials',
  dependsOn: { vault: vaultRoles, account: storageAccount },

  async observe(scope, { vault: { vaultUrl }, account }) {
    const [name, key] = await Promise.all([
      findSecret(scope, vaultUrl, ACCOUNT_NAME),
      findSecret(scope, vaultUrl, ACCOUNT_KEY),
    ]);
    if (!name || !key) return { state: 'absent' };
    const outputs = { accountName: referenceTo(vaultUrl, name), accountKey: referenceTo(vaultUrl, key) };
    const value = keyToKeep(await keysOf(scope, account.name), key.value);
    const differences: Difference[] = [
      ...secretDifferences(scope, name, { name: ACCOUNT_NAME, contentType, value: account.name }),
      ...secretDifferences(scope, key, { name: ACCOUNT_KEY, contentType, ...(value ? { value } : {}) }),
    ];
    return differences.length > 0 ? { state: 'drifted', outputs, differences } : { state: 'ready', outputs };
  },

  async ensure(scope, { vault: { vaultUrl }, account }) {
    const [name, key] = await Promise.all([
      findSecret(scope, vaultUrl, ACCOUNT_NAME),
      findSecret(scope, vaultUrl, ACCOUNT_KEY),
    ]);
    const nameWish = { name: ACCOUNT_NAME, contentType, value: account.name };
    const value = keyToKeep(await keysOf(scope, account.name), key?.value) ?? '';
    const keyWish = { name: ACCOUNT_KEY, contentType, value };
    if (!name || secretDifferences(scope, name, nameWish).length > 0) {
      await putSecret(scope, vaultUrl, nameWish);
    }
    if (!key || secretDifferences(scope, key, keyWish).length > 0) await putSecret(scope, vaultUrl, keyWish);
  },

  async remove(scope, { vault }) {
    if (!vault) return;
    await removeSecret(scope, vault.vaultUrl, ACCOUNT_NAME);
    await removeSecret(scope, vault.vaultUrl, ACCOUNT_KEY);
  },
});

/**
 * The end of a rotation of the storage account's key: the key that was in use before is made invalid, once all pods of
 * Open WebUI have the share mounted with its successor and none has the volume of the old one left. Regenerating is not
 * repeatable by itself, so the key's own age decides: one that is younger than the vault's version is not touched again.
 */
import type { KubernetesApi } from '../../clients/kubernetes-api.ts';
import { connect } from '../kinds/kubernetes-object.ts';
import { dataVolume, usersOfVolume, volumeOf } from '../kubernetes/data-volume.ts';
import { openWebui } from '../kubernetes/open-webui.ts';
import { removeShareProof } from '../kubernetes/share-write.ts';
import { defineResource, type Scope } from '../scope.ts';
import {
  type AccountKey,
  keysOf,
  readAccountKey,
  retiredKey,
  storageCredentials,
} from './storage-credentials.ts';

const LOOK_AGAIN_SECONDS = 10;

async function findRetired(
  scope: Scope,
  credentials: { readonly accountKey: { readonly vaultUrl: string; readonly version: string } },
): Promise<AccountKey | undefined> {
  const found = await readAccountKey(scope, credentials.accountKey.vaultUrl);
  // A newer version than the pods have been rolled out with: its own rotation is still to come.
  if (!found || found.properties.version !== credentials.accountKey.version) return undefined;
  return retiredKey(await keysOf(scope, scope.names.storageAccount), found);
}

export const retiredStorageKey = defineResource<
  {
    readonly credentials: typeof storageCredentials;
    readonly dataVolume: typeof dataVolume;
    readonly openWebui: typeof openWebui;
  },
  Record<string, never>
>({
  key: 'azure/retired-storage-key',
  title: 'Retired storage key',
  dependsOn: { credentials: storageCredentials, dataVolume, openWebui },

  async observe(scope, { credentials }) {
    const retired = await findRetired(scope, credentials);
    if (!retired) return { state: 'ready', outputs: {} };
    const users = await usersOf(scope, await connect(scope), retired);
    if (users.length > 0) {
      return {
        state: 'changing',
        reason: `${users[0]} still has the share mounted with ${retired.name}`,
        retryAfterSeconds: LOOK_AGAIN_SECONDS,
      };
    }
    const found = retired.createdAt.toISOString();
    return {
      state: 'drifted',
      outputs: {},
      differences: [{ path: `keys.${retired.name}.creationTime`, wanted: 'after it was replaced', found }],
    };
  },

  async ensure(scope, { credentials }) {
    const retired = await findRetired(scope, credentials);
    if (!retired || (await usersOf(scope, await connect(scope), retired)).length > 0) return;
    // What proved the new key has done its work.
    await removeShareProof(scope);
    const { resourceGroup, storageAccount } = scope.names;
    const { storageAccounts } = scope.clients.storage();
    await storageAccounts.regenerateKey(resourceGroup, storageAccount, { keyName: retired.name });
  },

  /** There is nothing of it that would be left: the account goes with its keys. */
  async remove() {},
});

const usersOf = async (
  scope: Scope,
  api: KubernetesApi | undefined,
  { name }: AccountKey,
): Promise<readonly string[]> => (api ? usersOfVolume(api, scope.names.namespace, volumeOf(name)) : []);

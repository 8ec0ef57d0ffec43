/**
 * The key vault. Deleting one only hides it: it stays soft-deleted for its retention time and keeps its name reserved
 * across Azure, so making it again means recovering it (createMode `recover`; `default` is refused then). Both the
 * retention time and purge protection are for good once chosen.
 */
import { orAbsent } from '../../clients/cloud-failure.ts';
import { fatal } from '../../graph/failure.ts';
import {
  bodyDifferences,
  isOurs,
  isRemovable,
  judge,
  missing,
  refuseToReplace,
  submitFor,
  withOurTags,
} from '../kinds/arm-resource.ts';
import { defineResource, type Scope } from '../scope.ts';
import { resourceGroup } from './resource-group.ts';

const key = 'azure/key-vault';

const wantedProperties = ({ spec }: Pick<Scope, 'spec'>) => ({
  tenantId: spec.tenantId,
  sku: { family: 'A' as const, name: 'standard' as const },
  /** Azure's default is access policies. */
  enableRbacAuthorization: true,
  enableSoftDelete: true,
  softDeleteRetentionInDays: spec.vault.softDeleteRetentionDays,
  publicNetworkAccess: spec.vault.publicNetworkAccess ? 'Enabled' : 'Disabled',
  // Sending `false` is refused, and a vault that has it keeps it.
  ...(spec.vault.purgeProtection ? { enablePurgeProtection: true } : {}),
});

export const keyVault = defineResource<
  { readonly group: typeof resourceGroup },
  { readonly id: string; readonly name: string; readonly url: string }
>({
  key,
  title: 'Key vault',
  dependsOn: { group: resourceGroup },

  async observe(scope) {
    const { resourceGroup: group, vault: name } = scope.names;
    const found = await orAbsent(scope.clients.vaults().vaults.get(group, name));
    if (!found) return missing(scope, key, 5);
    const { id } = found;
    const url = found.properties.vaultUri;
    return judge(scope, {
      key,
      what: `the key vault ${name}`,
      tags: { found: found.tags },
      provisioningState: found.properties.provisioningState,
      retryAfterSeconds: 5,
      outputs: id && url ? { id, name, url } : undefined,
      differences: bodyDifferences(
        { location: scope.spec.location, properties: wantedProperties(scope) },
        { location: found.location, properties: { publicNetworkAccess: 'Enabled', ...found.properties } },
      ),
    });
  },

  async ensure(scope, _deps, seen) {
    const { resourceGroup: group, vault: name } = scope.names;
    refuseToReplace(`the key vault ${name}`, seen, [
      'location',
      'properties.tenantId',
      'properties.softDeleteRetentionInDays',
    ]);
    const { vaults } = scope.clients.vaults();
    const found = await orAbsent(vaults.get(group, name));
    if (found) {
      const { enableRbacAuthorization, publicNetworkAccess, enablePurgeProtection, enableSoftDelete } =
        wantedProperties(scope);
      await vaults.update(group, name, {
        tags: withOurTags(scope.names, found.tags),
        properties: {
          enableRbacAuthorization,
          publicNetworkAccess,
          enableSoftDelete,
          ...(enablePurgeProtection ? { enablePurgeProtection } : {}),
        },
      });
      return;
    }
    const isRecovery = await mayRecover(scope);
    await submitFor(
      scope,
      key,
      vaults.createOrUpdate(group, name, {
        location: scope.spec.location,
        tags: withOurTags(scope.names, undefined),
        properties: {
          ...wantedProperties(scope),
          accessPolicies: [],
          createMode: isRecovery ? 'recover' : 'default',
        },
      }),
    );
  },

  async remove(scope, _deps, seen) {
    const { resourceGroup: group, vault: name } = scope.names;
    if (isRemovable(seen)) await orAbsent(scope.clients.vaults().vaults.delete(group, name));
  },
});

/** Whether a deleted vault of ours waits under this name; throws when it is somebody else's. */
async function mayRecover(scope: Scope): Promise<boolean> {
  const { resourceGroup: group, vault: name } = scope.names;
  const deleted = await orAbsent(scope.clients.vaults().vaults.getDeleted(name, scope.spec.location));
  if (!deleted) return false;
  const isHere = deleted.properties?.vaultId
    ?.toLowerCase()
    .includes(`/resourcegroups/${group.toLowerCase()}/`);
  if (isHere && isOurs(deleted.properties?.tags, scope.names)) return true;
  throw fatal(
    'DeletedVaultIsForeign',
    `a deleted key vault named ${name} that does not belong to this deployment still reserves the name: purge it, or set vault.name to another`,
  );
}

/**
 * Who may read and write the vault's secrets: the cluster's identity and the control plane itself. ARM says yes long
 * before the vault does (up to ten minutes), so this is ready only once the vault has answered a call of ours. Roles are
 * not part of access tokens: the vault looks them up itself, and the token at hand is as good as a new one.
 */
import { hasCode } from '../../clients/cloud-failure.ts';
import type { Difference } from '../../graph/resource.ts';
import { addGrant, findGrant, type Grant, removeGrant } from '../kinds/role-assignment.ts';
import { defineResource, type Scope } from '../scope.ts';
import { identity } from './identity.ts';
import { keyVault } from './key-vault.ts';

const LOOK_AGAIN_SECONDS = 15;

/** The cluster's identity's, then the control plane's own. */
export const vaultGrants = async (
  scope: Pick<Scope, 'clients' | 'spec'>,
  vaultId: string,
  identityPrincipalId: string,
): Promise<readonly [Grant, Grant]> => [
  {
    role: scope.spec.identity.vaultRole,
    scope: vaultId,
    principalId: identityPrincipalId,
    principalType: 'ServicePrincipal',
  },
  { role: 'Key Vault Secrets Officer', scope: vaultId, principalId: await scope.clients.ownPrincipalId() },
];

export const vaultRoles = defineResource<
  { readonly vault: typeof keyVault; readonly identity: typeof identity },
  { readonly vaultUrl: string }
>({
  key: 'azure/vault-roles',
  title: 'Roles on the key vault',
  dependsOn: { vault: keyVault, identity },

  async observe(scope, deps) {
    const outputs = { vaultUrl: deps.vault.url };
    const wanted = await vaultGrants(scope, deps.vault.id, deps.identity.principalId);
    const found = await Promise.all(wanted.map((grant) => findGrant(scope, grant)));
    if (found.every((assignment) => !assignment)) return { state: 'absent' };
    const differences: Difference[] = wanted
      .filter((_, index) => !found[index])
      .map(({ role, principalId }) => ({
        path: `roleAssignments.${principalId}`,
        wanted: role,
        found: null,
      }));
    if (differences.length > 0) return { state: 'drifted', outputs, differences };
    try {
      await scope.clients.secrets(deps.vault.url).listPropertiesOfSecrets().byPage({ maxPageSize: 1 }).next();
    } catch (error) {
      if (!hasCode(error, 'ForbiddenByRbac')) throw error;
      return {
        state: 'changing',
        reason: 'the role of the control plane has not reached the vault yet',
        retryAfterSeconds: LOOK_AGAIN_SECONDS,
      };
    }
    return { state: 'ready', outputs };
  },

  async ensure(scope, deps) {
    for (const grant of await vaultGrants(scope, deps.vault.id, deps.identity.principalId)) {
      if (!(await findGrant(scope, grant))) await addGrant(scope, grant);
    }
  },

  async remove(scope, deps) {
    if (!deps.vault || !deps.identity) return;
    for (const grant of await vaultGrants(scope, deps.vault.id, deps.identity.principalId))
      await removeGrant(scope, grant);
  },
});

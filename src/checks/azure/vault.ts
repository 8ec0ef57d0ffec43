import { orAbsent, toFailure } from '../../clients/cloud-failure.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { findVault, listSecrets } from './parts.ts';

const resource = 'azure/key-vault' as const;
const breaks =
  'Pods that run keep the secrets they have; no secret is renewed, and External Secrets and the control plane read none.';

/** Refusals of the vault's network rules. They look the same to everybody outside, so they are findings. */
const closed = ['ForbiddenByFirewall', 'ForbiddenByConnection'];

export const vaultExists: Check = {
  id: 'vault-reachable',
  system: 'vault',
  title: 'The vault exists, is open as asked, and answers',

  async run(scope) {
    const { vault: name } = scope.names;
    const found = await findVault(scope);
    if (!found) return [await missing(scope)];
    const findings: CheckFinding[] = [];
    const wanted = scope.spec.vault.publicNetworkAccess ? 'Enabled' : 'Disabled';
    const access = found.properties.publicNetworkAccess ?? 'Enabled';
    if (access.toLowerCase() !== wanted.toLowerCase()) {
      findings.push({
        id: 'vault-public-access',
        resource,
        severity: wanted === 'Enabled' ? 'error' : 'warning',
        what:
          wanted === 'Enabled'
            ? `The vault ${name} is closed to public networks.`
            : `The vault ${name} is open to public networks.`,
        evidence: `properties.publicNetworkAccess is ${access}; the spec asks for ${wanted}.`,
        breaks: wanted === 'Enabled' ? breaks : 'Nothing; anybody may try to sign in to it.',
        remedy: `az keyvault update -n ${name} --public-network-access ${wanted}; or set vault.publicNetworkAccess if this is meant`,
        repair: repairOf(scope),
      });
    }
    if (found.properties.enableRbacAuthorization !== true) {
      findings.push({
        id: 'vault-ignores-roles',
        resource,
        severity: 'error',
        what: `The vault ${name} goes by access policies, not by roles.`,
        evidence: 'properties.enableRbacAuthorization is not true.',
        breaks,
        remedy: `az keyvault update -n ${name} --enable-rbac-authorization true`,
        repair: repairOf(scope),
      });
    }
    if (findings.length > 0) return findings;
    const refusal = await refusalOf(scope, found.properties.vaultUri ?? '');
    return refusal === undefined
      ? []
      : [
          {
            id: 'vault-closed',
            resource,
            severity: 'error',
            what: `The vault ${name} does not let the control plane in from where it is.`,
            evidence: `The vault answers ${refusal}.`,
            breaks,
            remedy: `Let the control plane in: az keyvault network-rule list -n ${name}, or give it a private endpoint of the vault`,
          },
        ];
  },
};

/** Only refusals of the network count: whether roles work is looked at elsewhere. */
async function refusalOf(scope: CheckScope, url: string): Promise<string | undefined> {
  try {
    await listSecrets(scope, url);
    return undefined;
  } catch (error) {
    const { code } = toFailure(error);
    if (closed.includes(code)) return code;
    throw error;
  }
}

async function missing(scope: CheckScope): Promise<CheckFinding> {
  const { vault: name, resourceGroup } = scope.names;
  const deleted = await orAbsent(scope.clients.vaults().vaults.getDeleted(name, scope.spec.location));
  return {
    id: deleted ? 'vault-soft-deleted' : 'vault-missing',
    resource,
    severity: 'error',
    what: deleted
      ? `Somebody has deleted the vault ${name}; it can be recovered.`
      : `The vault ${name} does not exist.`,
    evidence: `Azure answers 404 for it in the resource group ${resourceGroup}${deleted ? ', and lists it among the deleted vaults' : ''}.`,
    breaks,
    remedy: deleted
      ? `az keyvault recover -n ${name}; then give the roles on it again`
      : 'Have it made anew. All secrets in it are new then; everybody has to sign in again.',
    repair: repairOf(scope),
  };
}

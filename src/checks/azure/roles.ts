/**
 * Who may do what: the identity and the control plane on the vault, nodes on the registry, the cluster on its subnet.
 * The roles themselves are looked up in ARM; whether the control plane's own works is tried with a call, since services
 * look roles up themselves and tokens carry none.
 */
import { hasCode, orAbsent } from '../../clients/cloud-failure.ts';
import type { ResourceKey } from '../../graph/resource.ts';
import { vaultGrants } from '../../resources/azure/vault-roles.ts';
import { findGrant, type Grant } from '../../resources/kinds/role-assignment.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { needed, repairOf } from '../repair.ts';
import { idIn, listSecrets, neededCluster, neededIdentity, neededVault, told } from './parts.ts';

const missingRole = (
  scope: CheckScope,
  grant: Grant,
  words: {
    readonly id: string;
    readonly resource: ResourceKey;
    readonly who: string;
    readonly breaks: string;
  },
): CheckFinding => ({
  id: words.id,
  resource: words.resource,
  severity: 'error',
  what: `${words.who} lacks the role "${grant.role}".`,
  evidence: `No such role assignment for the principal ${grant.principalId} on ${grant.scope}.`,
  breaks: words.breaks,
  remedy: `az role assignment create --role "${grant.role}" --assignee-object-id ${grant.principalId} --assignee-principal-type ServicePrincipal --scope ${grant.scope}; it takes up to ten minutes to work`,
  repair: repairOf(scope),
});

export const rolesOnVault: Check = {
  id: 'roles-on-vault',
  system: 'roles',
  title: 'The identity and the control plane have their roles on the vault, and they work',

  async run(scope) {
    const [vault, identity] = [await neededVault(scope), await neededIdentity(scope)];
    const principalId = told(identity.principalId, 'principal of the identity');
    const [ofIdentity, own] = await vaultGrants(scope, vault.id, principalId);
    const findings: CheckFinding[] = [];
    if (!(await findGrant(scope, ofIdentity))) {
      findings.push(
        missingRole(scope, ofIdentity, {
          id: 'identity-role-missing',
          resource: 'azure/vault-roles',
          who: `On the vault, the identity ${scope.names.identity}`,
          breaks:
            'External Secrets cannot read the vault: rotated secrets do not arrive, and a new cluster gets none.',
        }),
      );
    }
    if (!(await findGrant(scope, own))) {
      findings.push(
        missingRole(scope, own, {
          id: 'control-plane-role-missing',
          resource: 'azure/vault-roles',
          who: 'On the vault, the control plane',
          breaks: 'Nothing for users at once; secrets are neither checked nor rotated, and will expire.',
        }),
      );
    } else {
      const refused = await isRefused(scope, vault.url);
      if (refused) findings.push(notInEffect);
    }
    return findings;
  },
};

async function isRefused(scope: CheckScope, vaultUrl: string): Promise<boolean> {
  try {
    await listSecrets(scope, vaultUrl);
    return false;
  } catch (error) {
    if (hasCode(error, 'ForbiddenByRbac')) return true;
    throw error;
  }
}

const notInEffect: CheckFinding = {
  id: 'control-plane-role-not-in-effect',
  resource: 'azure/vault-roles',
  severity: 'warning',
  what: 'The control plane has its role on the vault, but the vault does not let it in.',
  evidence: 'The vault answers ForbiddenByRbac, although the role assignment is there.',
  breaks: 'Nothing for users at once; secrets are neither checked nor rotated, and will expire.',
  remedy:
    'A new role takes up to ten minutes to work. After that look for a deny assignment on the vault, and whether its permission model is Azure RBAC (enableRbacAuthorization).',
};

export const nodesPullImages: Check = {
  id: 'nodes-may-pull-images',
  system: 'roles',
  title: 'The registry exists and the nodes may pull from it',

  async run(scope) {
    const { resourceGroup, registry: name } = scope.names;
    const registry = await orAbsent(scope.clients.registries().registries.get(resourceGroup, name));
    if (!registry) {
      return [
        {
          id: 'registry-missing',
          resource: 'azure/registry',
          severity: 'error',
          what: `The container registry ${name} does not exist.`,
          evidence: `Azure answers 404 for it in the resource group ${resourceGroup}.`,
          breaks: 'Pods that run go on; none can be started on a node that has not pulled its image yet.',
          remedy: 'Have it made anew; the images are imported into it again.',
          repair: repairOf(scope),
        },
      ];
    }
    const cluster = await neededCluster(scope);
    const grant: Grant = {
      role: 'AcrPull',
      scope: told(registry.id, 'id of the registry'),
      principalId: told(
        cluster.identityProfile?.['kubeletidentity']?.objectId,
        "principal of the cluster's nodes",
      ),
    };
    if (await findGrant(scope, grant)) return [];
    return [
      missingRole(scope, grant, {
        id: 'pull-role-missing',
        resource: 'azure/registry-pull',
        who: `On the registry ${name}, the identity of the nodes (kubelet)`,
        breaks:
          'New pods fail with ImagePullBackOff (401 Unauthorized) wherever the image is not on the node yet.',
      }),
    ];
  },
};

export const clusterJoinsSubnet: Check = {
  id: 'cluster-may-use-subnet',
  system: 'roles',
  title: 'The cluster may use its subnet',

  async run(scope) {
    const { vnet, subnets } = scope.spec.network;
    const { resourceGroup } = scope.names;
    needed(
      await orAbsent(scope.clients.network().virtualNetworks.get(resourceGroup, vnet)),
      `the virtual network ${vnet}`,
    );
    const cluster = await neededCluster(scope);
    const grant: Grant = {
      role: 'Network Contributor',
      scope: idIn(scope, `Microsoft.Network/virtualNetworks/${vnet}/subnets/${subnets.aks.name}`),
      principalId: told(cluster.identity?.principalId, 'principal of the cluster'),
    };
    if (await findGrant(scope, grant)) return [];
    return [
      missingRole(scope, grant, {
        id: 'subnet-role-missing',
        resource: 'azure/cluster-subnet-role',
        who: `On the subnet ${subnets.aks.name}, the cluster's identity`,
        breaks: 'Nothing at once; the cluster can neither add nodes nor make load balancers.',
      }),
    ];
  },
};

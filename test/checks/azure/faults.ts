/** What can go wrong with the cluster, its nodes and roles. */
import type { Grant } from '../../../src/resources/kinds/role-assignment.ts';
import { roles } from '../../../src/resources/kinds/role-assignment.ts';
import type { BrokenClouds, Fault } from '../broken-clouds.ts';
import { vaultOf } from './vault-faults.ts';

const target = ({ azure }: BrokenClouds) => {
  const { names } = azure.scope();
  return { group: names.resourceGroup, ...names };
};

const clusterOf = (clouds: BrokenClouds) => {
  const { group, cluster } = target(clouds);
  return clouds.azure.operator.clusters().managedClusters.get(group, cluster);
};

/** Takes away whatever gives this role on exactly this scope. */
async function takeRole(
  { azure }: BrokenClouds,
  role: Grant['role'],
  scope: string,
  principalId: string | undefined,
) {
  const { roleAssignments } = azure.operator.authorization();
  for await (const one of roleAssignments.listForScope(scope.replace(/^\//, ''), { filter: 'atScope()' })) {
    const isIt = one.roleDefinitionId?.endsWith(roles[role]) && one.principalId === principalId;
    if (isIt && one.id) await roleAssignments.deleteById(one.id.replace(/^\//, ''));
  }
}

const identityOf = (clouds: BrokenClouds) => {
  const { group, identity } = target(clouds);
  return clouds.azure.operator.identities().userAssignedIdentities.get(group, identity);
};

const putPool = async (clouds: BrokenClouds, count: number): Promise<void> => {
  const { group, cluster } = target(clouds);
  const { agentPools } = clouds.azure.operator.clusters();
  const found = await agentPools.get(group, cluster, 'system');
  const pool = {
    count,
    vmSize: 'Standard_D4s_v5',
    mode: 'User',
    typePropertiesType: 'VirtualMachineScaleSets',
    vnetSubnetID: found.vnetSubnetID ?? '',
  };
  await clouds.azure.finish(agentPools.createOrUpdate(group, cluster, 'extra', pool));
};

const dropPool = async (clouds: BrokenClouds) => {
  const { group, cluster } = target(clouds);
  await clouds.azure.finish(clouds.azure.operator.clusters().agentPools.delete(group, cluster, 'extra'));
};

const failNext = ({ azure }: BrokenClouds, path: string): void =>
  azure.cloud.world.faults.replace([
    {
      id: 'fails',
      method: 'PUT',
      path,
      times: 1,
      fault: { kind: 'operation-fails', code: 'QuotaExceeded', message: 'Too few cores.' },
    },
  ]);

/** Waits for the end of an operation that is to fail. */
const ended = (clouds: BrokenClouds, operation: Parameters<BrokenClouds['azure']['finish']>[0]) =>
  clouds.azure.finish(operation).catch(() => undefined);

export const azureFaults: readonly Fault[] = [
  {
    what: 'Somebody has stopped the cluster',
    finding: 'azure/cluster cluster-stopped',
    break: (clouds) => {
      const { group, cluster } = target(clouds);
      return clouds.azure.finish(clouds.azure.operator.clusters().managedClusters.stop(group, cluster));
    },
    mend: (clouds) => {
      const { group, cluster } = target(clouds);
      return clouds.azure.finish(clouds.azure.operator.clusters().managedClusters.start(group, cluster));
    },
  },
  {
    what: 'A change of the cluster has failed',
    finding: 'azure/cluster cluster-failed',
    evidence: /QuotaExceeded: Too few cores/,
    break: async (clouds) => {
      const { group, cluster } = target(clouds);
      const found = await clusterOf(clouds);
      failNext(clouds, '/managedClusters/');
      const { managedClusters } = clouds.azure.operator.clusters();
      await ended(
        clouds,
        managedClusters.createOrUpdate(group, cluster, {
          ...found,
          dnsPrefix: found.dnsPrefix ?? '',
          sku: { name: 'Base', tier: 'Standard' },
        }),
      );
    },
    mend: (clouds) => clouds.repair('azure/cluster'),
  },
  {
    what: 'A change of a node pool has failed',
    finding: 'azure/cluster node-pool-extra-failed',
    break: async (clouds) => {
      failNext(clouds, '/agentPools/');
      await putPool(clouds, 1).catch(() => undefined);
    },
    mend: dropPool,
  },
  {
    what: 'A node pool has been scaled to nothing',
    finding: 'azure/cluster node-pool-extra-empty',
    break: (clouds) => putPool(clouds, 0),
    mend: dropPool,
  },
  {
    what: 'A node pool was added, whose nodes lack the identity',
    finding: 'azure/node-identity identity-not-on-scale-sets',
    break: (clouds) => putPool(clouds, 1),
    mend: async (clouds) => {
      await clouds.repair('azure/node-identity');
      await dropPool(clouds);
    },
  },
  {
    what: 'Somebody has taken the identity off a scale set',
    finding: 'azure/node-identity identity-not-on-scale-sets',
    break: async (clouds) => {
      const { nodeResourceGroup = '' } = await clusterOf(clouds);
      const { id = '' } = await identityOf(clouds);
      const sets = clouds.azure.operator.compute().virtualMachineScaleSets;
      for await (const { name = '' } of sets.list(nodeResourceGroup)) {
        const identity = { type: 'UserAssigned', userAssignedIdentities: { [id]: null } };
        // The API takes null for "remove", which the SDK's types do not know.
        await clouds.azure.finish(sets.update(nodeResourceGroup, name, { identity: identity as never }));
      }
    },
    mend: (clouds) => clouds.repair('azure/node-identity'),
  },
  {
    what: 'Somebody has locked the node resource group',
    finding: 'azure/node-identity node-resource-group-locked',
    break: (clouds) => setLock(clouds, 'ReadOnly'),
    mend: (clouds) => setLock(clouds, 'Unrestricted'),
  },
  {
    what: 'Somebody has taken the control plane its role on the cluster',
    finding: 'azure/cluster-access control-plane-role-missing',
    break: async (clouds) => {
      const { id = '' } = await clusterOf(clouds);
      const own = await clouds.azure.scope().clients.ownPrincipalId();
      await takeRole(clouds, 'Azure Kubernetes Service RBAC Cluster Admin', id, own);
    },
    mend: (clouds) => clouds.repair('azure/cluster-access'),
  },
  {
    what: 'The API server does not answer',
    finding: 'azure/cluster api-server-silent',
    break: async ({ azure }) =>
      azure.cloud.world.faults.replace([
        { id: 'silent', service: 'kubernetes', fault: { kind: 'cut-before' } },
      ]),
    mend: async ({ azure }) => azure.cloud.world.faults.replace([]),
  },
  {
    what: 'Somebody has deleted the identity',
    finding: 'azure/identity identity-missing',
    break: async (clouds) => {
      const { group, identity } = target(clouds);
      await clouds.azure.operator.identities().userAssignedIdentities.delete(group, identity);
    },
    mend: (clouds) => clouds.repair('azure/identity', 'azure/vault-roles', 'azure/node-identity'),
  },
  {
    what: 'Somebody has taken the identity its role on the vault',
    finding: 'azure/vault-roles identity-role-missing',
    break: async (clouds) => {
      const { principalId } = await identityOf(clouds);
      const { vaultRole } = clouds.azure.scope().spec.identity;
      await takeRole(clouds, vaultRole, (await vaultOf(clouds)).id, principalId);
    },
    mend: (clouds) => clouds.repair('azure/vault-roles'),
  },
  {
    what: 'Somebody has taken the control plane its role on the vault',
    finding: 'azure/vault-roles control-plane-role-missing',
    break: async (clouds) => {
      const own = await clouds.azure.scope().clients.ownPrincipalId();
      await takeRole(clouds, 'Key Vault Secrets Officer', (await vaultOf(clouds)).id, own);
    },
    mend: (clouds) => clouds.repair('azure/vault-roles'),
  },
  {
    what: 'The vault does not go by the role of the control plane',
    finding: 'azure/vault-roles control-plane-role-not-in-effect',
    break: async ({ azure }) =>
      azure.cloud.world.faults.replace([
        { id: 'rbac', service: 'key-vault', fault: { kind: 'answer', status: 403, code: 'ForbiddenByRbac' } },
      ]),
    mend: async ({ azure }) => azure.cloud.world.faults.replace([]),
  },
  {
    what: 'Somebody has taken the nodes their role on the registry',
    finding: 'azure/registry-pull pull-role-missing',
    break: async (clouds) => {
      const { group, registry } = target(clouds);
      const { id = '' } = await clouds.azure.operator.registries().registries.get(group, registry);
      const { identityProfile } = await clusterOf(clouds);
      await takeRole(clouds, 'AcrPull', id, identityProfile?.['kubeletidentity']?.objectId);
    },
    mend: (clouds) => clouds.repair('azure/registry-pull'),
  },
  {
    what: 'Somebody has deleted the registry',
    finding: 'azure/registry registry-missing',
    break: (clouds) => {
      const { group, registry } = target(clouds);
      return clouds.azure.finish(clouds.azure.operator.registries().registries.delete(group, registry));
    },
    mend: (clouds) => clouds.repair('azure/registry-pull'),
  },
  {
    what: 'Somebody has taken the cluster its role on the subnet',
    finding: 'azure/cluster-subnet-role subnet-role-missing',
    break: async (clouds) => {
      const { spec } = clouds.azure.scope();
      const { group } = target(clouds);
      const { id = '' } = await clouds.azure.operator
        .network()
        .subnets.get(group, spec.network.vnet, spec.network.subnets.aks.name);
      await takeRole(clouds, 'Network Contributor', id, (await clusterOf(clouds)).identity?.principalId);
    },
    mend: (clouds) => clouds.repair('azure/cluster-subnet-role'),
  },
];

async function setLock(clouds: BrokenClouds, restrictionLevel: string): Promise<void> {
  const { group, cluster } = target(clouds);
  const found = await clusterOf(clouds);
  await clouds.azure.finish(
    clouds.azure.operator.clusters().managedClusters.createOrUpdate(group, cluster, {
      ...found,
      nodeResourceGroupProfile: { restrictionLevel },
    }),
  );
}

import { at, type Fault, group, type Hands, type Json, settled } from './fault.ts';

const cluster = `${group}/providers/Microsoft.ContainerService/managedClusters/aks-openwebui`;
const version = 'api-version=2025-05-01';
const compute = 'api-version=2024-07-01';
const roles = 'api-version=2022-04-01';
const identity = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/uai-openwebui`;
const vault = `${group}/providers/Microsoft.KeyVault/vaults/kv-openwebui`;
const registry = `${group}/providers/Microsoft.ContainerRegistry/registries/yourorg`;
const subnet = `${group}/providers/Microsoft.Network/virtualNetworks/vnet-aks/subnets/snet-aks`;

/** Role definitions that Azure has in every tenant: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles */
const definitions = {
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d',
  networkContributor: '4d97b98b-1d4f-4787-a291-c67834d212e7',
  secretsOfficer: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7',
  clusterAdmin: 'b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b',
} as const;

/** Takes away whatever gives this role on exactly this scope to those whose principal fits. */
async function takeRole(
  { arm }: Hands,
  role: keyof typeof definitions,
  scope: string,
  isTheirs: (principalId: string) => boolean = () => true,
): Promise<void> {
  const path = `${scope}/providers/Microsoft.Authorization/roleAssignments?${roles}&$filter=atScope()`;
  const all = at(await arm('GET', path), 'value') as {
    id: string;
    properties: { roleDefinitionId: string; principalId: string };
  }[];
  const theirs = all.filter(
    ({ id, properties }) =>
      id.toLowerCase().startsWith(`${scope}/providers/`.toLowerCase()) &&
      properties.roleDefinitionId.endsWith(definitions[role]) &&
      isTheirs(properties.principalId),
  );
  if (theirs.length === 0) throw new Error(`nobody has the role ${role} on ${scope}`);
  for (const { id } of theirs) await arm('DELETE', `${id}?${roles}`);
}

const principalOf = async ({ arm }: Hands): Promise<string> =>
  String(at(await arm('GET', `${identity}?api-version=2023-01-31`), 'properties', 'principalId'));

async function putPool(hands: Hands, count: number): Promise<void> {
  const pool = await hands.arm('GET', `${cluster}/agentPools/system?${version}`);
  const { vmSize, vnetSubnetID } = at(pool, 'properties') as Record<string, string>;
  const properties = { mode: 'User', count, osType: 'Linux', vmSize, vnetSubnetID };
  await hands.arm('PUT', `${cluster}/agentPools/extra?${version}`, { properties });
  await settled(hands, `${cluster}/agentPools/extra?${version}`);
}

async function dropPool(hands: Hands): Promise<void> {
  await hands.arm('DELETE', `${cluster}/agentPools/extra?${version}`);
  await settled(hands, `${cluster}/agentPools/extra?${version}`);
}

async function cordon({ cluster: api }: Hands, unschedulable: true | null): Promise<void> {
  const nodes = at(await api.get('/api/v1/nodes'), 'items') as { metadata: { name: string } }[];
  for (const { metadata } of nodes)
    await api.patch(`/api/v1/nodes/${metadata.name}`, { spec: { unschedulable } });
}

const scaleDns = ({ cluster: api }: Hands, replicas: number) =>
  api.patch('/apis/apps/v1/namespaces/kube-system/deployments/coredns', { spec: { replicas } });

export const clusterFaults: readonly Fault[] = [
  {
    what: 'Somebody has taken the identity off the scale sets',
    seed: 'Secret sync: identity on the scale sets',
    finding: 'azure/node-identity identity-not-on-scale-sets',
    break: async (hands) => {
      const { arm } = hands;
      const found = await arm('GET', `${cluster}?${version}`);
      const nodes = `/subscriptions/${cluster.split('/')[2]}/resourceGroups/${at(found, 'properties', 'nodeResourceGroup')}`;
      const sets = `${nodes}/providers/Microsoft.Compute/virtualMachineScaleSets`;
      const all = at(await arm('GET', `${sets}?${compute}`), 'value') as { name: string }[];
      for (const { name } of all) {
        await arm('PATCH', `${sets}/${name}?${compute}`, {
          identity: { type: 'UserAssigned', userAssignedIdentities: { [identity]: null } },
        });
      }
      // One after the other shows that it is off; what is found is all of them.
      for (const { name } of all) await settled(hands, `${sets}/${name}?${compute}`);
    },
    mend: 'repair',
  },
  {
    what: 'Somebody has added a node pool, whose nodes lack the identity',
    seed: 'Secret sync: identity on the scale sets',
    finding: 'azure/node-identity identity-not-on-scale-sets',
    break: (hands) => putPool(hands, 1),
    mend: 'repair',
    tidy: dropPool,
  },
  {
    what: 'Somebody has scaled the node pool of the workloads to nothing',
    seed: 'Pods not starting: resources and node capacity',
    finding: 'azure/cluster node-pool-openwebui-empty',
    break: async (hands) => {
      const pool = `${cluster}/agentPools/openwebui?${version}`;
      const found = (await hands.arm('GET', pool)) as { properties: Record<string, Json> };
      const { mode, osType, vmSize, vnetSubnetID, nodeLabels, nodeTaints } = found.properties;
      const properties = { mode, osType, vmSize, vnetSubnetID, nodeLabels, nodeTaints, count: 0 };
      await hands.arm('PUT', pool, { properties });
      await settled(hands, pool);
    },
    mend: 'repair',
  },
  {
    what: 'A node pool could not be made',
    seed: 'Pods not starting: resources and node capacity',
    finding: 'azure/cluster node-pool-extra-failed',
    break: async (hands) => {
      const fault = { kind: 'operation-fails', code: 'QuotaExceeded', message: 'Too few cores.' };
      await hands.door('PUT', '/faults', [
        { id: 'fails', method: 'PUT', path: '/agentPools/extra', times: 1, fault },
      ]);
      await putPool(hands, 1);
    },
    mend: async (hands) => {
      await hands.door('PUT', '/faults', []);
      await dropPool(hands);
    },
  },
  {
    what: 'All nodes are cordoned',
    seed: 'Pods not starting: resources and node capacity',
    finding: 'azure/cluster all-nodes-cordoned',
    break: (hands) => cordon(hands, true),
    mend: (hands) => cordon(hands, null),
  },
  {
    what: 'Somebody has scaled CoreDNS to nothing',
    seed: 'Usage 4: names and services that answer',
    finding: 'azure/cluster names-do-not-resolve',
    break: (hands) => scaleDns(hands, 0),
    mend: (hands) => scaleDns(hands, 2),
  },
  {
    what: 'The API server does not answer',
    seed: 'Verify: pod status',
    finding: 'azure/cluster api-server-silent',
    break: ({ door }) =>
      door('PUT', '/faults', [{ id: 'silent', service: 'kubernetes', fault: { kind: 'cut-before' } }]),
    mend: ({ door }) => door('PUT', '/faults', []),
  },
  {
    what: 'Somebody has taken the control plane its role on the cluster',
    seed: 'Security: roles and network policies',
    finding: 'azure/cluster-access control-plane-role-missing',
    break: (hands) => takeRole(hands, 'clusterAdmin', cluster),
    mend: 'repair',
  },
  {
    what: 'Somebody has taken the cluster its role on the subnet',
    seed: 'Security: roles and network policies',
    finding: 'azure/cluster-subnet-role subnet-role-missing',
    break: (hands) => takeRole(hands, 'networkContributor', subnet),
    mend: 'repair',
  },
  {
    what: 'Somebody has taken the nodes their role on the registry',
    seed: 'Pods not starting: image pull errors',
    finding: 'azure/registry-pull pull-role-missing',
    break: (hands) => takeRole(hands, 'acrPull', registry),
    mend: 'repair',
  },
  {
    what: 'Somebody has taken the identity its role on the vault',
    seed: 'Secret sync: identity may read the vault',
    finding: 'azure/vault-roles identity-role-missing',
    break: async (hands) => {
      const own = await principalOf(hands);
      await takeRole(hands, 'secretsOfficer', vault, (principal) => principal === own);
    },
    mend: 'repair',
  },
  {
    what: 'Somebody has taken the control plane its role on the vault',
    seed: 'Secret sync: access to the vault',
    finding: 'azure/vault-roles control-plane-role-missing',
    break: async (hands) => {
      const own = await principalOf(hands);
      await takeRole(hands, 'secretsOfficer', vault, (principal) => principal !== own);
    },
    mend: 'repair',
  },
];

/** Those take the rest with them, and come last. */
export const clusterLosses: readonly Fault[] = [
  {
    what: 'Somebody has deleted the identity',
    seed: 'Secret sync: identity may read the vault',
    finding: 'azure/identity identity-missing',
    break: ({ arm }) => arm('DELETE', `${identity}?api-version=2023-01-31`),
    mend: 'repair',
  },
  {
    what: 'Somebody has stopped the cluster',
    seed: 'Verify: pod status',
    finding: 'azure/cluster cluster-stopped',
    break: async (hands) => {
      await hands.arm('POST', `${cluster}/stop?${version}`);
      await settled(hands, `${cluster}?${version}`);
    },
    mend: async (hands) => {
      await hands.arm('POST', `${cluster}/start?${version}`);
      await settled(hands, `${cluster}?${version}`);
    },
  },
];

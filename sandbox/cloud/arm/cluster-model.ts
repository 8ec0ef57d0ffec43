/** What a cluster and its pools are made of: the bodies, and the things AKS makes in the node resource group. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { ScaleSetBody, ScaleSetHidden } from './compute.ts';
import { SCALE_SETS } from './compute.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import { inert, readOnly, tagsSchema } from './frame/request-body.ts';
import type { Stored } from './frame/resource-type.ts';
import { RESOURCE_GROUPS } from './frame/route.ts';
import { type IdentityBody, USER_ASSIGNED_IDENTITIES } from './managed-identity.ts';
import { networkIdOf, SUBNETS, VIRTUAL_NETWORKS } from './network.ts';

export const CLUSTER_API_VERSIONS = [
  '2026-04-01',
  '2026-03-01',
  '2026-02-01',
  '2026-01-01',
  '2025-10-01',
  '2025-08-01',
  '2025-05-01',
  '2025-02-01',
];
export const CLUSTERS = 'Microsoft.ContainerService/managedClusters';
export const AGENT_POOLS = `${CLUSTERS}/agentPools`;

/** Members of a pool, in a cluster's body beside the name and in a pool's own body as properties. */
export const poolMembers = {
  count: z.int().min(0).max(1000).optional(),
  vmSize: z.string().min(1).optional(),
  mode: z.enum(['System', 'User', 'Gateway']).optional(),
  type: z.enum(['VirtualMachineScaleSets', 'AvailabilitySet', 'VirtualMachines']).optional(),
  orchestratorVersion: z.string().optional(),
  vnetSubnetID: z.string().startsWith('/').optional(),
  nodeLabels: z.record(z.string(), z.string()).nullish(),
  nodeTaints: z
    .array(z.string().regex(/^[^=:]+(=[^:]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$/))
    .nullish(),
  osDiskSizeGB: z.int().min(0).max(2048).optional(),
  maxPods: z.int().min(10).max(250).optional(),
  osType: z.enum(['Linux', 'Windows']).optional(),
  enableAutoScaling: z.boolean().optional(),
  minCount: z.int().min(0).max(1000).nullish(),
  maxCount: z.int().min(0).max(1000).nullish(),
  tags: tagsSchema.nullish(),
  ...inert(
    'osDiskType',
    'kubeletDiskType',
    'workloadRuntime',
    'messageOfTheDay',
    'podSubnetID',
    'podIPAllocationMode',
    'osSKU',
    'scaleDownMode',
    'upgradeSettings',
    'upgradeStrategy',
    'upgradeSettingsBlueGreen',
    'powerState',
    'availabilityZones',
    'enableNodePublicIP',
    'nodePublicIPPrefixID',
    'scaleSetPriority',
    'scaleSetEvictionPolicy',
    'spotMaxPrice',
    'proximityPlacementGroupID',
    'kubeletConfig',
    'linuxOSConfig',
    'enableEncryptionAtHost',
    'enableUltraSSD',
    'enableFIPS',
    'gpuInstanceProfile',
    'creationData',
    'capacityReservationGroupID',
    'hostGroupID',
    'networkProfile',
    'windowsProfile',
    'securityProfile',
    'gpuProfile',
    'gatewayProfile',
    'artifactStreamingProfile',
    'virtualMachinesProfile',
    'localDNSProfile',
    'nodeImageVersion',
  ),
  ...readOnly(
    'eTag',
    'provisioningState',
    'currentOrchestratorVersion',
    'virtualMachineNodesStatus',
    'status',
  ),
};
export type PoolInput = z.infer<z.ZodObject<typeof poolMembers>>;

export type PoolProperties = PoolInput & {
  count: number;
  vmSize: string;
  mode: 'System' | 'User' | 'Gateway';
  type: string;
  orchestratorVersion: string;
  currentOrchestratorVersion: string;
};
export type PoolBody = { properties: PoolProperties };
export type Pool = Stored<PoolBody>;

export type ClusterProperties = Json & {
  dnsPrefix: string;
  fqdn: string;
  kubernetesVersion: string;
  currentKubernetesVersion: string;
  nodeResourceGroup: string;
  nodeResourceGroupProfile?: { restrictionLevel?: string | undefined } | undefined;
  disableLocalAccounts?: boolean | undefined;
  aadProfile?: { enableAzureRBAC?: boolean | undefined; [key: string]: unknown } | null | undefined;
  apiServerAccessProfile?: { disableRunCommand?: boolean | undefined; [key: string]: unknown } | undefined;
  powerState: { code: 'Running' | 'Stopped' };
  identityProfile?:
    | { kubeletidentity: { resourceId: string; clientId: string; objectId: string } }
    | undefined;
};
export type ClusterBody = {
  location: string;
  tags?: Record<string, string> | null | undefined;
  sku?: unknown;
  kind?: unknown;
  identity: Json & { type: string };
  properties: ClusterProperties;
};
export type ClusterHidden = {
  /** Whether the control plane has been made. */
  built: boolean;
  /** The digits in the names of the node resource group's things. */
  digits: string;
};
export type ClusterResource = Stored<ClusterBody, ClusterHidden>;

/** Always the same for the same cluster, as in AKS, so that a pool made again gets the name it had. */
export function digitsOf(clusterId: string): string {
  const number = createHash('sha256').update(clusterId.toLowerCase()).digest().readUInt32BE(0);
  return String(10_000_000 + (number % 90_000_000));
}

export function poolsOf(frame: Frame, clusterId: string): Pool[] {
  return frame.store.ofType<PoolBody>(AGENT_POOLS, clusterId);
}

export function nodeGroupId(frame: Frame, cluster: ClusterResource): string {
  return `${frame.subscriptionScope}/resourceGroups/${cluster.body.properties.nodeResourceGroup}`;
}

/** A pool of virtual machines has no scale set. */
export function scaleSetOf(
  frame: Frame,
  cluster: ClusterResource,
  pool: Pool,
): Stored<ScaleSetBody, ScaleSetHidden> | undefined {
  return frame.store.get<ScaleSetBody, ScaleSetHidden>(scaleSetId(frame, cluster, pool));
}

export function scaleSetName(cluster: ClusterResource, pool: { name: string }): string {
  return `aks-${pool.name}-${cluster.hidden.digits}-vmss`;
}

function scaleSetId(frame: Frame, cluster: ClusterResource, pool: Pool): string {
  return `${nodeGroupId(frame, cluster)}/providers/${SCALE_SETS}/${scaleSetName(cluster, pool)}`;
}

/** The subnet of a pool: the one asked for, or the one AKS made. */
export function subnetIdOf(frame: Frame, cluster: ClusterResource, pool: Pool): string {
  const network = `${nodeGroupId(frame, cluster)}/providers/${VIRTUAL_NETWORKS}/aks-vnet-${cluster.hidden.digits}`;
  return pool.body.properties.vnetSubnetID ?? `${network}/subnets/aks-subnet`;
}

/** Node resource group, kubelet identity and, unless subnets were given, a network. Does again only what is missing. */
export function makeNodeGroup(frame: Frame, cluster: ClusterResource): Stored<IdentityBody> {
  const group = nodeGroupId(frame, cluster);
  const { location, tags } = cluster.body;
  if (!frame.store.get(group)) {
    frame.putAsProvider(group, RESOURCE_GROUPS, {
      body: {
        location,
        tags: { ...tags, 'aks-managed-cluster-name': cluster.name },
        managedBy: cluster.id,
        properties: {},
      },
    });
  }
  const networkId = `${group}/providers/${VIRTUAL_NETWORKS}/aks-vnet-${cluster.hidden.digits}`;
  const needsNetwork = poolsOf(frame, cluster.id).some(
    ({ body }) => body.properties.vnetSubnetID === undefined,
  );
  if (needsNetwork && !frame.store.get(networkId)) {
    frame.store.put(`${networkId}/subnets/aks-subnet`, SUBNETS, {
      body: {
        properties: { addressPrefix: '10.224.0.0/16', delegations: [], provisioningState: 'Succeeded' },
      },
    });
    frame.putAsProvider(networkId, VIRTUAL_NETWORKS, {
      body: { location, properties: { addressSpace: { addressPrefixes: ['10.224.0.0/12'] } } },
    });
  }
  const identityId = `${group}/providers/${USER_ASSIGNED_IDENTITIES}/${cluster.name}-agentpool`;
  const existing = frame.store.get<IdentityBody>(identityId);
  if (existing) return existing;
  const principal = frame.neighbours.directory.addManagedIdentity(`${cluster.name}-agentpool`);
  return frame.putAsProvider(identityId, USER_ASSIGNED_IDENTITIES, {
    body: {
      location,
      properties: {
        tenantId: frame.world.settings.tenantId,
        principalId: principal.id,
        clientId: principal.appId,
      },
    },
  }) as Stored<IdentityBody>;
}

/**
 * Makes the pool's scale set, or brings it to the pool's size and version. A new one carries the kubelet's identity and
 * no other. `keepsForeign` is false when AKS writes its own model over what others added.
 */
export function writeScaleSet(
  frame: Frame,
  cluster: ClusterResource,
  pool: Pool,
  keepsForeign: boolean,
): void {
  const { properties } = pool.body;
  if (properties.type !== 'VirtualMachineScaleSets') return;
  const kubelet = cluster.body.properties.identityProfile?.kubeletidentity;
  if (!kubelet) throw new Error(`the cluster ${cluster.id} has no kubelet identity yet`);
  const before = scaleSetOf(frame, cluster, pool);
  const own = {
    type: 'UserAssigned',
    userAssignedIdentities: {
      [kubelet.resourceId]: { principalId: kubelet.objectId, clientId: kubelet.clientId },
    },
  };
  const name = scaleSetName(cluster, pool);
  frame.putAsProvider(scaleSetId(frame, cluster, pool), SCALE_SETS, {
    body: {
      location: cluster.body.location,
      tags: {
        ...properties.tags,
        'aks-managed-poolName': pool.name,
        'aks-managed-orchestrator': `Kubernetes:${properties.currentOrchestratorVersion}`,
        'aks-managed-createOperationID': pool.etag,
      },
      sku: { name: properties.vmSize, tier: 'Standard', capacity: properties.count },
      identity: before && keepsForeign ? before.body.identity : own,
      properties: {
        singlePlacementGroup: false,
        orchestrationMode: 'Uniform',
        upgradePolicy: { mode: 'Manual' },
        overprovision: false,
        platformFaultDomainCount: 1,
        virtualMachineProfile: {
          osProfile: { computerNamePrefix: name, adminUsername: 'azureuser' },
          networkProfile: {
            networkInterfaceConfigurations: [
              {
                name,
                properties: {
                  primary: true,
                  ipConfigurations: [
                    { name: 'ipconfig1', properties: { subnet: { id: subnetIdOf(frame, cluster, pool) } } },
                  ],
                },
              },
            ],
          },
        },
      },
    },
    hidden: { agentPoolId: pool.id },
  });
}

export function networkOfPool(frame: Frame, cluster: ClusterResource, pool: Pool): string {
  return networkIdOf(subnetIdOf(frame, cluster, pool));
}

/** The clusters as the Kubernetes side knows them, and the lock AKS can put on their node resource groups. */
import type { Cluster, Clusters, NodePool } from '../neighbours.ts';
import { guidOf } from './cluster-body.ts';
import {
  CLUSTERS,
  type ClusterBody,
  type ClusterHidden,
  type ClusterResource,
  networkOfPool,
  nodeGroupId,
  type Pool,
  poolsOf,
  scaleSetName,
  scaleSetOf,
} from './cluster-model.ts';
import { identitiesOn } from './compute.ts';
import type { Frame } from './frame/frame.ts';
import { isWithin } from './frame/target.ts';

/** With restriction level ReadOnly, AKS puts a deny assignment on the node resource group. */
export function lockNodeGroups(frame: Frame): void {
  frame.rights.addLock((scope) => {
    const cluster = frame.store
      .ofType<ClusterBody, ClusterHidden>(CLUSTERS)
      .find(
        (one) =>
          one.body.properties.nodeResourceGroupProfile?.restrictionLevel === 'ReadOnly' &&
          isWithin(scope, nodeGroupId(frame, one)),
      );
    if (!cluster) return undefined;
    return {
      id: guidOf(`deny|${cluster.id}`).replaceAll('-', ''),
      name: `AKS Node Resource Group Restriction for ${cluster.name}`,
      scope: nodeGroupId(frame, cluster),
    };
  });
}

function describePool(frame: Frame, cluster: ClusterResource, pool: Pool): NodePool | undefined {
  const { properties } = pool.body;
  const scaleSet = scaleSetOf(frame, cluster, pool);
  if (!scaleSet && properties.type === 'VirtualMachineScaleSets') return undefined;
  return {
    name: pool.name,
    mode: properties.mode === 'System' ? 'System' : 'User',
    count: properties.count,
    vmSize: properties.vmSize,
    labels: properties.nodeLabels ?? {},
    taints: properties.nodeTaints ?? [],
    vmssName: scaleSetName(cluster, pool),
    identityClientIds: scaleSet ? Object.values(identitiesOn(scaleSet)).map(({ clientId }) => clientId) : [],
    vnetId: networkOfPool(frame, cluster, pool),
  };
}

export function createClusters(frame: Frame): Clusters {
  let known: { readonly version: number; readonly clusters: Cluster[] } | undefined;
  return {
    list: () => {
      void frame.operations.settle();
      const { version } = frame.store;
      if (known?.version !== version) known = { version, clusters: describeAll(frame) };
      return known.clusters;
    },
  };
}

function describeAll(frame: Frame): Cluster[] {
  return frame.store.ofType<ClusterBody, ClusterHidden>(CLUSTERS).flatMap((cluster): Cluster[] => {
    const { properties, location } = cluster.body;
    const kubelet = properties.identityProfile?.kubeletidentity;
    if (!cluster.hidden.built || !kubelet) return [];
    return [
      {
        id: cluster.id,
        name: cluster.name,
        location,
        fqdn: properties.fqdn,
        kubernetesVersion: properties.currentKubernetesVersion,
        isRunning: properties.powerState.code === 'Running',
        nodePools: poolsOf(frame, cluster.id)
          .map((pool) => describePool(frame, cluster, pool))
          .filter((pool) => pool !== undefined),
        kubelet: { clientId: kubelet.clientId, principalId: kubelet.objectId },
        localAccountsDisabled: properties.disableLocalAccounts === true,
        azureRbac: properties.aadProfile?.enableAzureRBAC === true,
      },
    ];
  });
}

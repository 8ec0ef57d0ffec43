/**
 * The node pools of the AKS cluster that the spec names: what they are made of, how they differ, and what is sent to change
 * one. https://learn.microsoft.com/azure/aks/create-node-pools
 */
import type { AgentPool, ManagedCluster, ManagedClusterAgentPoolProfile } from '@azure/arm-containerservice';
import { isHigher } from '../../graph/drift-defaults.ts';
import type { Difference } from '../../graph/resource.ts';
import type { DeploymentSpec } from '../../spec/spec.ts';
import { bodyDifferences } from '../kinds/arm-resource.ts';

type WantedPool = DeploymentSpec['cluster']['nodePools'][number];

const poolSettings = (pool: WantedPool) => ({
  mode: pool.mode,
  nodeLabels: pool.labels,
  nodeTaints: pool.taints,
});

export const newPool = (pool: WantedPool, subnetId: string) => ({
  ...poolSettings(pool),
  count: pool.count,
  vmSize: pool.vmSize,
  osType: 'Linux',
  vnetSubnetID: subnetId,
});

/** Scale sets, for only they can be given the identity that External Secrets signs in with. */
export const SCALE_SETS = 'VirtualMachineScaleSets';

/** `1.33` asks for any 1.33; AKS reports the patch it chose. */
export const isVersion = (wanted: string, ...found: readonly (string | undefined)[]): boolean =>
  found.some((version) => version === wanted || version?.startsWith(`${wanted}.`));

const findPool = (cluster: ManagedCluster, name: string): ManagedClusterAgentPoolProfile | undefined =>
  cluster.agentPoolProfiles?.find((pool) => pool.name === name);

export function poolDifferences(
  spec: DeploymentSpec,
  wanted: WantedPool,
  cluster: ManagedCluster,
): Difference[] {
  const path = `agentPoolProfiles.${wanted.name}`;
  const found = findPool(cluster, wanted.name);
  if (!found) return [{ path, wanted: wanted.vmSize, found: null }];
  const version = spec.cluster.kubernetesVersion;
  const versions: Difference[] =
    version === undefined || isVersion(version, found.orchestratorVersion, found.currentOrchestratorVersion)
      ? []
      : [{ path: `${path}.orchestratorVersion`, wanted: version, found: found.orchestratorVersion ?? null }];
  const body = bodyDifferences(
    {
      ...poolSettings(wanted),
      vmSize: wanted.vmSize,
      count: found.enableAutoScaling ? undefined : wanted.count,
      nodeTaints: wanted.taints.toSorted(),
    },
    { ...found, nodeTaints: (found.nodeTaints ?? []).toSorted() },
  );
  return [...body.map((difference) => ({ ...difference, path: `${path}.${difference.path}` })), ...versions];
}

/** What is there with ours on top; sent back whole, as AKS wants it. */
export function mergedPool(
  spec: DeploymentSpec,
  wanted: WantedPool,
  found: AgentPool | undefined,
  subnetId: string,
): AgentPool {
  if (!found) return { ...newPool(wanted, subnetId), typePropertiesType: SCALE_SETS };
  const version = versionToSend(spec, found.orchestratorVersion);
  return {
    ...found,
    ...poolSettings(wanted),
    nodeLabels: { ...found.nodeLabels, ...wanted.labels },
    ...(found.enableAutoScaling ? {} : { count: wanted.count }),
    ...(version ? { orchestratorVersion: version } : {}),
  };
}

/** What is newer than asked for stays: Azure refuses an older version, and all else that is sent with it. */
export const versionToSend = ({ cluster }: DeploymentSpec, found: string | undefined): string | undefined =>
  isHigher(found ?? null, cluster.kubernetesVersion ?? null) ? found : cluster.kubernetesVersion;

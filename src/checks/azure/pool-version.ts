/**
 * Node pools whose Kubernetes lags behind the control plane's: upgraded by themselves, they are easily forgotten.
 * https://learn.microsoft.com/azure/aks/manage-node-pools#upgrade-a-cluster-control-plane-with-multiple-node-pools
 */
import type { ManagedCluster, ManagedClusterAgentPoolProfile } from '@azure/arm-containerservice';
import { versionNotices } from '../../resources/azure/cluster-version.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { neededCluster } from './parts.ts';

/** More minor versions than these between a pool and the control plane are refused, and so is the next upgrade. */
const MOST_BEHIND = 2;

const minorOf = (version: string | undefined): number => Number((version ?? '').split('.')[1] ?? Number.NaN);

export const poolVersions: Check = {
  id: 'node-pool-versions',
  system: 'nodes',
  title: 'Every node pool runs a supported Kubernetes version, near that of the control plane',

  async run(scope) {
    const cluster = await neededCluster(scope);
    const own = cluster.currentKubernetesVersion ?? cluster.kubernetesVersion;
    // One that runs what the control plane runs shares its support, which is looked at elsewhere.
    const behind = (cluster.agentPoolProfiles ?? []).filter(
      (pool) => minorOf(versionOf(pool)) < minorOf(own),
    );
    if (behind.length === 0) return [];
    const listed = await scope.clients.clusters().managedClusters.listKubernetesVersions(scope.spec.location);
    return behind.flatMap((pool) => {
      const isSupported = versionNotices({
        version: versionOf(pool),
        supportPlan: cluster.supportPlan,
        upgrades: [],
        listed: listed.values ?? [],
      }).every(({ id }) => id !== 'support-ended');
      const isNear = minorOf(own) - minorOf(versionOf(pool)) <= MOST_BEHIND;
      return isSupported && isNear ? [] : [lagging(scope, cluster, pool, isSupported)];
    });
  },
};

/** While a pool is upgraded it has both: the one that its nodes run counts. */
const versionOf = (pool: ManagedClusterAgentPoolProfile): string =>
  pool.currentOrchestratorVersion ?? pool.orchestratorVersion ?? '';

const lagging = (
  { names }: CheckScope,
  { currentKubernetesVersion, kubernetesVersion }: ManagedCluster,
  pool: ManagedClusterAgentPoolProfile,
  isSupported: boolean,
): CheckFinding => {
  const own = currentKubernetesVersion ?? kubernetesVersion ?? '';
  return {
    id: `node-pool-${pool.name}-version-${isSupported ? 'lags' : 'unsupported'}`,
    resource: 'azure/cluster',
    severity: isSupported ? 'warning' : 'error',
    what: isSupported
      ? `The node pool ${pool.name} lags too far behind the control plane's Kubernetes version.`
      : `The node pool ${pool.name} runs a Kubernetes version that AKS no longer supports.`,
    evidence: `agentPoolProfiles.${pool.name}.currentOrchestratorVersion is ${versionOf(pool)}; the control plane runs ${own}.`,
    breaks: isSupported
      ? 'Nothing yet; AKS refuses to upgrade the control plane further.'
      : 'No security fixes for its nodes, no help from Microsoft; AKS refuses to upgrade the control plane further.',
    remedy: `Upgrade it, one minor version at a time: az aks nodepool upgrade -g ${names.resourceGroup} --cluster-name ${names.cluster} -n ${pool.name} -k ${own}. Its nodes are replaced one after the other.`,
  };
};

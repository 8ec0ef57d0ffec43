/** The AKS cluster as ARM tells about it: there, running, not failed, its node pools likewise. */
import type { ManagedCluster, ManagedClusterAgentPoolProfile } from '@azure/arm-containerservice';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { findCluster, neededCluster } from './parts.ts';

/** No documented operation of AKS lasts longer without something being wrong. */
const ORDINARY_HOURS = 1;

const resource = 'azure/cluster' as const;

export const clusterExists: Check = {
  id: 'cluster-running',
  system: 'cluster',
  title: 'The cluster is there, running and not in a failed state',

  async run(scope) {
    const { cluster: name, resourceGroup: group } = scope.names;
    const found = await findCluster(scope);
    if (!found) return [missing(scope)];
    const power = found.powerState?.code;
    if (power === 'Stopped') {
      return [
        {
          id: 'cluster-stopped',
          resource,
          severity: 'error',
          what: `The AKS cluster ${name} is stopped.`,
          evidence: `powerState.code is ${power}.`,
          breaks: 'Open WebUI is down: nothing runs while the cluster is stopped.',
          remedy: `Find out who stopped it, then start it: az aks start -g ${group} -n ${name}`,
        },
      ];
    }
    return stateFindings(scope, found);
  },
};

const missing = (scope: CheckScope): CheckFinding => ({
  id: 'cluster-missing',
  resource,
  severity: 'error',
  what: `The AKS cluster ${scope.names.cluster} does not exist.`,
  evidence: `Azure answers 404 for it in the resource group ${scope.names.resourceGroup}.`,
  breaks: 'Open WebUI is down. Models on the disk of Ollama went with the cluster; files and chats did not.',
  remedy: 'Look in the activity log for who deleted it; have it made anew.',
  repair: repairOf(scope),
});

function stateFindings(scope: CheckScope, found: ManagedCluster): readonly CheckFinding[] {
  const { cluster: name, resourceGroup: group } = scope.names;
  const { provisioningState: state, status } = found;
  if (state === 'Failed' || state === 'Canceled') {
    const error = status?.provisioningError;
    const pool = found.agentPoolProfiles?.find(isFailed);
    const why = error?.code ? `: ${error.code}: ${error.message ?? ''}` : '';
    return [
      {
        id: 'cluster-failed',
        resource,
        severity: 'error',
        what: `The last change of the AKS cluster ${name} failed.`,
        evidence: `provisioningState is ${state}${why}${pool ? `; so is that of the node pool ${pool.name}` : ''}.`,
        breaks:
          'What runs goes on, but the cluster may lack nodes, and no change of it works until this is put right.',
        remedy: `Put right what the reason names, then have Azure try again: az aks update -g ${group} -n ${name}`,
        repair: repairOf(scope),
      },
    ];
  }
  const readyAt = scope.known[resource]?.readyAt;
  const isLate = readyAt !== undefined && scope.now.getTime() - readyAt > ORDINARY_HOURS * 3_600_000;
  if (state === undefined || state === 'Succeeded' || !isLate) return [];
  return [
    {
      id: 'cluster-still-changing',
      resource,
      severity: 'info',
      what: `Azure has been changing the AKS cluster ${name} for longer than usual.`,
      evidence: `provisioningState is ${state}.`,
      breaks: 'Nothing by itself; other changes of the cluster wait for it.',
      remedy: `See what it is about: az aks operation show-latest -g ${group} -n ${name}; az aks operation-abort ends it.`,
    },
  ];
}

const isFailed = ({ provisioningState }: ManagedClusterAgentPoolProfile): boolean =>
  provisioningState === 'Failed' || provisioningState === 'Canceled';

export const nodePools: Check = {
  id: 'node-pools',
  system: 'nodes',
  title: 'Every node pool is provisioned, running and has nodes',

  async run(scope) {
    const found = await neededCluster(scope);
    // The nodes of a stopped cluster are off, which is the cluster's own finding.
    if (found.powerState?.code === 'Stopped') return [];
    const pools = found.agentPoolProfiles ?? [];
    const wanted = scope.spec.cluster.nodePools.map((pool) => pool.name);
    const absent = wanted.filter((pool) => !pools.some((one) => one.name === pool));
    return [
      ...absent.map((pool) => poolMissing(scope, pool)),
      ...pools.flatMap((pool) => poolFinding(scope, pool, wanted.includes(pool.name)) ?? []),
    ];
  },
};

const poolMissing = (scope: CheckScope, pool: string): CheckFinding => ({
  id: `node-pool-${pool}-missing`,
  resource,
  severity: 'error',
  what: `The node pool ${pool} does not exist.`,
  evidence: `agentPoolProfiles has no ${pool}.`,
  breaks: 'Pods that need its nodes stay pending.',
  remedy:
    'Look in the activity log for who deleted it; have it made anew, or take it out of cluster.nodePools.',
  repair: repairOf(scope),
});

/** The first thing that is wrong with it. */
function poolFinding(
  scope: CheckScope,
  pool: ManagedClusterAgentPoolProfile,
  isWanted: boolean,
): CheckFinding | undefined {
  const { cluster: name, resourceGroup: group } = scope.names;
  const path = `agentPoolProfiles.${pool.name}`;
  const target = `-g ${group} --cluster-name ${name} -n ${pool.name}`;
  const repair = isWanted ? { repair: repairOf(scope) } : {};
  if (isFailed(pool)) {
    return {
      id: `node-pool-${pool.name}-failed`,
      resource,
      severity: 'error',
      what: `The last change of the node pool ${pool.name} failed.`,
      evidence: `${path}.provisioningState is ${pool.provisioningState}.`,
      breaks: 'It may lack nodes, and pods that do not fit elsewhere stay pending.',
      remedy: `See why: az aks nodepool show ${target}; often it is a quota of virtual machines. Then try again: az aks nodepool update ${target}`,
      ...repair,
    };
  }
  if (pool.powerState?.code === 'Stopped') {
    return {
      id: `node-pool-${pool.name}-stopped`,
      resource,
      severity: 'error',
      what: `The node pool ${pool.name} is stopped.`,
      evidence: `${path}.powerState.code is Stopped.`,
      breaks: 'It has no nodes, and pods that need them stay pending.',
      remedy: `Start it: az aks nodepool start ${target}`,
    };
  }
  if (pool.count !== 0) return undefined;
  const scaling = pool.enableAutoScaling
    ? `The autoscaler may go down to none (minCount ${pool.minCount}): raise it with az aks nodepool update ${target} --update-cluster-autoscaler --min-count 1 --max-count ${pool.maxCount}`
    : `Scale it: az aks nodepool scale ${target} --node-count 1`;
  return {
    id: `node-pool-${pool.name}-empty`,
    resource,
    // A pool with the autoscaler on is empty whenever nobody needs it.
    severity: pool.enableAutoScaling ? 'info' : isWanted ? 'error' : 'warning',
    what: `The node pool ${pool.name} has no nodes.`,
    evidence: `${path}.count is 0.`,
    breaks: 'Pods that need its nodes stay pending.',
    remedy: scaling,
    ...(pool.enableAutoScaling ? {} : repair),
  };
}

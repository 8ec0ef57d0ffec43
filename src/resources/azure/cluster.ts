/**
 * The AKS cluster with its node pools. The first PUT carries everything; later one thing is changed at a time, for AKS
 * refuses a second operation while one runs: first the cluster itself, on top of what is there, then pool by pool
 * through agentPools. Pools that the spec does not name are somebody's and stay; the node count of a pool with the
 * autoscaler on is the autoscaler's.
 */
import type { ManagedCluster } from '@azure/arm-containerservice';
import { orAbsent } from '../../clients/cloud-failure.ts';
import { fatal } from '../../graph/failure.ts';
import type { Difference, Observed } from '../../graph/resource.ts';
import type { DeploymentSpec } from '../../spec/spec.ts';
import {
  bodyDifferences,
  foreign,
  isOurs,
  isRemovable,
  judge,
  missing,
  pushable,
  refuseToReplace,
  submitFor,
  withOurTags,
} from '../kinds/arm-resource.ts';
import { defineResource, type Scope } from '../scope.ts';
import { network } from './network.ts';
import { isVersion, mergedPool, newPool, poolDifferences, SCALE_SETS, versionToSend } from './node-pools.ts';

const key = 'azure/cluster';
const LOOK_AGAIN_SECONDS = 15;
const STOPPED = 'ClusterStopped';

/** AKS makes the API server's host from it: letters, digits and hyphens, at most 54. */
const dnsPrefix = (name: string): string =>
  name
    .replaceAll(/[^a-zA-Z0-9-]/g, '-')
    .slice(0, 54)
    .replace(/-+$/, '');

const settings = ({ spec }: Pick<Scope, 'spec'>) => ({
  sku: { name: 'Base', tier: spec.cluster.tier },
  oidcIssuerProfile: { enabled: true },
  securityProfile: { workloadIdentity: { enabled: true } },
  aadProfile: { managed: true, enableAzureRbac: true, tenantID: spec.tenantId },
  disableLocalAccounts: true,
});

/** The body that creates it: pods get addresses of an overlay, so the subnet is only for nodes. */
export const clusterBody = (
  { spec, names }: Pick<Scope, 'spec' | 'names'>,
  subnetId: string,
): ManagedCluster => ({
  ...settings({ spec }),
  location: spec.location,
  tags: { ...names.tags },
  identity: { type: 'SystemAssigned' },
  dnsPrefix: dnsPrefix(names.cluster),
  enableRbac: true,
  ...(spec.cluster.kubernetesVersion ? { kubernetesVersion: spec.cluster.kubernetesVersion } : {}),
  networkProfile: {
    networkPlugin: 'azure',
    networkPluginMode: 'overlay',
    // Without a policy engine AKS stores NetworkPolicies and enforces none.
    networkPolicy: 'cilium',
    networkDataplane: 'cilium',
    loadBalancerSku: 'standard',
    outboundType: 'loadBalancer',
  },
  agentPoolProfiles: spec.cluster.nodePools.map((pool) => ({
    ...newPool(pool, subnetId),
    name: pool.name,
    type: SCALE_SETS,
  })),
});

export function clusterDifferences(spec: DeploymentSpec, found: ManagedCluster): Difference[] {
  const wanted = spec.cluster.kubernetesVersion;
  const version: Difference[] =
    wanted === undefined || isVersion(wanted, found.kubernetesVersion, found.currentKubernetesVersion)
      ? []
      : [{ path: 'kubernetesVersion', wanted, found: found.kubernetesVersion ?? null }];
  const pools = spec.cluster.nodePools.flatMap((pool) => poolDifferences(spec, pool, found));
  return [
    ...bodyDifferences({ location: spec.location, ...settings({ spec }) }, found),
    ...version,
    ...pools,
  ];
}

type Outputs = {
  readonly id: string;
  readonly name: string;
  readonly fqdn: string;
  readonly nodeResourceGroup: string;
  readonly oidcIssuerUrl: string;
  readonly kubeletPrincipalId: string;
  readonly kubeletClientId: string;
  readonly identityPrincipalId: string;
};

function outputsOf(name: string, found: ManagedCluster): Outputs | undefined {
  const { id, fqdn, nodeResourceGroup } = found;
  const kubelet = found.identityProfile?.['kubeletidentity'];
  const oidcIssuerUrl = found.oidcIssuerProfile?.issuerURL;
  const kubeletPrincipalId = kubelet?.objectId;
  const kubeletClientId = kubelet?.clientId;
  const identityPrincipalId = found.identity?.principalId;
  return id &&
    fqdn &&
    nodeResourceGroup &&
    oidcIssuerUrl &&
    kubeletPrincipalId &&
    kubeletClientId &&
    identityPrincipalId
    ? {
        id,
        name,
        fqdn,
        nodeResourceGroup,
        oidcIssuerUrl,
        kubeletPrincipalId,
        kubeletClientId,
        identityPrincipalId,
      }
    : undefined;
}

/** AKS keeps the reason of its last failure, as an error with the real one inside. */
function whyFailed(found: ManagedCluster): { code: string; message: string } | undefined {
  const error = found.status?.provisioningError;
  return error?.code && error.message ? { code: error.code, message: error.message } : undefined;
}

export const cluster = defineResource<{ readonly network: typeof network }, Outputs>({
  key,
  title: 'AKS cluster',
  dependsOn: { network },
  patienceSeconds: 3_600,

  async observe(scope): Promise<Observed<Outputs>> {
    const { resourceGroup, cluster: name } = scope.names;
    const what = `the AKS cluster ${name}`;
    const found = await orAbsent(scope.clients.clusters().managedClusters.get(resourceGroup, name));
    if (!found) return missing(scope, key, LOOK_AGAIN_SECONDS);
    const outputs = outputsOf(name, found);
    if (found.powerState?.code === 'Stopped' && found.provisioningState === 'Succeeded') {
      if (!isOurs(found.tags, scope.names)) return foreign(what);
      return {
        state: 'failed',
        ...(outputs ? { outputs } : {}),
        code: STOPPED,
        message: `${what} is stopped`,
      };
    }
    // AKS does one thing at a time, so any pool's move is waited for; of the failed ones only ours count.
    const unsettled = found.agentPoolProfiles?.find(({ name: pool, provisioningState }) => {
      const isFailed = provisioningState === 'Failed' || provisioningState === 'Canceled';
      const isOfSpec = scope.spec.cluster.nodePools.some((wanted) => wanted.name === pool);
      return isFailed ? isOfSpec : provisioningState !== undefined && provisioningState !== 'Succeeded';
    });
    return judge(scope, {
      key,
      what,
      tags: { found: found.tags },
      provisioningState:
        found.provisioningState === 'Succeeded'
          ? (unsettled?.provisioningState ?? 'Succeeded')
          : found.provisioningState,
      retryAfterSeconds: LOOK_AGAIN_SECONDS,
      whyFailed: whyFailed(found),
      outputs,
      differences: clusterDifferences(scope.spec, found),
    });
  },

  async ensure(scope, deps, seen) {
    const { spec, names, clients } = scope;
    const { resourceGroup, cluster: name } = names;
    const what = `the AKS cluster ${name}`;
    if (seen.state === 'failed' && seen.code === STOPPED) {
      throw fatal(STOPPED, `${what} has been stopped by somebody: start it to go on`);
    }
    refuseToReplace(what, seen, [
      'location',
      ...spec.cluster.nodePools.map((pool) => `agentPoolProfiles.${pool.name}.vmSize`),
    ]);
    const { managedClusters, agentPools } = clients.clusters();
    const found = await orAbsent(managedClusters.get(resourceGroup, name));
    if (!found) {
      const body = clusterBody(scope, deps.network.aksSubnetId);
      await submitFor(scope, key, managedClusters.createOrUpdate(resourceGroup, name, body));
      return;
    }
    const differing = pushable(key, what, seen);
    if (differing.length === 0 || differing.some(({ path }) => !path.startsWith('agentPoolProfiles.'))) {
      await submitFor(
        scope,
        key,
        managedClusters.createOrUpdate(resourceGroup, name, mergedCluster(scope, found)),
      );
      return;
    }
    const pool = spec.cluster.nodePools.find((wanted) =>
      `${differing[0]?.path}.`.startsWith(`agentPoolProfiles.${wanted.name}.`),
    );
    if (!pool) return;
    const poolFound = await orAbsent(agentPools.get(resourceGroup, name, pool.name));
    const body = mergedPool(spec, pool, poolFound, deps.network.aksSubnetId);
    await submitFor(scope, key, agentPools.createOrUpdate(resourceGroup, name, pool.name, body));
  },

  async remove(scope, _deps, seen) {
    const { resourceGroup, cluster: name } = scope.names;
    if (isRemovable(seen)) {
      await orAbsent(
        submitFor(scope, key, scope.clients.clusters().managedClusters.delete(resourceGroup, name)),
      );
    }
  },
});

/** A PUT without a field resets it, so everything found goes back, with ours on top. */
function mergedCluster({ spec, names }: Scope, found: ManagedCluster): ManagedCluster {
  const ours = settings({ spec });
  const version = versionToSend(spec, found.kubernetesVersion);
  return {
    ...found,
    ...ours,
    oidcIssuerProfile: { ...found.oidcIssuerProfile, ...ours.oidcIssuerProfile },
    securityProfile: { ...found.securityProfile, ...ours.securityProfile },
    aadProfile: { ...found.aadProfile, ...ours.aadProfile },
    tags: withOurTags(names, found.tags),
    ...(version ? { kubernetesVersion: version } : {}),
  };
}

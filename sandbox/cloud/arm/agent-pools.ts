/**
 * Microsoft.ContainerService/managedClusters/agentPools. Each pool has its own operations; while one runs on the pool or
 * on the cluster, another on it is refused (409 OperationNotAllowed). Over 300 lines because a pool's checks are one list.
 */
import { z } from 'zod';
import {
  AGENT_POOLS,
  CLUSTER_API_VERSIONS,
  type ClusterBody,
  type ClusterHidden,
  type ClusterResource,
  type Pool,
  type PoolBody,
  type PoolInput,
  type PoolProperties,
  poolMembers,
  poolsOf,
  scaleSetOf,
  writeScaleSet,
} from './cluster-model.ts';
import { type Dials, isOn } from './dials.ts';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers } from './frame/request-body.ts';
import { type Call, type Change, provisioningState, type ResourceType } from './frame/resource-type.ts';
import { parentIdOf, sameId } from './frame/target.ts';
import { chooseVersion, offerIn, requireUpgrade, upgradesFrom } from './kubernetes-versions.ts';
import { JOIN_SUBNET, networkIdOf, requireSubnet } from './network.ts';

const poolBody = z.strictObject({ ...childMembers, properties: z.strictObject(poolMembers) });
type PoolRequest = z.infer<typeof poolBody>;

const NAME = /^[a-z][a-z0-9]{0,11}$/;
/** Set once, when the pool is made. */
const IMMUTABLE = ['vmSize', 'osDiskSizeGB', 'vnetSubnetID', 'osType', 'type', 'maxPods'] as const;

export const clusterBusy = {
  code: 'OperationNotAllowed',
  message:
    "Operation is not allowed: another operation is in progress on '{name}' (provisioning state {state}). " +
    'Please wait for it to finish before starting a new one. See https://aka.ms/aks-pending-operation',
};

/** A pool's properties with AKS's defaults; refuses what AKS refuses. */
export function completePool(
  call: Call,
  location: string,
  clusterVersion: string,
  name: string,
  given: PoolInput,
  before: PoolProperties | undefined,
): PoolProperties {
  if (!NAME.test(name)) {
    throw new Refusal(
      400,
      'InvalidParameter',
      `The value of parameter agentPoolProfile.name is invalid. Error details: Agent pool name '${name}' must start ` +
        'with a lowercase letter, have max length of 12, and only have characters a-z0-9.',
    );
  }
  const vmSize = given.vmSize ?? before?.vmSize;
  if (vmSize === undefined) {
    throw new Refusal(
      400,
      'InvalidParameter',
      `The value of parameter agentPoolProfile.vmSize is missing for '${name}'.`,
    );
  }
  for (const member of IMMUTABLE) {
    if (!before || given[member] === undefined || given[member] === before[member]) continue;
    throw new Refusal(
      400,
      'PropertyChangeNotAllowed',
      `Changing property 'properties.${member}' is not allowed.`,
      {
        details: [
          { code: 'PropertyChangeNotAllowed', message: 'not allowed', target: `properties.${member}` },
        ],
      },
    );
  }
  const subnetId = given.vnetSubnetID;
  if (subnetId !== undefined) {
    requireSubnet(call.frame, subnetId);
    call.requireLinked(JOIN_SUBNET, subnetId);
  }
  const isScaled = given.enableAutoScaling === true;
  if (isScaled && (given.minCount == null || given.maxCount == null || given.minCount > given.maxCount)) {
    throw new Refusal(
      400,
      'InvalidParameter',
      `The pool '${name}' has autoscaling on: minCount and maxCount are needed, in this order.`,
    );
  }
  const asked = given.orchestratorVersion ?? before?.orchestratorVersion ?? clusterVersion;
  const isSame =
    before && (asked === before.orchestratorVersion || asked === before.currentOrchestratorVersion);
  const offer = offerIn(call.frame.world, location);
  const version = isSame ? before.currentOrchestratorVersion : chooseVersion(offer, asked);
  if (before) requireUpgrade(offer, before.currentOrchestratorVersion, version);
  if (compareVersions(version, clusterVersion) > 0) {
    throw new Refusal(
      400,
      'NodePoolMcVersionIncompatible',
      `Node pool version ${version} and control plane version ${clusterVersion} are incompatible. Minor version of ` +
        'node pool cannot be newer than that of the control plane.',
    );
  }
  return {
    osType: 'Linux',
    osDiskSizeGB: 128,
    maxPods: 250,
    enableAutoScaling: false,
    scaleDownMode: 'Delete',
    ...(before && {
      vnetSubnetID: before.vnetSubnetID,
      osDiskSizeGB: before.osDiskSizeGB,
      maxPods: before.maxPods,
    }),
    ...given,
    vmSize,
    count: given.count ?? before?.count ?? (isScaled ? (given.minCount ?? 1) : 1),
    mode: given.mode ?? before?.mode ?? 'User',
    type: given.type ?? before?.type ?? 'VirtualMachineScaleSets',
    orchestratorVersion: asked,
    currentOrchestratorVersion: version,
    powerState: { code: 'Running' },
    nodeImageVersion: before?.nodeImageVersion ?? `AKSUbuntu-2204gen2containerd-${IMAGE_DATES[0]}`,
  };
}

const IMAGE_DATES = ['202610.06.0', '202611.03.0'] as const;

function compareVersions(a: string, b: string): number {
  const [, aMinor = 0, aPatch = 0] = a.split('.').map(Number);
  const [, bMinor = 0, bPatch = 0] = b.split('.').map(Number);
  return aMinor - bMinor || aPatch - bPatch;
}

/** At least one system pool with a node has to stay. */
export function requireSystemPool(pools: readonly { mode: string; count: number }[]): void {
  if (pools.some(({ mode, count }) => mode === 'System' && count > 0)) return;
  throw new Refusal(
    400,
    'InvalidParameter',
    'There has to be at least one system agent pool with at least one node.',
  );
}

export function requireOneNetwork(subnetIds: readonly (string | undefined)[]): void {
  const networks = new Set(subnetIds.map((id) => (id === undefined ? '' : networkIdOf(id).toLowerCase())));
  if (networks.size <= 1) return;
  throw new Refusal(
    400,
    'InvalidParameter',
    'All agent pools of a cluster have to be in the same virtual network.',
  );
}

export function requireRunning(cluster: ClusterResource): void {
  if (cluster.body.properties.powerState.code === 'Running') return;
  throw new Refusal(
    409,
    'OperationNotAllowed',
    `The managed cluster '${cluster.name}' is stopped: start it before this operation.`,
  );
}

function clusterOf({ frame, parentId }: Call): ClusterResource {
  const cluster = frame.store.get<ClusterBody, ClusterHidden>(parentId);
  if (!cluster) throw new Error(`an agent pool without a cluster at ${parentId}`);
  return cluster;
}

function requireClusterIdle(frame: Frame, cluster: ClusterResource): void {
  if (frame.isReady(cluster)) return;
  throw new Refusal(
    409,
    clusterBusy.code,
    clusterBusy.message.replace('{name}', cluster.name).replace('{state}', String(frame.stateOf(cluster))),
  );
}

function putPool(call: Call, input: PoolRequest, before: Pool | undefined): Change<PoolBody> {
  const { frame } = call;
  const cluster = clusterOf(call);
  requireClusterIdle(frame, cluster);
  requireRunning(cluster);
  const version = cluster.body.properties.currentKubernetesVersion;
  const properties = completePool(
    call,
    cluster.body.location,
    version,
    call.name,
    input.properties,
    before?.body.properties,
  );
  const others = poolsOf(frame, cluster.id).filter(({ id }) => !sameId(id, call.id));
  requireSystemPool([...others.map(({ body }) => body.properties), properties]);
  requireOneNetwork([...others.map(({ body }) => body.properties.vnetSubnetID), properties.vnetSubnetID]);
  const isUpgrade =
    before !== undefined &&
    before.body.properties.currentOrchestratorVersion !== properties.currentOrchestratorVersion;
  if (isUpgrade) reportRolling(frame, cluster, call.name, 'Started');
  return {
    body: { properties },
    takes: !before ? durations.agentPool : isUpgrade ? durations.agentPoolUpgrade : durations.agentPoolScale,
    input: { isUpgrade },
  };
}

/** AKS's own events; the topic is the cluster. */
export function reportRolling(
  frame: Frame,
  cluster: ClusterResource,
  nodePoolName: string,
  what: 'Started' | 'Succeeded' | 'Failed',
): void {
  frame.world.emit({
    topic: cluster.id,
    subject: cluster.name,
    eventType: `Microsoft.ContainerService.NodePoolRolling${what}`,
    dataVersion: '1',
    data: { nodePoolName },
  });
}

/** The end of any change of a pool: its scale set follows; an upgrade writes AKS's own model over it. */
export function rollPool(
  frame: Frame,
  dials: Dials,
  cluster: ClusterResource,
  pool: Pool,
  isUpgrade: boolean,
): void {
  const keepsForeign = !isUpgrade || !isOn(dials, 'upgrade-drops-foreign-identities');
  writeScaleSet(frame, cluster, pool, keepsForeign);
  if (isUpgrade) reportRolling(frame, cluster, pool.name, 'Succeeded');
}

export function agentPoolTypes(dials: Dials): readonly ResourceType[] {
  const agentPools: ResourceType<PoolBody, Json, PoolRequest> = {
    type: AGENT_POOLS,
    apiVersions: CLUSTER_API_VERSIONS,
    scope: 'resource-group',
    state: provisioningState,
    operations: { style: 'azure-async-operation', retryAfterSeconds: 15 },
    busy: clusterBusy,
    body: poolBody,
    put: putPool,
    finish: (frame, operation, pool) => {
      const cluster = frame.store.get<ClusterBody, ClusterHidden>(parentIdOf(pool.id));
      if (!cluster) return undefined;
      const isImage = operation.verb === 'upgradeNodeImageVersion';
      const properties = isImage
        ? { ...pool.body.properties, nodeImageVersion: `AKSUbuntu-2204gen2containerd-${IMAGE_DATES[1]}` }
        : pool.body.properties;
      const body = { properties };
      rollPool(frame, dials, cluster, { ...pool, body }, isImage || operation.input['isUpgrade'] === true);
      return { body };
    },
    remove: (call, before) => {
      const cluster = clusterOf(call);
      requireClusterIdle(call.frame, cluster);
      const others = poolsOf(call.frame, cluster.id).filter(({ id }) => !sameId(id, before.id));
      requireSystemPool(others.map(({ body }) => body.properties));
      return { takes: durations.agentPoolDeletion };
    },
    failed: (frame, operation, pool) => {
      const isRolling = operation.verb === 'upgradeNodeImageVersion' || operation.input['isUpgrade'] === true;
      const cluster = frame.store.get<ClusterBody, ClusterHidden>(parentIdOf(pool.id));
      if (isRolling && cluster) reportRolling(frame, cluster, pool.name, 'Failed');
    },
    gone: (frame, pool) => {
      const cluster = frame.store.get<ClusterBody, ClusterHidden>(parentIdOf(pool.id));
      const scaleSet = cluster && scaleSetOf(frame, cluster, pool);
      if (scaleSet) void frame.removeAsProvider(scaleSet.id);
    },
    actions: {
      upgradeNodeImageVersion: {
        run: (call, _input, stored) => {
          const cluster = clusterOf(call);
          requireClusterIdle(call.frame, cluster);
          requireRunning(cluster);
          reportRolling(call.frame, cluster, stored?.name ?? '', 'Started');
          return {
            takes: durations.agentPoolUpgrade,
            during: 'UpgradingNodeImageVersion',
            style: 'azure-async-operation',
          };
        },
      },
    },
  };
  const upgradeProfiles: ResourceType = {
    type: `${AGENT_POOLS}/upgradeProfiles`,
    apiVersions: CLUSTER_API_VERSIONS,
    scope: 'resource-group',
    get: (call) => {
      const pool = call.frame.store.get<PoolBody>(call.parentId);
      const cluster = pool && call.frame.store.get<ClusterBody>(parentIdOf(pool.id));
      if (!cluster || call.name !== 'default') return undefined;
      const offer = offerIn(call.frame.world, cluster.body.location);
      const kubernetesVersion = pool.body.properties.currentOrchestratorVersion;
      return {
        id: call.id,
        name: 'default',
        type: `${AGENT_POOLS}/upgradeProfiles`,
        properties: {
          kubernetesVersion,
          osType: 'Linux',
          latestNodeImageVersion: `AKSUbuntu-2204gen2containerd-${IMAGE_DATES[1]}`,
          upgrades: upgradesFrom(offer, kubernetesVersion).map((version) => ({ kubernetesVersion: version })),
        },
      };
    },
  };
  const availableVersions: ResourceType = {
    type: 'Microsoft.ContainerService/managedClusters/availableAgentPoolVersions',
    apiVersions: CLUSTER_API_VERSIONS,
    scope: 'resource-group',
    document: (call) => {
      const cluster = call.frame.store.get<ClusterBody>(call.id);
      const offer = offerIn(call.frame.world, cluster?.body.location ?? '');
      return {
        id: `${call.id}/availableAgentPoolVersions`,
        name: 'default',
        type: 'Microsoft.ContainerService/managedClusters/availableAgentPoolVersions',
        properties: {
          agentPoolVersions: Object.values(offer)
            .flat()
            .map((kubernetesVersion) => ({
              kubernetesVersion,
              default: kubernetesVersion === chooseVersion(offer, undefined),
            })),
        },
      };
    },
  };
  return [agentPools, upgradeProfiles, availableVersions];
}

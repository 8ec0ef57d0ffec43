/**
 * Microsoft.ContainerService/managedClusters: the life of a cluster and its actions. Its body is in cluster-body.ts, its
 * pools in agent-pools.ts, what AKS makes in the node resource group in cluster-model.ts.
 */
import { z } from 'zod';
import { clusterBusy, reportRolling, rollPool } from './agent-pools.ts';
import { type ClusterInput, clusterBody, putCluster } from './cluster-body.ts';
import { adminCredential, userCredential } from './cluster-credentials.ts';
import {
  CLUSTER_API_VERSIONS,
  CLUSTERS,
  type ClusterBody,
  type ClusterHidden,
  type ClusterProperties,
  type ClusterResource,
  makeNodeGroup,
  nodeGroupId,
  poolsOf,
} from './cluster-model.ts';
import type { Dials } from './dials.ts';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import type { Operation } from './frame/operations.ts';
import { Refusal } from './frame/refusal.ts';
import { tagsSchema } from './frame/request-body.ts';
import { type Finish, provisioningState, type ResourceType, type Stored } from './frame/resource-type.ts';
import { describeVersions, offerIn, upgradesFrom } from './kubernetes-versions.ts';
import { finishRunCommand, startRunCommand } from './run-command.ts';

/** Makes what is missing of the node resource group and its scale sets, and brings the pools to an end. */
function finishCluster(frame: Frame, dials: Dials, operation: Operation, cluster: ClusterResource): Finish {
  const kubelet = makeNodeGroup(frame, cluster);
  const properties: ClusterProperties = {
    ...cluster.body.properties,
    identityProfile: {
      kubeletidentity: {
        resourceId: kubelet.id,
        clientId: kubelet.body.properties.clientId,
        objectId: kubelet.body.properties.principalId,
      },
    },
  };
  const done: ClusterResource = { ...cluster, body: { ...cluster.body, properties } };
  const upgraded = (operation.input['upgradedPools'] as string[] | undefined) ?? [];
  for (const pool of poolsOf(frame, cluster.id)) {
    // A pool with an operation of its own is brought to its end by that.
    if (!frame.isReady(pool)) continue;
    rollPool(frame, dials, done, pool, upgraded.includes(pool.name));
    frame.store.put(pool.id, pool.type, {
      body: { properties: { ...pool.body.properties, provisioningState: 'Succeeded' } },
    });
  }
  return { body: done.body, hidden: { ...cluster.hidden, built: true } };
}

function finishAction(frame: Frame, operation: Operation, cluster: ClusterResource): Finish | undefined {
  if (operation.verb !== 'start' && operation.verb !== 'stop') return undefined;
  const code = operation.verb === 'start' ? 'Running' : 'Stopped';
  for (const pool of poolsOf(frame, cluster.id)) {
    frame.store.put(pool.id, pool.type, {
      body: { properties: { ...pool.body.properties, powerState: { code } } },
    });
  }
  return { body: { ...cluster.body, properties: { ...cluster.body.properties, powerState: { code } } } };
}

function managedClusters(dials: Dials): ResourceType<ClusterBody, ClusterHidden, ClusterInput> {
  return {
    type: CLUSTERS,
    apiVersions: CLUSTER_API_VERSIONS,
    scope: 'resource-group',
    name: {
      pattern: /^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/,
      code: 'InvalidParameter',
      message:
        "The resource name '{name}' is invalid: 1 to 63 letters, digits, '-' and '_', letter or digit at both ends.",
    },
    tracked: true,
    state: provisioningState,
    operations: { style: 'azure-async-operation', retryAfterSeconds: 15 },
    busy: clusterBusy,
    body: clusterBody,
    put: putCluster,
    patchBody: z.strictObject({ tags: tagsSchema.nullish() }),
    patch: (_call, input, before) => ({
      body: { ...before.body, tags: input['tags'] as ClusterBody['tags'] },
      takes: durations.clusterUpdate,
    }),
    remove: () => ({ takes: durations.clusterDeletion }),
    finish: (frame, operation, cluster) => {
      if (operation.verb === 'runCommand') return finishRunCommand(frame, operation, cluster);
      if (operation.verb === 'put' || operation.verb === 'patch') {
        return finishCluster(frame, dials, operation, cluster);
      }
      return finishAction(frame, operation, cluster);
    },
    failed: (frame, operation, cluster) => {
      for (const pool of (operation.input['upgradedPools'] as string[] | undefined) ?? []) {
        reportRolling(frame, cluster, pool, 'Failed');
      }
    },
    gone: (frame, cluster) => {
      const { principalId } = cluster.body.identity;
      if (typeof principalId === 'string') frame.neighbours.directory.removePrincipal(principalId);
      const removed = frame.removeAsProvider(nodeGroupId(frame, cluster));
      return removed?.then(() => undefined);
    },
    show: showCluster,
    actions: {
      listClusterUserCredential: {
        run: ({ frame, url }, _input, stored) => ({
          now: userCredential(frame, requireBuilt(stored), url.searchParams.get('format')),
        }),
      },
      listClusterAdminCredential: {
        run: ({ frame }, _input, stored) => ({ now: adminCredential(frame, requireBuilt(stored)) }),
      },
      runCommand: {
        permission: `${CLUSTERS}/runcommand/action`,
        body: z.strictObject({
          command: z.string().min(1),
          context: z.string().optional(),
          clusterToken: z.string().optional(),
        }),
        run: (call, input, stored) => startRunCommand(call, input, requireBuilt(stored)),
      },
      start: {
        run: (_call, _input, stored) => {
          if (requireBuilt(stored).body.properties.powerState.code === 'Running')
            return { now: undefined, status: 204 };
          return { takes: durations.clusterStart, during: 'Starting' };
        },
      },
      stop: {
        run: (_call, _input, stored) => {
          if (requireBuilt(stored).body.properties.powerState.code === 'Stopped')
            return { now: undefined, status: 204 };
          return { takes: durations.clusterStop, during: 'Stopping' };
        },
      },
    },
  };
}

function requireBuilt(stored: Stored | undefined): ClusterResource {
  const cluster = stored as ClusterResource;
  if (cluster.hidden.built) return cluster;
  throw new Refusal(
    409,
    'OperationNotAllowed',
    `The operation is not allowed on the managed cluster '${cluster.name}' before it has been created.`,
  );
}

function showCluster(frame: Frame, cluster: ClusterResource): Json {
  return {
    ...cluster.body,
    eTag: cluster.etag,
    properties: {
      ...cluster.body.properties,
      agentPoolProfiles: poolsOf(frame, cluster.id).map((pool) => ({
        name: pool.name,
        ...pool.body.properties,
      })),
      ...(cluster.error && { status: { provisioningError: cluster.error } }),
    },
  };
}

const upgradeProfiles: ResourceType = {
  type: `${CLUSTERS}/upgradeProfiles`,
  apiVersions: CLUSTER_API_VERSIONS,
  scope: 'resource-group',
  get: (call) => {
    const cluster = call.frame.store.get<ClusterBody, ClusterHidden>(call.parentId);
    if (!cluster || call.name !== 'default') return undefined;
    const offer = offerIn(call.frame.world, cluster.body.location);
    const profile = (version: string): Json => ({
      kubernetesVersion: version,
      osType: 'Linux',
      upgrades: upgradesFrom(offer, version).map((kubernetesVersion) => ({ kubernetesVersion })),
    });
    return {
      id: call.id,
      name: 'default',
      type: `${CLUSTERS}/upgradeProfiles`,
      properties: {
        controlPlaneProfile: profile(cluster.body.properties.currentKubernetesVersion),
        agentPoolProfiles: poolsOf(call.frame, cluster.id).map(({ name, body }) => ({
          name,
          ...profile(body.properties.currentOrchestratorVersion),
        })),
      },
    };
  },
};

const kubernetesVersions: ResourceType = {
  type: 'Microsoft.ContainerService/locations/kubernetesVersions',
  apiVersions: CLUSTER_API_VERSIONS,
  scope: 'subscription',
  document: ({ frame, target }) => describeVersions(offerIn(frame.world, target.names[0] ?? '')),
};

export function containerServiceTypes(dials: Dials): readonly ResourceType[] {
  return [managedClusters(dials), upgradeProfiles, kubernetesVersions];
}

/**
 * The user-assigned identity on the model of every node pool's scale set, so that External Secrets can sign in with it
 * from any node. A PATCH merges: what others put there stays. AKS does not know of it and may drop it on an upgrade,
 * and a new pool starts without it, so it is looked for again and again. Identities live on the scale set: instances
 * need no update and no reimage (https://github.com/Azure/azure-cli/issues/19813).
 */
import type { VirtualMachineScaleSet, VirtualMachineScaleSetUpdate } from '@azure/arm-compute';
import type { ManagedCluster } from '@azure/arm-containerservice';
import { fatal } from '../../graph/failure.ts';
import type { Difference, Observed } from '../../graph/resource.ts';
import { isMoving, seenDifferences, submitFor } from '../kinds/arm-resource.ts';
import { defineResource, type Scope } from '../scope.ts';
import { cluster } from './cluster.ts';
import { identity } from './identity.ts';

const key = 'azure/node-identity';
const LOOK_AGAIN_SECONDS = 10;

interface Held {
  readonly id: string;
  readonly clientId: string;
}

const entryOf = (scaleSet: VirtualMachineScaleSet, identityId: string) =>
  Object.entries(scaleSet.identity?.userAssignedIdentities ?? {}).find(
    ([id]) => id.toLowerCase() === identityId.toLowerCase(),
  );

/**
 * An identity that was deleted stays listed under its id, and one that is made anew has the same id and is another: nodes
 * answer "Identity not found" until it is taken off and put on again.
 */
const isStale = (scaleSet: VirtualMachineScaleSet, { id, clientId }: Held): boolean => {
  const held = entryOf(scaleSet, id)?.[1]?.clientId;
  return held !== undefined && held.toLowerCase() !== clientId.toLowerCase();
};

export const holdsIdentity = (scaleSet: VirtualMachineScaleSet, identity: Held): boolean =>
  entryOf(scaleSet, identity.id) !== undefined && !isStale(scaleSet, identity);

/**
 * The PATCH that adds an identity, or first takes off the one that was there before it. `type` must name everything there
 * is to keep, or a system-assigned identity is dropped; the values must be empty, for ids read before are refused
 * (InvalidIdentityValues).
 */
export function identityPatch(
  scaleSet: VirtualMachineScaleSet,
  identity: Held,
): VirtualMachineScaleSetUpdate {
  const hasSystem = scaleSet.identity?.type?.includes('SystemAssigned') ?? false;
  // Null takes away, which the SDK's types do not know.
  const value = isStale(scaleSet, identity) ? (null as never) : {};
  return {
    identity: {
      type: hasSystem ? 'SystemAssigned, UserAssigned' : 'UserAssigned',
      userAssignedIdentities: { [identity.id]: value },
    },
  };
}

/** Why identities cannot be put on this cluster's nodes at all, if so. */
export function obstacle(found: ManagedCluster): { code: string; message: string } | undefined {
  if (found.nodeResourceGroupProfile?.restrictionLevel === 'ReadOnly') {
    return {
      code: 'NodeResourceGroupLocked',
      message: `AKS locks the node resource group ${found.nodeResourceGroup}: set its restriction level to Unrestricted`,
    };
  }
  if (found.nodeProvisioningProfile?.mode === 'Auto') {
    return {
      code: 'PoolWithoutScaleSet',
      message:
        'node auto-provisioning makes nodes without scale sets: switch it off, so that every node can hold the identity',
    };
  }
  const without = found.agentPoolProfiles?.find(
    ({ type }) => type !== undefined && type !== 'VirtualMachineScaleSets',
  );
  return without
    ? {
        code: 'PoolWithoutScaleSet',
        message: `the node pool ${without.name} is of type ${without.type} and has no scale set to hold the identity`,
      }
    : undefined;
}

/** AKS tags each scale set with its pool; their names are not ours to guess. */
export const poolOf = (scaleSet: VirtualMachineScaleSet): string | undefined =>
  Object.entries(scaleSet.tags ?? {}).find(([name]) => name.toLowerCase() === 'aks-managed-poolname')?.[1];

export async function scaleSetsOf(
  scope: Pick<Scope, 'clients'>,
  nodeResourceGroup: string,
): Promise<VirtualMachineScaleSet[]> {
  const found: VirtualMachineScaleSet[] = [];
  for await (const scaleSet of scope.clients.compute().virtualMachineScaleSets.list(nodeResourceGroup)) {
    if (poolOf(scaleSet) !== undefined) found.push(scaleSet);
  }
  return found;
}

type Outputs = { readonly scaleSets: readonly string[] };

const pathOf = (scaleSet: string): string => `${scaleSet}.identity.userAssignedIdentities`;

export const nodeIdentity = defineResource<
  { readonly cluster: typeof cluster; readonly identity: typeof identity },
  Outputs
>({
  key,
  title: 'Identity on the nodes',
  dependsOn: { cluster, identity },
  pushesApart: true,
  isOfNewPart(path, told) {
    const known = told?.['scaleSets'];
    return Array.isArray(known) && !known.some((name) => path === pathOf(String(name)));
  },

  async observe(scope, deps): Promise<Observed<Outputs>> {
    const found = await scope.clients
      .clusters()
      .managedClusters.get(scope.names.resourceGroup, deps.cluster.name);
    const blocked = obstacle(found);
    if (blocked) return { state: 'failed', ...blocked };
    const scaleSets = await scaleSetsOf(scope, deps.cluster.nodeResourceGroup);
    const pools = found.agentPoolProfiles ?? [];
    const unborn = pools.find(({ name, provisioningState, count }) => {
      const isSettled = provisioningState === 'Succeeded' || provisioningState === undefined;
      return !isSettled || (count !== 0 && !scaleSets.some((scaleSet) => poolOf(scaleSet) === name));
    });
    const lacking = scaleSets.filter((scaleSet) => !holdsIdentity(scaleSet, deps.identity));
    // While AKS works on a pool it refuses the PATCH, or undoes it at the end.
    const busy = lacking.find(
      ({ provisioningState }) => provisioningState === 'Updating' || provisioningState === 'Creating',
    );
    if (unborn || busy) {
      const what = unborn ? `the node pool ${unborn.name}` : `the scale set ${busy?.name}`;
      return {
        state: 'changing',
        reason: `${what} is still changing`,
        retryAfterSeconds: LOOK_AGAIN_SECONDS,
      };
    }
    const names = scaleSets.flatMap(({ name }) => (name ? [name] : [])).sort();
    if (lacking.length === 0) return { state: 'ready', outputs: { scaleSets: names } };
    const differences: Difference[] = lacking.map(({ name = '' }) => ({
      path: pathOf(name),
      wanted: deps.identity.id,
      found: null,
    }));
    // A PATCH that was accepted and failed is told here; one that runs shows as Updating soon.
    for (const { name } of lacking) {
      if (!(await isMoving(scope, `${key}/${name}`))) continue;
      const reason = `the identity is being put on ${name}`;
      return { state: 'changing', reason, retryAfterSeconds: LOOK_AGAIN_SECONDS };
    }
    // Also when it is on none of them: which those are is how the activity log knows who took it off.
    return { state: 'drifted', outputs: { scaleSets: names }, differences };
  },

  async ensure(scope, deps, seen) {
    if (seen.state === 'failed') throw fatal(seen.code, seen.message);
    const { nodeResourceGroup } = deps.cluster;
    const shown = seenDifferences(seen);
    for (const scaleSet of await scaleSetsOf(scope, nodeResourceGroup)) {
      const { name = '' } = scaleSet;
      if (holdsIdentity(scaleSet, deps.identity) || !shown.some(({ path }) => path === pathOf(name)))
        continue;
      const patch = identityPatch(scaleSet, deps.identity);
      await submitFor(
        scope,
        `${key}/${name}`,
        scope.clients.compute().virtualMachineScaleSets.update(nodeResourceGroup, name, patch),
      );
    }
  },

  /** It goes with the nodes, or with the identity. */
  async remove() {},
});

/**
 * Microsoft.Compute/virtualMachineScaleSets: those that AKS makes. The identity of a scale set is a merge map, with the
 * rules of https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/qs-configure-rest-vmss
 */
import { z } from 'zod';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import { isJson, type Json, mergePatch, objectAt } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { readOnly, tagsSchema } from './frame/request-body.ts';
import { type Call, provisioningState, type ResourceType, type Stored } from './frame/resource-type.ts';
import { lastName, sameId } from './frame/target.ts';
import { attachIdentities, type IdentityMap } from './managed-identity.ts';

const API_VERSIONS = ['2026-03-01', '2025-11-01', '2025-04-01', '2024-11-01', '2024-07-01', '2023-09-01'];
export const SCALE_SETS = 'Microsoft.Compute/virtualMachineScaleSets';

export type ScaleSetIdentity = { type: string; principalId?: string; userAssignedIdentities?: IdentityMap };
export type ScaleSetBody = {
  location: string;
  tags?: Record<string, string> | undefined;
  sku: { name: string; tier: string; capacity: number };
  identity?: ScaleSetIdentity | undefined;
  properties: Json;
};
/** Who owns it: the agent pool. */
export type ScaleSetHidden = { agentPoolId: string };

const identityPatch = z.strictObject({
  type: z.enum(['None', 'SystemAssigned', 'UserAssigned', 'SystemAssigned, UserAssigned']).optional(),
  userAssignedIdentities: z.record(z.string(), z.looseObject({}).nullable()).optional(),
  ...readOnly('principalId', 'tenantId'),
});
const patchBody = z.strictObject({
  tags: tagsSchema.optional(),
  identity: identityPatch.optional(),
  sku: z
    .strictObject({
      name: z.string().optional(),
      tier: z.string().optional(),
      capacity: z.int().min(0).optional(),
    })
    .optional(),
  properties: z
    .strictObject({
      upgradePolicy: z.unknown().optional(),
      overprovision: z.boolean().optional(),
      singlePlacementGroup: z.boolean().optional(),
      doNotRunExtensionsOnOverprovisionedVMs: z.boolean().optional(),
      automaticRepairsPolicy: z.unknown().optional(),
      virtualMachineProfile: z.unknown().optional(),
    })
    .optional(),
});

/** The identity after a PATCH: what is not named stays, null removes, and values must be empty objects. */
function patchedIdentity(
  call: Call,
  before: ScaleSetIdentity | undefined,
  patch: z.infer<typeof identityPatch>,
): ScaleSetIdentity | undefined {
  const given = patch.userAssignedIdentities ?? {};
  for (const value of Object.values(given)) {
    if (value === null || Object.keys(value).length === 0) continue;
    throw new Refusal(
      400,
      'InvalidIdentityValues',
      "Invalid value for the identities of the resource. The 'UserAssignedIdentities' property keys should only be " +
        'empty json objects, null or the resource exisiting property.',
    );
  }
  if (patch.type === undefined) {
    throw new Refusal(400, 'InvalidParameter', "Required parameter 'identity.type' is missing (null).");
  }
  if (!patch.type.includes('UserAssigned') && Object.keys(given).length > 0) {
    throw new Refusal(
      400,
      'InvalidIdentityType',
      `The 'userAssignedIdentities' property cannot be given with the identity type '${patch.type}'.`,
    );
  }
  const added = attachIdentities(
    call,
    Object.entries(given)
      .filter(([, value]) => value !== null)
      .map(([id]) => id),
  );
  const isRemoved = (id: string): boolean =>
    Object.entries(given).some(([removed, value]) => value === null && sameId(removed, id));
  const kept = Object.fromEntries(
    Object.entries(before?.userAssignedIdentities ?? {}).filter(
      ([id]) => !isRemoved(id) && !Object.keys(added).some((one) => sameId(one, id)),
    ),
  );
  const identities = patch.type.includes('UserAssigned') ? { ...kept, ...added } : {};
  const hasSystem = patch.type.includes('SystemAssigned');
  if (Object.keys(identities).length === 0)
    return hasSystem ? withSystem(call, before, 'SystemAssigned') : undefined;
  return {
    ...(hasSystem ? withSystem(call, before, 'SystemAssigned, UserAssigned') : { type: 'UserAssigned' }),
    userAssignedIdentities: identities,
  };
}

function withSystem(call: Call, before: ScaleSetIdentity | undefined, type: string): ScaleSetIdentity {
  const principalId = before?.principalId ?? call.frame.neighbours.directory.addManagedIdentity(call.name).id;
  return { type, principalId };
}

/** Compute does not take a change while AKS works on the pool. */
function requirePoolIdle(frame: Frame, stored: Stored<ScaleSetBody, ScaleSetHidden>): void {
  const pool = frame.store.get(stored.hidden.agentPoolId);
  if (!pool || frame.isReady(pool)) return;
  throw new Refusal(
    409,
    'OperationNotAllowed',
    `Operation 'updateVirtualMachineScaleSet' is not allowed on '${stored.name}': an AKS operation on the agent pool ` +
      `'${pool.name}' is in progress.`,
  );
}

const scaleSets: ResourceType<ScaleSetBody, ScaleSetHidden> = {
  type: SCALE_SETS,
  apiVersions: API_VERSIONS,
  scope: 'resource-group',
  tracked: true,
  etag: true,
  state: provisioningState,
  operations: { style: 'azure-async-operation', retryAfterSeconds: 10 },
  busy: {
    code: 'OperationNotAllowed',
    message: "Another operation on the virtual machine scale set '{name}' is in progress.",
  },
  patchBody,
  patch: (call, input, before) => {
    requirePoolIdle(call.frame, before);
    const { identity, ...rest } = input as z.infer<typeof patchBody>;
    const after =
      identity === undefined ? before.body.identity : patchedIdentity(call, before.body.identity, identity);
    const { tags, ...merged } = rest;
    return {
      body: {
        ...(mergePatch(before.body, merged as Json) as ScaleSetBody),
        ...(tags && { tags }),
        identity: before.body.identity,
      },
      takes: durations.scaleSetUpdate,
      input: { identity: after ?? null },
    };
  },
  finish: (_frame, operation, stored) => {
    const identity = operation.input['identity'];
    return { body: { ...stored.body, identity: isJson(identity) ? identity : undefined } };
  },
  remove: (call, before) => {
    requirePoolIdle(call.frame, before);
    return { takes: durations.agentPoolDeletion };
  },
};

const instances: ResourceType = {
  type: `${SCALE_SETS}/virtualMachines`,
  apiVersions: API_VERSIONS,
  scope: 'resource-group',
  get: ({ frame, parentId, name }) => {
    const scaleSet = frame.store.get<ScaleSetBody>(parentId);
    return scaleSet && Number(name) < scaleSet.body.sku.capacity
      ? describeInstance(scaleSet, Number(name))
      : undefined;
  },
  list: ({ frame, id }) => {
    const scaleSet = frame.store.get<ScaleSetBody>(id);
    if (!scaleSet) return [];
    return Array.from({ length: scaleSet.body.sku.capacity }, (_, index) =>
      describeInstance(scaleSet, index),
    );
  },
};

/** Identities live on the model, so an instance is on the latest one after a change of them. */
function describeInstance(scaleSet: Stored<ScaleSetBody>, index: number): Json {
  return {
    id: `${scaleSet.id}/virtualMachines/${index}`,
    name: `${scaleSet.name}_${index}`,
    type: `${SCALE_SETS}/virtualMachines`,
    instanceId: String(index),
    location: scaleSet.body.location,
    tags: scaleSet.body.tags,
    sku: { name: scaleSet.body.sku.name, tier: scaleSet.body.sku.tier },
    identity: scaleSet.body.identity,
    properties: {
      latestModelApplied: true,
      provisioningState: 'Succeeded',
      osProfile: { computerName: `${lastName(scaleSet.id)}${index.toString(36).padStart(6, '0')}` },
    },
  };
}

export function identitiesOn(scaleSet: Stored<ScaleSetBody>): IdentityMap {
  return objectAt(scaleSet.body.identity ?? {}, 'userAssignedIdentities') as IdentityMap;
}

export const computeTypes: readonly ResourceType[] = [scaleSets, instances];

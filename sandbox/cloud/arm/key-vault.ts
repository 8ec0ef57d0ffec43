/**
 * Microsoft.KeyVault: vaults. A deleted vault is only hidden: it keeps its name in the whole cloud until it is purged
 * or its retention ends, and comes back with its secrets by createMode recover.
 * https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview
 * Over 300 lines because a vault and its deleted self are one life.
 */
import { z } from 'zod';
import type { VaultResources } from '../neighbours.ts';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import { type Json, mergePatch } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { inert, readOnly, tagsSchema, trackedMembers } from './frame/request-body.ts';
import { type Call, provisioningState, type ResourceType, type Stored } from './frame/resource-type.ts';
import { showConnections } from './private-link.ts';

const API_VERSIONS = ['2026-02-01', '2025-05-01', '2024-11-01', '2023-07-01', '2023-02-01', '2022-07-01'];
export const VAULTS = 'Microsoft.KeyVault/vaults';
const DELETED_VAULTS = 'Microsoft.KeyVault/locations/deletedVaults';
const DAY = 24 * 3600 * 1000;

const sku = z.strictObject({ family: z.literal('A'), name: z.enum(['standard', 'premium']) });
const networkAcls = z.strictObject({
  bypass: z.enum(['AzureServices', 'None']).optional(),
  defaultAction: z.enum(['Allow', 'Deny']).optional(),
  ipRules: z.array(z.strictObject({ value: z.string() })).optional(),
  virtualNetworkRules: z
    .array(z.strictObject({ id: z.string(), ignoreMissingVnetServiceEndpoint: z.boolean().optional() }))
    .optional(),
});
const settings = {
  accessPolicies: z.array(z.unknown()).optional(),
  enabledForDeployment: z.boolean().optional(),
  enabledForDiskEncryption: z.boolean().optional(),
  enabledForTemplateDeployment: z.boolean().optional(),
  enableSoftDelete: z.boolean().optional(),
  softDeleteRetentionInDays: z.int().min(7).max(90).optional(),
  enableRbacAuthorization: z.boolean().optional(),
  enablePurgeProtection: z.boolean().nullish(),
  networkAcls: networkAcls.optional(),
  publicNetworkAccess: z.string().optional(),
  createMode: z.enum(['default', 'recover']).optional(),
};
const vaultBody = z.strictObject({
  ...trackedMembers,
  properties: z.strictObject({
    tenantId: z.guid(),
    sku: sku.optional(),
    ...settings,
    ...readOnly('vaultUri', 'hsmPoolResourceId', 'provisioningState', 'privateEndpointConnections'),
  }),
});
type VaultInput = z.infer<typeof vaultBody>;

export type VaultProperties = Omit<VaultInput['properties'], 'createMode'> & {
  vaultUri: string;
  privateEndpointConnections?: Json[];
};
export type VaultBody = Omit<VaultInput, 'properties'> & { properties: VaultProperties };

/** A vault in soft-deleted state; kept as a resource of its own under the subscription. */
type Deleted = {
  vaultId: string;
  location: string;
  deletionDate: string;
  scheduledPurgeDate: string;
  purgeProtectionEnabled: boolean;
  purging: boolean;
  body: VaultBody;
};

function deletedVaults(frame: Frame): Stored<{ deleted: Deleted }>[] {
  forgetExpired(frame);
  return frame.store.ofType<{ deleted: Deleted }>(DELETED_VAULTS);
}

/** Purged by hand or by time: the secrets are gone and the name is free. */
function forgetDeleted(frame: Frame, deleted: Stored): void {
  frame.store.delete(deleted.id);
  frame.neighbours.vaults.forget(`${deleted.name.toLowerCase()}.vault.azure.net`);
}

function forgetExpired(frame: Frame): void {
  const now = frame.world.clock.now();
  for (const vault of frame.store.ofType<{ deleted: Deleted }>(DELETED_VAULTS)) {
    if (Date.parse(vault.body.deleted.scheduledPurgeDate) <= now) forgetDeleted(frame, vault);
  }
}

const deletedId = (frame: Frame, location: string, name: string): string =>
  `${frame.subscriptionScope}/providers/Microsoft.KeyVault/locations/${location}/deletedVaults/${name}`;

function putVault(call: Call, input: VaultInput, before: Stored<VaultBody> | undefined): { body: VaultBody } {
  const { frame, name } = call;
  const { createMode, ...given } = input.properties;
  if (given.tenantId !== frame.world.settings.tenantId) {
    throw new Refusal(
      400,
      'InvalidTenantId',
      `The tenant '${given.tenantId}' in the vault's properties is not the tenant of the subscription.`,
    );
  }
  if (before) {
    const properties = keepFixed(before, mergeOver(before, given));
    reportAccessChange(frame, before, properties);
    return { body: { ...input, properties } };
  }
  const deleted = deletedVaults(frame).find((vault) => vault.name.toLowerCase() === name.toLowerCase());
  if (createMode === 'recover') {
    if (!deleted || deleted.body.deleted.purging || deleted.body.deleted.location !== input.location) {
      throw new Refusal(
        404,
        'DeletedVaultNotFound',
        `The specified deleted vault '${name}' does not exist in the location '${input.location}' or is being purged.`,
      );
    }
    frame.store.delete(deleted.id);
    const { body } = deleted.body.deleted;
    return { body: { ...body, tags: input.tags ?? body.tags } };
  }
  if (deleted) {
    throw new Refusal(
      409,
      'ConflictError',
      `A vault with the same name already exists in deleted state. You need to either recover or purge existing key ` +
        'vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.',
    );
  }
  if (findByName(frame, name)) {
    throw new Refusal(
      409,
      'VaultAlreadyExists',
      `The vault name '${name}' is already in use. Vault names are globally unique so it is possible that the name is ` +
        'already taken.',
    );
  }
  if (!given.sku) throw new Refusal(400, 'BadRequest', "The parameter 'sku' of the vault is missing.");
  return { body: { ...input, properties: { ...vaultDefaults(name), ...given } } };
}

/** enableRbacAuthorization is false unless asked for, as in the stable api-versions. */
export const vaultDefaults = (name: string) => ({
  accessPolicies: [],
  enabledForDeployment: false,
  enableSoftDelete: true,
  softDeleteRetentionInDays: 90,
  enableRbacAuthorization: false,
  publicNetworkAccess: 'Enabled',
  vaultUri: `https://${name.toLowerCase()}.vault.azure.net/`,
});

/** A PUT without createMode keeps what it does not name (the provider treats it as an update). */
function mergeOver(
  before: Stored<VaultBody>,
  given: Omit<VaultInput['properties'], 'createMode'>,
): VaultProperties {
  return { ...before.body.properties, ...given, vaultUri: before.body.properties.vaultUri };
}

/** Also sent when the vault is switched to or from RBAC. https://learn.microsoft.com/azure/event-grid/event-schema-key-vault */
function reportAccessChange(frame: Frame, before: Stored<VaultBody>, after: VaultProperties): void {
  const access = ({ accessPolicies, enableRbacAuthorization }: VaultProperties): string =>
    JSON.stringify([accessPolicies ?? [], enableRbacAuthorization === true]);
  if (access(before.body.properties) === access(after)) return;
  frame.world.emit({
    topic: before.id,
    subject: before.name,
    eventType: 'Microsoft.KeyVault.VaultAccessPolicyChanged',
    dataVersion: '1',
    data: {
      Id: after.vaultUri,
      VaultName: before.name,
      ObjectType: 'Vault',
      ObjectName: before.name,
      Version: '',
      NBF: null,
      EXP: null,
    },
  });
}

function keepFixed(before: Stored<VaultBody>, after: VaultProperties): VaultProperties {
  const old = before.body.properties;
  if (after.enableSoftDelete === false) {
    throw new Refusal(400, 'BadRequest', "The property 'enableSoftDelete' cannot be set to false.");
  }
  if (old.enablePurgeProtection && after.enablePurgeProtection !== true) {
    throw new Refusal(
      400,
      'BadRequest',
      "The property 'enablePurgeProtection' cannot be set to false. Enabling the purge protection for a vault is an " +
        'irreversible action.',
    );
  }
  if (after.softDeleteRetentionInDays !== old.softDeleteRetentionInDays) {
    throw new Refusal(
      400,
      'BadRequest',
      "The property 'softDeleteRetentionInDays' has been set already and it can't be modified.",
    );
  }
  return after;
}

function removeVault(frame: Frame, stored: Stored<VaultBody>): void {
  const now = frame.world.clock.now();
  const { body } = stored;
  const retention = (body.properties.softDeleteRetentionInDays ?? 90) * DAY;
  const deleted: Deleted = {
    vaultId: stored.id,
    location: body.location,
    deletionDate: new Date(now).toISOString(),
    scheduledPurgeDate: new Date(now + retention).toISOString(),
    purgeProtectionEnabled: body.properties.enablePurgeProtection === true,
    purging: false,
    body,
  };
  frame.store.put(deletedId(frame, body.location, stored.name), DELETED_VAULTS, { body: { deleted } });
}

const vaults: ResourceType<VaultBody, Json, VaultInput> = {
  type: VAULTS,
  apiVersions: API_VERSIONS,
  scope: 'resource-group',
  name: {
    pattern: /^(?!.*--)[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$/,
    code: 'VaultNameNotValid',
    message:
      "The vault name '{name}' is invalid. A vault's name must be between 3-24 alphanumeric characters. The name must " +
      'begin with a letter, end with a letter or digit, and not contain consecutive hyphens.',
  },
  tracked: true,
  state: provisioningState,
  body: vaultBody,
  put: putVault,
  patchBody: z.strictObject({
    tags: tagsSchema.nullish(),
    properties: z
      .strictObject({
        tenantId: z.guid().optional(),
        sku: sku.optional(),
        ...settings,
        ...inert('provisioningState'),
      })
      .optional(),
  }),
  patch: (call, input, before) => {
    const merged = mergePatch(before.body, input) as VaultBody;
    reportAccessChange(call.frame, before, merged.properties);
    return { body: { ...merged, properties: keepFixed(before, merged.properties) } };
  },
  show: (frame, stored) => {
    const connections = showConnections(frame, stored);
    const { properties } = stored.body;
    return connections.length === 0
      ? stored.body
      : { ...stored.body, properties: { ...properties, privateEndpointConnections: connections } };
  },
  remove: () => ({}),
  gone: removeVault,
};

const deletedVaultType: ResourceType<{ deleted: Deleted }> = {
  type: DELETED_VAULTS,
  apiVersions: API_VERSIONS,
  scope: 'subscription',
  get: ({ frame, name }) => {
    const found = deletedVaults(frame).find((vault) => vault.name.toLowerCase() === name.toLowerCase());
    return found && describeDeleted(found);
  },
  finish: (frame, _operation, stored) => {
    forgetDeleted(frame, stored);
    return undefined;
  },
  actions: {
    purge: {
      permission: 'Microsoft.KeyVault/locations/deletedVaults/purge/action',
      run: ({ frame, name }) => {
        const found = deletedVaults(frame).find((vault) => vault.name.toLowerCase() === name.toLowerCase());
        if (!found)
          throw new Refusal(404, 'DeletedVaultNotFound', `The deleted vault '${name}' does not exist.`);
        if (found.body.deleted.purgeProtectionEnabled) {
          throw new Refusal(
            409,
            'MethodNotAllowed',
            'Operation "DeletedVaultPurge" is not allowed because purge protection is enabled for this vault. Key ' +
              'Vault service will automatically purge it after the retention period has passed.',
          );
        }
        frame.store.put(found.id, found.type, {
          body: { deleted: { ...found.body.deleted, purging: true } },
        });
        return { takes: durations.vaultPurge };
      },
    },
  },
};

const deletedVaultList: ResourceType = {
  type: 'Microsoft.KeyVault/deletedVaults',
  apiVersions: API_VERSIONS,
  scope: 'subscription',
  list: ({ frame }) => deletedVaults(frame).map(describeDeleted),
};

function describeDeleted({ id, name, body: { deleted } }: Stored<{ deleted: Deleted }>): Json {
  return {
    id,
    name,
    type: 'Microsoft.KeyVault/deletedVaults',
    properties: {
      vaultId: deleted.vaultId,
      location: deleted.location,
      tags: deleted.body.tags ?? {},
      deletionDate: deleted.deletionDate,
      scheduledPurgeDate: deleted.scheduledPurgeDate,
      purgeProtectionEnabled: deleted.purgeProtectionEnabled,
    },
  };
}

const keyVaultProvider: ResourceType = {
  type: 'Microsoft.KeyVault',
  apiVersions: API_VERSIONS,
  scope: 'subscription',
  actions: {
    checkNameAvailability: {
      permission: 'Microsoft.KeyVault/checkNameAvailability/read',
      body: z.strictObject({ name: z.string(), type: z.literal('Microsoft.KeyVault/vaults') }),
      run: ({ frame }, input) => {
        const name = String(input['name']);
        const isDeleted = deletedVaults(frame).some(
          (vault) => vault.name.toLowerCase() === name.toLowerCase(),
        );
        if (!isDeleted && !findByName(frame, name)) return { now: { nameAvailable: true } };
        const message = isDeleted
          ? `The vault name '${name}' is in a soft-deleted state; recover or purge it to use the name.`
          : `The vault name '${name}' is already in use.`;
        return { now: { nameAvailable: false, reason: 'AlreadyExists', message } };
      },
    },
  },
};

function findByName(frame: Frame, name: string): Stored<VaultBody> | undefined {
  return frame.store
    .ofType<VaultBody>(VAULTS)
    .find((vault) => vault.name.toLowerCase() === name.toLowerCase());
}

/** The vaults as their data plane knows them. */
export function vaultResources(frame: Frame): VaultResources {
  return {
    find: (host) => {
      const suffix = '.vault.azure.net';
      const vault = host.endsWith(suffix) ? findByName(frame, host.slice(0, -suffix.length)) : undefined;
      if (!vault) return undefined;
      const { tenantId, publicNetworkAccess, enableRbacAuthorization } = vault.body.properties;
      const { softDeleteRetentionInDays = 90, enablePurgeProtection } = vault.body.properties;
      return {
        id: vault.id,
        tenantId,
        publicNetworkAccess: publicNetworkAccess?.toLowerCase() === 'disabled' ? 'Disabled' : 'Enabled',
        enableRbacAuthorization: enableRbacAuthorization === true,
        location: vault.body.location,
        softDeleteRetentionInDays,
        enablePurgeProtection: enablePurgeProtection === true,
      };
    },
  };
}

export const keyVaultTypes = [vaults, deletedVaultType, deletedVaultList, keyVaultProvider] as const;

/** Microsoft.ManagedIdentity: user-assigned identities and their federated credentials. */
import { z } from 'zod';
import type { Frame } from './frame/frame.ts';
import { isJson, type Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers, readOnly, tagsSchema, trackedMembers } from './frame/request-body.ts';
import type { Call, ResourceType, Stored } from './frame/resource-type.ts';
import { parentIdOf, sameId } from './frame/target.ts';

const API_VERSIONS = ['2024-11-30', '2023-01-31', '2022-01-31-preview', '2018-11-30'];
export const USER_ASSIGNED_IDENTITIES = 'Microsoft.ManagedIdentity/userAssignedIdentities';
/** The literal name of the operation that Managed Identity Operator allows. */
export const ASSIGN_IDENTITY = 'Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action';

export type IdentityBody = {
  location: string;
  tags?: Record<string, string> | null | undefined;
  properties: { tenantId: string; principalId: string; clientId: string; isolationScope?: string };
};

const userAssignedIdentities: ResourceType<IdentityBody> = {
  type: USER_ASSIGNED_IDENTITIES,
  apiVersions: API_VERSIONS,
  scope: 'resource-group',
  name: {
    pattern: /^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$/,
    code: 'InvalidResourceName',
    message:
      "The resource name '{name}' is invalid: 3 to 128 letters, digits, '-' and '_', the first no sign.",
  },
  tracked: true,
  body: z.strictObject({
    ...trackedMembers,
    properties: z
      .strictObject({
        isolationScope: z.enum(['None', 'Regional']).optional(),
        ...readOnly('tenantId', 'principalId', 'clientId'),
      })
      .optional(),
  }),
  put: (call, input, before) => {
    const { tenantId } = call.frame.world.settings;
    const made = before ? undefined : call.frame.neighbours.directory.addManagedIdentity(call.name);
    return {
      body: {
        ...input,
        location: String(input['location']),
        properties: before?.body.properties ?? {
          tenantId,
          principalId: made?.id ?? '',
          clientId: made?.appId ?? '',
        },
      },
    };
  },
  patchBody: z.strictObject({
    tags: tagsSchema.nullish(),
    ...readOnly('id', 'name', 'type', 'location', 'properties'),
  }),
  patch: (_call, input, before) => ({ body: { ...before.body, ...input } }),
  remove: () => ({}),
  gone: (frame, stored) => frame.neighbours.directory.removePrincipal(stored.body.properties.principalId),
};

type Credential = {
  properties: { issuer: string; subject: string; audiences: string[] };
};

const federatedIdentityCredentials: ResourceType<Credential> = {
  type: `${USER_ASSIGNED_IDENTITIES}/federatedIdentityCredentials`,
  apiVersions: API_VERSIONS,
  scope: 'resource-group',
  body: z.strictObject({
    ...childMembers,
    properties: z.strictObject({
      issuer: z.url(),
      subject: z.string().min(1),
      audiences: z.array(z.string()).min(1),
    }),
  }),
  put: (call, input) => {
    const body = input as Credential;
    const { issuer, subject } = body.properties;
    const twin = call.frame.store
      .ofType<Credential>(`${USER_ASSIGNED_IDENTITIES}/federatedIdentityCredentials`, parentIdOf(call.id))
      .find(
        ({ id, body: { properties } }) =>
          !sameId(id, call.id) && properties.issuer === issuer && properties.subject === subject,
      );
    if (twin) {
      throw new Refusal(
        409,
        'Conflict',
        `Issuer and subject combination already exists for this Managed Identity: '${twin.name}'.`,
      );
    }
    return { body };
  },
  remove: () => ({}),
};

/** What a resource shows of the user-assigned identities it carries. */
export type IdentityMap = Record<string, { principalId: string; clientId: string }>;

/** Looks the identities up, asks for the right to assign each, and gives the map as a GET shows it. */
export function attachIdentities(call: Call, ids: readonly string[]): IdentityMap {
  return Object.fromEntries(
    ids.map((id) => {
      const identity = findIdentity(call.frame, id);
      if (!identity) {
        throw new Refusal(
          404,
          'FailedIdentityOperation',
          `Identity operation for resource '${call.id}' failed with error 'Failed to perform resource identity ` +
            `operation. Status: 'NotFound'. Resource '${id}' was not found.'.`,
        );
      }
      call.requireLinked(ASSIGN_IDENTITY, identity.id);
      const { principalId, clientId } = identity.body.properties;
      return [identity.id, { principalId, clientId }];
    }),
  );
}

export function findIdentity(frame: Frame, id: string): Stored<IdentityBody> | undefined {
  const stored = frame.store.get<IdentityBody>(id);
  return stored?.type === USER_ASSIGNED_IDENTITIES ? stored : undefined;
}

export function identityIdsOf(identity: unknown): string[] {
  const map = isJson(identity) ? identity['userAssignedIdentities'] : undefined;
  return isJson(map) ? Object.keys(map as Json) : [];
}

export const managedIdentityTypes = [userAssignedIdentities, federatedIdentityCredentials] as const;

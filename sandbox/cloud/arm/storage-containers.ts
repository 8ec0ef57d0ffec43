/** Microsoft.Storage: blob containers, as ARM sees them. What lies in them is not simulated. */
import { z } from 'zod';
import type { Frame } from './frame/frame.ts';
import { type Json, mergePatch } from './frame/json.ts';
import { childMembers, inert, readOnly } from './frame/request-body.ts';
import type { ResourceType } from './frame/resource-type.ts';
import { parentIdOf } from './frame/target.ts';
import { requireAccountReady, STORAGE_ACCOUNTS, STORAGE_API_VERSIONS } from './storage.ts';

const SERVICES = `${STORAGE_ACCOUNTS}/blobServices`;
const CONTAINERS = `${SERVICES}/containers`;

const describeService = (id: string): Json => ({
  id,
  name: 'default',
  type: SERVICES,
  properties: { deleteRetentionPolicy: { enabled: false } },
});

/** `default` always exists. */
const blobServices: ResourceType = {
  type: SERVICES,
  apiVersions: STORAGE_API_VERSIONS,
  scope: 'resource-group',
  get: (call) =>
    call.frame.store.get(call.parentId) && call.name === 'default' ? describeService(call.id) : undefined,
  list: (call) => [describeService(`${call.id}/blobServices/default`)],
};

const containerBody = z.strictObject({
  ...childMembers,
  properties: z
    .strictObject({
      publicAccess: z.enum(['None', 'Container', 'Blob']).optional(),
      metadata: z.record(z.string(), z.string()).optional(),
      ...inert(
        'defaultEncryptionScope',
        'denyEncryptionScopeOverride',
        'immutableStorageWithVersioning',
        'enableNfsV3RootSquash',
        'enableNfsV3AllSquash',
      ),
      ...readOnly('lastModifiedTime', 'leaseStatus', 'leaseState', 'hasImmutabilityPolicy', 'hasLegalHold'),
    })
    .optional(),
});
type Container = { properties: Json };

const containers: ResourceType<Container, Json, z.infer<typeof containerBody>> = {
  type: CONTAINERS,
  apiVersions: STORAGE_API_VERSIONS,
  scope: 'resource-group',
  name: {
    pattern: /^(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
    code: 'ContainerOperationFailure',
    message: "The specified resource name '{name}' contains invalid characters.",
  },
  etag: true,
  body: containerBody,
  put: (call, input, before) => {
    requireAccountReady(call.frame, call.frame.store.get(parentIdOf(call.parentId)));
    return {
      body: {
        properties: {
          publicAccess: 'None',
          leaseStatus: 'Unlocked',
          leaseState: 'Available',
          hasImmutabilityPolicy: false,
          hasLegalHold: false,
          ...before?.body.properties,
          ...input.properties,
          lastModifiedTime: new Date(call.now).toISOString(),
        },
      },
    };
  },
  patchBody: containerBody,
  patch: (_call, input, before) => ({ body: mergePatch(before.body, input) as Container }),
  remove: () => ({}),
};

/** Whether there is such a container, in an account that is there. */
export function hasContainer(frame: Frame, accountId: string, name: string): boolean {
  return frame.store.get(`${accountId}/blobServices/default/containers/${name}`) !== undefined;
}

export const storageContainerTypes = [blobServices, containers] as unknown as readonly ResourceType[];

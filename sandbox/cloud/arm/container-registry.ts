/** Microsoft.ContainerRegistry: registries and the import of images, which ../registry.ts carries out. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { RegistryResources } from '../neighbours.ts';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import { type Json, mergePatch } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { inert, readOnly, tagsSchema, trackedMembers } from './frame/request-body.ts';
import { type Call, provisioningState, type ResourceType, type Stored } from './frame/resource-type.ts';
import { lastName, sameId } from './frame/target.ts';
import { privateEndpointConnections, showConnections } from './private-link.ts';

const API_VERSIONS = ['2025-11-01', '2025-04-01', '2023-07-01', '2022-12-01', '2021-09-01'];
export const REGISTRIES = 'Microsoft.ContainerRegistry/registries';

const sku = z.strictObject({ name: z.enum(['Basic', 'Standard', 'Premium']), ...readOnly('tier') });
const settings = {
  adminUserEnabled: z.boolean().optional(),
  publicNetworkAccess: z.enum(['Enabled', 'Disabled']).optional(),
  networkRuleBypassOptions: z.enum(['AzureServices', 'None']).optional(),
  anonymousPullEnabled: z.boolean().optional(),
  dataEndpointEnabled: z.boolean().optional(),
  zoneRedundancy: z.enum(['Enabled', 'Disabled']).optional(),
  ...inert(
    'networkRuleSet',
    'policies',
    'encryption',
    'networkRuleBypassAllowedForTasks',
    'roleAssignmentMode',
    'metadataSearch',
  ),
  ...readOnly(
    'loginServer',
    'creationDate',
    'provisioningState',
    'status',
    'dataEndpointHostNames',
    'privateEndpointConnections',
  ),
};
const registryBody = z.strictObject({
  ...trackedMembers,
  sku,
  properties: z.strictObject(settings).optional(),
  ...inert('identity'),
});
type RegistryInput = z.infer<typeof registryBody>;
type RegistryBody = Omit<RegistryInput, 'properties'> & {
  properties: NonNullable<RegistryInput['properties']> & { loginServer: string; creationDate: string };
};
type RegistryHidden = { passwords: { password: string; password2: string } };

function findRegistry(frame: Frame, name: string): Stored<RegistryBody, RegistryHidden> | undefined {
  return frame.store
    .ofType<RegistryBody, RegistryHidden>(REGISTRIES)
    .find((registry) => registry.name.toLowerCase() === name.toLowerCase());
}

function requirePremium(body: RegistryBody): RegistryBody {
  const { publicNetworkAccess, zoneRedundancy } = body.properties;
  if (body.sku.name === 'Premium') return body;
  if (publicNetworkAccess !== 'Disabled' && zoneRedundancy !== 'Enabled') return body;
  throw new Refusal(
    400,
    'FeatureNotSupported',
    `The feature is not supported for the SKU ${body.sku.name}: private link and zone redundancy need Premium.`,
  );
}

const registries: ResourceType<RegistryBody, RegistryHidden, RegistryInput> = {
  type: REGISTRIES,
  apiVersions: API_VERSIONS,
  scope: 'resource-group',
  name: {
    pattern: /^[A-Za-z0-9]{5,50}$/,
    code: 'InvalidRegistryName',
    message: 'The registry name {name} must be 5 to 50 alphanumeric characters.',
  },
  tracked: true,
  state: provisioningState,
  operations: { style: 'azure-async-operation', retryAfterSeconds: 5, updateStatus: 201 },
  body: registryBody,
  put: (call, input, before) => {
    const other = findRegistry(call.frame, call.name);
    if (other && !sameId(other.id, call.id)) {
      throw new Refusal(
        409,
        'AlreadyInUse',
        `The registry DNS name ${call.name.toLowerCase()}.azurecr.io is already in use. You can check if the name is ` +
          'already claimed using following API: https://docs.microsoft.com/rest/api/containerregistry/registries/checknameavailability',
      );
    }
    const body = requirePremium({
      ...input,
      sku: { ...input.sku, tier: input.sku.name } as RegistryBody['sku'],
      properties: {
        adminUserEnabled: false,
        publicNetworkAccess: 'Enabled',
        networkRuleBypassOptions: 'AzureServices',
        ...input.properties,
        loginServer: `${call.name.toLowerCase()}.azurecr.io`,
        creationDate: before?.body.properties.creationDate ?? new Date(call.now).toISOString(),
      },
    });
    const hidden = before?.hidden ?? { passwords: { password: newPassword(), password2: newPassword() } };
    return { body, hidden, takes: durations.registry };
  },
  patchBody: z.strictObject({
    tags: tagsSchema.optional(),
    sku: sku.optional(),
    properties: z.strictObject(settings).optional(),
    ...inert('identity'),
  }),
  patch: (_call, input, before) => {
    const merged = mergePatch(before.body, input) as RegistryBody;
    const tags = (input['tags'] as RegistryBody['tags']) ?? before.body.tags;
    return { body: requirePremium({ ...merged, tags }), takes: durations.registry };
  },
  remove: () => ({ takes: durations.registry }),
  gone: (frame, stored) => frame.neighbours.registries.forget(stored.body.properties.loginServer),
  finish: (frame, operation, stored) =>
    operation.verb === 'importImage' ? importImage(frame, stored, operation.input) : undefined,
  show: (frame, stored) => ({
    ...stored.body,
    properties: { ...stored.body.properties, privateEndpointConnections: showConnections(frame, stored) },
  }),
  actions: {
    importImage: {
      body: z.strictObject({
        source: z.strictObject({
          resourceId: z.string().optional(),
          registryUri: z.string().optional(),
          credentials: z.strictObject({ username: z.string().optional(), password: z.string() }).optional(),
          sourceImage: z.string().min(1),
        }),
        targetTags: z.array(z.string()).optional(),
        untaggedTargetRepositories: z.array(z.string()).optional(),
        mode: z.enum(['NoForce', 'Force']).default('NoForce'),
      }),
      run: (call, input) => {
        const source = input['source'] as { resourceId?: string; registryUri?: string; sourceImage: string };
        if ((source.resourceId === undefined) === (source.registryUri === undefined)) {
          throw new Refusal(
            400,
            'InvalidParameters',
            'The source of an import needs either resourceId or registryUri.',
          );
        }
        return {
          takes: durations.imageImport,
          // The source's credentials go no further.
          input: {
            registry: source.registryUri ?? loginServerOf(call, source.resourceId ?? ''),
            image: source.sourceImage,
            targets: input['targetTags'] ?? [],
            untagged: input['untaggedTargetRepositories'] ?? [],
            mode: input['mode'],
          },
        };
      },
    },
    listCredentials: {
      run: (_call, _input, stored) => {
        const registry = stored as Stored<RegistryBody, RegistryHidden>;
        if (!registry.body.properties.adminUserEnabled) {
          throw new Refusal(
            400,
            'UnAuthorizedForCredentialOperations',
            `Cannot perform credential operations for ${registry.id} as admin user is disabled. Kindly enable admin ` +
              'user as per docs: https://docs.microsoft.com/en-us/azure/container-registry/container-registry-authentication#admin-account',
          );
        }
        const passwords = Object.entries(registry.hidden.passwords).map(([name, value]) => ({ name, value }));
        return { now: { username: registry.name, passwords } };
      },
    },
  },
};

const newPassword = (): string => randomBytes(39).toString('base64url');

function loginServerOf({ frame }: Call, resourceId: string): string {
  const source = frame.store.get<RegistryBody>(resourceId);
  if (source?.type === REGISTRIES) return source.body.properties.loginServer;
  throw new Refusal(404, 'ResourceNotFound', `The source registry '${lastName(resourceId)}' was not found.`);
}

function importImage(frame: Frame, stored: Stored<RegistryBody>, input: Json): undefined {
  const image = String(input['image']);
  const digest = image.split('@')[1];
  const untagged = (input['untagged'] as string[]).map((name) => (digest ? `${name}@${digest}` : name));
  const imported = frame.neighbours.registries.importImage(
    stored.body.properties.loginServer,
    { registry: String(input['registry']), image },
    [...(input['targets'] as string[]), ...untagged],
    input['mode'] === 'Force' ? 'Force' : 'NoForce',
  );
  if (!imported.ok)
    throw new Refusal(imported.code === 'Conflict' ? 409 : 400, imported.code, imported.reason);
  return undefined;
}

const containerRegistryProvider: ResourceType = {
  type: 'Microsoft.ContainerRegistry',
  apiVersions: API_VERSIONS,
  scope: 'subscription',
  actions: {
    checkNameAvailability: {
      permission: 'Microsoft.ContainerRegistry/checkNameAvailability/read',
      body: z.strictObject({
        name: z.string(),
        type: z.literal(REGISTRIES),
        ...inert('autoGeneratedDomainNameLabelScope', 'resourceGroupName'),
      }),
      run: ({ frame }, input) => {
        const name = String(input['name']);
        return {
          now: findRegistry(frame, name)
            ? {
                nameAvailable: false,
                reason: 'AlreadyExists',
                message: `The registry ${name} is already in use.`,
              }
            : { nameAvailable: true },
        };
      },
    },
  },
};

/** The registries as their data plane knows them; one in creation has no host yet. */
export function registryResources(frame: Frame): RegistryResources {
  return {
    find: (loginServer) => {
      void frame.operations.settle();
      const suffix = '.azurecr.io';
      const host = loginServer.toLowerCase();
      const registry = host.endsWith(suffix) ? findRegistry(frame, host.slice(0, -suffix.length)) : undefined;
      if (!registry || frame.stateOf(registry) === provisioningState.creating) return undefined;
      return {
        id: registry.id,
        location: registry.body.location,
        publicNetworkAccess: registry.body.properties.publicNetworkAccess ?? 'Enabled',
      };
    },
  };
}

export const containerRegistryTypes: readonly ResourceType[] = [
  registries,
  containerRegistryProvider,
  privateEndpointConnections(REGISTRIES, API_VERSIONS),
];

/** Microsoft.Resources: subscriptions, resource groups, lists of resources, providers, tags. */
import { z } from 'zod';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import { isJson, type Json, mergePatch, objectAt } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers, locationSchema, readOnly, tagsSchema } from './frame/request-body.ts';
import { type Call, provisioningState, type ResourceType } from './frame/resource-type.ts';
import { RESOURCE_GROUPS } from './frame/route.ts';
import { isWithin } from './frame/target.ts';

const API_VERSIONS = ['2025-04-01', '2025-03-01', '2024-11-01', '2024-03-01', '2022-09-01', '2021-04-01'];

type Group = {
  location: string;
  tags?: Record<string, string> | null | undefined;
  properties?: Json | undefined;
};

const groupBody = z.strictObject({
  location: locationSchema,
  tags: tagsSchema.nullish(),
  managedBy: z.string().optional(),
  properties: z.strictObject(readOnly('provisioningState')).optional(),
  ...readOnly('id', 'name', 'type'),
});

const subscriptions: ResourceType = {
  type: 'Microsoft.Resources/subscriptions',
  apiVersions: ['2022-12-01', '2022-09-01', '2021-01-01', '2020-01-01', '2016-06-01'],
  scope: 'tenant',
  get: ({ frame }) => describeSubscription(frame),
  list: ({ frame }) => [describeSubscription(frame)],
};

function describeSubscription({ world, subscriptionScope }: Frame): Json {
  const { subscriptionId, tenantId } = world.settings;
  return {
    id: subscriptionScope,
    subscriptionId,
    tenantId,
    displayName: 'Sandbox',
    state: 'Enabled',
    authorizationSource: 'RoleBased',
  };
}

const resourceGroups: ResourceType<Group, Json, Group> = {
  type: RESOURCE_GROUPS,
  apiVersions: API_VERSIONS,
  scope: 'subscription',
  name: {
    pattern: /^[-\w._()]{0,89}[-\w_()]$/u,
    code: 'InvalidResourceGroup',
    message:
      "The provided resource group name '{name}' has these invalid characters or a wrong length. The name can only " +
      "be a letter, digit, '-', '.', '(', ')' or '_', up to 90 characters, and cannot end with a period.",
  },
  tracked: true,
  state: provisioningState,
  operations: { style: 'location', retryAfterSeconds: 15 },
  busy: {
    code: 'ResourceGroupBeingDeleted',
    message: "The resource group '{name}' is in deprovisioning state and cannot perform this operation.",
  },
  body: groupBody,
  put: (_call, input) => ({ body: { ...input, properties: {} } }),
  patchBody: z.strictObject({
    tags: tagsSchema.nullish(),
    managedBy: z.string().optional(),
    ...readOnly('id', 'name', 'type', 'location', 'properties'),
  }),
  patch: (_call, input, before) => ({ body: { ...before.body, ...input } }),
  remove: () => ({ takes: durations.resourceGroupDeletion }),
};

/** Tracked resources only, as `GET …/resources` lists them; child resources have lists of their own. */
function listResources({ frame, id, url }: Call): Json[] {
  const filter = url.searchParams.get('$filter') ?? '';
  const ofType = /resourceType eq '([^']+)'/i.exec(filter)?.[1];
  const [, tagName, tagValue] = /tagName eq '([^']*)'(?: and tagValue eq '([^']*)')?/i.exec(filter) ?? [];
  if (filter !== '' && ofType === undefined && tagName === undefined) {
    throw new Refusal(
      400,
      'InvalidFilterInQueryString',
      `Invalid $filter '${filter}' specified in the query string.`,
    );
  }
  return frame.store
    .within(id)
    .filter((stored) => frame.catalogue.typeOf(stored.type).tracked && stored.type !== RESOURCE_GROUPS)
    .filter(({ type }) => ofType === undefined || type.toLowerCase() === ofType.toLowerCase())
    .map((stored) => frame.show(stored))
    .filter((shown) => {
      const tags = objectAt(shown, 'tags');
      if (tagName === undefined) return true;
      return tagName in tags && (tagValue === undefined || tags[tagName] === tagValue);
    })
    .map(({ id: itsId, name, type, location, tags, kind, sku, identity }) => ({
      id: itsId,
      name,
      type,
      location,
      tags,
      kind,
      sku,
      identity,
    }))
    .reverse();
}

const resources: ResourceType = {
  type: 'Microsoft.Resources/resources',
  apiVersions: API_VERSIONS,
  scope: 'any',
  list: listResources,
};

const providers: ResourceType = {
  type: 'Microsoft.Resources/providers',
  apiVersions: API_VERSIONS,
  scope: 'subscription',
  get: ({ frame, name }) => frame.catalogue.describe(frame.catalogue.namespaceOf(name)),
  list: ({ frame }) => frame.catalogue.namespaces().map((namespace) => frame.catalogue.describe(namespace)),
  actions: {
    register: {
      permission: '{name}/register/action',
      run: ({ frame, name }) => {
        const namespace = frame.catalogue.namespaceOf(name);
        frame.catalogue.register(namespace, 'Registered');
        return { now: frame.catalogue.describe(namespace) };
      },
    },
    unregister: {
      permission: '{name}/unregister/action',
      run: ({ frame, name }) => {
        const namespace = frame.catalogue.namespaceOf(name);
        frame.catalogue.register(namespace, 'NotRegistered');
        return { now: frame.catalogue.describe(namespace) };
      },
    },
  },
};

/** `<scope>/providers/Microsoft.Resources/tags/default`: the tags of what it hangs on. */
const tags: ResourceType = {
  type: 'Microsoft.Resources/tags',
  apiVersions: API_VERSIONS,
  scope: 'any',
  get: (call) => describeTags(call),
  body: z.strictObject({ properties: z.strictObject({ tags: tagsSchema }), ...childMembers }),
  put: (call, input) => {
    writeTags(call, objectAt(objectAt(input, 'properties'), 'tags'));
    return { body: describeTags(call) };
  },
  patchBody: z.strictObject({
    operation: z.enum(['Merge', 'Replace', 'Delete']),
    properties: z.strictObject({ tags: tagsSchema }),
  }),
  patch: (call, input) => {
    const given = objectAt(objectAt(input, 'properties'), 'tags');
    const before = objectAt(describeTags(call)['properties'] as Json, 'tags');
    const removed = Object.fromEntries(Object.entries(before).filter(([name]) => !(name in given)));
    const after = { Merge: mergePatch(before, given), Replace: given, Delete: removed };
    writeTags(call, after[String(input['operation']) as keyof typeof after]);
    return { body: describeTags(call) };
  },
};

function describeTags({ frame, id, parentId }: Call): Json {
  const stored = frame.store.get(parentId);
  const found = stored?.body['tags'];
  return {
    id,
    name: 'default',
    type: 'Microsoft.Resources/tags',
    properties: { tags: isJson(found) ? found : {} },
  };
}

function writeTags({ frame, parentId }: Call, value: Json): void {
  const stored = frame.store.get(parentId);
  if (!stored || !isWithin(parentId, frame.subscriptionScope)) {
    throw new Refusal(404, 'ResourceNotFound', `The resource '${parentId}' was not found.`);
  }
  frame.store.put(stored.id, stored.type, { body: { ...stored.body, tags: value } });
}

export const resourceTypes = [subscriptions, resourceGroups, resources, providers, tags] as const;

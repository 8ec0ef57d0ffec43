/**
 * Microsoft.EventGrid: system topics, their subscriptions, and subscriptions that hang on any resource. Who is sent
 * what, and how, is in ../event-grid.ts. Long because the body schema spells out every destination and filter.
 */
import { z } from 'zod';
import { passesHandshake, webhookUrl } from '../event-grid/endpoint.ts';
import type { DeliverySchema } from '../event-grid/envelope.ts';
import { filterSchema } from '../event-grid/filters.ts';
import { authorizationFor, requireSignIn, type SignIn } from '../event-grid/webhook-token.ts';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers, readOnly, tagsSchema, trackedMembers } from './frame/request-body.ts';
import {
  type Call,
  type Change,
  provisioningState,
  type ResourceType,
  type Stored,
} from './frame/resource-type.ts';
import { lastName, parentIdOf, sameId } from './frame/target.ts';
import { attachIdentities, identityIdsOf } from './managed-identity.ts';
import type { FunctionApps } from './web.ts';

/** @azure/arm-eventgrid 14 sends 2022-06-15. */
const API_VERSIONS = ['2025-02-15', '2023-12-15-preview', '2022-06-15', '2021-12-01'];
export const SYSTEM_TOPICS = 'Microsoft.EventGrid/systemTopics';
export const TOPIC_SUBSCRIPTIONS = `${SYSTEM_TOPICS}/eventSubscriptions`;
export const EVENT_SUBSCRIPTIONS = 'Microsoft.EventGrid/eventSubscriptions';

/** Topic type by the type of its source, both in lower case. https://learn.microsoft.com/azure/event-grid/system-topics */
const TOPIC_TYPES: Readonly<Record<string, string>> = {
  'microsoft.keyvault/vaults': 'Microsoft.KeyVault.vaults',
  'microsoft.containerregistry/registries': 'Microsoft.ContainerRegistry.Registries',
  'microsoft.containerservice/managedclusters': 'Microsoft.ContainerService.ManagedClusters',
  'microsoft.storage/storageaccounts': 'Microsoft.Storage.StorageAccounts',
  'microsoft.resources/subscriptions/resourcegroups': 'Microsoft.Resources.ResourceGroups',
  'microsoft.resources/subscriptions': 'Microsoft.Resources.Subscriptions',
};

interface Source {
  readonly id: string;
  readonly topicType: string;
  readonly location: string;
}

function findSource(frame: Frame, id: string): Source | undefined {
  if (sameId(id, frame.subscriptionScope)) {
    return {
      id: frame.subscriptionScope,
      topicType: 'Microsoft.Resources.Subscriptions',
      location: 'global',
    };
  }
  const stored = frame.store.get(id);
  const topicType = stored && TOPIC_TYPES[stored.type.toLowerCase()];
  if (!stored || topicType === undefined) return undefined;
  const isGroup = topicType === 'Microsoft.Resources.ResourceGroups';
  return { id: stored.id, topicType, location: isGroup ? 'global' : String(stored.body['location']) };
}

const invalid = (message: string): Refusal => new Refusal(400, 'InvalidRequest', message);

const topicBody = z.strictObject({
  ...trackedMembers,
  identity: z
    .strictObject({
      type: z.enum(['None', 'UserAssigned']),
      userAssignedIdentities: z.record(z.string(), z.unknown()).optional(),
      ...readOnly('principalId', 'tenantId'),
    })
    .optional(),
  properties: z.strictObject({
    source: z.string().startsWith('/'),
    topicType: z.string(),
    ...readOnly('provisioningState', 'metricResourceId'),
  }),
});
type TopicInput = z.infer<typeof topicBody>;
export type TopicBody = Omit<TopicInput, 'identity'> & { identity?: Json };

function putTopic(call: Call, input: TopicInput, before: Stored<TopicBody> | undefined): Change<TopicBody> {
  const { frame } = call;
  const source = findSource(frame, input.properties.source);
  if (!source)
    throw invalid(`The source resource '${input.properties.source}' was not found or has no system topics.`);
  if (source.topicType.toLowerCase() !== input.properties.topicType.toLowerCase()) {
    throw invalid(
      `The topic type '${input.properties.topicType}' is not that of the source, '${source.topicType}'.`,
    );
  }
  if (before && !sameId(before.body.properties.source, source.id)) {
    throw invalid('The source of a system topic cannot be changed.');
  }
  if (input.location !== source.location) {
    throw invalid(
      `System topic's location must match with location of the source resource: '${source.location}'.`,
    );
  }
  const twin = frame.store
    .ofType<TopicBody>(SYSTEM_TOPICS)
    .find(({ id, body }) => !sameId(id, call.id) && sameId(body.properties.source, source.id));
  if (twin) {
    throw invalid(
      `Only one system topic is allowed per source; '${twin.id}' is already the one of '${source.id}'.`,
    );
  }
  const { identity, ...rest } = input;
  const attached = identity && {
    type: identity.type,
    userAssignedIdentities: attachIdentities(call, identityIdsOf(identity)),
  };
  return {
    body: {
      ...rest,
      ...(attached && { identity: attached }),
      properties: { source: source.id, topicType: source.topicType },
    },
    ...(before ? {} : { takes: durations.systemTopic }),
  };
}

const systemTopics: ResourceType<TopicBody, Json, TopicInput> = {
  type: SYSTEM_TOPICS,
  apiVersions: API_VERSIONS,
  scope: 'resource-group',
  name: {
    pattern: /^[A-Za-z0-9-]{3,128}$/,
    code: 'InvalidRequest',
    message: "The system topic name '{name}' is invalid: 3 to 128 letters, digits and '-'.",
  },
  tracked: true,
  state: provisioningState,
  operations: { style: 'azure-async-operation', retryAfterSeconds: 5 },
  body: topicBody,
  put: putTopic,
  patchBody: z.strictObject({ tags: tagsSchema.nullish() }),
  patch: (_call, input, before) => ({ body: { ...before.body, ...input } }),
  remove: () => ({ takes: durations.systemTopic }),
};

const batching = {
  maxEventsPerBatch: z.int().min(1).max(5000).optional(),
  preferredBatchSizeInKilobytes: z.int().min(1).max(1024).optional(),
  // Headers of one's own are not simulated.
  deliveryAttributeMappings: z.array(z.unknown()).max(0).nullish(),
};
const destination = z.discriminatedUnion('endpointType', [
  z.strictObject({
    endpointType: z.literal('AzureFunction'),
    properties: z.strictObject({ resourceId: z.string().startsWith('/'), ...batching }),
  }),
  z.strictObject({
    endpointType: z.literal('WebHook'),
    properties: z.strictObject({
      endpointUrl: z.url().optional(),
      azureActiveDirectoryTenantId: z.string().optional(),
      azureActiveDirectoryApplicationIdOrUri: z.string().optional(),
      ...batching,
      ...readOnly('endpointBaseUrl'),
    }),
  }),
]);
const deadLetterDestination = z.strictObject({
  endpointType: z.literal('StorageBlob'),
  properties: z.strictObject({
    resourceId: z.string().startsWith('/'),
    blobContainerName: z.string().min(3),
  }),
});
const settings = {
  destination: destination.optional(),
  filter: filterSchema.optional(),
  labels: z.array(z.string()).nullish(),
  expirationTimeUtc: z.iso.datetime({ offset: true }).nullish(),
  eventDeliverySchema: z.enum(['EventGridSchema', 'CloudEventSchemaV1_0']).optional(),
  retryPolicy: z
    .strictObject({
      maxDeliveryAttempts: z.int().min(1).max(30).optional(),
      eventTimeToLiveInMinutes: z.int().min(1).max(1440).optional(),
    })
    .optional(),
  deadLetterDestination: deadLetterDestination.nullish(),
  deadLetterWithResourceIdentity: z
    .strictObject({
      identity: z.strictObject({
        type: z.enum(['SystemAssigned', 'UserAssigned']),
        userAssignedIdentity: z.string().optional(),
      }),
      deadLetterDestination,
    })
    .nullish(),
};
const subscriptionBody = z.strictObject({
  ...childMembers,
  properties: z.strictObject({ ...settings, ...readOnly('topic', 'provisioningState') }),
});
type SubscriptionInput = z.infer<typeof subscriptionBody>;

export type SubscriptionBody = {
  properties: Omit<SubscriptionInput['properties'], 'destination' | 'retryPolicy' | 'eventDeliverySchema'> & {
    destination: NonNullable<SubscriptionInput['properties']['destination']>;
    retryPolicy: { maxDeliveryAttempts: number; eventTimeToLiveInMinutes: number };
    eventDeliverySchema: DeliverySchema;
  };
};
/** A webhook's URL may carry a secret: it is never shown. */
export type SubscriptionHidden = { endpointUrl?: string };
export type EventSubscription = Stored<SubscriptionBody, SubscriptionHidden>;

/** Id of what sends the events: the resource it hangs on, or the source of its system topic. */
export function sourceOf(frame: Frame, subscription: { id: string; type: string }): string {
  const parent = parentIdOf(subscription.id);
  if (subscription.type === EVENT_SUBSCRIPTIONS) return parent;
  return frame.store.get<TopicBody>(parent)?.body.properties.source ?? parent;
}

const FUNCTION_ID = /^(.+\/providers\/Microsoft\.Web\/sites\/[^/]+)\/functions\/([^/]+)$/i;

/** Site and function of a destination's resource id. */
export function functionOf(resourceId: string): { siteId: string; name: string } | undefined {
  const [, siteId, name] = FUNCTION_ID.exec(resourceId) ?? [];
  return siteId !== undefined && name !== undefined ? { siteId, name } : undefined;
}

function requireDestination(
  call: Call,
  apps: FunctionApps,
  given: SubscriptionBody['properties']['destination'],
): void {
  if (given.endpointType === 'WebHook') {
    requireSignIn(call.frame, given.properties);
    return;
  }
  const { resourceId } = given.properties;
  const target = functionOf(resourceId);
  const isThere =
    target &&
    call.frame.store.get(target.siteId) &&
    apps.functionNames.some((name) => name.toLowerCase() === target.name.toLowerCase());
  if (!isThere) {
    throw invalid(
      `Destination endpoint not found. Resource details: resourceId: ${resourceId}. Resource should pre-exist before ` +
        'attempting this operation.',
    );
  }
  call.requireLinked('Microsoft.Web/sites/functions/write', resourceId);
}

function requireDeadLetter(frame: Frame, body: SubscriptionBody): void {
  const { deadLetterDestination: plain, deadLetterWithResourceIdentity: withIdentity } = body.properties;
  const chosen = plain ?? withIdentity?.deadLetterDestination;
  if (!chosen) return;
  const { resourceId } = chosen.properties;
  if (frame.store.get(resourceId)?.type.toLowerCase() === 'microsoft.storage/storageaccounts') return;
  throw invalid(`The dead letter destination '${resourceId}' was not found.`);
}

function changed(
  call: Call,
  apps: FunctionApps,
  given: SubscriptionInput['properties'],
  before: EventSubscription | undefined,
): Change<SubscriptionBody, SubscriptionHidden> {
  const { frame, now } = call;
  const source = findSource(frame, sourceOf(frame, { id: call.id, type: call.target.type }));
  if (!source) {
    throw invalid(`The scope '${parentIdOf(call.id)}' has no events to subscribe to.`);
  }
  call.requireLinked(`${EVENT_SUBSCRIPTIONS}/write`, source.id);
  if (!given.destination) throw invalid('The destination of the event subscription is missing.');
  if (
    before &&
    before.body.properties.eventDeliverySchema !== (given.eventDeliverySchema ?? 'EventGridSchema')
  ) {
    throw invalid('The event delivery schema of an event subscription cannot be changed.');
  }
  if (given.expirationTimeUtc && Date.parse(given.expirationTimeUtc) <= now) {
    throw invalid('The expiration time of the event subscription is in the past.');
  }
  const { endpointUrl, destination: shown } = withoutUrl(given.destination, before);
  const body: SubscriptionBody = {
    properties: {
      ...given,
      destination: shown,
      filter: { isSubjectCaseSensitive: false, ...given.filter },
      labels: given.labels ?? [],
      eventDeliverySchema: given.eventDeliverySchema ?? 'EventGridSchema',
      retryPolicy: {
        maxDeliveryAttempts: given.retryPolicy?.maxDeliveryAttempts ?? 30,
        eventTimeToLiveInMinutes: given.retryPolicy?.eventTimeToLiveInMinutes ?? 1440,
      },
    },
  };
  requireDestination(call, apps, shown);
  requireDeadLetter(frame, body);
  return {
    body,
    hidden: endpointUrl === undefined ? {} : { endpointUrl },
    takes: durations.eventSubscription,
  };
}

function withoutUrl(
  given: SubscriptionBody['properties']['destination'],
  before: EventSubscription | undefined,
): { endpointUrl?: string; destination: SubscriptionBody['properties']['destination'] } {
  if (given.endpointType === 'AzureFunction') {
    return {
      destination: {
        ...given,
        properties: { maxEventsPerBatch: 1, preferredBatchSizeInKilobytes: 64, ...given.properties },
      },
    };
  }
  const { endpointUrl = before?.hidden.endpointUrl, ...rest } = given.properties;
  if (endpointUrl === undefined) throw invalid('The endpoint URL of the webhook is missing.');
  const isLocal = /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/]/.test(endpointUrl);
  if (!endpointUrl.startsWith('https://') && !isLocal)
    throw invalid('The endpoint URL of a webhook must be HTTPS.');
  return {
    endpointUrl,
    destination: {
      endpointType: 'WebHook',
      properties: { maxEventsPerBatch: 1, preferredBatchSizeInKilobytes: 64, ...rest },
    },
  };
}

function showSubscription(frame: Frame, stored: EventSubscription): Json {
  const { properties } = stored.body;
  const { endpointUrl } = stored.hidden;
  const url = endpointUrl === undefined ? undefined : new URL(endpointUrl);
  return {
    properties: {
      ...properties,
      ...(url && {
        destination: {
          ...properties.destination,
          properties: { ...properties.destination.properties, endpointBaseUrl: url.origin + url.pathname },
        },
      }),
      topic: stored.type === EVENT_SUBSCRIPTIONS ? sourceOf(frame, stored) : parentIdOf(stored.id),
    },
  };
}

/** The webhook's handshake is part of the creation. */
async function shakeHands(frame: Frame, apps: FunctionApps, stored: EventSubscription): Promise<undefined> {
  const { endpointUrl } = stored.hidden;
  if (endpointUrl === undefined) return undefined;
  const url = webhookUrl(apps, frame.world.settings.controlPlane.functionAppName, endpointUrl);
  const passes =
    url !== undefined &&
    (await passesHandshake(url, stored.body.properties.eventDeliverySchema, {
      name: stored.name,
      topic: sourceOf(frame, stored),
      now: frame.world.clock.now(),
      authorization: authorizationFor(frame, signInOf(stored)),
    }));
  if (passes) return undefined;
  const { origin, pathname } = new URL(endpointUrl);
  throw new Refusal(
    400,
    'Url validation',
    `The attempt to validate the provided endpoint ${origin}${pathname} failed. For more details, visit ` +
      'https://aka.ms/esvalidation.',
  );
}

function subscriptionType(
  apps: FunctionApps,
  place: Pick<ResourceType, 'type' | 'scope'>,
): ResourceType<SubscriptionBody, SubscriptionHidden, SubscriptionInput> {
  return {
    ...place,
    apiVersions: API_VERSIONS,
    name: {
      pattern: /^[A-Za-z0-9-]{3,64}$/,
      code: 'InvalidRequest',
      message: "The event subscription name '{name}' is invalid: 3 to 64 letters, digits and '-'.",
    },
    state: provisioningState,
    operations: { style: 'azure-async-operation', retryAfterSeconds: 5, updateStatus: 201 },
    body: subscriptionBody,
    put: (call, input, before) => changed(call, apps, input.properties, before),
    patchBody: z.strictObject(settings),
    patch: (call, input, before) =>
      changed(
        call,
        apps,
        { ...before.body.properties, ...(input as SubscriptionInput['properties']) },
        before,
      ),
    remove: () => ({ takes: durations.eventSubscription }),
    finish: (frame, _operation, stored) => shakeHands(frame, apps, stored),
    show: showSubscription,
  };
}

export function eventGridTypes(apps: FunctionApps): readonly ResourceType[] {
  return [
    systemTopics,
    subscriptionType(apps, { type: TOPIC_SUBSCRIPTIONS, scope: 'resource-group' }),
    subscriptionType(apps, { type: EVENT_SUBSCRIPTIONS, scope: 'any' }),
  ] as unknown as readonly ResourceType[];
}

/** The function's name for a destination that is one. */
export function functionNameOf(subscription: EventSubscription): string | undefined {
  const { destination: to } = subscription.body.properties;
  return to.endpointType === 'AzureFunction' ? lastName(to.properties.resourceId) : undefined;
}

/** How a webhook is signed in to; nothing for a function, which is reached with its key. */
export function signInOf({ body: { properties } }: EventSubscription): SignIn {
  return properties.destination.endpointType === 'WebHook' ? properties.destination.properties : {};
}

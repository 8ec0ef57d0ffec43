/**
 * What has Event Grid tell us of: secrets of the vault, images of the registry, versions and rolling pools of the cluster,
 * scale sets of the node resource group, and changes of the cluster and its pools. Each hangs on what it is about, so no
 * system topics of our own are needed. Event Grid delivers to the function itself (which has to be deployed before, or it
 * refuses), or to a webhook that it signs in to where the app is behind Entra.
 * https://learn.microsoft.com/azure/event-grid/subscribe-through-portal, …/delivery-and-retry, …/secure-webhook-delivery
 */
import type { EventSubscription } from '@azure/arm-eventgrid';
import type { EventDelivery } from '../../clients/clients.ts';
import { orAbsent, toFailure } from '../../clients/cloud-failure.ts';
import { differences, sameIgnoringCaseAndBlanks } from '../../graph/differences.ts';
import { retryable } from '../../graph/failure.ts';
import type { Notice } from '../../graph/finding.ts';
import type { Difference, Observed } from '../../graph/resource.ts';
import { markOf } from '../../naming.ts';
import { isMoving, isRemovable, submitFor } from '../kinds/arm-resource.ts';
import { defineResource, type Scope } from '../scope.ts';
import { cluster } from './cluster.ts';
import { type Wish, wishesOf } from './event-filters.ts';
import { keyVault } from './key-vault.ts';
import { registry } from './registry.ts';
import { resourceGroup } from './resource-group.ts';

const key = 'azure/event-subscriptions';
const FUNCTION = 'receiveEvent';
const CONTAINER = 'event-dead-letters';
const SCHEMA = 'CloudEventSchemaV1_0';
const LOOK_AGAIN_SECONDS = 5;
/** A function that was just deployed takes a while to be known. */
const DESTINATION_AGAIN_SECONDS = 30;

/** All but a webhook's URL: it carries a key, and Azure never shows it. */
function bodyOf(scope: Pick<Scope, 'names'>, wish: Wish, delivery: EventDelivery) {
  const { target, deadLetters } = delivery;
  return {
    destination:
      target.kind === 'function'
        ? {
            endpointType: 'AzureFunction' as const,
            resourceId: `${target.functionAppId}/functions/${FUNCTION}`,
          }
        : {
            endpointType: 'WebHook' as const,
            azureActiveDirectoryTenantId: target.tenantId,
            azureActiveDirectoryApplicationIdOrUri: target.audience,
          },
    filter: {
      includedEventTypes: [...wish.types].sort(),
      isSubjectCaseSensitive: false,
      subjectBeginsWith: wish.subjectBeginsWith ?? '',
      subjectEndsWith: '',
      advancedFilters: wish.operations
        ? [{ operatorType: 'StringIn' as const, key: 'data.operationName', values: [...wish.operations] }]
        : [],
    },
    labels: [markOf(scope.names.deployment)],
    eventDeliverySchema: SCHEMA,
    retryPolicy: { maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440 },
    ...(deadLetters
      ? {
          deadLetterDestination: {
            endpointType: 'StorageBlob' as const,
            resourceId: deadLetters.storageId,
            blobContainerName: CONTAINER,
          },
        }
      : {}),
  };
}

/** Azure leaves out what is empty, and changes the case of ids and types. */
function subscriptionDifferences(
  scope: Pick<Scope, 'names'>,
  wish: Wish,
  delivery: EventDelivery,
  found: EventSubscription,
): Difference[] {
  const { filter } = found;
  return differences(
    { provisioningState: 'Succeeded', expirationTimeUtc: null, ...bodyOf(scope, wish, delivery) },
    {
      ...found,
      expirationTimeUtc: found.expirationTimeUtc?.toISOString() ?? null,
      filter: {
        ...filter,
        includedEventTypes: [...(filter?.includedEventTypes ?? [])].sort(),
        isSubjectCaseSensitive: filter?.isSubjectCaseSensitive ?? false,
        subjectBeginsWith: filter?.subjectBeginsWith ?? '',
        subjectEndsWith: filter?.subjectEndsWith ?? '',
        advancedFilters: filter?.advancedFilters ?? [],
      },
    },
    (path, wanted, there) =>
      !/(Schema|State|blobContainerName)$/.test(path) && sameIgnoringCaseAndBlanks(wanted, there),
    wish.name,
  );
}

const isOurs = (scope: Pick<Scope, 'names'>, found: EventSubscription): boolean =>
  found.labels?.includes(markOf(scope.names.deployment)) ?? false;

const find = (scope: Scope, { on, name }: Wish): Promise<EventSubscription | undefined> =>
  orAbsent(scope.clients.eventGrid().eventSubscriptions.get(on, name));

/** Whether undeliverable events have a place; yes where none is asked for. */
async function hasContainer({ deadLetters }: EventDelivery): Promise<boolean> {
  if (!deadLetters) return true;
  const [group, account] = placeOf(deadLetters.storageId);
  const containers = deadLetters.storage().blobContainers;
  return (await orAbsent(containers.get(group, account, CONTAINER))) !== undefined;
}

function placeOf(storageId: string): readonly [group: string, account: string] {
  const segments = storageId.split('/');
  return [segments[4] ?? '', segments.at(-1) ?? ''];
}

const notDelivered: Notice = {
  id: 'events-not-delivered',
  severity: 'warning',
  what: 'Nothing tells the control plane what happens in Azure.',
  evidence: 'Neither FUNCTION_APP_ID nor EVENT_WEBHOOK_SECRET is set.',
  breaks: 'New secret versions, node pools and images are found by the sweep only, minutes later.',
  remedy: 'Set FUNCTION_APP_ID to the ARM id of the function app.',
};
const noDeadLetters: Notice = {
  id: 'no-dead-letters',
  severity: 'info',
  what: 'Events that cannot be delivered are dropped without a trace.',
  evidence: 'EVENT_DEAD_LETTER_STORAGE_ID is not set.',
  breaks: 'Nothing by itself: the sweep finds what no event told.',
  remedy: 'Set EVENT_DEAD_LETTER_STORAGE_ID to the ARM id of a storage account.',
};

export const eventSubscriptions = defineResource<
  {
    readonly group: typeof resourceGroup;
    readonly vault: typeof keyVault;
    readonly registry: typeof registry;
    readonly cluster: typeof cluster;
  },
  Record<string, never>
>({
  key,
  title: 'Event subscriptions',
  dependsOn: { group: resourceGroup, vault: keyVault, registry, cluster },

  async observe(scope, deps): Promise<Observed<Record<string, never>>> {
    const delivery = scope.clients.eventDelivery();
    if (!delivery) return { state: 'ready', outputs: {}, notices: [notDelivered] };
    const looks = await Promise.all(
      wishesOf(scope, deps).map(async (wish) => ({ wish, found: await find(scope, wish) })),
    );
    for (const { wish, found } of looks) {
      if (found && !isOurs(scope, found)) {
        return {
          state: 'foreign',
          reason: `the event subscription ${wish.name} exists without the label of this deployment`,
        };
      }
      const state = found?.provisioningState ?? '';
      if ((await isMoving(scope, `${key}/${wish.name}`)) || /^(Creating|Updating|Deleting)$/.test(state)) {
        return {
          state: 'changing',
          reason: `the event subscription ${wish.name} is being changed`,
          retryAfterSeconds: LOOK_AGAIN_SECONDS,
        };
      }
    }
    const isKept = await hasContainer(delivery);
    if (looks.every(({ found }) => !found)) return { state: 'absent' };
    const wrong = looks.flatMap(({ wish, found }) =>
      found
        ? subscriptionDifferences(scope, wish, delivery, found)
        : [{ path: wish.name, wanted: wish.on, found: null }],
    );
    if (!isKept) wrong.push({ path: CONTAINER, wanted: 'a container', found: null });
    if (wrong.length > 0) return { state: 'drifted', outputs: {}, differences: wrong };
    return { state: 'ready', outputs: {}, ...(delivery.deadLetters ? {} : { notices: [noDeadLetters] }) };
  },

  async ensure(scope, deps) {
    const delivery = scope.clients.eventDelivery();
    if (!delivery) return;
    const { deadLetters } = delivery;
    if (deadLetters && !(await hasContainer(delivery))) {
      const [group, account] = placeOf(deadLetters.storageId);
      await deadLetters.storage().blobContainers.create(group, account, CONTAINER, {});
    }
    for (const wish of wishesOf(scope, deps)) {
      const found = await find(scope, wish);
      if (found && subscriptionDifferences(scope, wish, delivery, found).length === 0) continue;
      await push(scope, wish, delivery, found);
    }
  },

  /** The container stays: it is the control plane's, not this deployment's. */
  async remove(scope, deps, seen) {
    if (!isRemovable(seen)) return;
    for (const wish of wishesOf(scope, deps)) {
      const found = await find(scope, wish);
      if (found && isOurs(scope, found)) await drop(scope, wish);
    }
  },
});

const drop = (scope: Scope, { on, name }: Wish): Promise<unknown> =>
  orAbsent(
    submitFor(scope, `${key}/${name}`, scope.clients.eventGrid().eventSubscriptions.beginDelete(on, name)),
  );

async function push(
  scope: Scope,
  wish: Wish,
  delivery: EventDelivery,
  found: EventSubscription | undefined,
): Promise<void> {
  if (found && found.eventDeliverySchema !== SCHEMA) {
    // The form of the events cannot be changed. The next look finds it gone, and the sweep what came meanwhile.
    await drop(scope, wish);
    return;
  }
  const body = bodyOf(scope, wish, delivery);
  const destination =
    delivery.target.kind === 'webhook' && body.destination.endpointType === 'WebHook'
      ? { ...body.destination, endpointUrl: await delivery.target.url() }
      : body.destination;
  try {
    await submitFor(
      scope,
      `${key}/${wish.name}`,
      scope.clients
        .eventGrid()
        .eventSubscriptions.beginCreateOrUpdate(wish.on, wish.name, { ...body, destination }),
    );
  } catch (error) {
    throw refusal(error);
  }
}

/** Event Grid says 400 while the function is not deployed, or does not answer its handshake: the app may be starting. */
function refusal(error: unknown): unknown {
  const { message } = toFailure(error);
  return /should pre-exist|endpoint not found|validate the provided endpoint/i.test(message)
    ? retryable('DestinationNotReady', message, DESTINATION_AGAIN_SECONDS)
    : error;
}

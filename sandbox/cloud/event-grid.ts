/**
 * Event Grid's delivery: takes what the services emit, finds the subscriptions that want it, and delivers at least
 * once, in no particular order, with the real retry schedule in virtual time. What is under way is kept on disk.
 * Over 300 lines because intake, attempt and outcome are one story.
 * https://learn.microsoft.com/azure/event-grid/delivery-and-retry
 */
import { randomUUID } from 'node:crypto';
import type { Alarm } from '../clock.ts';
import {
  EVENT_SUBSCRIPTIONS,
  type EventSubscription,
  functionNameOf,
  type SubscriptionBody,
  type SubscriptionHidden,
  signInOf,
  sourceOf,
  TOPIC_SUBSCRIPTIONS,
} from './arm/event-grid-subscriptions.ts';
import type { Frame } from './arm/frame/frame.ts';
import { isWithin, sameId } from './arm/frame/target.ts';
import { hasContainer } from './arm/storage-containers.ts';
import type { FunctionApps } from './arm/web.ts';
import { DeliverySettings } from './event-grid/delivery-control.ts';
import { functionUrl, webhookUrl } from './event-grid/endpoint.ts';
import { envelopeOf, type GridEvent } from './event-grid/envelope.ts';
import { EventLog } from './event-grid/event-log.ts';
import { matches } from './event-grid/filters.ts';
import { authorizationFor, canSignIn } from './event-grid/webhook-token.ts';
import type { SourceEvent, Table } from './world.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** After the first, second … attempt; then the last of them again. */
const WAITS = [
  10 * SECOND,
  30 * SECOND,
  1 * MINUTE,
  5 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  1 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
];
/** Some answers make it wait longer. */
const LEAST_WAITS: Readonly<Record<number, number>> = {
  401: 5 * MINUTE,
  404: 5 * MINUTE,
  408: 2 * MINUTE,
  503: 30 * SECOND,
};
/** Answers after which it does not try again. */
const FINAL_FOR_FUNCTIONS = [400, 403, 413];
const FINAL_FOR_WEBHOOKS = [400, 401, 403, 413];
const ANSWER_WITHIN = 30 * SECOND;
/** Real milliseconds: the endpoint is a real program, which no speed of the clock makes faster. */
const LEAST_REAL_WAIT = 5_000;
const DEAD_LETTER_AFTER = 5 * MINUTE;
/** https://learn.microsoft.com/azure/event-grid/manage-event-delivery: unavailable for so long, and it is dropped. */
const DEAD_LETTER_PATIENCE = 4 * HOUR;

type Outcome = 'MaxDeliveryAttemptsExceeded' | 'TimeToLiveExceeded' | 'NotRetriable';

interface Delivery {
  readonly id: string;
  readonly subscriptionId: string;
  readonly event: GridEvent;
  /** Virtual milliseconds since 1970, as all times here. */
  readonly publishedAt: number;
  readonly nextAt: number;
  readonly attempts: number;
  readonly lastAttemptAt?: number;
  readonly lastStatus?: number;
  /** It has been given up and waits to be written to the dead-letter container. */
  readonly gaveUp?: Outcome;
}

/** As it would lie in the dead-letter container. */
export interface DeadLetter extends GridEvent {
  readonly subscriptionId: string;
  readonly deadLetterReason: Outcome;
  readonly deliveryAttempts: number;
  /** 0 when the endpoint could not be reached. */
  readonly lastHttpStatusCode: number;
  readonly publishTime: string;
  readonly lastDeliveryAttemptTime: string;
}

export class EventGrid {
  readonly #frame: Frame;
  readonly #apps: FunctionApps;
  readonly #deliveries: Table<Delivery>;
  readonly #deadLetters: Table<DeadLetter>;
  readonly #alarms = new Map<string, Alarm>();
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();
  readonly control = new DeliverySettings();
  readonly log = new EventLog();

  /** Listens from now on, and takes up what was under way when the process last ended. */
  constructor(frame: Frame, apps: FunctionApps) {
    this.#frame = frame;
    this.#apps = apps;
    this.#deliveries = frame.world.table('event-grid/deliveries');
    this.#deadLetters = frame.world.table('event-grid/dead-letters');
    for (const delivery of this.#deliveries.values()) this.#arm(delivery);
    frame.world.onEvent((event) => this.#take(event));
  }

  deadLetters(): DeadLetter[] {
    return this.#deadLetters.values();
  }

  /** How many deliveries are still to be made or given up. */
  pending(): number {
    return this.#deliveries.values().length;
  }

  /** Stops; what is under way is delivered at the next start, perhaps for the second time. */
  async close(): Promise<void> {
    for (const alarm of this.#alarms.values()) alarm.cancel();
    this.#alarms.clear();
    this.#closing.abort();
    await Promise.all(this.#underWay.values());
  }

  #take(source: SourceEvent): void {
    if (this.#closing.signal.aborted) return;
    const now = this.#frame.world.clock.now();
    const id = randomUUID();
    for (const subscription of this.#subscriptions()) {
      const topic = topicFor(sourceOf(this.#frame, subscription), source);
      if (topic === undefined) continue;
      const { filter, expirationTimeUtc } = subscription.body.properties;
      if (expirationTimeUtc && Date.parse(expirationTimeUtc) <= now) continue;
      const event: GridEvent = { ...source, topic, id, eventTime: new Date(now).toISOString() };
      if (matches(filter, event)) this.#enqueue(subscription, event, now);
    }
  }

  #enqueue(subscription: EventSubscription, event: GridEvent, now: number): void {
    const times = this.control.timesFor(now);
    this.log.add({
      id: event.id,
      type: event.eventType,
      subject: event.subject,
      time: event.eventTime,
      subscription: subscription.name,
      ...(times.length === 0 ? { dropped: true } : {}),
    });
    for (const nextAt of times) {
      this.#keep({
        id: randomUUID(),
        subscriptionId: subscription.id,
        event,
        publishedAt: now,
        nextAt,
        attempts: 0,
      });
    }
  }

  /** Those that have been made; one that is being changed goes on delivering. */
  #subscriptions(): EventSubscription[] {
    const { store } = this.#frame;
    return [EVENT_SUBSCRIPTIONS, TOPIC_SUBSCRIPTIONS]
      .flatMap((type) => store.ofType<SubscriptionBody, SubscriptionHidden>(type))
      .filter((subscription) =>
        ['Succeeded', 'Updating'].includes(String(this.#frame.stateOf(subscription))),
      );
  }

  #keep(delivery: Delivery): void {
    this.#deliveries.set(delivery.id, delivery);
    this.#arm(delivery);
  }

  #arm({ id, nextAt }: Delivery): void {
    this.#alarms.get(id)?.cancel();
    const ring = (): void => {
      this.#alarms.delete(id);
      const attempt = this.#attempt(id)
        .catch((error: unknown) => console.error('event grid: a delivery could not be made', error))
        .finally(() => this.#underWay.delete(id));
      this.#underWay.set(id, attempt);
    };
    this.#alarms.set(id, this.#frame.world.clock.alarm(nextAt, ring));
  }

  async #attempt(id: string): Promise<void> {
    const delivery = this.#deliveries.get(id);
    const subscription =
      delivery && this.#frame.store.get<SubscriptionBody, SubscriptionHidden>(delivery.subscriptionId);
    if (!delivery || !subscription) {
      // The subscription was deleted meanwhile, and with it what was on its way.
      this.#deliveries.delete(id);
      return;
    }
    if (delivery.gaveUp !== undefined) {
      this.#bury(subscription, delivery, delivery.gaveUp);
      return;
    }
    const status = await this.#send(subscription, delivery);
    if (this.#closing.signal.aborted) return;
    if (status >= 200 && status <= 204) {
      this.#deliveries.delete(id);
      return;
    }
    this.#plan(subscription, { ...delivery, attempts: delivery.attempts + 1, lastStatus: status });
  }

  /** The status answered; 0 when there was no answer. */
  async #send(subscription: EventSubscription, delivery: Delivery): Promise<number> {
    const { world } = this.#frame;
    const name = functionNameOf(subscription);
    const url =
      name === undefined
        ? webhookUrl(
            this.#apps,
            world.settings.controlPlane.functionAppName,
            subscription.hidden.endpointUrl ?? '',
          )
        : functionUrl(this.#apps, name);
    const signIn = signInOf(subscription);
    if (url === undefined || !canSignIn(this.#frame, signIn)) return 0;
    const { body, contentType } = envelopeOf(
      delivery.event,
      subscription.body.properties.eventDeliverySchema,
    );
    const authorization = authorizationFor(this.#frame, signIn);
    const patience = Math.max(LEAST_REAL_WAIT, ANSWER_WITHIN / world.clock.state.speed);
    try {
      const answer = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': contentType,
          ...(authorization === undefined ? {} : { authorization }),
          'aeg-event-type': 'Notification',
          'aeg-subscription-name': subscription.name.toUpperCase(),
          'aeg-delivery-count': String(delivery.attempts),
          'aeg-data-version': delivery.event.dataVersion,
          'aeg-metadata-version': '1',
        },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(patience)]),
      });
      await answer.body?.cancel();
      return answer.status;
    } catch {
      // Refused, cut off or too slow: all of them are tried again.
      return 0;
    }
  }

  /** After a failed attempt: the next one, or giving up. */
  #plan(subscription: EventSubscription, failed: Delivery): void {
    const { retryPolicy } = subscription.body.properties;
    const now = this.#frame.world.clock.now();
    const status = failed.lastStatus ?? 0;
    const isFunction = functionNameOf(subscription) !== undefined;
    const wait = Math.max(WAITS[Math.min(failed.attempts, WAITS.length) - 1] ?? 0, LEAST_WAITS[status] ?? 0);
    const nextAt = now + wait;
    const expiresAt = failed.publishedAt + retryPolicy.eventTimeToLiveInMinutes * MINUTE;
    const gaveUp: Outcome | undefined = (isFunction ? FINAL_FOR_FUNCTIONS : FINAL_FOR_WEBHOOKS).includes(
      status,
    )
      ? 'NotRetriable'
      : failed.attempts >= retryPolicy.maxDeliveryAttempts
        ? 'MaxDeliveryAttemptsExceeded'
        : nextAt > expiresAt
          ? 'TimeToLiveExceeded'
          : undefined;
    const after = { ...failed, lastAttemptAt: now };
    if (gaveUp === undefined) this.#keep({ ...after, nextAt });
    else if (deadLettersOf(subscription)) this.#keep({ ...after, nextAt: now + DEAD_LETTER_AFTER, gaveUp });
    else this.#deliveries.delete(failed.id);
  }

  /** Tries for hours to write to a container that is not there, then drops the event. */
  #bury(subscription: EventSubscription, delivery: Delivery, reason: Outcome): void {
    const { id, event, subscriptionId, attempts, lastStatus = 0, publishedAt, lastAttemptAt = 0 } = delivery;
    const place = deadLettersOf(subscription)?.properties;
    if (!place || !hasContainer(this.#frame, place.resourceId, place.blobContainerName)) {
      const now = this.#frame.world.clock.now();
      if (place && now - lastAttemptAt < DEAD_LETTER_PATIENCE) {
        this.#keep({ ...delivery, nextAt: now + DEAD_LETTER_AFTER });
      } else this.#deliveries.delete(id);
      return;
    }
    this.#deadLetters.set(id, {
      ...event,
      subscriptionId,
      deadLetterReason: reason,
      deliveryAttempts: attempts,
      lastHttpStatusCode: lastStatus,
      publishTime: new Date(publishedAt).toISOString(),
      lastDeliveryAttemptTime: new Date(lastAttemptAt).toISOString(),
    });
    this.#deliveries.delete(id);
  }
}

function deadLettersOf({ body: { properties } }: EventSubscription) {
  return properties.deadLetterDestination ?? properties.deadLetterWithResourceIdentity?.deadLetterDestination;
}

/**
 * The topic under which a source's event reaches subscribers of `sourceId`; undefined when it is not theirs. Events of
 * the Resource Manager are the subscription's, and reach the resource group they happened in, too.
 */
function topicFor(sourceId: string, event: SourceEvent): string | undefined {
  if (sameId(event.topic, sourceId)) return event.topic;
  const isManagement = event.eventType.startsWith('Microsoft.Resources.');
  const isGroup = /^\/subscriptions\/[^/]+\/resourcegroups\/[^/]+$/i.test(sourceId);
  return isManagement && isGroup && isWithin(event.subject, sourceId) ? sourceId : undefined;
}

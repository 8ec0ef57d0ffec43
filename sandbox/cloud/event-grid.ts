/**
 * Event Grid's delivery: takes what the services emit, finds the subscriptions that want it, and delivers at least
 * once, in no particular order, with the real retry schedule in virtual time. What is under way is kept on disk.
 * Over 200 lines because intake, attempt and outcome are one story.
 * https://learn.microsoft.com/azure/event-grid/delivery-and-retry
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Alarm } from '../clock.ts';
import {
  EVENT_SUBSCRIPTIONS,
  type EventSubscription,
  functionNameOf,
  type SubscriptionBody,
  type SubscriptionHidden,
  sourceOf,
  TOPIC_SUBSCRIPTIONS,
} from './arm/event-grid-subscriptions.ts';
import type { Frame } from './arm/frame/frame.ts';
import { isWithin, sameId } from './arm/frame/target.ts';
import type { FunctionApps } from './arm/web.ts';
import { functionUrl, webhookUrl } from './event-grid/endpoint.ts';
import { envelopeOf, type GridEvent } from './event-grid/envelope.ts';
import { matches } from './event-grid/filters.ts';
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
/** From the source to the first attempt. */
const FIRST_DELIVERY = 1 * SECOND;
const ANSWER_WITHIN = 30 * SECOND;
/** Real milliseconds: the endpoint is a real program, which no speed of the clock makes faster. */
const LEAST_REAL_WAIT = 5_000;
const DEAD_LETTER_AFTER = 5 * MINUTE;
/** How far apart events get that are dialled to come out of order, or twice. */
const DISORDER = 30 * SECOND;

const controlSchema = z.strictObject({
  /** Share of events, 0 to 1, that never arrive. */
  dropShare: z.number().min(0).max(1).default(0),
  /** Share of events that arrive twice. */
  repeatShare: z.number().min(0).max(1).default(0),
  /** Added to every first delivery, virtual milliseconds. */
  delayMilliseconds: z.number().nonnegative().default(0),
  reorder: z.boolean().default(false),
  /** The same seed makes the same choices. */
  seed: z.int().default(1),
});
export type DeliveryControl = z.infer<typeof controlSchema>;

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
  #control: DeliveryControl = controlSchema.parse({});
  #random = randomOf(1);

  /** Listens from now on, and takes up what was under way when the process last ended. */
  constructor(frame: Frame, apps: FunctionApps) {
    this.#frame = frame;
    this.#apps = apps;
    this.#deliveries = frame.world.table('event-grid/deliveries');
    this.#deadLetters = frame.world.table('event-grid/dead-letters');
    for (const delivery of this.#deliveries.values()) this.#arm(delivery);
    frame.world.onEvent((event) => this.#take(event));
  }

  readonly control = {
    get: (): DeliveryControl => this.#control,
    /** Throws ZodError on values that make no sense. */
    replace: (control: unknown): void => {
      this.#control = controlSchema.parse(control);
      this.#random = randomOf(this.#control.seed);
    },
  };

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
      if (matches(filter, event)) this.#enqueue(subscription.id, event, now);
    }
  }

  #enqueue(subscriptionId: string, event: GridEvent, now: number): void {
    const { dropShare, repeatShare, delayMilliseconds, reorder } = this.#control;
    if (this.#random() < dropShare) return;
    const isRepeated = this.#random() < repeatShare;
    const soonest = now + FIRST_DELIVERY + delayMilliseconds;
    const disorder = (): number => Math.floor(this.#random() * DISORDER);
    const times = [soonest + (reorder ? disorder() : 0), ...(isRepeated ? [soonest + disorder()] : [])];
    for (const nextAt of times) {
      this.#keep({ id: randomUUID(), subscriptionId, event, publishedAt: now, nextAt, attempts: 0 });
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
      this.#bury(delivery, delivery.gaveUp);
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
    if (url === undefined) return 0;
    const { body, contentType } = envelopeOf(
      delivery.event,
      subscription.body.properties.eventDeliverySchema,
    );
    const patience = Math.max(LEAST_REAL_WAIT, ANSWER_WITHIN / world.clock.state.speed);
    try {
      const answer = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': contentType,
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
    else if (hasDeadLetters(subscription)) this.#keep({ ...after, nextAt: now + DEAD_LETTER_AFTER, gaveUp });
    else this.#deliveries.delete(failed.id);
  }

  #bury(delivery: Delivery, reason: Outcome): void {
    const { id, event, subscriptionId, attempts, lastStatus = 0, publishedAt, lastAttemptAt = 0 } = delivery;
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

function hasDeadLetters({ body: { properties } }: EventSubscription): boolean {
  return Boolean(properties.deadLetterDestination ?? properties.deadLetterWithResourceIdentity);
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

/** Mulberry32: small, and the same on every machine. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

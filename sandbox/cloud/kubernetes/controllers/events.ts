/** `Event` objects, with repeats counted instead of written again (client-go/tools/record). */
import type { VirtualClock } from '../../../clock.ts';
import { type ApiServer, randomSuffix } from '../api/api-server.ts';
import { EVENTS, NAMESPACES } from '../api/kinds.ts';
import { EVENT_TTL } from '../durations.ts';
import { at, type Fields, type KubeObject, timestamp } from '../object.ts';

export interface EventOptions {
  readonly component: string;
  readonly host?: string;
  /** `spec.containers{name}`. */
  readonly fieldPath?: string;
}

export class EventRecorder {
  readonly #api: ApiServer;
  readonly #clock: VirtualClock;

  constructor(api: ApiServer, clock: VirtualClock) {
    this.#api = api;
    this.#clock = clock;
  }

  record(
    object: KubeObject,
    type: 'Normal' | 'Warning',
    reason: string,
    message: string,
    { component, host, fieldPath }: EventOptions,
  ): void {
    const namespace = object.metadata.namespace ?? 'default';
    const home = this.#api.find(NAMESPACES, '', namespace);
    if (!home || home.metadata.deletionTimestamp !== undefined) return;
    const now = timestamp(this.#clock.now());
    const known = this.#api
      .list(EVENTS, namespace)
      .find(
        (event) =>
          at(event, 'involvedObject', 'uid') === object.metadata.uid &&
          at(event, 'involvedObject', 'fieldPath') === fieldPath &&
          at(event, 'reason') === reason &&
          at(event, 'message') === message,
      );
    if (known) {
      this.#api.change(EVENTS, known, (draft) => {
        const fields = draft as unknown as Fields;
        fields['count'] = Number(fields['count'] ?? 1) + 1;
        fields['lastTimestamp'] = now;
      });
      return;
    }
    this.#api.create(
      EVENTS,
      namespace,
      {
        metadata: { name: `${object.metadata.name}.${randomSuffix(16)}`, namespace },
        involvedObject: {
          apiVersion: object.apiVersion,
          kind: object.kind,
          name: object.metadata.name,
          ...(object.metadata.namespace === undefined ? {} : { namespace: object.metadata.namespace }),
          uid: object.metadata.uid,
          resourceVersion: object.metadata.resourceVersion,
          ...(fieldPath === undefined ? {} : { fieldPath }),
        },
        type,
        reason,
        message,
        source: { component, ...(host === undefined ? {} : { host }) },
        reportingComponent: component,
        firstTimestamp: now,
        lastTimestamp: now,
        count: 1,
      },
      { manager: component },
    );
  }

  /** Drops what is older than the event's time to live. */
  expire(now: number): void {
    for (const event of this.#api.list(EVENTS)) {
      const last = Date.parse(String(at(event, 'lastTimestamp') ?? event.metadata.creationTimestamp));
      if (now - last > EVENT_TTL) this.#api.removeNow(EVENTS, event);
    }
  }
}

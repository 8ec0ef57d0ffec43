/** `?watch=1`: the changes of a kind as a stream of JSON lines. */
import type { KubeObject } from '../object.ts';
import { apiVersionOf, type Kind, resourceKey } from './kinds.ts';
import type { Change, ObjectStore } from './object-store.ts';
import { StatusError } from './status-error.ts';

export interface WatchRequest {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly matches: (object: KubeObject) => boolean;
  /** Empty and `0` start with what is there now. */
  readonly resourceVersion: string;
  readonly sendInitialEvents: boolean;
  readonly allowBookmarks: boolean;
  /** Real seconds, as the connection is real; undefined: AKS' half hour to an hour. */
  readonly timeoutSeconds: number | undefined;
  /** An object in the form the caller accepts. */
  readonly form: (object: KubeObject, isFirst: boolean) => object;
  readonly signal: AbortSignal;
}

const LONGEST_WATCH_SECONDS = 2700;

/** Throws 410 when the changes since that version are no longer known. */
export function watch(store: ObjectStore, request: WatchRequest): Response {
  const { kind, namespace, resourceVersion } = request;
  const resource = resourceKey(kind);
  const startsFresh = resourceVersion === '' || resourceVersion === '0' || request.sendInitialEvents;
  const missed = startsFresh ? [] : store.changesSince(versionNumber(resourceVersion));
  const encoder = new TextEncoder();
  let stop = (): void => undefined;
  const stream = new ReadableStream<Uint8Array>({
    start: (out) => {
      let isFirst = true;
      const send = (type: string, object: KubeObject): void => {
        out.enqueue(encoder.encode(`${JSON.stringify({ type, object: request.form(object, isFirst) })}\n`));
        isFirst = false;
      };
      const pass = (change: Change): void => {
        if (change.resource !== resource) return;
        const event = eventOf(change, namespace, request.matches);
        if (event !== undefined) send(event, change.object);
      };
      let isOpen = true;
      const unsubscribe = store.subscribe(pass);
      const timer = setTimeout(
        () => stop(),
        Math.min(request.timeoutSeconds ?? LONGEST_WATCH_SECONDS, LONGEST_WATCH_SECONDS) * 1000,
      );
      stop = (): void => {
        if (!isOpen) return;
        isOpen = false;
        clearTimeout(timer);
        unsubscribe();
        request.signal.removeEventListener('abort', stop);
        try {
          out.close();
        } catch {
          // The reader has gone first.
        }
      };
      if (request.signal.aborted) return stop();
      request.signal.addEventListener('abort', stop, { once: true });
      if (startsFresh) {
        for (const object of store.list(resource, namespace))
          if (request.matches(object)) send('ADDED', object);
        if (request.sendInitialEvents && request.allowBookmarks) {
          const bookmark = {
            type: 'BOOKMARK',
            object: {
              kind: kind.kind,
              apiVersion: apiVersionOf(kind),
              metadata: {
                resourceVersion: String(store.version),
                annotations: { 'k8s.io/initial-events-end': 'true' },
              },
            },
          };
          out.enqueue(encoder.encode(`${JSON.stringify(bookmark)}\n`));
        }
      }
      for (const change of missed) pass(change);
    },
    cancel: () => stop(),
  });
  return new Response(stream, { headers: { 'content-type': 'application/json' } });
}

/** A change as a watcher with a selector sees it: an object can come into and go out of its sight. */
function eventOf(
  change: Change,
  namespace: string | undefined,
  matches: (object: KubeObject) => boolean,
): Change['type'] | undefined {
  if (namespace !== undefined && change.object.metadata.namespace !== namespace) return undefined;
  const before = change.previous !== undefined && matches(change.previous);
  const after = change.type !== 'DELETED' && matches(change.object);
  if (before && after) return 'MODIFIED';
  if (before) return 'DELETED';
  return after ? 'ADDED' : undefined;
}

export function versionNumber(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0) {
    throw new StatusError(
      400,
      'BadRequest',
      `resourceVersion: Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`,
    );
  }
  return number;
}

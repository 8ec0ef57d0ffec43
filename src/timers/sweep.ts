/**
 * The guarantee behind all events: from time to time everything is looked at, whether or not anybody has said that
 * something has changed.
 */
import type { InvocationContext, TimerHandler } from '@azure/functions';
import type { Waker } from '../reactions/waker.ts';
import type { Store } from '../store/store.ts';

const DAY = 86_400_000;
/** Days that events are kept, with what they led to. */
const KEEP_EVENTS_DAYS = 14;
/** Days that changes of others are kept once they are over. */
const KEEP_DRIFT_DAYS = 30;
/** Days that it is kept which findings appeared and cleared. */
const KEEP_HEALTH_DAYS = 14;

export const sweep =
  (store: Store, wake: Waker): TimerHandler =>
  async (_timer, context) => {
    const now = Date.now();
    await forEachDeployment(
      (await store.listDeployments()).map(({ name }) => name),
      context,
      async (name) => {
        await store.inbox.forgetEvents(name, new Date(now - KEEP_EVENTS_DAYS * DAY));
        await store.drift.forget(name, new Date(now - KEEP_DRIFT_DAYS * DAY));
        await store.health.forget(name, new Date(now - KEEP_HEALTH_DAYS * DAY));
        await store.inbox.putRequest({
          id: 'sweep',
          deployment: name,
          kind: 'sweep',
          cause: { kind: 'timer', what: 'it was time to look at everything' },
          look: 'all',
          requestedAt: new Date(now).toISOString(),
        });
        await wake(context, name);
      },
    );
  };

/** Requests are left before anybody is woken: what waits for so long has missed its waking. Seconds. */
const LEFT_WAITING_SECONDS = 60;

export const wakeWaiting =
  (store: Store, wake: Waker): TimerHandler =>
  async (_timer, context) => {
    const since = new Date(Date.now() - LEFT_WAITING_SECONDS * 1000);
    await forEachDeployment(await store.inbox.waitingSince(since), context, (name) => wake(context, name));
  };

/** One that cannot be woken does not hold up the others. */
async function forEachDeployment(
  names: readonly string[],
  context: InvocationContext,
  work: (name: string) => Promise<void>,
): Promise<void> {
  for (const name of names) {
    try {
      await work(name);
    } catch (error) {
      context.error(`${name} could not be looked at:`, error);
    }
  }
}

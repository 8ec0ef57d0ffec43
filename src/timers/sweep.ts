/**
 * The guarantee behind all events: from time to time everything is looked at, whether or not anybody has said that
 * something has changed.
 */
import type { InvocationContext, TimerHandler } from '@azure/functions';
import type { Waker } from '../reactions/waker.ts';
import { intervalOf } from '../schedule.ts';
import type { Store } from '../store/store.ts';
import { type Turns, turnOf } from './turns.ts';

const DAY = 86_400_000;
/** Days that events are kept, with what they led to. */
const KEEP_EVENTS_DAYS = 14;
/** Days that changes of others are kept once they are over. */
const KEEP_DRIFT_DAYS = 30;
/** Days that it is kept which findings appeared and cleared. */
const KEEP_HEALTH_DAYS = 14;

/** A request that still waits would be put off by the next; so long before that all have begun. */
const ROOM_MILLISECONDS = 3 * 60_000;
const LONGEST_MILLISECONDS = 20 * 60_000;

/**
 * A sweep makes some 25 calls of the Resource Manager, so these are half of what one subscription may make in a minute
 * (clients/arm-budget.ts); the checks take the rest.
 */
export function sweepTurns(schedule: string): Turns {
  const interval = intervalOf(schedule) ?? Number.POSITIVE_INFINITY;
  return {
    together: 20,
    pauseMilliseconds: 60_000,
    withinMilliseconds: Math.max(0, Math.min(LONGEST_MILLISECONDS, interval - ROOM_MILLISECONDS)),
  };
}

export const sweep =
  (store: Store, wake: Waker, timing: Turns): TimerHandler =>
  async (_timer, context) => {
    const now = Date.now();
    const names = (await store.listDeployments()).map(({ name }) => name);
    const turns = new Map(names.map((name, index) => [name, turnOf(index, names.length, timing)]));
    await forEachDeployment(names, context, async (name) => {
      const turn = turns.get(name) ?? 0;
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
        ...(turn > 0 ? { notBefore: new Date(now + turn).toISOString() } : {}),
      });
      // The others are woken by `wakeWaiting`, once it is their turn.
      if (turn === 0) await wake(context, name);
    });
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

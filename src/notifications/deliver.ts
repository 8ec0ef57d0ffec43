/**
 * Tells what has changed about findings, on every channel that is set up, in the order in which it happened. A channel
 * that does not answer holds up nobody but itself: what it has not taken is told again, less and less often, until it is
 * a day old and no news any more. A change that its receiver refuses for what it is would hold up all behind it for that
 * day, and be refused to the end: it is given up after a few tries.
 */
import { type Channel, channels, type FindingChange, type Outbox, type PendingChange } from './change.ts';
import { refusedWith } from './refusal.ts';

/** Resolves when the change has been taken; rejects when it has to be told again. */
export type Teller = (changes: FindingChange) => Promise<void>;

const MOST_AT_ONCE = 100;
const GIVEN_UP_AFTER_MS = 24 * 3_600_000;
export const MOST_REFUSALS = 3;
/** A receiver that is being replaced may refuse what it takes some minutes later. */
const REFUSED_AGAIN_AFTER_MS = 5 * 60_000;

export interface GivenUp {
  readonly channel: Channel;
  readonly change: FindingChange;
  /** The status by which the receiver last refused it; without it, it has become too old. */
  readonly refusedWith?: number;
}

export interface Delivery {
  readonly told: number;
  readonly givenUp: readonly GivenUp[];
  /** By channel, what kept it from taking more. */
  readonly failures: Readonly<Partial<Record<Channel, unknown>>>;
}

export async function deliver(
  outbox: Outbox,
  tellers: Readonly<Partial<Record<Channel, Teller>>>,
  now: Date,
): Promise<Delivery> {
  const results = await Promise.all(
    channels.map(async (channel) => {
      const waiting = await outbox.pending(channel, MOST_AT_ONCE);
      const tell = tellers[channel];
      // Nobody listens here: what happened before somebody does is not told later.
      if (!tell) {
        await outbox.settle(channel, waiting);
        return { told: 0, givenUp: [] };
      }
      return deliverOn(outbox, channel, tell, waiting, now);
    }),
  );
  return {
    told: results.reduce((sum, { told }) => sum + told, 0),
    givenUp: results.flatMap(({ givenUp }) => givenUp),
    failures: Object.fromEntries(
      results.flatMap((result, index) =>
        'failure' in result ? [[channels[index] ?? '', result.failure]] : [],
      ),
    ),
  };
}

async function deliverOn(
  outbox: Outbox,
  channel: Channel,
  tell: Teller,
  waiting: readonly PendingChange[],
  now: Date,
): Promise<{ told: number; givenUp: readonly GivenUp[]; failure?: unknown }> {
  const ageOf = ({ at }: FindingChange): number => now.getTime() - Date.parse(at);
  const old = waiting.filter((change) => ageOf(change) > GIVEN_UP_AFTER_MS);
  if (old.length > 0) await outbox.settle(channel, old);
  const givenUp: GivenUp[] = old.map((change) => ({ channel, change }));
  const news = waiting.filter((change) => ageOf(change) <= GIVEN_UP_AFTER_MS);
  const [oldest] = news;
  if (!oldest || !isTimeToTry(ageOf(oldest))) return { told: 0, givenUp };
  let told = 0;
  for (const change of news) {
    // Those behind it wait, too: they are told in order.
    if (hasJustBeenRefused(change, now)) return { told, givenUp };
    try {
      await tell(change);
      told += 1;
    } catch (failure) {
      const status = refusedWith(channel, failure);
      if (status === undefined) return { told, givenUp, failure };
      const times = (change.refused?.times ?? 0) + 1;
      if (times < MOST_REFUSALS) {
        await outbox.rememberRefused(channel, change, { times, lastAt: now.toISOString() });
        return { told, givenUp, failure };
      }
      givenUp.push({ channel, change, refusedWith: status });
    }
    await outbox.settle(channel, [change]);
  }
  return { told, givenUp };
}

const hasJustBeenRefused = ({ refused }: PendingChange, now: Date): boolean =>
  refused !== undefined && now.getTime() - Date.parse(refused.lastAt) < REFUSED_AGAIN_AFTER_MS;

/** Each minute at first; after a quarter of an hour every tenth. */
export function isTimeToTry(ageMilliseconds: number): boolean {
  const minutes = Math.floor(ageMilliseconds / 60_000);
  return minutes < 15 || minutes % 10 === 0;
}

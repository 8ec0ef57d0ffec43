/**
 * Tells what has changed about findings, on every channel that is set up, in the order in which it happened. A channel
 * that does not answer holds up nobody but itself: what it has not taken is told again, less and less often, until it is
 * a day old and no news any more.
 */
import { type Channel, channels, type FindingChange, type Outbox } from './change.ts';

/** Resolves when the change has been taken; rejects when it has to be told again. */
export type Teller = (changes: FindingChange) => Promise<void>;

const MOST_AT_ONCE = 100;
const GIVEN_UP_AFTER_MS = 24 * 3_600_000;

export interface Delivery {
  readonly told: number;
  readonly givenUp: readonly FindingChange[];
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
  waiting: readonly FindingChange[],
  now: Date,
): Promise<{ told: number; givenUp: readonly FindingChange[]; failure?: unknown }> {
  const ageOf = ({ at }: FindingChange): number => now.getTime() - Date.parse(at);
  const givenUp = waiting.filter((change) => ageOf(change) > GIVEN_UP_AFTER_MS);
  if (givenUp.length > 0) await outbox.settle(channel, givenUp);
  const [oldest, ...others] = waiting.filter((change) => ageOf(change) <= GIVEN_UP_AFTER_MS);
  if (!oldest || !isTimeToTry(ageOf(oldest))) return { told: 0, givenUp };
  let told = 0;
  for (const change of [oldest, ...others]) {
    try {
      await tell(change);
    } catch (failure) {
      return { told, givenUp, failure };
    }
    await outbox.settle(channel, [change]);
    told += 1;
  }
  return { told, givenUp };
}

/** Each minute at first; after a quarter of an hour every tenth. */
export function isTimeToTry(ageMilliseconds: number): boolean {
  const minutes = Math.floor(ageMilliseconds / 60_000);
  return minutes < 15 || minutes % 10 === 0;
}

/**
 * ARM's token buckets, in virtual time: per principal and kind of call, reads 250 (25 a second back), writes 200 (10),
 * deletes 200 (10). https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
 * The region is left out: the sandbox has one Resource Manager.
 */
import type { VirtualClock } from '../../../clock.ts';
import { Refusal } from './refusal.ts';

type Kind = 'reads' | 'writes' | 'deletes';

const BUCKETS: Readonly<Record<Kind, { size: number; perSecond: number }>> = {
  reads: { size: 250, perSecond: 25 },
  writes: { size: 200, perSecond: 10 },
  deletes: { size: 200, perSecond: 10 },
};

export class Throttle {
  readonly #clock: VirtualClock;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** Takes a token and gives the header that tells what is left; refuses with 429 when there is none. */
  take(principalId: string, method: string, subscriptionId: string): Readonly<Record<string, string>> {
    const kind: Kind =
      method === 'GET' || method === 'HEAD' ? 'reads' : method === 'DELETE' ? 'deletes' : 'writes';
    const { size, perSecond } = BUCKETS[kind];
    const key = `${principalId}/${kind}`;
    const now = this.#clock.now();
    const bucket = this.#buckets.get(key) ?? { tokens: size, at: now };
    const tokens = Math.min(size, bucket.tokens + ((now - bucket.at) / 1000) * perSecond);
    const header = `x-ms-ratelimit-remaining-subscription-${kind}`;
    if (tokens < 1) {
      // An early retry is refused and waits anew.
      this.#buckets.set(key, { tokens: 0, at: now });
      const seconds = Math.max(1, Math.ceil(1 / perSecond));
      throw new Refusal(
        429,
        'SubscriptionRequestsThrottled',
        `Number of '${kind.slice(0, -1)}' requests for subscription '${subscriptionId}' actor '${principalId}' ` +
          `exceeded. Please try again after '${seconds}' seconds after additional tokens are available. ` +
          'Refer to https://aka.ms/arm-throttling for additional information.',
        { headers: { 'retry-after': String(seconds), [header]: '0' } },
      );
    }
    this.#buckets.set(key, { tokens: tokens - 1, at: now });
    return { [header]: String(Math.floor(tokens - 1)) };
  }
}

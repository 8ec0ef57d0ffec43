/**
 * As many calls as a cloud grants, and no more: `size` at once, `perSecond` of them back each second. Whoever finds it
 * empty waits in line; whoever would wait for too long is told so at once, as a failure to look again later.
 */
import type { FailureError } from '../graph/failure.ts';
import { retryable } from '../graph/failure.ts';

export interface BucketSize {
  readonly size: number;
  readonly perSecond: number;
}

/** An activity gives up after 60 seconds; what waits longer than this is better looked at again by the orchestration. */
export const LONGEST_WAIT_MILLISECONDS = 20_000;

/** The clock may be set while somebody waits, so the line looks at it again and again. */
const LOOK_AGAIN_MILLISECONDS = 50;

interface Waiter {
  readonly since: number;
  resolve(): void;
  reject(error: FailureError): void;
}

export class TokenBucket {
  readonly #what: string;
  readonly #size: number;
  readonly #perMillisecond: number;
  readonly #now: () => number;
  readonly #line: Waiter[] = [];
  #tokens: number;
  /** Up to when tokens have been put back; in the future while the cloud wants to be left alone. */
  #filledUntil: number;
  #timer: NodeJS.Timeout | undefined;

  /** `what` names in messages whose limit it is. */
  constructor(what: string, { size, perSecond }: BucketSize, now: () => number = () => Date.now()) {
    this.#what = what;
    this.#size = size;
    this.#perMillisecond = perSecond / 1000;
    this.#now = now;
    this.#tokens = size;
    this.#filledUntil = now();
  }

  /** Resolves when it is the caller's turn; rejects with a retryable `Throttled` when that would be too late. */
  take(): Promise<void> {
    this.#fill();
    if (this.#line.length === 0 && this.#tokens >= 1 && this.#filledUntil <= this.#now()) {
      this.#tokens -= 1;
      return Promise.resolve();
    }
    const wait = this.#waitOf(this.#line.length);
    if (wait > LONGEST_WAIT_MILLISECONDS) return Promise.reject(this.#throttled(wait));
    return new Promise((resolve, reject) => {
      this.#line.push({ since: performance.now(), resolve, reject });
      this.#serveLater(wait);
    });
  }

  /** The cloud has refused and said for how long: nothing is left, and nothing comes back before that. */
  empty(seconds: number): void {
    this.#fill();
    this.#tokens = 0;
    this.#filledUntil = Math.max(this.#filledUntil, this.#now() + seconds * 1000);
    this.#serve();
  }

  #fill(): void {
    const now = this.#now();
    if (now <= this.#filledUntil) return;
    const back = (now - this.#filledUntil) * this.#perMillisecond;
    this.#tokens = Math.min(this.#size, this.#tokens + back);
    this.#filledUntil = now;
  }

  /** Milliseconds until whoever has this place in the line may go. */
  #waitOf(place: number): number {
    const missing = Math.max(0, place + 1 - this.#tokens);
    return this.#filledUntil - this.#now() + missing / this.#perMillisecond;
  }

  #serve(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#fill();
    while (this.#line.length > 0 && this.#tokens >= 1 && this.#filledUntil <= this.#now()) {
      this.#tokens -= 1;
      this.#line.shift()?.resolve();
    }
    // Measured apart from the clock: one that stands still must not hold anybody.
    const patience = ({ since }: Waiter): number => LONGEST_WAIT_MILLISECONDS - (performance.now() - since);
    while (this.#line.length > 0) {
      const place = this.#line.findIndex((waiter, at) => {
        const left = patience(waiter);
        return left <= 0 || this.#waitOf(at) > left;
      });
      if (place < 0) break;
      const wait = this.#waitOf(place);
      for (const waiter of this.#line.splice(place, 1)) waiter.reject(this.#throttled(wait));
    }
    if (this.#line.length > 0) this.#serveLater(this.#waitOf(0));
  }

  #serveLater(wait: number): void {
    this.#timer ??= setTimeout(
      () => this.#serve(),
      Math.min(Math.max(1, Math.ceil(wait)), LOOK_AGAIN_MILLISECONDS),
    );
  }

  #throttled(wait: number): FailureError {
    const seconds = Math.max(1, Math.ceil(wait / 1000));
    return retryable('Throttled', `the calls that ${this.#what} grants are used up for the moment`, seconds);
  }
}

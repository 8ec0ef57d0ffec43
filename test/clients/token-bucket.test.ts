import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { toFailure } from '../../src/clients/cloud-failure.ts';
import { LONGEST_WAIT_MILLISECONDS, TokenBucket } from '../../src/clients/token-bucket.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

interface Grant {
  readonly caller: number;
  readonly at: number;
}

/** Calls that come after these pauses; who was let through when, in that order, and who was turned away. */
async function run(
  bucket: TokenBucket,
  pauses: readonly number[],
): Promise<{ granted: Grant[]; refused: number[] }> {
  const granted: Grant[] = [];
  const refused: number[] = [];
  for (const [caller, pause] of pauses.entries()) {
    await vi.advanceTimersByTimeAsync(pause);
    bucket.take().then(
      () => granted.push({ caller, at: Date.now() }),
      () => refused.push(caller),
    );
  }
  await vi.advanceTimersByTimeAsync(LONGEST_WAIT_MILLISECONDS + 1000);
  return { granted, refused };
}

const arrivals = fc.array(fc.nat({ max: 400 }), { minLength: 1, maxLength: 60 });
const sizes = fc.record({
  size: fc.integer({ min: 1, max: 10 }),
  perSecond: fc.integer({ min: 1, max: 20 }),
});

test('no window of time sees more calls than are granted for it', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, arrivals, async ({ size, perSecond }, pauses) => {
      const { granted } = await run(new TokenBucket('a cloud', { size, perSecond }), pauses);
      for (const [first, { at: from }] of granted.entries()) {
        for (const [last, { at: to }] of granted.entries()) {
          const allowed = size + ((to - from) / 1000) * perSecond;
          if (last >= first) expect(last - first + 1).toBeLessThanOrEqual(allowed + 1e-6);
        }
      }
    }),
    { numRuns: 40 },
  );
});

test('whoever waits longer goes first, and everybody is let through or told', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, arrivals, async (size, pauses) => {
      const { granted, refused } = await run(new TokenBucket('a cloud', size), pauses);
      const callers = granted.map(({ caller }) => caller);
      expect(callers).toEqual(callers.toSorted((a, b) => a - b));
      expect(callers.length + refused.length).toBe(pauses.length);
      expect(vi.getTimerCount()).toBe(0);
    }),
    { numRuns: 40 },
  );
});

test('who would wait for too long is told at once when to come back', async () => {
  const bucket = new TokenBucket('a cloud', { size: 1, perSecond: 0.1 });
  await bucket.take();
  const waiting = [bucket.take(), bucket.take()];
  const failure = toFailure(await bucket.take().catch((error: unknown) => error));
  expect(failure).toMatchObject({ kind: 'retryable', code: 'Throttled', retryAfterSeconds: 30 });
  await vi.advanceTimersByTimeAsync(LONGEST_WAIT_MILLISECONDS);
  await Promise.all(waiting);
});

test('a bucket emptied by a refusal gives nothing before the time it was told, and then slowly', async () => {
  const bucket = new TokenBucket('a cloud', { size: 100, perSecond: 2 });
  bucket.empty(7);
  const began = Date.now();
  const { granted } = await run(bucket, [0, 0, 0]);
  const after = granted.map(({ at }) => at - began);
  for (const [place, soonest] of [7500, 8000, 8500].entries()) {
    expect(after[place]).toBeGreaterThanOrEqual(soonest);
    expect(after[place]).toBeLessThan(soonest + 50);
  }
});

test('who waits when the cloud asks for a long pause is told so', async () => {
  const bucket = new TokenBucket('a cloud', { size: 1, perSecond: 1 });
  await bucket.take();
  const waiting = bucket.take().catch((error: unknown) => toFailure(error));
  bucket.empty(300);
  expect(await waiting).toMatchObject({ code: 'Throttled', retryAfterSeconds: 301 });
});

test('a clock that stands still holds nobody for longer than the longest wait', async () => {
  const bucket = new TokenBucket('a cloud', { size: 1, perSecond: 1 }, () => 0);
  await bucket.take();
  const waiting = bucket.take().catch((error: unknown) => toFailure(error));
  await vi.advanceTimersByTimeAsync(LONGEST_WAIT_MILLISECONDS);
  expect(await waiting).toMatchObject({ code: 'Throttled' });
});

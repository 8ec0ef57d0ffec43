import { afterEach, expect, test, vi } from 'vitest';
import { toFailure } from '../../src/clients/cloud-failure.ts';
import { createCloudflare, createCloudflareBudget } from '../../src/clients/cloudflare.ts';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const verify = async (api: Awaited<ReturnType<typeof createCloudflare>>) =>
  api.user.tokens.verify().then(
    () => 'let through',
    (error: unknown) => toFailure(error),
  );

test('all clients share one budget, and a block is kept to by all without asking again', async () => {
  const answers = [
    Response.json({ success: true, errors: [], messages: [], result: { id: 'x', status: 'active' } }),
    Response.json(
      { success: false, errors: [{ code: 971, message: 'Please wait' }], messages: [], result: null },
      { status: 429, headers: { 'retry-after': '120' } },
    ),
  ];
  const asked = vi.fn(async () => answers.shift());
  vi.stubGlobal('fetch', asked);
  const budget = createCloudflareBudget();
  const [one, other] = await Promise.all([1, 2].map(() => createCloudflare(async () => 'token', budget)));
  if (!one || !other) throw new Error('there are two clients');
  expect(await verify(one)).toBe('let through');
  expect(await verify(one)).toMatchObject({ kind: 'retryable', code: '971', retryAfterSeconds: 120 });
  expect(await verify(other)).toMatchObject({ kind: 'retryable', code: 'Throttled' });
  expect(asked).toHaveBeenCalledTimes(2);
});

test('five minutes never see more than four fifths of what Cloudflare grants', async () => {
  vi.useFakeTimers();
  const budget = createCloudflareBudget();
  let granted = 0;
  for (let count = 0; count < 3000; count += 1) {
    budget.take().then(
      () => {
        granted += 1;
      },
      () => {},
    );
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(granted).toBeGreaterThan(900);
  expect(granted).toBeLessThanOrEqual(960);
});

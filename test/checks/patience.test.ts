import { describe, expect, test } from 'vitest';
import { within } from '../../src/checks/patience.ts';

describe('patience', () => {
  test('has an answer that comes in time', async () => {
    expect(await within(5, Promise.resolve({ status: 200 }))).toEqual({ status: 200 });
  });

  test('ends when none comes', async () => {
    expect(await within(0.01, new Promise<object>(() => undefined))).toBeUndefined();
  });

  test('throws what is refused in time, and does not mind what is refused later', async () => {
    await expect(within(5, Promise.reject(new Error('no')))).rejects.toThrow('no');
    const { promise, reject } = Promise.withResolvers<object>();
    expect(await within(0.01, promise)).toBeUndefined();
    reject(new Error('too late'));
  });
});

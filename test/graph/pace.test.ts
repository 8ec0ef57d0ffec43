import { describe, expect, test } from 'vitest';
import { pauseSeconds } from '../../src/graph/pace.ts';

describe('pauseSeconds', () => {
  test.each([
    { reason: 'plain progress keeps the first step', failures: 0, retryAfter: undefined, want: 5 },
    { reason: 'pauses double with each failure', failures: 3, retryAfter: undefined, want: 20 },
    { reason: 'but not beyond a minute', failures: 9, retryAfter: undefined, want: 60 },
    { reason: 'the cloud is obeyed to the second', failures: 4, retryAfter: 17, want: 17 },
    { reason: 'but never at once', failures: 1, retryAfter: 0, want: 1 },
  ])('$reason', ({ failures, retryAfter, want }) => {
    expect(pauseSeconds(failures, retryAfter)).toBe(want);
  });
});

import { InvocationContext } from '@azure/functions';
import { describe, expect, test } from 'vitest';
import { createWaker } from '../../src/reactions/waker.ts';

const context = new InvocationContext();

/** Counts wakings; each ends when it is let go. */
function counting() {
  const open: (() => void)[] = [];
  const began: string[] = [];
  const wake = createWaker((_context, deployment) => {
    began.push(deployment);
    return new Promise((resolve) => open.push(() => resolve()));
  });
  return {
    began,
    letGo: () => {
      for (const end of open.splice(0)) end();
    },
    wake: (name: string) => wake(context, name),
  };
}

describe('a storm', () => {
  test('that comes while a waking is under way shares the one that follows', async () => {
    const { began, letGo, wake } = counting();
    const first = wake('chat');
    const others = Array.from({ length: 1000 }, () => wake('chat'));
    expect(began).toEqual(['chat']);
    letGo();
    await first;
    const done = Promise.all(others);
    await expect.poll(() => began.length).toBe(2);
    letGo();
    await done;
    expect(began).toEqual(['chat', 'chat']);
  });

  test('of one deployment does not hold up another', () => {
    const { began, wake } = counting();
    void wake('one');
    void wake('other');
    expect(began).toEqual(['one', 'other']);
  });
});

test('whoever comes after a waking has ended gets one of their own', async () => {
  const { began, letGo, wake } = counting();
  for (let time = 1; time <= 3; time += 1) {
    const woken = wake('chat');
    letGo();
    await woken;
    expect(began).toHaveLength(time);
  }
});

test('a failure reaches those who waited for that waking, and the next one is tried', async () => {
  let times = 0;
  const wake = createWaker(async () => {
    times += 1;
    if (times === 1) throw new Error('no engine');
  });
  const first = wake(context, 'chat');
  const second = wake(context, 'chat');
  await expect(first).rejects.toThrow('no engine');
  await expect(second).resolves.toBeUndefined();
  expect(times).toBe(2);
});

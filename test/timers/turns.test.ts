import { InvocationContext, type Timer } from '@azure/functions';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { CHECK_TURNS, checkAll } from '../../src/timers/check-all.ts';
import { sweep, sweepTurns } from '../../src/timers/sweep.ts';
import { turnOf } from '../../src/timers/turns.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';

const timer = {} as Timer;
const SWEEP_TURNS = sweepTurns('0 */30 * * * *');

describe('turns', () => {
  test('of a sweep have begun minutes before the next, which puts off what still waits', () => {
    const schedule = fc.integer({ min: 1, max: 59 });
    fc.assert(
      fc.property(schedule, fc.integer({ min: 1, max: 500 }), (minutes, count) => {
        const last = turnOf(count - 1, count, sweepTurns(`0 */${minutes} * * * *`));
        expect(last).toBeLessThanOrEqual(Math.max(0, (minutes - 3) * 60_000));
      }),
    );
    expect(sweepTurns('0 0 3 * * *').withinMilliseconds).toBe(20 * 60_000);
  });

  test('are all within the time there is, in order, and no more at once than that needs', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3_000 }),
        fc.constantFrom(CHECK_TURNS, SWEEP_TURNS),
        (count, turns) => {
          const all = Array.from({ length: count }, (_, index) => turnOf(index, count, turns));
          expect(all[0]).toBe(0);
          expect(all).toEqual(all.toSorted((one, other) => one - other));
          expect(all.at(-1)).toBeLessThan(turns.withinMilliseconds);
          const most = Math.max(
            ...[...Map.groupBy(all, (turn) => turn).values()].map(({ length }) => length),
          );
          const groups = turns.withinMilliseconds / turns.pauseMilliseconds;
          expect(most).toBeLessThanOrEqual(Math.max(turns.together, Math.ceil(count / groups)));
        },
      ),
    );
  });
});

describe('a fleet', () => {
  const names = Array.from({ length: 45 }, (_, index) => `fleet-${String(index).padStart(2, '0')}`);
  let azurite: Azurite;
  let store: Store;
  beforeAll(async () => {
    azurite = await Azurite.start();
    store = azurite.openStore();
    for (const name of names) await store.putDeployment(name, minimalSpec, new Date());
  });
  afterAll(() => azurite.dispose());

  test('is swept in groups: one is woken, the requests of the others wait for their turn', async () => {
    const woken: string[] = [];
    const wake = async (_: InvocationContext, name: string) => void woken.push(name);
    await sweep(store, wake, SWEEP_TURNS)(timer, new InvocationContext());
    expect(woken).toEqual(names.slice(0, 20));
    for (const [index, name] of names.entries()) {
      const taken = await store.inbox.take(name, 'run', 0);
      expect(
        taken.map(({ id }) => id),
        name,
      ).toEqual(index < 20 ? ['sweep'] : []);
    }
    // Asked in time, `wakeWaiting` is told of all of them.
    const minutes = (count: number): Date => new Date(Date.now() + count * 60_000);
    expect((await store.inbox.waitingSince(minutes(1.5))).length).toBe(40);
    expect((await store.inbox.waitingSince(minutes(2.5))).length).toBe(45);
  });

  test('is checked one after the other', async () => {
    const begun: { name: string; at: number }[] = [];
    const start = async (_: InvocationContext, name: string, at: Date) =>
      void begun.push({ name, at: at.getTime() });
    await checkAll(store, start)(timer, new InvocationContext());
    expect(begun.map(({ name }) => name)).toEqual(names);
    const pauses = begun.slice(1).map(({ at }, index) => at - (begun[index]?.at ?? 0));
    expect(new Set(pauses)).toEqual(new Set([CHECK_TURNS.pauseMilliseconds]));
  });
});

import { describe, expect, test } from 'vitest';
import type { ReconcileResult, StackDescription } from '../../src/orchestrations/activities.ts';
import {
  advance,
  lookAgainAt,
  noProgress,
  notePending,
  recorded,
  toRecord,
} from '../../src/orchestrations/progress.ts';

const vault = 'azure/key-vault' as const;
const waits: ReconcileResult = {
  kind: 'waiting',
  did: 'created',
  reason: 'being created',
  retryAfterSeconds: 15,
};
const isReady: ReconcileResult = { kind: 'ready', did: 'nothing', outputs: { url: 'u' } };
const forbidden: ReconcileResult = {
  kind: 'failed',
  did: 'nothing',
  failure: { kind: 'retryable', code: 'ForbiddenByRbac', message: 'not allowed yet' },
};

const plain: StackDescription = { shape: [{ key: vault, waitsFor: [] }], patience: {} };
/** A look that took no time. */
const at = (now: number) => ({ began: now, now });

describe('advance', () => {
  test('what the operation did to a resource outlives later looks', () => {
    const once = advance(noProgress, vault, waits, at(1_000), plain);
    const twice = advance(once, vault, isReady, at(16_000), plain);
    expect(twice.records[vault]).toMatchObject({
      did: 'created',
      looks: 2,
      startedAt: 1_000,
      readyAt: 16_000,
    });
  });

  test('counts the time of the first look itself', () => {
    const progress = advance(noProgress, vault, isReady, { began: 1_000, now: 4_000 }, plain);
    expect(progress.records[vault]).toMatchObject({ startedAt: 1_000, readyAt: 4_000 });
  });

  test('waits as long as the cloud asked for', () => {
    expect(advance(noProgress, vault, waits, at(1_000), plain).steps[vault]).toMatchObject({
      kind: 'waiting',
      dueAt: 16_000,
    });
  });

  test('pauses grow while it keeps failing, and patience ends it with its last failure', () => {
    let progress = noProgress;
    let now = 0;
    const pauses: number[] = [];
    for (let look = 0; look < 40; look += 1) {
      progress = advance(progress, vault, forbidden, at(now), { ...plain, patience: { [vault]: 300 } });
      const state = progress.steps[vault];
      if (state?.kind !== 'waiting') break;
      pauses.push((state.dueAt - now) / 1000);
      now = state.dueAt;
    }
    expect(pauses).toEqual([5, 10, 20, 40, 60, 60, 60, 60]);
    expect(progress.steps[vault]).toMatchObject({
      kind: 'failed',
      failure: { kind: 'fatal', code: 'ForbiddenByRbac' },
    });
  });

  test('a fatal failure is not waited for', () => {
    const failure = { kind: 'fatal', code: 'Foreign', message: 'not ours' } as const;
    const progress = advance(noProgress, vault, { kind: 'failed', did: 'nothing', failure }, at(0), plain);
    expect(progress.steps[vault]).toEqual({ kind: 'failed', failure });
  });
});

describe('lookAgainAt', () => {
  test('begins every resource anew and remembers what was done', () => {
    const again = lookAgainAt(advance(noProgress, vault, waits, at(0), plain), 'all');
    expect(again.steps).toEqual({ [vault]: { kind: 'pending' } });
    expect(again.records[vault]?.did).toBe('created');
  });
});

describe('records', () => {
  test('each is told to the store once, newest state only', () => {
    const shape = [{ key: vault, waitsFor: [] }];
    const progress = advance(notePending(noProgress, shape), vault, waits, at(0), plain);
    expect(toRecord(progress)).toHaveLength(1);
    expect(toRecord(progress)[0]).toMatchObject({ state: 'waiting' });
    expect(toRecord(recorded(progress))).toEqual([]);
  });
});

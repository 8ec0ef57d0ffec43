import { describe, expect, test } from 'vitest';
import type { ReconcileResult, StackDescription } from '../../src/orchestrations/activities.ts';
import {
  advance,
  isWorthTelling,
  lookAgainAt,
  noProgress,
  notePending,
  recorded,
  startFrom,
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

  test('knows it as asked from when the look began, however long the answer took', () => {
    const progress = advance(noProgress, vault, isReady, { began: 100_000, now: 160_000 }, plain);
    expect(progress.records[vault]?.seenAt).toBe(100_000);
  });

  test('knows it as asked from when what a sweep reads may have been read, and no earlier than before', () => {
    const times = { began: 100_000, now: 101_000, maxAgeMilliseconds: 60_000 };
    const sweep = (seenAt: number) =>
      advance(
        notePending(noProgress, plain.shape, { [vault]: { outputs: {}, readyAt: seenAt } }),
        vault,
        isReady,
        times,
        plain,
      ).records[vault]?.seenAt;
    expect(advance(noProgress, vault, isReady, times, plain).records[vault]?.seenAt).toBe(40_000);
    expect(sweep(10_000)).toBe(40_000);
    expect(sweep(90_000)).toBe(90_000);
  });

  test('knows what was pushed as asked from when it was seen to differ, sweep or not', () => {
    const times = { began: 100_000, now: 130_000, maxAgeMilliseconds: 60_000 };
    const seenAt = (result: ReconcileResult) =>
      advance(noProgress, vault, result, times, plain).records[vault]?.seenAt;
    expect(seenAt({ ...isReady, did: 'repaired', differedAt: 120_000 })).toBe(120_000);
    expect(seenAt({ ...isReady, did: 'created' })).toBe(100_000);
  });

  test('still knows when it was last as asked while it is not', () => {
    const asAsked = advance(noProgress, vault, isReady, at(1_000), plain);
    expect(advance(asAsked, vault, waits, at(9_000), plain).records[vault]?.seenAt).toBe(1_000);
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

  test('patience does not end for what has hardly been looked at', () => {
    let progress = noProgress;
    const kinds: (string | undefined)[] = [];
    for (let look = 0; look < 5; look += 1) {
      progress = advance(progress, vault, forbidden, at(look * 3_600_000), plain);
      kinds.push(progress.steps[vault]?.kind);
    }
    expect(kinds).toEqual(['waiting', 'waiting', 'waiting', 'waiting', 'failed']);
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

describe('what depends on a resource', () => {
  const images = 'azure/images' as const;
  const webui = 'kubernetes/open-webui' as const;
  const stack: StackDescription = {
    shape: [
      { key: images, waitsFor: [] },
      { key: webui, waitsFor: [images] },
    ],
    patience: {},
  };
  const known = {
    [images]: { outputs: { openWebui: 'old' }, readyAt: 1 },
    [webui]: { outputs: { image: 'old' }, readyAt: 1 },
  };
  const begun = startFrom(known, stack.shape, [images]);
  const found = (outputs: object, did: 'nothing' | 'repaired' = 'nothing'): ReconcileResult => ({
    kind: 'ready',
    did,
    outputs: { ...outputs },
  });

  test('stays as it was when the resource is found as it was', () => {
    const after = advance(begun, images, found({ openWebui: 'old' }), at(5), stack);
    expect(after.steps[webui]?.kind).toBe('ready');
  });

  test('is looked at when the resource tells something else', () => {
    const after = advance(begun, images, found({ openWebui: 'new' }), at(5), stack);
    expect(after.steps[webui]?.kind).toBe('pending');
  });

  test('is looked at when the resource had to be repaired', () => {
    const after = advance(begun, images, found({ openWebui: 'old' }, 'repaired'), at(5), stack);
    expect(after.steps[webui]?.kind).toBe('pending');
  });

  test('follows at once, though it was waiting for something older', () => {
    const rolling = advance(
      advance(begun, images, found({ openWebui: 'bad' }), at(5), stack),
      webui,
      { kind: 'waiting', did: 'repaired', reason: 'rolling', retryAfterSeconds: 600 },
      at(6),
      stack,
    );
    const pushed = advance(
      lookAgainAt(rolling, [images]),
      images,
      found({ openWebui: 'good' }),
      at(7),
      stack,
    );
    expect(pushed.steps[webui]).toEqual({ kind: 'pending', was: { image: 'old' } });
  });

  test('is not looked at again because a repair is looked at a second time', () => {
    const repaired = advance(begun, images, found({ openWebui: 'old' }, 'repaired'), at(5), stack);
    const settled = advance(repaired, webui, found({ image: 'old' }), at(6), stack);
    const again = advance(lookAgainAt(settled, [images]), images, found({ openWebui: 'old' }), at(9), stack);
    expect(again.steps[webui]?.kind).toBe('ready');
    expect(again.records[images]).toMatchObject({ did: 'repaired', readyAt: 5 });
  });
});

describe('an operation', () => {
  const waiting = advance(noProgress, vault, { kind: 'waiting', did: 'nothing', reason: 'x' }, at(0), plain);
  const failed = advance(
    noProgress,
    vault,
    { kind: 'failed', did: 'nothing', failure: { kind: 'fatal', code: 'X', message: 'x' } },
    at(0),
    plain,
  );
  const asAsked = advance(noProgress, vault, isReady, at(0), plain);
  const made = advance(noProgress, vault, { ...isReady, did: 'created' }, at(0), plain);

  test('is worth entering for whatever was done', () => {
    expect(isWorthTelling(made, true)).toBe(true);
    expect(isWorthTelling(made, false)).toBe(true);
  });

  test('is not worth entering for what is as asked', () => {
    expect(isWorthTelling(asAsked, true)).toBe(false);
    expect(isWorthTelling(asAsked, false)).toBe(false);
  });

  test('tells of waiting and failing when somebody asked, not each time a sweep comes by', () => {
    for (const progress of [waiting, failed]) {
      expect(isWorthTelling(progress, false)).toBe(true);
      expect(isWorthTelling(progress, true)).toBe(false);
    }
  });
});

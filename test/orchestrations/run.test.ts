import { describe, expect, test } from 'vitest';
import type { TakenRequests } from '../../src/orchestrations/activities.ts';
import { aim, emptyRun, takeIn } from '../../src/orchestrations/run.ts';

const shape = [
  { key: 'azure/key-vault', waitsFor: [] },
  { key: 'azure/images', waitsFor: [] },
  { key: 'kubernetes/open-webui', waitsFor: ['azure/images'] },
] as const;
const known = {
  'azure/key-vault': { outputs: { url: 'u' }, readyAt: 1 },
  'azure/images': { outputs: { openWebui: 'old' }, readyAt: 1 },
  'kubernetes/open-webui': { outputs: { image: 'old' }, readyAt: 1 },
};
const taken = (more: Partial<TakenRequests>): TakenRequests => ({
  count: 1,
  look: [],
  isSweep: false,
  operations: [],
  kind: 'reaction',
  cause: { kind: 'event', what: 'an image was pushed' },
  ...more,
});
const nothing = taken({ count: 0, kind: 'sweep' });
const push = taken({ look: ['azure/images'] });
const put = taken({
  look: 'all',
  kind: 'provision',
  operations: [{ id: 'put' }],
  cause: { kind: 'request', what: 'PUT' },
});
const sweep = taken({ kind: 'sweep', isSweep: true, cause: { kind: 'timer', what: 'it was time' } });
const kinds = (steps: object): Record<string, string> =>
  Object.fromEntries(Object.entries(steps).map(([key, state]) => [key, (state as { kind: string }).kind]));

describe('a run', () => {
  test('that takes nothing has no work', () => {
    expect(takeIn(emptyRun('r'), nothing)).toMatchObject({ hasWork: false, mustAsk: false, batch: 1 });
  });

  test('for an event looks where it says, and takes the rest as it was', () => {
    const run = aim(takeIn(emptyRun('r'), push), shape, known);
    expect(kinds(run.progress.steps)).toEqual({
      'azure/key-vault': 'ready',
      'azure/images': 'pending',
      'kubernetes/open-webui': 'ready',
    });
  });

  test('for an event looks at what was not ready, too', () => {
    const { 'azure/key-vault': _, ...without } = known;
    const run = aim(takeIn(emptyRun('r'), push), shape, without);
    expect(run.progress.steps['azure/key-vault']).toBeUndefined();
  });

  test('for a request or a sweep looks at everything', () => {
    for (const asked of [put, sweep]) {
      const run = aim(takeIn(emptyRun('r'), asked), shape, known);
      expect(new Set(Object.values(kinds(run.progress.steps)))).toEqual(new Set(['pending']));
    }
  });

  test('is told by the weightiest of its causes', () => {
    const run = [sweep, push, put, push].reduce(takeIn, emptyRun('r'));
    expect(run).toMatchObject({ kind: 'provision', cause: { what: 'PUT' }, operations: [{ id: 'put' }] });
  });

  test('that is under way is not begun anew because it is time to look', () => {
    const run = aim(takeIn(emptyRun('r'), push), shape, known);
    expect(takeIn(run, sweep).look).toEqual([]);
  });

  test('that is under way works for whoever joins, each once', () => {
    const run = [put, put, taken({ kind: 'provision', operations: [{ id: 'second' }] })].reduce(
      takeIn,
      emptyRun('r'),
    );
    expect(run.operations).toEqual([{ id: 'put' }, { id: 'second' }]);
  });

  test('keeps what was known before it began, of what events tell about', () => {
    const begun = aim(takeIn(emptyRun('r'), push), shape, known);
    expect(begun.before).toEqual({
      'azure/images': known['azure/images'],
      'kubernetes/open-webui': known['kubernetes/open-webui'],
    });
    const later = aim(takeIn(begun, push), shape, {});
    expect(later.before).toEqual(begun.before);
  });

  test('drops what a changed spec does not ask for any more', () => {
    const begun = aim(takeIn(emptyRun('r'), put), shape, known);
    const images = { key: 'azure/images', state: 'waiting', did: 'nothing', looks: 1 } as const;
    const looked = {
      ...begun,
      progress: {
        ...begun.progress,
        records: { 'azure/images': images },
        unrecorded: ['azure/images'] as const,
      },
    };
    const later = aim(takeIn(looked, put), [shape[0]], known);
    expect(kinds(later.progress.steps)).toEqual({ 'azure/key-vault': 'pending' });
    expect(later.progress).toMatchObject({ records: {}, unrecorded: [] });
  });

  test('leaves out what the stack does not have', () => {
    const run = aim(takeIn(emptyRun('r'), taken({ look: ['cloudflare/tunnel'] })), shape, known);
    expect(run.progress.steps).not.toHaveProperty(['cloudflare/tunnel']);
  });
});

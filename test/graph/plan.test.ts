import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assertAcyclic, blocked, type GraphShape, next, type Steps } from '../../src/graph/plan.ts';
import type { ResourceKey } from '../../src/graph/resource.ts';

const key = (name: string): ResourceKey => `azure/${name}`;
const node = (name: string, ...waitsFor: string[]) => ({ key: key(name), waitsFor: waitsFor.map(key) });
const ready = { kind: 'ready', outputs: {} } as const;
const failed = { kind: 'failed', failure: { kind: 'fatal', code: 'No', message: 'no' } } as const;
const waiting = (dueAt: number) => ({ kind: 'waiting', dueAt, since: 0, failures: 0 }) as const;

describe('next', () => {
  const diamond: GraphShape = [node('a'), node('b', 'a'), node('c', 'a'), node('d', 'b', 'c')];

  test.each<{ reason: string; steps: Steps; now: number; want: ReturnType<typeof next> }>([
    {
      reason: 'at first only what waits for nothing may move',
      steps: {},
      now: 0,
      want: { kind: 'reconcile', keys: [key('a')] },
    },
    {
      reason: 'everything whose dependencies are ready moves at once',
      steps: { 'azure/a': ready },
      now: 0,
      want: { kind: 'reconcile', keys: [key('b'), key('c')] },
    },
    {
      reason: 'one that is not due yet is left alone while another moves',
      steps: { 'azure/a': ready, 'azure/b': waiting(10) },
      now: 5,
      want: { kind: 'reconcile', keys: [key('c')] },
    },
    {
      reason: 'when all that is left is waiting, the earliest counts',
      steps: { 'azure/a': ready, 'azure/b': waiting(30), 'azure/c': waiting(20) },
      now: 5,
      want: { kind: 'wait', until: 20 },
    },
    {
      reason: 'one that is due moves',
      steps: { 'azure/a': ready, 'azure/b': waiting(30), 'azure/c': waiting(20) },
      now: 20,
      want: { kind: 'reconcile', keys: [key('c')] },
    },
    {
      reason: 'a failure keeps only its dependents from moving',
      steps: { 'azure/a': ready, 'azure/b': failed },
      now: 0,
      want: { kind: 'reconcile', keys: [key('c')] },
    },
    {
      reason: 'when nothing can move any more, the failed are named',
      steps: { 'azure/a': ready, 'azure/b': failed, 'azure/c': ready },
      now: 0,
      want: { kind: 'done', failed: [key('b')] },
    },
    {
      reason: 'all ready is done without failures',
      steps: { 'azure/a': ready, 'azure/b': ready, 'azure/c': ready, 'azure/d': ready },
      now: 0,
      want: { kind: 'done', failed: [] },
    },
  ])('$reason', ({ steps, now, want }) => {
    expect(next(diamond, steps, now)).toEqual(want);
  });

  test('any graph without failures ends with everything ready, each after what it waits for', () => {
    const shapes = fc
      .integer({ min: 1, max: 30 })
      .chain((size) =>
        fc
          .tuple(...Array.from({ length: size }, (_, at) => fc.subarray([...Array(at).keys()])))
          .map((needs) => needs.map((waitsFor, at) => node(`r${at}`, ...waitsFor.map((need) => `r${need}`)))),
      );
    fc.assert(
      fc.property(shapes, (shape) => {
        assertAcyclic(shape);
        const steps: Partial<Record<ResourceKey, typeof ready>> = {};
        for (let round = 0; round <= shape.length; round += 1) {
          const move = next(shape, steps, 0);
          if (move.kind === 'done') break;
          if (move.kind !== 'reconcile') throw new Error('nothing waits here');
          for (const moved of move.keys) {
            const needs = shape.find((candidate) => candidate.key === moved)?.waitsFor ?? [];
            expect(needs.every((need) => steps[need])).toBe(true);
            steps[moved] = ready;
          }
        }
        expect(Object.keys(steps)).toHaveLength(shape.length);
      }),
    );
  });
});

describe('blocked', () => {
  test('names the failure to blame, through others', () => {
    const chain: GraphShape = [node('a'), node('b', 'a'), node('c', 'b'), node('x')];
    expect([...blocked(chain, { 'azure/a': failed })]).toEqual([
      [key('b'), key('a')],
      [key('c'), key('a')],
    ]);
  });
});

describe('assertAcyclic', () => {
  test('names a circle', () => {
    expect(() => assertAcyclic([node('a', 'b'), node('b', 'a')])).toThrow('azure/a → azure/b → azure/a');
  });

  test('names a dependency that is not in the graph', () => {
    expect(() => assertAcyclic([node('a', 'gone')])).toThrow('azure/a waits for azure/gone');
  });
});

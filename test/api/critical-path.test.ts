import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { criticalPath, secondsOf } from '../../src/api/critical-path.ts';
import type { ResourceKey } from '../../src/graph/resource.ts';

const start = Date.parse('2026-11-23T18:45:00Z');
const at = (seconds: number): string => new Date(start + seconds * 1000).toISOString();

type Step = Parameters<typeof criticalPath>[0][number];
const key = (name: string): ResourceKey => `azure/${name}`;
const took = (name: string, from: number, to: number, ...waitsFor: string[]): Step => ({
  key: key(name),
  waitsFor: waitsFor.map(key),
  startedAt: at(from),
  readyAt: at(to),
});
const path = (steps: readonly Step[]): string[] => criticalPath(steps).steps.map((step) => step.key.slice(6));

describe('the critical path', () => {
  test('of nothing is empty', () => {
    expect(criticalPath([])).toEqual({ seconds: 0, steps: [] });
  });

  test('is the chain that took longest, not the one with most resources', () => {
    const steps = [
      took('group', 0, 2),
      took('a', 2, 4, 'group'),
      took('b', 4, 6, 'a'),
      took('cluster', 2, 300, 'group'),
      took('app', 300, 310, 'b', 'cluster'),
    ];
    expect(criticalPath(steps)).toEqual({
      seconds: 310,
      steps: [
        { key: 'azure/group', seconds: 2 },
        { key: 'azure/cluster', seconds: 298 },
        { key: 'azure/app', seconds: 10 },
      ],
    });
  });

  test('does not care in which order the steps come', () => {
    const steps = [took('app', 20, 30, 'db'), took('db', 5, 20, 'group'), took('group', 0, 5)];
    expect(path(steps)).toEqual(['group', 'db', 'app']);
  });

  test('may end before the last resource', () => {
    const steps = [
      took('group', 0, 1),
      took('slow', 1, 100, 'group'),
      took('quick', 1, 2, 'group'),
      took('end', 2, 3, 'quick'),
    ];
    expect(path(steps)).toEqual(['group', 'slow']);
  });

  test('goes through what is not ready yet without counting it', () => {
    const waiting: Step = { key: key('db'), waitsFor: [key('group')], startedAt: at(5) };
    expect(path([took('group', 0, 5), waiting])).toEqual(['group']);
  });

  test('leaves out what is waited for and is not there', () => {
    expect(path([took('app', 0, 3, 'nowhere')])).toEqual(['app']);
  });

  test('comes to an end where records wait for each other', () => {
    expect(criticalPath([took('a', 0, 1, 'b'), took('b', 0, 2, 'a')]).seconds).toBeGreaterThan(0);
  });

  test('is at least as long as any resource and at most as long as all together', () => {
    const graphs = fc.array(fc.tuple(fc.nat(500), fc.array(fc.nat(30), { maxLength: 4 })), { maxLength: 31 });
    fc.assert(
      fc.property(graphs, (nodes) => {
        const steps = nodes.map(([seconds, needs], index) =>
          took(`n${index}`, 0, seconds, ...needs.filter((need) => need < index).map((need) => `n${need}`)),
        );
        const all = nodes.map(([seconds]) => seconds);
        const { seconds, steps: chain } = criticalPath(steps);
        expect(seconds).toBeGreaterThanOrEqual(Math.max(0, ...all));
        expect(seconds).toBeLessThanOrEqual(all.reduce((so, one) => so + one, 0));
        expect(chain.reduce((so, one) => so + one.seconds, 0)).toBe(seconds);
      }),
    );
  });
});

describe('the seconds of a step', () => {
  test('are known once it is ready', () => {
    expect(secondsOf({ startedAt: at(1), readyAt: at(3.5) })).toBe(2.5);
    expect(secondsOf({ startedAt: at(1) })).toBeUndefined();
    expect(secondsOf({})).toBeUndefined();
  });

  test('are never negative', () => {
    expect(secondsOf({ startedAt: at(5), readyAt: at(3) })).toBe(0);
  });
});

import { describe, expect, test } from 'vitest';
import { type Struggle, whyFought } from '../../src/graph/drift-fight.ts';

/** So many minutes after noon. */
const at = (minutes: number): string => new Date(Date.UTC(2026, 10, 24, 12, minutes)).toISOString();
const fight = (repairs: readonly number[], since: number, more: Partial<Struggle> = {}) =>
  whyFought({ repairs: repairs.map(at), since: at(since), ...more });

describe('a field that differs again', () => {
  test('is no fight before it was put right three times', () => {
    expect(fight([], 0)).toBeUndefined();
    expect(fight([0, 1], 2)).toBeUndefined();
    expect(fight([0, 1, 2], 3)).toContain('three times within an hour');
  });

  test('is fought over where sweeps find it every half an hour', () => {
    expect(fight([0, 30, 60], 90)).toContain('three times within an hour');
    expect(fight([0, 31, 62], 93)).toBeUndefined();
    expect(fight([0, 31, 62, 93, 124], 155)).toContain('five times in a row');
  });

  test('is fought over after five repairs only when none of them lasted for longer than two hours', () => {
    expect(fight([0, 119, 238, 357, 476], 595)).toContain('five times in a row');
    expect(fight([0, 119, 238, 357, 478], 597)).toBeUndefined();
    expect(fight([0, 119, 238, 357, 476], 597)).toBeUndefined();
  });

  test('is no fight when three repairs lasted for longer than an hour at last', () => {
    expect(fight([0, 1, 2], 63)).toBeUndefined();
  });

  test('is fought over, too, when each repair was undone at once', () => {
    expect(fight([0, 2, 4], -1)).toContain('three times within an hour');
  });

  test('has a few more tries when a person asks for one', () => {
    expect(fight([0, 1, 2], 3, { repairAfter: at(2) })).toBeUndefined();
    expect(fight([0, 1, 2, 10, 11], 12, { repairAfter: at(5) })).toBeUndefined();
    expect(fight([0, 1, 2, 10, 11, 12], 13, { repairAfter: at(5) })).toContain('three times');
  });
});

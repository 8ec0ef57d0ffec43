import { describe, expect, test } from 'vitest';
import { isOperationId, newOperationId } from '../../src/api/operation-id.ts';

describe('operation ids', () => {
  test('begin with the time, to the second, in UTC', () => {
    expect(newOperationId(new Date('2026-11-23T18:45:01.987Z'))).toMatch(/^20261123T184501-[\da-f]{8}$/);
  });

  test('sort as their times do', () => {
    const times = ['2026-09-30T23:59:59Z', '2026-10-01T00:00:00Z', '2027-01-01T00:00:00Z'];
    const ids = times.map((time) => newOperationId(new Date(time)));
    expect(ids.toSorted()).toEqual(ids);
  });

  test('differ at the same moment', () => {
    const now = new Date();
    expect(new Set(Array.from({ length: 1000 }, () => newOperationId(now))).size).toBe(1000);
  });

  test('are known by their form', () => {
    expect(isOperationId(newOperationId(new Date()))).toBe(true);
    for (const text of [
      '',
      'x',
      '20261123T184501',
      '20261123T184501-7f3a9c21x',
      '20261123T184501-7F3A9C21',
    ]) {
      expect(isOperationId(text)).toBe(false);
    }
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { differences, sameIgnoringCaseAndBlanks } from '../../src/graph/differences.ts';

describe('differences', () => {
  test.each([
    { reason: 'equal values', wanted: { a: 1 }, found: { a: 1 }, paths: [] },
    {
      reason: 'fields the cloud fills in do not count',
      wanted: { a: 1 },
      found: { a: 1, etag: 'x' },
      paths: [],
    },
    { reason: 'no opinion is no difference', wanted: { a: undefined }, found: { a: 7 }, paths: [] },
    { reason: 'a missing field counts', wanted: { a: { b: 1 } }, found: {}, paths: ['a.b'] },
    { reason: 'null is a value', wanted: { a: null }, found: { a: 1 }, paths: ['a'] },
    { reason: 'a longer list is another list', wanted: { a: [1] }, found: { a: [1, 2] }, paths: ['a'] },
    {
      reason: 'items of lists are compared by what is wanted of them',
      wanted: { a: [{ b: 1 }] },
      found: { a: [{ b: 1, c: 2 }] },
      paths: [],
    },
    { reason: 'an empty record wants nothing', wanted: { a: {} }, found: { a: { b: 1 } }, paths: [] },
  ])('$reason', ({ wanted, found, paths }) => {
    expect(differences(wanted, found).map(({ path }) => path)).toEqual(paths);
  });

  test('says what was wanted and what was found', () => {
    expect(differences({ sku: { name: 'B1ms' } }, { sku: { name: 'B2s' } })).toEqual([
      { path: 'sku.name', wanted: 'B1ms', found: 'B2s' },
    ]);
  });

  test('a cloud that spells differently is not a difference', () => {
    const equal = (_: string, wanted: unknown, found: unknown) => sameIgnoringCaseAndBlanks(wanted, found);
    expect(differences({ location: 'eastasia' }, { location: 'East Asia' }, equal)).toEqual([]);
    expect(differences({ location: 'eastasia' }, { location: 'westus' }, equal)).toHaveLength(1);
  });

  test('anything equals itself', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(differences(value, structuredClone(value))).toEqual([]);
      }),
    );
  });
});

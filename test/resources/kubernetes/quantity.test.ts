import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sameQuantity } from '../../../src/resources/kinds/quantity.ts';

describe('quantities', () => {
  test.each([
    ['1000m', '1'],
    ['0.5', '500m'],
    ['1.5Gi', '1536Mi'],
    ['50Gi', '51200Mi'],
    ['1e3', '1k'],
    ['100u', '0.1m'],
    ['2G', '2000000000'],
    ['2', 2],
  ])('%s is %s', (one, other) => {
    expect(sameQuantity(one, other)).toBe(true);
  });

  test.each([
    ['1', '1001m'],
    ['1G', '1Gi'],
    ['500m', '500M'],
    ['', '0'],
    ['plenty', 'plenty'],
  ])('%s is not %s', (one, other) => {
    expect(sameQuantity(one, other)).toBe(false);
  });

  test('thousandths and whole ones agree for every amount', () => {
    fc.assert(fc.property(fc.nat(1_000_000), (amount) => sameQuantity(`${amount}`, `${amount * 1000}m`)));
  });

  test('binary suffixes agree for every amount', () => {
    const suffixes = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.nat(4), (amount, index) =>
        sameQuantity(`${amount}${suffixes[index + 1]}`, `${amount * 1024}${suffixes[index]}`),
      ),
    );
  });

  test('is the same both ways round, and nothing is one thousandth more than itself', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.nat(1_000_000), (one, other) => {
        expect(sameQuantity(`${one}m`, `${other}m`)).toBe(sameQuantity(`${other}m`, `${one}m`));
        expect(sameQuantity(`${one}m`, `${one + 1}m`)).toBe(false);
      }),
    );
  });
});

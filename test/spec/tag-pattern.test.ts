import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileTagPattern, tagPatternFlaw } from '../../src/spec/tag-pattern.ts';

describe('a pattern over tags', () => {
  test.each([
    'v\\d+\\.\\d+\\.\\d+',
    'v\\d+\\.\\d+\\.\\d+(-rc\\.\\d+)?',
    'main-[0-9a-f]{7,40}',
    '(main|dev)-[^*+?]*',
    '^(?:nightly|weekly)-.+$',
    'a\\+b',
  ])('%s is one', (pattern) => {
    expect(tagPatternFlaw(pattern)).toBeUndefined();
  });

  test.each(['(', 'a)|(b', '[z-a]', '*', '\\'])('%s is none', (pattern) => {
    expect(tagPatternFlaw(pattern)).toMatch(/^must be a regular expression/);
  });

  test.each([
    ['(a+)+', 'must not repeat a group'],
    ['(a|aa)*b', 'must not repeat a group'],
    ['((a?)b)+', 'must not repeat a group'],
    ['(?:[ab]*){2,}', 'must not repeat a group'],
    ['.*.*.*.*.*x', 'must repeat at most'],
    ['a?a?a?a?a?aaaaa', 'must repeat at most'],
    ['(a)\\1', 'must not refer back'],
    ['(?=a).', 'must not refer back'],
    ['(?<name>a)', 'must not refer back'],
  ])('%s is refused', (pattern, why) => {
    expect(tagPatternFlaw(pattern)).toContain(why);
  });

  test('has to match the whole tag', () => {
    expect(compileTagPattern('v1|v2').test('v1')).toBe(true);
    expect(compileTagPattern('v1|v2').test('xv1')).toBe(false);
    expect(compileTagPattern('v1|v2').test('v2-rc')).toBe(false);
  });

  test('that is accepted is quick on any tag', () => {
    const piece = fc.constantFrom(
      'a',
      '.',
      '\\w',
      '[a-z]',
      '(a)',
      '(ab|a)',
      '*',
      '+',
      '?',
      '{2,9}',
      '|',
      '-',
    );
    const pattern = fc.array(piece, { minLength: 1, maxLength: 14 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(pattern, fc.stringMatching(/^a{0,127}[!b]$/), (text, tag) => {
        if (tagPatternFlaw(text) !== undefined) return;
        const before = performance.now();
        compileTagPattern(text).test(tag);
        expect(performance.now() - before).toBeLessThan(1_000);
      }),
    );
  });
});

import { describe, expect, test } from 'vitest';
import { credentialOf, disused } from '../../../src/resources/entra/client-secret.ts';

const at = (time: string): Date => new Date(time);
const credential = (keyId: string, start: string, displayName = 'ours', hint = 'abc') => ({
  keyId,
  displayName,
  hint,
  startDateTime: at(start),
  endDateTime: at('2028-01-01T00:00:00Z'),
});

describe('entra/client-secret', () => {
  describe('old credentials', () => {
    const inVault = credential('new', '2026-06-01T12:00:00Z');
    const old = credential('old', '2026-01-01T00:00:00Z');
    const orphan = credential('orphan', '2026-06-01T11:59:00Z');
    const newer = credential('newer', '2026-06-01T12:01:00Z');
    const foreign = credential('foreign', '2026-01-01T00:00:00Z', 'somebody else');
    const all = [inVault, old, orphan, newer, foreign];
    const since = inVault.startDateTime;

    test('stay while the new one is being distributed', () => {
      expect(disused(all, inVault, since, 'ours', at('2026-06-01T13:59:00Z'))).toEqual([]);
    });

    test('go afterwards, but none that is newer and none that is not ours', () => {
      expect(disused(all, inVault, since, 'ours', at('2026-06-01T14:01:00Z'))).toEqual([old, orphan]);
    });

    test('stay while an older one that somebody put into the vault is being distributed', () => {
      const putThere = at('2026-07-01T00:00:00Z');
      expect(disused(all, old, putThere, 'ours', at('2026-07-01T01:59:00Z'))).toEqual([]);
      expect(disused(all, old, putThere, 'ours', at('2026-07-01T02:01:00Z'))).toEqual([
        inVault,
        orphan,
        newer,
      ]);
    });
  });

  describe('the credential behind a value', () => {
    const one = credential('one', '2026-01-01T00:00:00Z', 'ours', 'abc');
    const two = credential('two', '2026-02-01T00:00:00Z', 'ours', 'xyz');
    const three = credential('three', '2026-03-01T00:00:00Z', 'theirs', 'xyz');
    const all = [one, two, three];

    test('is the one that is named', () => {
      expect(credentialOf(all, 'xyz~secret', 'two')).toBe(two);
    });

    test('is none while the one that is named does not show', () => {
      expect(credentialOf(all, 'xyz~secret', 'four')).toBeUndefined();
    });

    test('is the newest one that begins alike when none is named, or the named one begins otherwise', () => {
      expect(credentialOf(all, 'xyz~secret', undefined)).toBe(three);
      expect(credentialOf(all, 'xyz~secret', 'one')).toBe(three);
      expect(credentialOf(all, '123~secret', undefined)).toBeUndefined();
    });

    test('is the named one when Entra tells no beginning', () => {
      const silent = { ...one, hint: null };
      expect(credentialOf([silent], 'xyz~secret', 'one')).toBe(silent);
      expect(credentialOf([silent], 'xyz~secret', undefined)).toBeUndefined();
    });
  });
});

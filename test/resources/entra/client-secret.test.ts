import { describe, expect, test } from 'vitest';
import { disused, monthsLater, renewalTime } from '../../../src/resources/entra/client-secret.ts';

const at = (time: string): Date => new Date(time);
const credential = (keyId: string, start: string, displayName = 'ours') => ({
  keyId,
  displayName,
  startDateTime: at(start),
  endDateTime: at('2028-01-01T00:00:00Z'),
});

describe('entra/client-secret', () => {
  test.each([
    ['2026-11-23T10:00:00Z', 24, '2028-11-23T10:00:00Z'],
    ['2026-01-31T00:00:00Z', 1, '2026-02-28T00:00:00Z'],
    ['2027-12-31T23:59:59Z', 2, '2028-02-29T23:59:59Z'],
  ])('%s and %i months is %s', (from, months, to) => {
    expect(monthsLater(at(from), months)).toEqual(at(to));
  });

  test('is renewed when the vault announces its end, and a short-lived one not from the start', () => {
    const [startDateTime, long, short] = [
      at('2026-01-01T00:00:00Z'),
      at('2028-01-01T00:00:00Z'),
      at('2026-01-31T00:00:00Z'),
    ];
    expect(renewalTime({ startDateTime, endDateTime: long })).toEqual(at('2027-12-02T00:00:00Z'));
    expect(renewalTime({ startDateTime, endDateTime: short })).toEqual(at('2026-01-21T00:00:00Z'));
  });

  describe('old credentials', () => {
    const inVault = credential('new', '2026-06-01T12:00:00Z');
    const old = credential('old', '2026-01-01T00:00:00Z');
    const orphan = credential('orphan', '2026-06-01T11:59:00Z');
    const newer = credential('newer', '2026-06-01T12:01:00Z');
    const foreign = credential('foreign', '2026-01-01T00:00:00Z', 'somebody else');
    const all = [inVault, old, orphan, newer, foreign];

    test('stay while the new one is being distributed', () => {
      expect(disused(all, inVault, 'ours', at('2026-06-01T13:59:00Z'))).toEqual([]);
    });

    test('go afterwards, but none that is newer and none that is not ours', () => {
      expect(disused(all, inVault, 'ours', at('2026-06-01T14:01:00Z'))).toEqual([old, orphan]);
    });
  });
});

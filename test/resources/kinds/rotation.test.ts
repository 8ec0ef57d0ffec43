import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  expiryOf,
  isExpiring,
  monthsLater,
  renewalTime,
  satisfies,
  type VersionFacts,
  wishTags,
} from '../../../src/resources/kinds/rotation.ts';

const at = (time: string): Date => new Date(time);
const DAY = 86_400_000;
const moment = fc.date({
  min: at('2020-01-01T00:00:00Z'),
  max: at('2040-01-01T00:00:00Z'),
  noInvalidDate: true,
});
/** As a vault keeps it. */
const inSeconds = (time: Date): Date => new Date(Math.floor(time.getTime() / 1000) * 1000);

describe('kinds/rotation', () => {
  test.each([
    ['2026-11-23T10:00:00Z', 24, '2028-11-23T10:00:00Z'],
    ['2026-01-31T00:00:00Z', 1, '2026-02-28T00:00:00Z'],
    ['2027-12-31T23:59:59Z', 2, '2028-02-29T23:59:59Z'],
  ])('%s and %i months is %s', (from, months, to) => {
    expect(monthsLater(at(from), months)).toEqual(at(to));
  });

  test('the time of renewal is when the vault announces the end, and a third of a short life ahead', () => {
    const from = at('2026-01-01T00:00:00Z');
    expect(renewalTime(from, at('2028-01-01T00:00:00Z'))).toEqual(at('2027-12-02T00:00:00Z'));
    expect(renewalTime(from, at('2026-01-31T00:00:00Z'))).toEqual(at('2026-01-21T00:00:00Z'));
  });

  test('a version made before the wish is due, one made after it is not', () => {
    const wish = at('2026-06-01T12:00:00.500Z');
    expect(satisfies({ createdOn: at('2026-06-01T11:59:59Z') }, wish)).toBe(false);
    expect(satisfies({ createdOn: at('2026-06-01T12:00:01Z') }, wish)).toBe(true);
    expect(satisfies({ createdOn: at('2026-01-01T00:00:00Z') }, undefined)).toBe(true);
  });

  test('a version of the same second is due unless it says that it was made for the wish', () => {
    const wish = at('2026-06-01T12:00:00.500Z');
    const createdOn = at('2026-06-01T12:00:00Z');
    expect(satisfies({ createdOn }, wish)).toBe(false);
    expect(satisfies({ createdOn, tags: wishTags(wish) }, wish)).toBe(true);
  });

  test('nothing is due twice for one wish, whatever the clocks of vault and control plane say', () => {
    fc.assert(
      fc.property(
        moment,
        fc.integer({ min: -3_600_000, max: 3_600_000 }),
        fc.integer({ min: 0, max: 30 * DAY }),
        fc.integer({ min: 2, max: 24 }),
        (wish, skew, later, months) => {
          const now = new Date(wish.getTime() + later);
          const version: VersionFacts = {
            createdOn: inSeconds(new Date(now.getTime() + skew)),
            expiresOn: inSeconds(monthsLater(now, months)),
            tags: wishTags(wish),
          };
          expect([satisfies(version, wish), isExpiring(version, now)]).toEqual([true, false]);
        },
      ),
    );
  });

  test('a later wish is a wish of its own', () => {
    fc.assert(
      fc.property(moment, fc.integer({ min: 1_000, max: DAY }), (wish, later) => {
        const next = new Date(wish.getTime() + later);
        const made = { createdOn: inSeconds(wish), tags: wishTags(wish) };
        expect(satisfies(made, next)).toBe(false);
        expect(satisfies({ ...made, tags: wishTags(next) }, wish)).toBe(true);
      }),
    );
  });

  test('a mark that is no time satisfies nothing', () => {
    fc.assert(
      fc.property(fc.string(), moment, (rotation, wish) => {
        fc.pre(Number.isNaN(Date.parse(rotation)));
        expect(satisfies({ tags: { rotation } }, wish)).toBe(false);
      }),
    );
  });

  test('what has no end never nears it', () => {
    expect(isExpiring({ createdOn: at('2020-01-01T00:00:00Z') }, at('2040-01-01T00:00:00Z'))).toBe(false);
  });

  describe('the expiry of a version', () => {
    const createdOn = at('2026-03-10T08:00:00Z');

    test('is its lifetime after it was made when it has none, or a later one', () => {
      const end = at('2027-03-10T08:00:00Z');
      expect(expiryOf({ createdOn }, 12)).toEqual(end);
      expect(expiryOf({ createdOn, expiresOn: at('2029-01-01T00:00:00Z') }, 12)).toEqual(end);
    });

    test('stays when somebody let it end sooner', () => {
      const expiresOn = at('2026-04-01T00:00:00Z');
      expect(expiryOf({ createdOn, expiresOn }, 12)).toEqual(expiresOn);
    });

    test('is settled by one look, however long the vault took to make the version', () => {
      fc.assert(
        fc.property(
          moment,
          fc.integer({ min: -600_000, max: 600_000 }),
          fc.integer({ min: 1, max: 24 }),
          (now, delay, months) => {
            const made = {
              createdOn: inSeconds(new Date(now.getTime() + delay)),
              expiresOn: inSeconds(monthsLater(now, months)),
            };
            expect(expiryOf(made, months)).toEqual(made.expiresOn);
            expect(isExpiring(made, now)).toBe(false);
          },
        ),
      );
    });
  });
});

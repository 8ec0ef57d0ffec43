import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DriftQuestion,
  type DriftRule,
  decideDrift,
  policyOf,
  type Treatment,
} from '../../src/graph/drift-policy.ts';
import type { Difference } from '../../src/graph/resource.ts';

const key = 'azure/postgres-server';
const now = new Date('2026-11-24T12:00:00Z');
const minutesAgo = (minutes: number): string => new Date(now.getTime() - minutes * 60_000).toISOString();
const difference = (path: string): Difference => ({ path, wanted: 1, found: 2 });
const question = (more: Partial<DriftQuestion>): DriftQuestion => ({
  key,
  differences: [difference('backup.days')],
  isDrift: () => true,
  rules: [],
  pauses: [],
  earlier: [],
  whyNotAdopted: () => undefined,
  now,
  ...more,
});
const treatments = (more: Partial<DriftQuestion>): readonly Treatment[] =>
  decideDrift(question(more)).verdicts.map(({ treatment }) => treatment);
const rule = (policy: DriftRule['policy'], path?: string): DriftRule => ({ resource: key, policy, path });
const known = (more: object) => [
  { path: 'backup.days', since: minutesAgo(30), isSettled: false, repairs: [], ...more },
];

describe('a rule', () => {
  test('decides for its field and everything below it, and for nothing that is only spelled alike', () => {
    const rules = [rule('report', 'storage')];
    expect(policyOf(rules, key, 'storage')).toBe('report');
    expect(policyOf(rules, key, 'storage.tier')).toBe('report');
    expect(policyOf(rules, key, 'storage[0]')).toBe('report');
    expect(policyOf(rules, key, 'storageAutogrow')).toBe('repair');
    expect(policyOf(rules, 'azure/key-vault', 'storage')).toBe('repair');
  });

  test('that comes first decides, and without a path for the whole resource', () => {
    expect(policyOf([rule('adopt', 'backup'), rule('report')], key, 'backup.days')).toBe('adopt');
    expect(policyOf([rule('adopt', 'backup'), rule('report')], key, '')).toBe('report');
  });
});

describe('a difference that somebody else made', () => {
  test('is put right unless a rule says otherwise', () => {
    expect(treatments({})).toEqual(['repair']);
    expect(treatments({ rules: [rule('report')] })).toEqual(['reported']);
    expect(treatments({ rules: [rule('adopt')] })).toEqual(['adopt']);
  });

  test('is only told when the spec has no place for it', () => {
    const whyNotAdopted = (): string => 'has no place in the spec';
    expect(decideDrift(question({ rules: [rule('adopt')], whyNotAdopted })).verdicts).toMatchObject([
      { treatment: 'adopt-impossible', why: expect.stringContaining('no place') },
    ]);
  });

  test('holds what differs beside it', () => {
    const differences = [difference('backup.days'), difference('storage.tier')];
    expect(treatments({ differences, rules: [rule('report', 'backup')] })).toEqual(['reported', 'held-with']);
  });

  test('is put right with a change of ours, which cannot wait for it', () => {
    const differences = [difference('backup.days'), difference('storage.tier')];
    const isDrift = ({ path }: Difference): boolean => path === 'backup.days';
    expect(decideDrift(question({ differences, isDrift, rules: [rule('report')] })).action).toBe('repair');
  });

  test('is put right when a person asked for that after it was first seen, and not one that came later', () => {
    const rules = [rule('report')];
    expect(treatments({ rules, earlier: known({}), repairAfter: minutesAgo(10) })).toEqual(['repair']);
    expect(treatments({ rules, earlier: known({}), repairAfter: minutesAgo(40) })).toEqual(['reported']);
    expect(treatments({ rules, repairAfter: minutesAgo(10) })).toEqual(['reported']);
    const settled = known({ isSettled: true });
    expect(treatments({ rules, earlier: settled, repairAfter: minutesAgo(10) })).toEqual(['reported']);
  });

  test('is put right when a person asked since all was as asked, though no look had found it by then', () => {
    const [rules, lastAsAskedAt] = [[rule('report')], minutesAgo(20)];
    expect(treatments({ rules, lastAsAskedAt, repairAfter: minutesAgo(10) })).toEqual(['repair']);
    expect(treatments({ rules, lastAsAskedAt, repairAfter: minutesAgo(25) })).toEqual(['reported']);
    const settled = known({ isSettled: true, since: minutesAgo(90) });
    const asked = { rules, lastAsAskedAt, earlier: settled, repairAfter: minutesAgo(10) };
    expect(treatments(asked)).toEqual(['repair']);
    // Seen since, and the push that was asked for has failed.
    const seen = known({ since: minutesAgo(5), lastAsAskedAt });
    expect(treatments({ ...asked, earlier: seen })).toEqual(['repair']);
  });

  test('is fought over when it comes back after three repairs within an hour, however long it stays', () => {
    const repairs = [50, 40, 30].map(minutesAgo);
    expect(treatments({ earlier: known({ repairs: repairs.slice(1) }) })).toEqual(['repair']);
    expect(treatments({ earlier: known({ repairs }) })).toEqual(['fought']);
    const later = new Date(now.getTime() + 24 * 60 * 60_000);
    expect(treatments({ earlier: known({ repairs }), now: later })).toEqual(['fought']);
    expect(treatments({ earlier: known({ repairs, isSettled: true }), now: later })).toEqual(['repair']);
    expect(treatments({ earlier: known({ repairs }), rules: [rule('report')] })).toEqual(['reported']);
    expect(treatments({ earlier: known({ repairs }), repairAfter: minutesAgo(1) })).toEqual(['repair']);
  });

  test('is fought over though a person asked for a repair, when that is undone three times, too', () => {
    const earlier = known({ since: minutesAgo(50), repairs: [30, 20, 10].map(minutesAgo) });
    expect(treatments({ earlier, repairAfter: minutesAgo(40) })).toEqual(['fought']);
    expect(treatments({ earlier, repairAfter: minutesAgo(40), rules: [rule('report')] })).toEqual(['fought']);
  });

  test('is not pushed again while the last push need not show yet, unless a person asks or more differs', () => {
    const earlier = known({ pushedAt: minutesAgo(1) });
    const actionOf = (more: Partial<DriftQuestion>) => decideDrift(question({ earlier, ...more })).action;
    expect(actionOf({})).toBe('wait');
    expect(actionOf({ repairAfter: minutesAgo(0.5) })).toBe('repair');
    expect(actionOf({ differences: [difference('backup.days'), difference('storage.tier')] })).toBe('repair');
    expect(actionOf({ isDrift: () => false })).toBe('repair');
    expect(actionOf({ earlier: known({ pushedAt: minutesAgo(1), isSettled: true }) })).toBe('repair');
  });

  test('is fought over anew only after three more repairs when a person has asked for one', () => {
    const repairs = [50, 40, 30, 20].map(minutesAgo);
    const earlier = known({ isSettled: true, repairs });
    expect(treatments({ earlier, repairAfter: minutesAgo(25) })).toEqual(['repair']);
    expect(treatments({ earlier, repairAfter: minutesAgo(55) })).toEqual(['fought']);
  });
});

describe('what could hurt when it is put right', () => {
  const gone: Difference = { path: '', wanted: 'present', found: null };

  test('is only told about, and why, unless a rule or a person says otherwise', () => {
    const [verdict] = decideDrift(question({ differences: [gone] })).verdicts;
    expect(verdict).toMatchObject({ policy: 'report', treatment: 'reported' });
    expect(verdict?.why).toContain('would hide the loss');
    expect(treatments({ differences: [gone], rules: [rule('repair')] })).toEqual(['repair']);
    const asked = { lastAsAskedAt: minutesAgo(20), repairAfter: minutesAgo(10) };
    expect(treatments({ differences: [gone], ...asked })).toEqual(['repair']);
  });

  test('is done when it is new, and nobody took anything away', () => {
    expect(treatments({ differences: [gone], isDrift: () => false })).toEqual(['repair']);
  });
});

describe('what is written part by part', () => {
  const differences = ['backup.days', 'tags.a', 'tags.b'].map(difference);
  const fought = known({ since: minutesAgo(1), repairs: [50, 40, 30].map(minutesAgo) });
  const apart = (more: Partial<DriftQuestion>) =>
    decideDrift(question({ isApart: true, differences, earlier: fought, ...more }));
  const pathsOf = (all: readonly Difference[]): readonly string[] => all.map(({ path }) => path);

  test('is put right but for the part that is left alone', () => {
    const { action, verdicts, pushed } = apart({});
    expect(action).toBe('repair');
    expect(verdicts.map(({ treatment }) => treatment)).toEqual(['fought', 'repair', 'repair']);
    expect(pathsOf(pushed)).toEqual(['tags.a', 'tags.b']);
    expect(apart({ differences: [difference('backup.days')] })).toMatchObject({ action: 'hold', pushed: [] });
  });

  test('is not put right again where the last time may not show yet', () => {
    const under = {
      path: 'tags.a',
      since: minutesAgo(1),
      isSettled: false,
      pushedAt: minutesAgo(1),
      repairs: [],
    };
    expect(pathsOf(apart({ earlier: [...fought, under] }).pushed)).toEqual(['tags.b']);
    const only = [difference('backup.days'), difference('tags.a')];
    expect(apart({ earlier: [...fought, under], differences: only }).action).toBe('wait');
  });

  test('is all held by a pause', () => {
    const pauses = [{ reason: 'x', until: minutesAgo(-5) }];
    expect(apart({ pauses })).toMatchObject({ action: 'hold', pushed: [] });
  });
});

describe('a pause', () => {
  const pause = { reason: 'a migration', until: '2026-11-24T13:00:00.000Z' };

  test('holds everything back, also what is ours and what a person wants repaired', () => {
    const decision = decideDrift(
      question({ isDrift: () => false, pauses: [pause], earlier: known({}), repairAfter: minutesAgo(1) }),
    );
    expect(decision).toMatchObject({
      action: 'hold',
      verdicts: [{ treatment: 'paused', why: 'paused until 2026-11-24T13:00:00.000Z: a migration' }],
    });
  });

  test('holds only the resource it names, and ends by itself', () => {
    expect(treatments({ pauses: [{ ...pause, resource: key }] })).toEqual(['paused']);
    expect(treatments({ pauses: [{ ...pause, resource: 'azure/key-vault' }] })).toEqual(['repair']);
    expect(treatments({ pauses: [pause], now: new Date(pause.until) })).toEqual(['repair']);
  });
});

const paths = fc.uniqueArray(fc.constantFrom('', 'backup', 'backup.days', 'storage', 'tags.a'), {
  minLength: 1,
});
const asked = fc.record({
  differences: paths.map((all) => all.map(difference)),
  rules: fc.array(
    fc.record({
      resource: fc.constantFrom(key, 'azure/key-vault'),
      path: fc.option(fc.constantFrom('backup', 'storage', 'tags'), { nil: undefined }),
      policy: fc.constantFrom('repair' as const, 'report' as const, 'adopt' as const),
    }),
  ),
  pauses: fc.array(fc.constant({ reason: 'x', until: minutesAgo(-5) }), { maxLength: 1 }),
  repairAfter: fc.option(fc.integer({ min: -90, max: 90 }).map(minutesAgo), { nil: undefined }),
  earlier: paths.map((all) =>
    all.map((path) => ({
      path,
      since: minutesAgo(20),
      isSettled: path === 'backup',
      repairs: [50, 40, 30].map(minutesAgo),
    })),
  ),
  drifted: fc.constantFrom('all', 'none', 'backup'),
  isApart: fc.boolean(),
});

test('whatever is asked, every difference has its verdict, and a resource not made of parts is written whole or not at all', () => {
  fc.assert(
    fc.property(asked, ({ drifted, ...more }) => {
      const isDrift = ({ path }: Difference): boolean =>
        drifted === 'all' || (drifted === 'backup' && path === 'backup');
      const { action, verdicts, pushed } = decideDrift(question({ ...more, isDrift }));
      expect(verdicts.map(({ difference: { path } }) => path)).toEqual(
        more.differences.map(({ path }) => path),
      );
      const repaired = verdicts.filter(({ treatment }) => treatment === 'repair').length;
      if (more.isApart) expect(repaired).toBeGreaterThanOrEqual(pushed.length);
      else expect(repaired).toBe(action === 'repair' ? verdicts.length : 0);
      expect(pushed.length > 0).toBe(action === 'repair');
      expect(verdicts.every(({ treatment, why }) => treatment === 'repair' || why !== undefined)).toBe(true);
      if (more.pauses.length > 0) expect(action).toBe('hold');
      else if (drifted !== 'all' && more.differences.some((one) => !isDrift(one)))
        expect(action).toBe('repair');
    }),
  );
});

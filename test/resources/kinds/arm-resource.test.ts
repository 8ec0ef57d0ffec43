import { describe, expect, test } from 'vitest';
import type { Clients } from '../../../src/clients/clients.ts';
import {
  bodyDifferences,
  type Found,
  isOurs,
  judge,
  refuseToReplace,
  tagDifferences,
  withOurTags,
} from '../../../src/resources/kinds/arm-resource.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';

const { spec, names } = specOf({ tags: { Owner: 'somebody' } });
const scope: Scope = { spec, names, clients: {} as Clients, now: new Date(0), ...surroundings() };
const ours = { ...names.tags };
const found = (fields: Partial<Found<{ id: string }>> = {}): Found<{ id: string }> => ({
  key: 'azure/key-vault',
  what: 'the key vault kv',
  tags: { found: ours },
  provisioningState: 'Succeeded',
  retryAfterSeconds: 5,
  outputs: { id: '/kv' },
  differences: [],
  ...fields,
});
const difference = { path: 'a', wanted: 1, found: 2 };

describe('tags', () => {
  test('both marks are needed, whatever the case of their names', () => {
    expect(isOurs({ 'Managed-By': names.tags['managed-by'] ?? '', DEPLOYMENT: 'chat' }, names)).toBe(true);
    expect(isOurs({ 'managed-by': names.tags['managed-by'] ?? '' }, names)).toBe(false);
    expect(isOurs({ ...ours, deployment: 'another' }, names)).toBe(false);
    expect(isOurs(undefined, names)).toBe(false);
  });

  test('ours are sent over those of others, and never twice', () => {
    expect(withOurTags(names, { costCentre: '7', OWNER: 'another' })).toEqual({ costCentre: '7', ...ours });
  });

  test('what others added is no difference, what the user asked for is', () => {
    expect(tagDifferences(names, { ...ours, costCentre: '7' })).toEqual([]);
    expect(tagDifferences(names, { ...ours, Owner: 'another' })).toEqual([
      { path: 'tags.Owner', wanted: 'somebody', found: 'another' },
    ]);
  });
});

describe('bodies', () => {
  test('ids and locations may be spelled otherwise, names may not', () => {
    const wanted = { location: 'eastasia', subnet: { id: '/subscriptions/A/subnets/b' }, name: 'b' };
    const spelled = { location: 'East Asia', subnet: { id: '/subscriptions/a/Subnets/b' }, name: 'B' };
    expect(bodyDifferences(wanted, spelled)).toEqual([{ path: 'name', wanted: 'b', found: 'B' }]);
  });
});

describe('judge', () => {
  const cases: readonly { reason: string; fields: Partial<Found<{ id: string }>>; state: string }[] = [
    { reason: 'as asked', fields: {}, state: 'ready' },
    { reason: 'one field is not', fields: { differences: [difference] }, state: 'drifted' },
    { reason: 'one tag is not', fields: { tags: { found: { ...ours, Owner: 'x' } } }, state: 'drifted' },
    {
      reason: 'not marked, even if it is failing',
      fields: { tags: { found: {} }, provisioningState: 'Failed' },
      state: 'foreign',
    },
    {
      reason: 'moving, whatever differs meanwhile',
      fields: { provisioningState: 'Updating', differences: [difference] },
      state: 'changing',
    },
    { reason: 'going away', fields: { provisioningState: 'Deleting' }, state: 'changing' },
    { reason: 'not telling everything yet', fields: { outputs: undefined }, state: 'changing' },
    { reason: 'the last change failed', fields: { provisioningState: 'Failed' }, state: 'failed' },
    { reason: 'or was cancelled', fields: { provisioningState: 'Canceled' }, state: 'failed' },
    { reason: 'without a state, it exists', fields: { provisioningState: undefined }, state: 'ready' },
  ];

  test.each(cases)('$state: $reason', async ({ fields, state }) => {
    expect((await judge(scope, found(fields))).state).toBe(state);
  });
});

describe('what cannot be changed', () => {
  const drifted = { state: 'drifted', outputs: {}, differences: [difference] } as const;

  test('is refused, naming it', () => {
    expect(() => refuseToReplace('the thing', drifted, ['a'])).toThrow(
      'the thing would have to be made anew: a is 2, not 1',
    );
  });

  test('does not stand in the way of what can', () => {
    expect(() => refuseToReplace('the thing', drifted, ['b'])).not.toThrow();
  });
});

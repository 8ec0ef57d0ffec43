import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rank, type SourcedFinding } from '../../src/checks/rank.ts';
import type { Finding, Severity } from '../../src/graph/finding.ts';
import type { ResourceKey } from '../../src/graph/resource.ts';

const found = (resource: ResourceKey, severity: Severity = 'error', id = 'broken'): Finding => ({
  id,
  resource,
  severity,
  what: 'w',
  evidence: 'e',
  breaks: 'b',
  remedy: 'r',
  since: '2026-11-24T10:00:00.000Z',
});
const shape = [
  { key: 'azure/a', waitsFor: [] },
  { key: 'azure/b', waitsFor: ['azure/a'] },
  { key: 'azure/c', waitsFor: ['azure/b'] },
] as const;

describe('the rank of findings', () => {
  test('puts the root first, and the others say what they come from', () => {
    const site = { ...found('azure/c'), system: 'cluster', check: 'early' } as const;
    expect(rank(shape, [site, found('azure/a')], [])).toMatchObject([
      { resource: 'azure/a' },
      { resource: 'azure/c', causedBy: 'azure/a' },
    ]);
  });

  test('does not take a warning for a cause', () => {
    expect(rank(shape, [found('azure/c'), found('azure/a', 'warning')], [])[0]).toEqual(found('azure/c'));
  });

  test('tells the same trouble once, as the check does', () => {
    const checked = { ...found('azure/a'), check: 'a-works', system: 'cluster' } as const;
    expect(rank(shape, [checked], [found('azure/a'), found('azure/a', 'info', 'other')])).toEqual([
      checked,
      found('azure/a', 'info', 'other'),
    ]);
  });

  test('believes who has looked at a thing before those who suffer from it', () => {
    const stack = [
      { key: 'azure/zone', waitsFor: [] },
      { key: 'azure/server', waitsFor: ['azure/zone'] },
      { key: 'kubernetes/app', waitsFor: ['azure/server'] },
    ] as const;
    const record = { ...found('azure/server', 'error', 'record-missing'), system: 'database' } as const;
    const crash = { ...found('azure/zone', 'error', 'name-unresolved'), system: 'workloads' } as const;
    const stuck = { ...found('kubernetes/app', 'error', 'unavailable'), system: 'workloads' } as const;
    expect(rank(stack, [crash, record], []).map(({ id }) => id)).toEqual([
      'record-missing',
      'name-unresolved',
    ]);
    expect(rank(stack, [stuck, crash], [])).toEqual([crash, { ...stuck, causedBy: 'azure/zone' }]);
    const bare = { ...found('azure/zone', 'error', 'a-no-node'), system: 'nodes', check: 'nodes-carry-pods' };
    const empty = { ...found('azure/zone', 'error', 'pool-empty'), system: 'nodes', check: 'node-pools' };
    const nodes = [bare, empty] as readonly SourcedFinding[];
    expect(rank(stack, nodes, []).map(({ id }) => id)).toEqual(['pool-empty', 'a-no-node']);
    const cut = { ...found('kubernetes/app', 'error', 'without-connections'), system: 'tunnel' } as const;
    expect(rank(stack, [cut, stuck], []).map(({ id }) => id)).toEqual(['unavailable', 'without-connections']);
  });

  test('loses nothing, does not depend on the order given, and never puts a consequence before a root', () => {
    const finding = fc
      .tuple(fc.constantFrom(...shape.map(({ key }) => key)), fc.constantFrom('error', 'warning', 'info'))
      .map(([key, severity]) => found(key, severity as Severity));
    const set = fc.uniqueArray(finding, { selector: ({ resource }) => resource });
    fc.assert(
      fc.property(set, (findings) => {
        const ranked = rank(shape, findings, []);
        expect(ranked).toHaveLength(findings.length);
        expect(rank(shape, findings.toReversed(), [])).toEqual(ranked);
        const caused = ranked.map(({ causedBy }) => causedBy !== undefined);
        expect(caused).toEqual(caused.toSorted((one, other) => Number(one) - Number(other)));
      }),
    );
  });
});

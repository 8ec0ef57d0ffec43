import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  admitted,
  type Tag,
  type TagPolicy,
  tagPolicyOf,
  untainted,
} from '../../../src/resources/azure/tag-policy.ts';

const at = (name: string, minute: number, digest = `sha256:${name}`): Tag => ({
  name,
  digest,
  updatedAt: new Date(minute * 60_000),
});
const names = (policy: TagPolicy, tags: readonly Tag[]) => admitted(policy, tags).map(({ name }) => name);
const source = 'ghcr.io/open-webui/open-webui:v0.6.36';

describe('azure/tag-policy', () => {
  test('is the tag of the source when nothing else is said', () => {
    expect(tagPolicyOf({ source })).toEqual({ kind: 'tag', tag: 'v0.6.36' });
    expect(tagPolicyOf({ source, follow: { tag: 'stable' } })).toEqual({ kind: 'tag', tag: 'stable' });
  });

  test('follows nothing when the source is a digest', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    expect(tagPolicyOf({ source: `ghcr.io/open-webui/open-webui@${digest}` })).toEqual({
      kind: 'digest',
      digest,
    });
  });

  test('takes the highest version of a range, with and without v, and prereleases only when asked for', () => {
    const tags = ['v0.6.9', '0.6.10', 'v0.7.0', '0.6.11-rc.1', 'latest', '0.6'].map((name) => at(name, 0));
    expect(names({ kind: 'semver', range: '>=0.6.0 <0.7' }, tags)).toEqual(['0.6.10', 'v0.6.9']);
    expect(names({ kind: 'semver', range: '>=0.6.11-rc.0 <0.7' }, tags)).toEqual(['0.6.11-rc.1']);
  });

  test('takes the last pushed of the tags that a pattern matches as a whole', () => {
    const tags = [at('main-1', 1), at('main-2', 3), at('main-3', 2), at('x-main-9', 9)];
    expect(names({ kind: 'pattern', pattern: 'main-\\d+' }, tags)).toEqual(['main-2', 'main-3', 'main-1']);
  });

  const tag = fc.record({
    name: fc.oneof(
      fc.tuple(fc.constantFrom('', 'v'), fc.nat(2), fc.nat(3), fc.nat(3)).map(([v, ...n]) => v + n.join('.')),
      fc.stringMatching(/^main-[0-9a-f]{1,4}$/),
    ),
    digest: fc.nat(5).map((number) => `sha256:${number}`),
    updatedAt: fc.nat(3).map((minute) => new Date(minute * 60_000)),
  });
  const tags = fc.uniqueArray(tag, { selector: ({ name }) => name, maxLength: 12 });
  const policy = fc.constantFrom<TagPolicy>(
    { kind: 'semver', range: '>=0.1 <3' },
    { kind: 'pattern', pattern: 'main-.*|v?1\\.\\d+\\.\\d+' },
    { kind: 'tag', tag: 'v1.1.1' },
    { kind: 'digest', digest: 'sha256:1' },
  );

  test('chooses the same whatever order the registry lists in', () => {
    fc.assert(
      fc.property(
        policy,
        tags.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        (chosen, [listed, shuffled]) => {
          if (chosen.kind === 'digest') return;
          expect(admitted(chosen, shuffled)).toEqual(admitted(chosen, listed));
        },
      ),
    );
  });

  test('never chooses what is quarantined, and nothing better is left out', () => {
    fc.assert(
      fc.property(policy, tags, fc.uniqueArray(fc.nat(5)), (chosen, listed, bad) => {
        const quarantine = { has: (digest: string) => bad.some((number) => digest === `sha256:${number}`) };
        const best = admitted(chosen, listed);
        const taken = untainted(best, quarantine);
        expect(
          best
            .slice(0, taken ? best.indexOf(taken) : undefined)
            .every(({ digest }) => quarantine.has(digest)),
        ).toBe(true);
        expect(taken !== undefined && quarantine.has(taken.digest)).toBe(false);
      }),
    );
  });

  test('admits nothing that the registry does not have', () => {
    fc.assert(
      fc.property(policy, tags, (chosen, listed) => {
        for (const one of admitted(chosen, listed)) expect(listed).toContain(one);
      }),
    );
  });
});

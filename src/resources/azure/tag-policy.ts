/** Which of a repository's tags is wished, as `registry.images.<image>.follow` says. Pure, and blind to the tags' order. */
import semver from 'semver';
import type { DeploymentSpec, Follow, ImageName } from '../../spec/spec.ts';
import { compileTagPattern } from '../../spec/tag-pattern.ts';
import type { Quarantine } from '../scope.ts';

type ImageSpec = DeploymentSpec['registry']['images'][ImageName];

export type TagPolicy =
  /** A digest never changes: nothing is followed. */
  | { readonly kind: 'digest'; readonly digest: string }
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'semver'; readonly range: string }
  | { readonly kind: 'pattern'; readonly pattern: string };

export interface Tag {
  readonly name: string;
  readonly digest: string;
  /** When it was last pointed to its digest. */
  readonly updatedAt: Date;
}

/** What comes after the name in an image's source: a tag, or a digest when it is named by one. */
export const referenceOf = (source: string): string =>
  (source.includes('@') ? source.split('@')[1] : source.split(':')[1]) ?? '';

export function tagPolicyOf({ source, follow }: Pick<ImageSpec, 'source' | 'follow'>): TagPolicy {
  if (source.includes('@')) return { kind: 'digest', digest: referenceOf(source) };
  const { tag, semver: range, pattern }: Follow = follow ?? {};
  if (range !== undefined) return { kind: 'semver', range };
  if (pattern !== undefined) return { kind: 'pattern', pattern };
  return { kind: 'tag', tag: tag ?? referenceOf(source) };
}

/** The tags that may be deployed, best first. */
export function admitted(policy: TagPolicy, tags: readonly Tag[]): readonly Tag[] {
  switch (policy.kind) {
    case 'digest':
      return tags.filter(({ digest }) => digest === policy.digest);
    case 'tag':
      return tags.filter(({ name }) => name === policy.tag);
    case 'semver':
      return tags
        .filter(({ name }) => semver.satisfies(name, policy.range))
        .toSorted((one, other) => semver.rcompare(one.name, other.name) || byUpdate(one, other));
    case 'pattern': {
      const pattern = compileTagPattern(policy.pattern);
      return tags.filter(({ name }) => pattern.test(name)).toSorted(byUpdate);
    }
  }
}

/** The best that has not failed here. */
export const untainted = <T extends Pick<Tag, 'digest'>>(
  tags: readonly T[],
  quarantine: Pick<Quarantine, 'has'>,
): T | undefined => tags.find(({ digest }) => !quarantine.has(digest));

/** Last first; by name where the registry's clock cannot tell. */
const byUpdate = (one: Tag, other: Tag): number =>
  other.updatedAt.getTime() - one.updatedAt.getTime() || (one.name < other.name ? 1 : -1);

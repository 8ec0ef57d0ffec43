/**
 * What all ARM resources have in common when they are looked at: whose they are, whether they are moving by
 * themselves, and whether they differ. The resource says what it found; this says which state that is.
 */
import { forget, isUnderWay, submit } from '../../clients/operations.ts';
import { differences, sameIgnoringCaseAndBlanks } from '../../graph/differences.ts';
import { hasNoWayBack } from '../../graph/drift-defaults.ts';
import { fatal } from '../../graph/failure.ts';
import type { Difference, Observed, Outputs, ResourceKey } from '../../graph/resource.ts';
import type { Names } from '../../naming.ts';
import type { Scope } from '../scope.ts';

export type Tags = Readonly<Record<string, string>>;

/** ARM treats tag names without regard to case and may hand them back spelled otherwise. */
export const tagOf = (tags: Tags | undefined, name: string): string | undefined =>
  Object.entries(tags ?? {}).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];

/** Whether tags carry the mark of this deployment. */
export const isOurs = (tags: Tags | undefined, names: Names): boolean =>
  ['managed-by', 'deployment'].every((name) => tagOf(tags, name) === names.tags[name]);

/** Tags that are not as asked; those of others are left alone. */
export const tagDifferences = (names: Names, found: Tags | undefined): Difference[] =>
  Object.entries(names.tags).flatMap(([name, wanted]) =>
    differences(wanted, tagOf(found, name), undefined, `tags.${name}`),
  );

/** Tags to send where sending replaces all of them: ours over those that others have put there. */
export const withOurTags = (names: Names, found: Tags | undefined): Record<string, string> => ({
  ...Object.fromEntries(
    Object.entries(found ?? {}).filter(([name]) => tagOf(names.tags, name) === undefined),
  ),
  ...names.tags,
});

/** Differences of a body; ARM changes the case of ids and the spelling of locations. */
export const bodyDifferences = (wanted: unknown, found: unknown): Difference[] =>
  differences(
    wanted,
    found,
    (path, left, right) => /(^|\.)(\w*id|location)$/i.test(path) && sameIgnoringCaseAndBlanks(left, right),
  );

export const foreign = (what: string): Observed<never> => ({
  state: 'foreign',
  reason: `${what} exists, but its tags managed-by and deployment do not say that it belongs to this deployment`,
});

/** The key under which an operation on a resource of this deployment is remembered. */
const operationKey = (scope: Scope, key: ResourceKey): string => `${scope.names.deployment}/${key}`;

/** Sends a long-running operation for this resource and returns once ARM has accepted it. */
export const submitFor = (
  scope: Scope,
  key: ResourceKey,
  operation: Parameters<typeof submit>[2],
): Promise<void> => submit(scope.clients, operationKey(scope, key), operation);

/** Whether an operation on this resource is running; throws what an ended one failed with. */
export const isMoving = (scope: Scope, key: ResourceKey): Promise<boolean> =>
  isUnderWay(scope.clients, operationKey(scope, key));

/** Not found; still not absent while the operation that makes it runs, and not silently so when that has failed. */
export async function missing(
  scope: Scope,
  key: ResourceKey,
  retryAfterSeconds: number,
): Promise<Observed<never>> {
  return (await isMoving(scope, key))
    ? { state: 'changing', reason: 'Azure has accepted it and is making it', retryAfterSeconds }
    : { state: 'absent' };
}

export interface Found<Out extends Outputs> {
  readonly key: ResourceKey;
  /** For sentences: `the key vault kv-chat`. */
  readonly what: string;
  /** Left out for what cannot be tagged: it belongs to whoever owns the thing it is part of. */
  readonly tags?: { readonly found: Tags | undefined };
  readonly provisioningState: string | undefined;
  /** How soon to look again while it moves. */
  readonly retryAfterSeconds: number;
  /** Why ARM says Failed, where the resource itself tells. */
  readonly whyFailed?: { readonly code: string; readonly message: string } | undefined;
  /** Undefined while ARM does not tell them all yet. */
  readonly outputs: Out | undefined;
  /** Besides tags, which are compared here. */
  readonly differences: readonly Difference[];
}

/** Foreign, moving, failed, drifted or ready: in this order. */
export async function judge<Out extends Outputs>(scope: Scope, found: Found<Out>): Promise<Observed<Out>> {
  const { key, what, tags, outputs, retryAfterSeconds } = found;
  if (tags && !isOurs(tags.found, scope.names)) return foreign(what);
  const state = found.provisioningState ?? 'Succeeded';
  if (state === 'Failed' || state === 'Canceled') {
    // The operation's own error says more than the state; a newer operation may already be at work.
    if (await isMoving(scope, key)) {
      return { state: 'changing', reason: `${what} is being repaired`, retryAfterSeconds };
    }
    return {
      state: 'failed',
      ...(outputs ? { outputs } : {}),
      code: found.whyFailed?.code ?? 'ProvisioningFailed',
      message: found.whyFailed?.message ?? `Azure reports that the last change of ${what} failed`,
    };
  }
  if (state !== 'Succeeded') return { state: 'changing', reason: `${what}: ${state}`, retryAfterSeconds };
  if (!outputs) {
    return {
      state: 'changing',
      reason: `${what} does not tell all of its properties yet`,
      retryAfterSeconds,
    };
  }
  const all = [...(tags ? tagDifferences(scope.names, tags.found) : []), ...found.differences];
  if (all.length === 0) {
    forget(scope.clients, operationKey(scope, key));
    return { state: 'ready', outputs };
  }
  // Some things stay Succeeded while they change, and only the operation knows.
  if (await isMoving(scope, key)) {
    return { state: 'changing', reason: `${what} is being changed`, retryAfterSeconds };
  }
  return { state: 'drifted', outputs, differences: all };
}

/** What `ensure` was shown to be wrong. */
export const seenDifferences = (seen: Observed<Outputs>): readonly Difference[] =>
  seen.state === 'drifted' ? seen.differences : [];

/**
 * What of that Azure would take. Throws when there is nothing but newer versions than asked for: pushing would fail again
 * and again.
 */
export function pushable(key: ResourceKey, what: string, seen: Observed<Outputs>): readonly Difference[] {
  const all = seenDifferences(seen);
  const taken = all.filter((difference) => !hasNoWayBack(key, difference));
  const [newer] = all;
  if (newer && taken.length === 0) {
    throw fatal(
      'NoWayBack',
      `${what}: ${newer.path} is ${String(newer.found)}, newer than the ${String(newer.wanted)} that the spec asks for, and Azure does not go back: ask for what there is`,
    );
  }
  return taken;
}

/** Throws when something differs that Azure only lets one choose at creation: pushing would fail again and again. */
export function refuseToReplace(what: string, seen: Observed<Outputs>, fixed: readonly string[]): void {
  const differing = seenDifferences(seen).filter(({ path }) => fixed.includes(path));
  if (differing.length === 0) return;
  const list = differing.map(
    ({ path, wanted, found }) => `${path} is ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`,
  );
  throw fatal('ReplacementNeeded', `${what} would have to be made anew: ${list.join('; ')}`);
}

/** Whether there is anything of ours to remove. */
export const isRemovable = (seen: Observed<Outputs>): boolean =>
  seen.state !== 'absent' && seen.state !== 'foreign';

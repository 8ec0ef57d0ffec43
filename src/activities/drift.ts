/**
 * What is to become of a resource that is not as asked: it is pushed, or left alone because of a pause, a rule or a fight.
 * Differences that somebody else made are remembered before anything is done about them.
 */
import { hasGrown, mayBeHidden } from '../graph/drift-defaults.ts';
import { type DriftDecision, decideDrift, pauseOf, whyPaused } from '../graph/drift-policy.ts';
import type { Failure } from '../graph/failure.ts';
import type { Difference, Observed, Outputs, ResourceKey } from '../graph/resource.ts';
import type { ReconcileResult } from '../orchestrations/activities.ts';
import { isWishMark } from '../resources/kinds/kubernetes-object.ts';
import { type DriftRecord, isUnsettled } from '../store/drift.ts';
import type { StepRecord } from '../store/store.ts';
import { takeOver, whyNotAdopted } from './adoption.ts';
import { afterPush, remember, withRepair } from './drift-memory.ts';
import { noticesOf } from './drift-notices.ts';
import { isLost, whyLost } from './lost-data.ts';
import { hasNewVersion, isStillAsked, wishToo } from './wish.ts';
import type { Wrong } from './wrong.ts';

/** What differs there comes of time, of news or of proofs of ours, and nobody else has changed anything. */
const ownWork: ReadonlySet<ResourceKey> = new Set<ResourceKey>([
  'azure/images',
  'azure/retired-storage-key',
  'kubernetes/database-login',
  'kubernetes/share-write',
  'kubernetes/debug-pods',
]);

/** What the look ends with when nothing is pushed, or else what is. */
export type Held = { readonly result: ReconcileResult } | { readonly pushed: readonly Difference[] };

export async function holdBack(wrong: Wrong): Promise<Held> {
  const { store, record, spec, key, seen, now } = wrong;
  const differences = differencesOf(seen);
  const look = await store.findLook(record.name, key);
  const isNews = seen.state === 'drifted' && hasNewVersion(look?.outputs, seen.outputs);
  const mayBeDrift = look?.wish !== undefined && !ownWork.has(key) && !isNews;
  const remembered = mayBeDrift ? await store.drift.of(record.name, key) : [];
  const earlier = afterPush(remembered, { differences, look, now });
  // What AKS or a rollout itself calls failed is tried again, but not during a pause.
  if (differences.length === 0) {
    const paused = failedWhilePaused(wrong);
    return paused ? { result: paused } : { pushed: [] };
  }

  const isOurs =
    look?.wish === undefined ||
    !isStillAsked(look.wish, wrong) ||
    differences.some(({ path }) => isWishMark(path));
  const isGone = seen.state === 'absent' && isLost(wrong, look);
  const isDrift = (difference: Difference): boolean => {
    const { path, wanted, isDue } = difference;
    return (
      mayBeDrift &&
      !isDue &&
      !wrong.resource.isOfNewPart?.(path, look?.outputs) &&
      (!isOurs ||
        isGone ||
        hasGrown(key, difference) ||
        // Known before the wish changed, and not touched by that; of what is gone another may be asked for.
        earlier.some(
          (known) =>
            path !== '' &&
            known.path === path &&
            isUnsettled(known) &&
            JSON.stringify(known.wanted) === JSON.stringify(wanted),
        ))
    );
  };
  const impossible = await whyNotAdopted(wrong, differences);
  const decision = decideDrift({
    key,
    differences,
    isApart: wrong.resource.pushesApart ?? false,
    isDrift,
    rules: spec.drift.rules,
    pauses: record.pauses,
    repairAfter: record.repairAfter[key],
    lastAsAskedAt: look?.seenAt,
    earlier: earlier.map((known) => ({ ...known, isSettled: !isUnsettled(known) })),
    whyNotAdopted: (difference) => impossible.get(difference),
    now,
  });
  const drifted = decision.verdicts.filter(({ difference }) => isDrift(difference));
  await remember(wrong, drifted, earlier, look);
  if (decision.action === 'repair') return { pushed: decision.pushed };
  if (decision.action === 'wait') {
    const paths = differences.map(({ path }) => path).join(', ');
    const reason = `asked to change, and does not show yet: ${paths}`;
    return { result: { kind: 'waiting', did: 'nothing', reason } };
  }
  const adopted = decision.verdicts.filter(({ treatment }) => treatment === 'adopt');
  if (adopted.length > 0) return { result: await takeOver(wrong, adopted) };
  const missing = earlier.find((known) => known.path === '' && isUnsettled(known));
  if (isGone && mayBeHidden(key, missing ? new Date(missing.since) : now, now)) {
    const reason = `${wrong.title} is not shown, and counts as gone when that stays so`;
    return { result: { kind: 'waiting', did: 'nothing', reason } };
  }
  const isOnlyDrift = drifted.length === differences.length;
  return { result: held(wrong, decision, look, isOnlyDrift) };
}

function differencesOf(seen: Observed<Outputs>): readonly Difference[] {
  if (seen.state === 'absent') return [{ path: '', wanted: 'present', found: null }];
  return seen.state === 'drifted' ? seen.differences : [];
}

function failedWhilePaused({ record, key, title, seen, now }: Wrong): ReconcileResult | undefined {
  const pause = pauseOf(record.pauses, key, now);
  if (!pause) return undefined;
  const trouble = seen.state === 'failed' ? `: ${seen.message}` : '';
  return failed('Paused', `${title} is not as asked and ${whyPaused(pause)}${trouble}`);
}

const failed = (code: 'Paused' | 'HeldBack', message: string): ReconcileResult => {
  const failure: Failure = { kind: 'fatal', code, message };
  return { kind: 'failed', did: 'nothing', failure };
};

function held(
  wrong: Wrong,
  { verdicts }: DriftDecision,
  look: StepRecord | undefined,
  isOnlyDrift: boolean,
): ReconcileResult {
  const { record, key, title, seen, reads } = wrong;
  if (seen.state !== 'drifted') {
    const [verdict] = verdicts;
    const isPaused = verdict?.treatment === 'paused';
    const why = `${title} does not exist and is not made: ${verdict?.why ?? 'a rule holds it back'}`;
    return isPaused ? failed('Paused', why) : failed('HeldBack', whyLost(record.name, key, title) ?? why);
  }
  return {
    kind: 'ready',
    did: 'nothing',
    // While it differs a resource may not have learned all that it tells when it is as asked.
    outputs: { ...look?.outputs, ...seen.outputs },
    differences: verdicts.map(({ difference }) => difference),
    held: verdicts.map(({ difference }) => difference.path),
    // That we wish for something else by now is no news to anybody.
    notices: noticesOf(
      record.name,
      key,
      title,
      verdicts.filter(({ difference }) => !isWishMark(difference.path)),
    ),
    ...(isOnlyDrift && look?.wish !== undefined ? { wish: wishToo(wrong, look.wish, reads) } : {}),
  };
}

/** What is as asked again, or not different any more beside what is: put right by us, or gone by itself. */
export function settled(record: DriftRecord, at: string, operationId: string | undefined): DriftRecord {
  const { pushedAt, why: _, ...rest } = record;
  return {
    ...rest,
    state: pushedAt === undefined ? 'gone' : 'repaired',
    settledAt: at,
    lastSeenAt: at,
    repairs: pushedAt === undefined ? record.repairs : withRepair(record.repairs, pushedAt),
    ...(operationId === undefined ? {} : { operationId }),
  };
}

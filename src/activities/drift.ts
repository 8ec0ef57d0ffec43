/**
 * What is to become of a resource that is not as asked: it is pushed, or left alone because of a pause, a rule or a fight.
 * Differences that somebody else made are remembered before anything is done about them.
 */
import {
  type DriftDecision,
  decideDrift,
  pauseOf,
  type Treatment,
  type Verdict,
  whyPaused,
} from '../graph/drift-policy.ts';
import type { Failure } from '../graph/failure.ts';
import type { Notice } from '../graph/finding.ts';
import type { Difference, Observed, Outputs, ResourceKey } from '../graph/resource.ts';
import type { ReconcileResult } from '../orchestrations/activities.ts';
import { isWishMark } from '../resources/kinds/kubernetes-object.ts';
import { type DriftRecord, type DriftState, isUnsettled } from '../store/drift.ts';
import type { DeploymentRecord, StepRecord, Store } from '../store/store.ts';
import { takeOver, whyNotAdopted } from './adoption.ts';
import { armIdOf } from './arm-id.ts';
import { type Asked, hasNewVersion, isStillAsked, wishToo } from './wish.ts';

/** What differs there comes of time, of news or of proofs of ours, and nobody else has changed anything. */
const ownWork: ReadonlySet<ResourceKey> = new Set<ResourceKey>([
  'azure/images',
  'azure/retired-storage-key',
  'kubernetes/database-login',
  'kubernetes/share-write',
  'kubernetes/debug-pods',
]);

/** Repairs that are remembered of a field; a fight needs three. */
const REMEMBERED_REPAIRS = 10;
export interface Wrong extends Asked {
  readonly store: Store;
  readonly record: DeploymentRecord;
  readonly title: string;
  readonly seen: Observed<Outputs>;
  /** Fields of the spec that the look has read. */
  readonly reads: readonly string[];
  readonly now: Date;
}

/** What the look ends with when nothing is pushed; undefined: push. */
export async function holdBack(wrong: Wrong): Promise<ReconcileResult | undefined> {
  const { store, record, spec, key, seen, now } = wrong;
  const differences = differencesOf(seen);
  const look = await store.findLook(record.name, key);
  const isNews = seen.state === 'drifted' && hasNewVersion(look?.outputs, seen.outputs);
  const mayBeDrift = look?.wish !== undefined && !ownWork.has(key) && !isNews;
  const earlier = mayBeDrift ? await store.drift.of(record.name, key) : [];
  // What AKS or a rollout itself calls failed is tried again, but not during a pause.
  if (differences.length === 0) return failedWhilePaused(wrong);

  const isOurs =
    look?.wish === undefined ||
    !isStillAsked(look.wish, wrong) ||
    differences.some(({ path }) => isWishMark(path));
  const isDrift = ({ path, wanted }: Difference): boolean =>
    mayBeDrift &&
    (!isOurs ||
      // Known before the wish changed, and not touched by that.
      earlier.some(
        (known) =>
          known.path === path &&
          isUnsettled(known) &&
          JSON.stringify(known.wanted) === JSON.stringify(wanted),
      ));
  const impossible = await whyNotAdopted(wrong, differences);
  const decision = decideDrift({
    key,
    differences,
    isDrift,
    rules: spec.drift.rules,
    pauses: record.pauses,
    repairAfter: record.repairAfter[key],
    earlier: earlier.map((known) => ({ ...known, isSettled: !isUnsettled(known) })),
    whyNotAdopted: (difference) => impossible.get(difference),
    now,
  });
  const drifted = decision.verdicts.filter(({ difference }) => isDrift(difference));
  await remember(wrong, drifted, earlier, decision, look);
  if (decision.action === 'repair') return undefined;
  const adopted = decision.verdicts.filter(({ treatment }) => treatment === 'adopt');
  if (adopted.length > 0) return takeOver(wrong, adopted);
  const isOnlyDrift = drifted.length === differences.length;
  return held(wrong, decision, look, isOnlyDrift);
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

const states: Readonly<Record<Treatment, DriftState>> = {
  repair: 'open',
  reported: 'reported',
  adopt: 'open',
  'adopt-impossible': 'reported',
  paused: 'paused',
  fought: 'fought',
  'held-with': 'reported',
};

/** Before anything is pushed: whoever dies in the middle has still seen it. */
async function remember(
  { store, record, spec, key, dependencies, seen, now }: Wrong,
  verdicts: readonly Verdict[],
  earlier: readonly DriftRecord[],
  { action }: DriftDecision,
  look: StepRecord | undefined,
): Promise<void> {
  if (verdicts.length === 0) return;
  const at = now.toISOString();
  const outputs = { ...look?.outputs, ...(seen.state === 'drifted' ? seen.outputs : {}) };
  const { subscriptionId } = spec;
  const records = verdicts.map(({ difference, policy, treatment, why }): DriftRecord => {
    const { path, wanted, found, by } = difference;
    const before = earlier.find((known) => known.path === path);
    const open = before && isUnsettled(before) ? before : undefined;
    const resourceId = armIdOf(key, { path, outputs, dependencies, subscriptionId });
    const lastAsAskedAt = open ? open.lastAsAskedAt : look?.seenAt;
    return {
      resource: key,
      path,
      wanted,
      found,
      since: open?.since ?? at,
      lastSeenAt: at,
      state: states[treatment],
      policy,
      ...(why === undefined ? {} : { why }),
      repairs: before?.repairs ?? [],
      ...(action === 'repair' ? { pushedAt: open?.pushedAt ?? at } : {}),
      ...(by === undefined
        ? open?.actor && { actor: open.actor }
        : { actor: { name: by.name, how: 'field-manager', ...(by.at === undefined ? {} : { at: by.at }) } }),
      ...(lastAsAskedAt === undefined ? {} : { lastAsAskedAt }),
      ...(resourceId === undefined ? {} : { resourceId }),
    };
  });
  await store.drift.put(record.name, records);
}

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
    return failed(
      isPaused ? 'Paused' : 'HeldBack',
      `${title} does not exist and is not made: ${verdict?.why ?? 'a rule holds it back'}`,
    );
  }
  return {
    kind: 'ready',
    did: 'nothing',
    // While it differs a resource may not have learned all that it tells when it is as asked.
    outputs: { ...look?.outputs, ...seen.outputs },
    differences: verdicts.map(({ difference }) => difference),
    held: verdicts.map(({ difference }) => difference.path),
    notices: noticesOf(record.name, key, title, verdicts),
    ...(isOnlyDrift && look?.wish !== undefined ? { wish: wishToo(wrong, look.wish, reads) } : {}),
  };
}

const told: Readonly<Record<string, { readonly id: string; readonly says: string }>> = {
  reported: { id: 'drift-report', says: 'is not as asked, and is only reported' },
  'adopt-impossible': { id: 'drift-adopt', says: 'is not as asked, and cannot be taken into the spec' },
  paused: { id: 'drift-paused', says: 'is not as asked, and automation is paused' },
  fought: { id: 'drift-fought', says: 'is changed back each time it is put right' },
  'held-with': { id: 'drift-held', says: 'is not as asked, and waits for what is left alone beside it' },
};

/** One for each way of being left alone, however many fields are. */
function noticesOf(
  deployment: string,
  key: ResourceKey,
  title: string,
  verdicts: readonly Verdict[],
): readonly Notice[] {
  return Object.entries(told).flatMap(([treatment, { id, says }]): Notice[] => {
    const those = verdicts.filter((verdict) => verdict.treatment === treatment);
    if (those.length === 0) return [];
    const paths = those.map(({ difference }) => difference.path).join(', ');
    const who = [...new Set(those.flatMap(({ difference }) => difference.by?.name ?? []))];
    const isPaused = treatment === 'paused';
    return [
      {
        id,
        severity: isPaused ? 'info' : 'warning',
        what: `${title}: ${paths} ${says}${who.length > 0 ? ` (changed by ${who.join(', ')})` : ''}.`,
        evidence: those
          .map(
            ({ difference: { path, wanted, found }, why }) =>
              `${path}: ${short(found)} instead of ${short(wanted)}${why ? ` (${why})` : ''}`,
          )
          .join('; '),
        breaks: 'What the spec says of it does not hold.',
        remedy: isPaused
          ? `Resume: POST /api/deployments/${deployment}/resume`
          : `Put it right with the call below for ${key}, or take it into the spec: POST /api/deployments/${deployment}/accept`,
        repair: `POST /api/deployments/${deployment}/repair`,
      },
    ];
  });
}

const short = (value: unknown): string => {
  const text = JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
};

/** What is as asked again, or not different any more beside what is: put right by us, or gone by itself. */
export function settled(record: DriftRecord, at: string, operationId: string | undefined): DriftRecord {
  const { pushedAt, why: _, ...rest } = record;
  return {
    ...rest,
    state: pushedAt === undefined ? 'gone' : 'repaired',
    settledAt: at,
    lastSeenAt: at,
    repairs:
      pushedAt === undefined ? record.repairs : [...record.repairs, pushedAt].slice(-REMEMBERED_REPAIRS),
    ...(operationId === undefined ? {} : { operationId }),
  };
}

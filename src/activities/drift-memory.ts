/** What is remembered of the differences that somebody else made, from one look to the next. */
import { isDeepStrictEqual } from 'node:util';
import type { Treatment, Verdict } from '../graph/drift-policy.ts';
import type { Difference } from '../graph/resource.ts';
import { type DriftRecord, type DriftState, isUnsettled } from '../store/drift.ts';
import type { StepRecord } from '../store/store.ts';
import { cloudIdOf } from './cloud-id.ts';
import type { Wrong } from './wrong.ts';

/** Repairs that are remembered of a field; a fight needs fewer. */
const REMEMBERED_REPAIRS = 10;

/**
 * How long a push may take to show. Clouds answer from copies that lag by seconds, a directory by minutes, and pushing again
 * meanwhile would look like a fight; a writer that undoes a push at once is found out after three of these all the same.
 */
const SHOWING_MILLISECONDS = 120_000;

export interface Situation {
  readonly differences: readonly Difference[];
  /** The last one, before this. */
  readonly look: StepRecord | undefined;
  readonly now: Date;
}

/**
 * Records as the last push of each has turned out: `pushedAt` stays where it may still show. One that the cloud has taken,
 * and of which nothing shows after that time, has been undone, and counts as a repair.
 */
export const afterPush = (records: readonly DriftRecord[], situation: Situation): readonly DriftRecord[] =>
  records.map((record) => {
    const { pushedAt, ...rest } = record;
    if (pushedAt === undefined || !isUnsettled(record)) return record;
    if (!isTaken(pushedAt, records, situation)) return rest;
    if (situation.now.getTime() - Date.parse(pushedAt) < SHOWING_MILLISECONDS) return record;
    // What is still being made is not there for long; who deletes it is found out once it was seen to be there.
    return record.path === '' ? rest : { ...rest, repairs: withRepair(record.repairs, pushedAt) };
  });

/** Whether the cloud has taken it. Where things are pushed one by one, those that had to wait were not pushed at all. */
function isTaken(
  pushedAt: string,
  records: readonly DriftRecord[],
  { differences, look, now }: Situation,
): boolean {
  // The same attempt once more, after a crash.
  if (pushedAt === now.toISOString()) return false;
  if (look?.state !== 'waiting' || look.failure !== undefined) return false;
  const hasMovedOn = records.some(
    (other) =>
      isUnsettled(other) &&
      other.pushedAt !== undefined &&
      other.lastSeenAt >= pushedAt &&
      !differences.some(({ path }) => path === other.path),
  );
  return !hasMovedOn;
}

export const withRepair = (repairs: readonly string[], at: string): readonly string[] =>
  [...repairs, at].slice(-REMEMBERED_REPAIRS);

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
export async function remember(
  wrong: Wrong,
  verdicts: readonly Verdict[],
  earlier: readonly DriftRecord[],
  look: StepRecord | undefined,
): Promise<void> {
  if (verdicts.length === 0) return;
  const records = verdicts.map((verdict) => {
    const before = earlier.find(({ path }) => path === verdict.difference.path);
    return recordOf(wrong, verdict, before, look);
  });
  await wrong.store.drift.put(wrong.record.name, records);
}

function recordOf(
  { spec, key, dependencies, seen, now }: Wrong,
  { difference, policy, treatment, why }: Verdict,
  before: DriftRecord | undefined,
  look: StepRecord | undefined,
): DriftRecord {
  const at = now.toISOString();
  const { path, wanted, found, by } = difference;
  const open = before && isUnsettled(before) ? before : undefined;
  // Of what was too long to keep nobody can say.
  const isSame = open !== undefined && (open.isCut || isDeepStrictEqual(open.found, found));
  const lastAsAskedAt = isSame ? open.lastAsAskedAt : (open?.lastSeenAt ?? look?.seenAt);
  const foundSince = isSame ? open.foundSince : open && at;
  const outputs = { ...look?.outputs, ...(seen.state === 'drifted' ? seen.outputs : {}) };
  const { subscriptionId } = spec;
  const resourceId = cloudIdOf(key, { path, outputs, dependencies, subscriptionId });
  const actor = by ? ({ ...by, how: 'field-manager' } as const) : isSame ? open.actor : undefined;
  return {
    resource: key,
    path,
    wanted,
    found,
    since: open?.since ?? at,
    ...(foundSince === undefined ? {} : { foundSince }),
    lastSeenAt: at,
    state: states[treatment],
    policy,
    ...(why === undefined ? {} : { why }),
    repairs: before?.repairs ?? [],
    ...(treatment === 'repair' ? { pushedAt: open?.pushedAt ?? at } : {}),
    ...(actor === undefined ? {} : { actor }),
    ...(lastAsAskedAt === undefined ? {} : { lastAsAskedAt }),
    ...(resourceId === undefined ? {} : { resourceId }),
  };
}

/**
 * What the orchestrator knows of each resource, and how one answer changes it. Pure; the state survives
 * `continueAsNew`, so it holds no more than the next round needs.
 */
import { DEFAULT_PATIENCE, pauseSeconds } from '../graph/pace.ts';
import type { GraphShape, StepState, Steps } from '../graph/plan.ts';
import { blocked, dependentsOf } from '../graph/plan.ts';
import type { Look } from '../graph/request.ts';
import type { Outputs, ResourceKey } from '../graph/resource.ts';
import type { KnownLooks, ReconcileResult, StackDescription, StepProgress } from './activities.ts';

export interface Progress {
  readonly steps: Steps;
  readonly records: Readonly<Partial<Record<ResourceKey, StepProgress>>>;
  /** Records that the store has not been told yet. */
  readonly unrecorded: readonly ResourceKey[];
}

export const noProgress: Progress = { steps: {}, records: {}, unrecorded: [] };

/**
 * Looks again where it is asked to; what has been done so far stays known. Whatever depends on it follows if it turns
 * out to have changed.
 */
export function lookAgainAt(progress: Progress, look: Look): Progress {
  const keys = look === 'all' ? (Object.keys(progress.steps) as ResourceKey[]) : look;
  return { ...progress, steps: { ...progress.steps, ...pending(progress.steps, keys) } };
}

/**
 * Where a run begins that is to look at a part of a stack: the rest is taken as it was last found, if it was ready
 * then. What was not ready is looked at, too.
 */
export function startFrom(known: KnownLooks, shape: GraphShape, look: Look): Progress {
  const ready: Steps = Object.fromEntries(
    shape.flatMap(({ key }) => {
      const seen = known[key];
      return seen ? [[key, { kind: 'ready', outputs: seen.outputs } satisfies StepState]] : [];
    }),
  );
  const keys = look === 'all' ? shape.map(({ key }) => key) : look;
  return { ...noProgress, steps: { ...ready, ...pending(ready, keys) } };
}

function pending(steps: Steps, keys: readonly ResourceKey[]): Steps {
  return Object.fromEntries(
    keys.map((key) => {
      const was = lastOutputs(steps[key]);
      return [key, { kind: 'pending', ...(was ? { was } : {}) } satisfies StepState];
    }),
  );
}

function lastOutputs(state: StepState | undefined): Outputs | undefined {
  switch (state?.kind) {
    case 'ready':
      return state.outputs;
    case 'pending':
    case 'waiting':
    case 'failed':
      return state.was;
    default:
      return undefined;
  }
}

/** When a look was taken, in milliseconds since 1970. */
export interface LookTimes {
  readonly began: number;
  readonly now: number;
  /** Where it may have been answered from what had been read before it began: how long before, at most. */
  readonly maxAgeMilliseconds?: number;
}

/** Takes in what one look gave. */
export function advance(
  progress: Progress,
  key: ResourceKey,
  result: ReconcileResult,
  times: LookTimes,
  { shape, patience }: StackDescription,
): Progress {
  const { began, now } = times;
  const earlier = progress.records[key];
  const before = progress.steps[key];
  const seenAt = seenAsAskedAt(earlier, result, times);
  const looks = (earlier?.looks ?? 0) + 1;
  const state = nextState(before, key, result, { now, looks }, patience[key] ?? DEFAULT_PATIENCE);
  const differences = result.differences ?? earlier?.differences;
  const isSame = result.kind === 'ready' && !hasChanged(before, result.outputs);
  // Found as it was left: a second look is no second achievement.
  const isSecond = isSame && result.did === 'nothing' && earlier?.state === 'ready';
  const record: StepProgress = {
    key,
    state: state.kind === 'ready' || state.kind === 'failed' ? state.kind : 'waiting',
    did: earlier && earlier.did !== 'nothing' ? earlier.did : result.did,
    looks,
    startedAt: earlier?.startedAt ?? began,
    ...(result.kind === 'waiting' ? { reason: result.reason } : {}),
    ...(state.kind === 'failed' ? { failure: state.failure } : {}),
    ...(state.kind === 'waiting' && result.kind === 'failed' ? { failure: result.failure } : {}),
    ...(differences === undefined ? {} : { differences }),
    ...differedOf(earlier, result),
    ...(result.kind === 'ready'
      ? { outputs: result.outputs, readyAt: isSecond ? (earlier.readyAt ?? now) : now }
      : {}),
    ...(seenAt === undefined ? {} : { seenAt }),
    ...(result.kind === 'ready' && result.notices?.length ? { notices: result.notices } : {}),
    ...(result.kind === 'ready' && result.held?.length ? { held: result.held } : {}),
    ...(result.kind === 'ready' && result.wish !== undefined ? { wish: result.wish } : {}),
  };
  const hasMoved = result.kind === 'ready' && !isSecond && !(isSame && record.did === 'nothing');
  // Those that have had a look follow what they depend on, at once; the others' turn comes anyway.
  const followers = hasMoved
    ? dependentsOf(shape, key).filter((follower) => progress.steps[follower] !== undefined)
    : [];
  const steps = { ...progress.steps, ...pending(progress.steps, followers), [key]: state };
  return remember({ ...progress, steps }, record);
}

/**
 * Nothing that was changed after this moment has been seen, so it comes before the read itself. What was pushed was looked
 * at anew since, and is known better by when it was seen to differ.
 */
function seenAsAskedAt(
  earlier: StepProgress | undefined,
  result: ReconcileResult,
  { began, now, maxAgeMilliseconds = 0 }: LookTimes,
): number | undefined {
  if (result.kind !== 'ready') return earlier?.seenAt;
  const at =
    result.did === 'nothing' ? began - maxAgeMilliseconds : Math.min(result.differedAt ?? began, now);
  return Math.max(at, earlier?.seenAt ?? at);
}

/** Pushed twice because the first push failed, it was still wrong since the first look. */
function differedOf(
  earlier: StepProgress | undefined,
  result: ReconcileResult,
): Pick<StepProgress, 'differed'> {
  const before = earlier?.differed ?? [];
  const { differedAt: at, differences = [] } = result;
  const known = new Set(before.map(({ path }) => path));
  const added =
    at === undefined
      ? []
      : differences.filter(({ path }) => !known.has(path)).map(({ path }) => ({ path, at }));
  return before.length + added.length > 0 ? { differed: [...before, ...added] } : {};
}

/** Outputs are plain data, made in the same order each time. */
function hasChanged(before: StepState | undefined, outputs: Outputs): boolean {
  return JSON.stringify(lastOutputs(before)) !== JSON.stringify(outputs);
}

/** Nothing is given up that has hardly been looked at: an app with much to do may come to it late. */
const LEAST_LOOKS = 5;

function nextState(
  earlier: StepState | undefined,
  key: ResourceKey,
  result: ReconcileResult,
  { now, looks }: { readonly now: number; readonly looks: number },
  patienceSeconds: number,
): StepState {
  if (result.kind === 'ready') return { kind: 'ready', outputs: result.outputs };
  const was = lastOutputs(earlier);
  const kept = was ? { was } : {};
  if (result.kind === 'failed' && result.failure.kind === 'fatal')
    return { kind: 'failed', failure: result.failure, ...kept };
  const since = earlier?.kind === 'waiting' ? earlier.since : now;
  if (now - since > patienceSeconds * 1000 && looks >= LEAST_LOOKS) {
    const waited = Math.round((now - since) / 60_000);
    return {
      kind: 'failed',
      failure:
        result.kind === 'failed'
          ? { ...result.failure, kind: 'fatal' }
          : {
              kind: 'fatal',
              code: 'TookTooLong',
              message: `${key} was not ready after ${waited} minutes: ${result.reason}`,
            },
      ...kept,
    };
  }
  const failures = result.kind === 'failed' ? (earlier?.kind === 'waiting' ? earlier.failures : 0) + 1 : 0;
  const retryAfter = result.kind === 'failed' ? result.failure.retryAfterSeconds : result.retryAfterSeconds;
  return {
    kind: 'waiting',
    since,
    failures,
    dueAt: now + pauseSeconds(failures, retryAfter) * 1000,
    ...kept,
  };
}

/**
 * Enters what is going to be looked at into the record, so that people see from the start how much there is, and since
 * when it is known to have been as asked.
 */
export function notePending(progress: Progress, shape: GraphShape, known: KnownLooks = {}): Progress {
  return shape
    .filter(({ key }) => progress.records[key] === undefined && progress.steps[key]?.kind !== 'ready')
    .reduce<Progress>((so, { key }) => {
      const seenAt = known[key]?.readyAt;
      return remember(so, {
        key,
        state: 'pending',
        did: 'nothing',
        looks: 0,
        ...(seenAt === undefined ? {} : { seenAt }),
      });
    }, progress);
}

/** Marks everything that cannot move any more because of a failure, for the record. */
export function noteBlocked(progress: Progress, shape: GraphShape): Progress {
  let result = progress;
  for (const [key, by] of blocked(shape, progress.steps)) {
    // It was as asked when it was last looked at, and what it waits for failed only now: it stays as it is.
    if (progress.steps[key]?.kind === 'ready') continue;
    const earlier = progress.records[key];
    result = remember(result, {
      key,
      state: 'blocked',
      did: earlier?.did ?? 'nothing',
      looks: earlier?.looks ?? 0,
      reason: `waits for ${by}, which failed`,
      ...(earlier?.startedAt === undefined ? {} : { startedAt: earlier.startedAt }),
    });
  }
  return result;
}

function remember(progress: Progress, record: StepProgress): Progress {
  return {
    ...progress,
    records: { ...progress.records, [record.key]: record },
    unrecorded: [...progress.unrecorded.filter((key) => key !== record.key), record.key],
  };
}

/**
 * Whether there has to be an operation that tells of this. What a sweep finds failed once more is a finding already, and
 * would be an operation every few minutes.
 */
export const isWorthTelling = ({ records }: Progress, isSweep: boolean): boolean =>
  Object.values(records).some(
    (record) =>
      record &&
      (record.state === 'failed'
        ? !isSweep
        : record.did !== 'nothing' || (record.state === 'waiting' && !isSweep)),
  );

/** The records the store has still to be told. */
export const toRecord = (progress: Progress): readonly StepProgress[] =>
  progress.unrecorded.flatMap((key) => progress.records[key] ?? []);

export const recorded = (progress: Progress): Progress => ({ ...progress, unrecorded: [] });

/** Everything is to be told once more: there is an operation now that has not heard of it. */
export const unrecorded = (progress: Progress): Progress => ({
  ...progress,
  unrecorded: Object.keys(progress.records) as ResourceKey[],
});

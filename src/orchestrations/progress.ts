/**
 * What the orchestrator knows of each resource, and how one answer changes it. Pure; the state survives
 * `continueAsNew`, so it holds no more than the next round needs.
 */
import { DEFAULT_PATIENCE, pauseSeconds } from '../graph/pace.ts';
import type { GraphShape, StepState, Steps } from '../graph/plan.ts';
import { blocked } from '../graph/plan.ts';
import type { ResourceKey } from '../graph/resource.ts';
import type { ReconcileResult, StackDescription, StepProgress } from './activities.ts';

export interface Progress {
  readonly steps: Steps;
  readonly records: Readonly<Partial<Record<ResourceKey, StepProgress>>>;
  /** Records that the store has not been told yet. */
  readonly unrecorded: readonly ResourceKey[];
}

export const noProgress: Progress = { steps: {}, records: {}, unrecorded: [] };

/** The same resources, all to be looked at again; what has been done to them so far stays known. */
export function lookAtAllAgain(progress: Progress): Progress {
  return { ...progress, steps: {} };
}

/** Takes in what one look gave that was taken from `began` to `now`, in milliseconds since 1970. */
export function advance(
  progress: Progress,
  key: ResourceKey,
  result: ReconcileResult,
  { began, now }: { readonly began: number; readonly now: number },
  patience: StackDescription['patience'],
): Progress {
  const earlier = progress.records[key];
  const state = nextState(progress.steps[key], key, result, now, patience[key] ?? DEFAULT_PATIENCE);
  const differences = result.differences ?? earlier?.differences;
  const record: StepProgress = {
    key,
    state: state.kind === 'ready' || state.kind === 'failed' ? state.kind : 'waiting',
    did: earlier && earlier.did !== 'nothing' ? earlier.did : result.did,
    looks: (earlier?.looks ?? 0) + 1,
    startedAt: earlier?.startedAt ?? began,
    ...(result.kind === 'waiting' ? { reason: result.reason } : {}),
    ...(state.kind === 'failed' ? { failure: state.failure } : {}),
    ...(state.kind === 'waiting' && result.kind === 'failed' ? { failure: result.failure } : {}),
    ...(differences === undefined ? {} : { differences }),
    ...(result.kind === 'ready' ? { outputs: result.outputs, readyAt: now } : {}),
  };
  return remember({ ...progress, steps: { ...progress.steps, [key]: state } }, record);
}

function nextState(
  earlier: StepState | undefined,
  key: ResourceKey,
  result: ReconcileResult,
  now: number,
  patienceSeconds: number,
): StepState {
  if (result.kind === 'ready') return { kind: 'ready', outputs: result.outputs };
  if (result.kind === 'failed' && result.failure.kind === 'fatal')
    return { kind: 'failed', failure: result.failure };
  const since = earlier?.kind === 'waiting' ? earlier.since : now;
  if (now - since > patienceSeconds * 1000) {
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
    };
  }
  const failures = result.kind === 'failed' ? (earlier?.kind === 'waiting' ? earlier.failures : 0) + 1 : 0;
  const retryAfter = result.kind === 'failed' ? result.failure.retryAfterSeconds : result.retryAfterSeconds;
  return { kind: 'waiting', since, failures, dueAt: now + pauseSeconds(failures, retryAfter) * 1000 };
}

/** Enters what is going to be looked at into the record, so that people see from the start how much there is. */
export function notePending(progress: Progress, shape: GraphShape): Progress {
  return shape
    .filter(({ key }) => progress.records[key] === undefined)
    .reduce<Progress>(
      (so, { key }) => remember(so, { key, state: 'pending', did: 'nothing', looks: 0 }),
      progress,
    );
}

/** Marks everything that cannot move any more because of a failure, for the record. */
export function noteBlocked(progress: Progress, shape: GraphShape): Progress {
  let result = progress;
  for (const [key, by] of blocked(shape, progress.steps)) {
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

/** The records the store has still to be told. */
export const toRecord = (progress: Progress): readonly StepProgress[] =>
  progress.unrecorded.flatMap((key) => progress.records[key] ?? []);

export const recorded = (progress: Progress): Progress => ({ ...progress, unrecorded: [] });

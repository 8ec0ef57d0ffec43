/**
 * The one orchestration that writes to a deployment's clouds. Whoever wants it to look leaves a request in the
 * deployment's inbox and wakes it; it takes what waits there, and works in rounds: everything that may move is
 * reconciled at once by fresh activities; when all that is left is waiting, it waits for the earliest time or for the next
 * request. It ends when nothing can move any more and the inbox is empty. Which resource exists and what pushing it means
 * is none of its business.
 */
import type { OrchestrationContext } from 'durable-functions';
import { operationId } from '../graph/operation-id.ts';
import { next } from '../graph/plan.ts';
import type { Outputs, ResourceKey } from '../graph/resource.ts';
import { type ReconcileInput, SNAPSHOT_MILLISECONDS, type StackDescription } from './activities.ts';
import { call, callAll, type Durable, nowOf, waitForEvent } from './durable.ts';
import {
  advance,
  isWorthTelling,
  noteBlocked,
  notePending,
  recorded,
  toRecord,
  unrecorded,
} from './progress.ts';
import { aim, emptyRun, type Run, takeIn, toldByEvents } from './run.ts';

/** The external event by which triggers wake a running instance. */
export const LOOK_AGAIN = 'lookAgain';

export interface ReconcileDeploymentInput {
  readonly deployment: string;
  /** Carried over when the run goes on under a new history. */
  readonly run?: Run;
}

/** What a trigger can read of a running instance. */
export interface ReconcileStatus {
  /**
   * While `working`, whatever is in the inbox will be taken. While `ending`, the last look into it may be over: a request
   * that came since needs another start.
   */
  readonly phase: 'working' | 'ending';
  readonly operations: readonly string[];
}

/** A history of this many rounds is some hundred events; then the run goes on under a new one. */
const ROUNDS_PER_HISTORY = 25;
/** How long a finished run stays for requests that were already on their way. */
const LINGER_MILLISECONDS = 3_000;
/** Pause after the store did not answer. */
const STORE_PAUSE_MILLISECONDS = 10_000;

export function* reconcileDeployment(context: OrchestrationContext): Durable<void> {
  const { deployment, run: carried } = context.df.getInput<ReconcileDeploymentInput>();
  let run = carried ?? emptyRun(context.df.newGuid(deployment));
  let stack: StackDescription | undefined;

  for (let round = 0; ; round += 1) {
    tellPhase(context, run);
    if (round >= ROUNDS_PER_HISTORY) {
      context.df.continueAsNew({ deployment, run } satisfies ReconcileDeploymentInput);
      return;
    }

    if (run.mustAsk) {
      const answer = yield* call(context, 'takeRequests', { deployment, run: run.id, batch: run.batch });
      if (!answer.ok) {
        yield* waitForEvent(context, LOOK_AGAIN, nowOf(context) + STORE_PAUSE_MILLISECONDS);
        continue;
      }
      run = takeIn(run, answer.taken);
      if (answer.taken.count > 0) {
        stack = undefined;
        tellPhase(context, run);
      } else if (!run.hasWork) return;
    }

    if (!stack) {
      const described = yield* call(context, 'describeStack', { deployment });
      if (!described.ok) {
        if (described.failure.kind === 'fatal') {
          yield* call(context, 'recordOutcome', {
            ...outcomeOf(context, deployment, run),
            failure: described.failure,
          });
          return;
        }
        run = yield* wait(context, run, nowOf(context) + STORE_PAUSE_MILLISECONDS);
        continue;
      }
      stack = described.stack;
      run = aim(run, stack.shape, described.known);
      run = { ...run, progress: notePending(run.progress, stack.shape, described.known) };
      run = yield* tellStore(context, deployment, run);
    }

    const move = next(stack.shape, run.progress.steps, nowOf(context));
    if (move.kind === 'reconcile') {
      run = yield* reconcileRound(context, deployment, stack, move.keys, run);
      run = yield* tellStore(context, deployment, run);
      continue;
    }
    if (move.kind === 'wait') {
      run = yield* wait(context, run, move.until);
      continue;
    }

    run = { ...run, progress: noteBlocked(run.progress, stack.shape) };
    run = yield* tellStore(context, deployment, run);
    const told = yield* tellOutcome(context, deployment, run, move.failed);
    if (!told || run.progress.unrecorded.length > 0) {
      run = yield* wait(context, run, nowOf(context) + STORE_PAUSE_MILLISECONDS);
      continue;
    }
    // What is not known yet is asked about again by the next sweep; nothing waits for it.
    if (mayNameActors(run)) yield* call(context, 'nameActors', { deployment, now: nowOf(context) });
    // The last look into the inbox comes well after the word that it is the last.
    run = emptyRun(context.df.newGuid(deployment));
    stack = undefined;
    tellPhase(context, run);
    yield* waitForEvent(context, LOOK_AGAIN, nowOf(context) + LINGER_MILLISECONDS);
  }
}

/** Something was found changed, or it is time to ask again. */
const mayNameActors = ({ beganAsSweep, progress }: Run): boolean =>
  beganAsSweep || Object.values(progress.records).some((record) => record?.differences !== undefined);

function tellPhase(context: OrchestrationContext, run: Run): void {
  const status: ReconcileStatus = {
    phase: run.hasWork ? 'working' : 'ending',
    operations: run.operations.map(({ id }) => id),
  };
  context.df.setCustomStatus(status);
}

function* wait(context: OrchestrationContext, run: Run, until: number): Durable<Run> {
  const woken = yield* waitForEvent(context, LOOK_AGAIN, until);
  return woken ? { ...run, mustAsk: true } : run;
}

function* reconcileRound(
  context: OrchestrationContext,
  deployment: string,
  stack: StackDescription,
  keys: readonly ResourceKey[],
  run: Run,
): Durable<Run> {
  const began = nowOf(context);
  const inputs = keys.map(
    (key): ReconcileInput => ({
      deployment,
      key,
      outputs: outputsFor(stack, key, run),
      now: began,
      ...(isFirstLookOfSweep(run, key) ? { isSweep: true } : {}),
    }),
  );
  const results = yield* callAll(context, 'reconcileResource', inputs);
  const progress = results.reduce((so, result, index) => {
    const key = keys[index];
    if (key === undefined) return so;
    const age = isFirstLookOfSweep(run, key) ? { maxAgeMilliseconds: SNAPSHOT_MILLISECONDS } : {};
    return advance(so, key, result, { began, now: nowOf(context), ...age }, stack);
  }, run.progress);
  return { ...run, progress };
}

/** As soon as anything else than the time of day has asked, all is looked at anew. */
const isFirstLookOfSweep = ({ beganAsSweep, kind, progress }: Run, key: ResourceKey): boolean =>
  beganAsSweep && kind === 'sweep' && (progress.records[key]?.looks ?? 0) === 0;

/** The outputs of what a resource waits for, and nothing else: payloads are persisted. */
function outputsFor(
  { shape }: StackDescription,
  key: ResourceKey,
  { progress }: Run,
): ReconcileInput['outputs'] {
  const outputs: Partial<Record<ResourceKey, Outputs>> = {};
  for (const need of shape.find((node) => node.key === key)?.waitsFor ?? []) {
    const state = progress.steps[need];
    if (state?.kind === 'ready') outputs[need] = state.outputs;
  }
  return outputs;
}

/**
 * A store that does not answer is told at the next opportunity; the clouds do not wait for it. What nobody entered an
 * operation for gets one as soon as there is something to tell.
 */
function* tellStore(context: OrchestrationContext, deployment: string, given: Run): Durable<Run> {
  let run = given;
  if (run.operations.length === 0 && run.cause && isWorthTelling(run.progress, run.kind === 'sweep')) {
    const id = operationId(context.df.currentUtcDateTime.toISOString(), run.id.slice(0, 8));
    const { kind, cause } = run;
    const opened = yield* call(context, 'openOperation', { deployment, id, kind, cause, at: nowOf(context) });
    if (!opened.ok) return run;
    run = { ...run, operations: [{ id }], progress: unrecorded(run.progress) };
    tellPhase(context, run);
  }
  const steps = toRecord(run.progress);
  if (steps.length === 0) return run;
  const answer = yield* call(context, 'recordSteps', { deployment, operations: run.operations, steps });
  return answer.ok ? { ...run, progress: recorded(run.progress) } : run;
}

const outcomeOf = (context: OrchestrationContext, deployment: string, run: Run) => ({
  deployment,
  run: run.id,
  operations: run.operations,
  at: nowOf(context),
  // Events that come meanwhile, our own echo among them, do not make it less of a sweep.
  isSweep: run.beganAsSweep && (run.kind === 'sweep' || run.kind === 'reaction'),
  before: run.before,
  found: toldByEvents.flatMap((key) => run.progress.records[key] ?? []),
});

function* tellOutcome(
  context: OrchestrationContext,
  deployment: string,
  run: Run,
  failed: readonly ResourceKey[],
): Durable<boolean> {
  const [first] = failed;
  const state = first === undefined ? undefined : run.progress.steps[first];
  const answer = yield* call(context, 'recordOutcome', {
    ...outcomeOf(context, deployment, run),
    ...(first !== undefined && state?.kind === 'failed' ? { failure: { ...state.failure, key: first } } : {}),
  });
  return answer.ok;
}

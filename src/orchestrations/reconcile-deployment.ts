/**
 * The one orchestration that writes to a deployment's clouds. It works in rounds: everything that may move is reconciled
 * at once by fresh activities; when all that is left is waiting, it waits for the earliest time or for somebody who asks
 * to look again. It ends when nothing can move any more. Which resource exists and what pushing it means is none of
 * its business.
 */
import type { OrchestrationContext } from 'durable-functions';
import { type GraphShape, next } from '../graph/plan.ts';
import type { Outputs, ResourceKey } from '../graph/resource.ts';
import type { OperationReference, ReconcileInput, StackDescription } from './activities.ts';
import { call, callAll, type Durable, nowOf, waitForEvent } from './durable.ts';
import {
  advance,
  lookAtAllAgain,
  noProgress,
  noteBlocked,
  notePending,
  type Progress,
  recorded,
  toRecord,
} from './progress.ts';

/** The external event by which triggers ask a running instance to look again. */
export const LOOK_AGAIN = 'lookAgain';

export interface ReconcileDeploymentInput {
  readonly deployment: string;
  /** The operations this run works for; all get the same outcome. */
  readonly operations: readonly OperationReference[];
  /** Carried over when the run goes on under a new history. */
  readonly progress?: Progress;
}

export interface LookAgainRequest {
  readonly operation: OperationReference;
}

/** What a trigger can read of a running instance: whose work it has taken up. */
export interface ReconcileStatus {
  readonly operations: readonly string[];
}

/** A history of this many rounds is some hundred events; then the run goes on under a new one. */
const ROUNDS_PER_HISTORY = 25;
/** How long a finished run stays for requests that were already on their way. */
const LINGER_MILLISECONDS = 3_000;
/** Pause after the store did not answer. */
const STORE_PAUSE_MILLISECONDS = 10_000;

export function* reconcileDeployment(context: OrchestrationContext): Durable<void> {
  const input = context.df.getInput<ReconcileDeploymentInput>();
  const { deployment } = input;
  let operations = input.operations;
  let progress = input.progress ?? noProgress;
  let stack: StackDescription | undefined;

  for (let round = 0; ; round += 1) {
    const status: ReconcileStatus = { operations: operations.map(({ id }) => id) };
    context.df.setCustomStatus(status);
    if (round >= ROUNDS_PER_HISTORY) {
      context.df.continueAsNew({ deployment, operations, progress } satisfies ReconcileDeploymentInput);
      return;
    }

    if (!stack) {
      const described = yield* call(context, 'describeStack', { deployment });
      if (!described.ok) {
        if (described.failure.kind === 'fatal') return;
        yield* waitForEvent(context, LOOK_AGAIN, nowOf(context) + STORE_PAUSE_MILLISECONDS);
        continue;
      }
      stack = { shape: described.shape, patience: described.patience };
      progress = yield* tellStore(context, deployment, operations, notePending(progress, stack.shape));
    }

    const move = next(stack.shape, progress.steps, nowOf(context));
    if (move.kind === 'reconcile') {
      progress = yield* reconcileRound(context, deployment, stack, move.keys, progress);
      progress = yield* tellStore(context, deployment, operations, progress);
      continue;
    }

    if (move.kind === 'done') {
      progress = noteBlocked(progress, stack.shape);
      progress = yield* tellStore(context, deployment, operations, progress);
      const told = yield* tellOutcome(context, operations, progress, move.failed);
      if (!told || progress.unrecorded.length > 0) {
        yield* waitForEvent(context, LOOK_AGAIN, nowOf(context) + STORE_PAUSE_MILLISECONDS);
        continue;
      }
    }

    const until = move.kind === 'wait' ? move.until : nowOf(context) + LINGER_MILLISECONDS;
    const asked = yield* waitForEvent<LookAgainRequest>(context, LOOK_AGAIN, until);
    if (asked) {
      // A finished run starts over for the newcomer alone; a running one works for both from here on.
      const fresh = move.kind === 'done';
      operations = fresh ? [asked.event.operation] : [...operations, asked.event.operation];
      progress = fresh ? noProgress : lookAtAllAgain(progress);
      stack = undefined;
    } else if (move.kind === 'done') {
      return;
    }
  }
}

function* reconcileRound(
  context: OrchestrationContext,
  deployment: string,
  stack: StackDescription,
  keys: readonly ResourceKey[],
  progress: Progress,
): Durable<Progress> {
  const began = nowOf(context);
  const inputs = keys.map(
    (key): ReconcileInput => ({
      deployment,
      key,
      outputs: outputsFor(stack.shape, key, progress),
      now: began,
    }),
  );
  const results = yield* callAll(context, 'reconcileResource', inputs);
  return results.reduce((so, result, index) => {
    const key = keys[index];
    return key === undefined ? so : advance(so, key, result, { began, now: nowOf(context) }, stack.patience);
  }, progress);
}

/** The outputs of what a resource waits for, and nothing else: payloads are persisted. */
function outputsFor(shape: GraphShape, key: ResourceKey, progress: Progress): ReconcileInput['outputs'] {
  const outputs: Partial<Record<ResourceKey, Outputs>> = {};
  for (const need of shape.find((node) => node.key === key)?.waitsFor ?? []) {
    const state = progress.steps[need];
    if (state?.kind === 'ready') outputs[need] = state.outputs;
  }
  return outputs;
}

/** A store that does not answer is told at the next opportunity; the clouds do not wait for it. */
function* tellStore(
  context: OrchestrationContext,
  deployment: string,
  operations: readonly OperationReference[],
  progress: Progress,
): Durable<Progress> {
  const steps = toRecord(progress);
  if (steps.length === 0) return progress;
  const answer = yield* call(context, 'recordSteps', { deployment, operations, steps });
  return answer.ok ? recorded(progress) : progress;
}

function* tellOutcome(
  context: OrchestrationContext,
  operations: readonly OperationReference[],
  progress: Progress,
  failed: readonly ResourceKey[],
): Durable<boolean> {
  const [first] = failed;
  const state = first === undefined ? undefined : progress.steps[first];
  const answer = yield* call(context, 'recordOutcome', {
    operations,
    at: nowOf(context),
    ...(first !== undefined && state?.kind === 'failed' ? { failure: { ...state.failure, key: first } } : {}),
  });
  return answer.ok;
}

/**
 * The activities as the orchestrator sees them: names, inputs, outputs. The orchestrator imports this and never their
 * code; `src/activities` implements it. Everything here crosses the durable boundary as JSON, so it is kept small.
 */
import type { Failure } from '../graph/failure.ts';
import type { GraphShape } from '../graph/plan.ts';
import type { Difference, Outputs, ResourceKey } from '../graph/resource.ts';

export interface OperationReference {
  readonly id: string;
}

/** What an activity answers instead of rejecting: `Task.all` would fail fast and lose its siblings' results. */
export type Answered<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly failure: Failure };

export interface StackDescription {
  readonly shape: GraphShape;
  /** Seconds, where a resource deviates from the default. */
  readonly patience: Readonly<Partial<Record<ResourceKey, number>>>;
}

export interface ReconcileInput {
  readonly deployment: string;
  readonly key: ResourceKey;
  /** Outputs of the resources it depends on, by their keys. */
  readonly outputs: Readonly<Partial<Record<ResourceKey, Outputs>>>;
  /** Milliseconds since 1970, the orchestration's time. */
  readonly now: number;
}

export type Did = 'nothing' | 'created' | 'repaired';

export type ReconcileResult = {
  readonly did: Did;
  /** What was found wrong before `ensure` was called. */
  readonly differences?: readonly Difference[];
} & (
  | { readonly kind: 'ready'; readonly outputs: Outputs }
  | { readonly kind: 'waiting'; readonly reason: string; readonly retryAfterSeconds?: number }
  /** A retryable failure is looked at again until the resource's patience ends; a fatal one at once ends it. */
  | { readonly kind: 'failed'; readonly failure: Failure }
);

/** How far one resource has got in this operation; what the store keeps of it is in store.ts. */
export interface StepProgress {
  readonly key: ResourceKey;
  readonly state: 'pending' | 'waiting' | 'ready' | 'failed' | 'blocked';
  readonly did: Did;
  readonly looks: number;
  readonly reason?: string;
  readonly failure?: Failure;
  readonly differences?: readonly Difference[];
  readonly outputs?: Outputs;
  /** When it was first looked at. */
  readonly startedAt?: number;
  readonly readyAt?: number;
}

export interface RecordStepsInput {
  readonly deployment: string;
  readonly operations: readonly OperationReference[];
  readonly steps: readonly StepProgress[];
}

export interface RecordOutcomeInput {
  readonly operations: readonly OperationReference[];
  readonly at: number;
  readonly failure?: Failure & { readonly key: ResourceKey };
}

/** Name, input and output of every activity. */
export interface Activities {
  describeStack: (input: { readonly deployment: string }) => Answered<StackDescription>;
  reconcileResource: (input: ReconcileInput) => ReconcileResult;
  recordSteps: (input: RecordStepsInput) => Answered<object>;
  recordOutcome: (input: RecordOutcomeInput) => Answered<object>;
}

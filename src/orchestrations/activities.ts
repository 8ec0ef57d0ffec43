/**
 * The activities as the orchestrator sees them: names, inputs, outputs. The orchestrator imports this and never their
 * code; `src/activities` implements it. Everything here crosses the durable boundary as JSON, so it is kept small.
 */
import type { Failure } from '../graph/failure.ts';
import type { Notice } from '../graph/finding.ts';
import type { GraphShape } from '../graph/plan.ts';
import type { Cause, Look, OperationKind } from '../graph/request.ts';
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

/** What a resource told when it was last found ready. */
export interface KnownLook {
  readonly outputs: Outputs;
  /** When it was last seen so, milliseconds since 1970. */
  readonly readyAt: number;
}
export type KnownLooks = Readonly<Partial<Record<ResourceKey, KnownLook>>>;

export interface TakeRequestsInput {
  readonly deployment: string;
  /** Marks what this run has taken. */
  readonly run: string;
  /** Grows by one with each call of a run: asked twice, the same batch is the same requests. */
  readonly batch: number;
}

/** What waited in a deployment's inbox, put together. */
export interface TakenRequests {
  readonly count: number;
  /** Where to look, as far as somebody has a reason to. */
  readonly look: Look;
  /** It is time to look at everything, too. */
  readonly isSweep: boolean;
  /** Operations that were entered by the door that asked. */
  readonly operations: readonly OperationReference[];
  /** For the operation that is opened if there turns out to be work; absent when nothing was waiting. */
  readonly cause?: Cause;
  readonly kind: OperationKind;
}

export interface OpenOperationInput {
  readonly deployment: string;
  readonly id: string;
  readonly kind: OperationKind;
  readonly cause: Cause;
  readonly at: number;
}

/** How old what a sweep reads may be. The next sweep sees what this one has missed. */
export const SNAPSHOT_MILLISECONDS = 60_000;

export interface ReconcileInput {
  readonly deployment: string;
  readonly key: ResourceKey;
  /** Outputs of the resources it depends on, by their keys. */
  readonly outputs: Readonly<Partial<Record<ResourceKey, Outputs>>>;
  /** Milliseconds since 1970, the orchestration's time. */
  readonly now: number;
  /** Nothing is known to have happened: what was read a moment ago for other deployments will do to find it ready. */
  readonly isSweep?: true;
}

export type Did = 'nothing' | 'created' | 'repaired';

export type ReconcileResult = {
  readonly did: Did;
  /** What was found wrong before `ensure` was called. */
  readonly differences?: readonly Difference[];
  /** When that was seen, milliseconds since 1970: its own effects come back as events soon after. */
  readonly differedAt?: number;
} & (
  | {
      readonly kind: 'ready';
      readonly outputs: Outputs;
      readonly notices?: readonly Notice[];
      /** Paths that differ and are left alone, because of a rule, a pause or a fight. */
      readonly held?: readonly string[];
      /** A mark of what it was asked to be when it was found so; left out while more than held paths differs. */
      readonly wish?: string;
    }
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
  readonly notices?: readonly Notice[];
  readonly held?: readonly string[];
  readonly wish?: string;
  /** Everything that was found wrong since the run began, and when it was first seen. */
  readonly differed?: readonly { readonly path: string; readonly at: number }[];
  /** When it was first looked at. */
  readonly startedAt?: number;
  readonly readyAt?: number;
  /** The last look that found it ready; `readyAt` is the first since it last changed. */
  readonly seenAt?: number;
}

export interface RecordStepsInput {
  readonly deployment: string;
  readonly operations: readonly OperationReference[];
  readonly steps: readonly StepProgress[];
}

export interface RecordOutcomeInput {
  readonly deployment: string;
  readonly run: string;
  /** Empty when there was nothing to do. */
  readonly operations: readonly OperationReference[];
  readonly at: number;
  readonly failure?: Failure & { readonly key?: ResourceKey };
  /** Everything was looked at because it was time to, and nobody asked for a change meanwhile. */
  readonly isSweep: boolean;
  /** What was known of the resources that events tell about, before the run. */
  readonly before: KnownLooks;
  /** The same resources as they were found. */
  readonly found: readonly StepProgress[];
}

/** What one check found; `unknown` when it could not be made, and then with nothing found. */
export interface CheckResult {
  readonly id: string;
  readonly title: string;
  readonly state: 'ok' | 'failing' | 'unknown';
  readonly why?: string;
  readonly findings: readonly (Notice & { readonly resource: ResourceKey })[];
}

export interface RecordHealthInput {
  readonly deployment: string;
  /** When the round began, milliseconds since 1970. */
  readonly at: number;
  readonly systems: readonly { readonly system: string; readonly results: readonly CheckResult[] }[];
}

/** Name, input and output of every activity. */
export interface Activities {
  takeRequests: (input: TakeRequestsInput) => Answered<{ readonly taken: TakenRequests }>;
  describeStack: (input: {
    readonly deployment: string;
  }) => Answered<{ readonly stack: StackDescription; readonly known: KnownLooks }>;
  openOperation: (input: OpenOperationInput) => Answered<object>;
  reconcileResource: (input: ReconcileInput) => ReconcileResult;
  recordSteps: (input: RecordStepsInput) => Answered<object>;
  recordOutcome: (input: RecordOutcomeInput) => Answered<object>;
  describeChecks: (input: {
    readonly deployment: string;
  }) => Answered<{ readonly systems: readonly string[] }>;
  runChecks: (input: { readonly deployment: string; readonly system: string; readonly now: number }) => {
    readonly results: readonly CheckResult[];
  };
  recordHealth: (input: RecordHealthInput) => Answered<object>;
  nameActors: (input: { readonly deployment: string; readonly now: number }) => Answered<object>;
}

/** What a replay is given, and what it finds out. */
import type { HistoryEvent } from './history.ts';
import type { OrchestratorState } from './orchestrator-state.ts';

export type Scheduled =
  | { readonly kind: 'activity'; readonly id: number; readonly name: string; readonly input: unknown }
  | { readonly kind: 'timer'; readonly id: number; readonly fireAt: number }
  | {
      readonly kind: 'subOrchestration';
      readonly id: number;
      readonly name: string;
      readonly instanceId: string;
      readonly version: string | null;
      readonly input: unknown;
    }
  | {
      readonly kind: 'sentEvent';
      readonly id: number;
      readonly instanceId: string;
      readonly name: string;
      readonly input: EntityMessage;
    };

/** What one orchestration or entity sends to an entity; the field names are those of the extension's messages. */
export interface EntityMessage {
  readonly id: string;
  readonly parent: string;
  readonly parentExecution?: string | null;
  readonly op?: string;
  readonly signal?: boolean;
  readonly input?: string | null;
  readonly lockset?: readonly { readonly name: string; readonly key: string }[];
  readonly pos?: number;
}

export type Outcome =
  | { readonly kind: 'open' }
  | { readonly kind: 'completed'; readonly output: string | null }
  | { readonly kind: 'failed'; readonly reason: string; readonly details: string }
  | { readonly kind: 'terminated'; readonly reason: string | null }
  | {
      readonly kind: 'continuedAsNew';
      readonly input: string;
      /** External events nobody waited for, in order of arrival: they go to the next execution. */
      readonly carried: readonly { readonly name: string; readonly input: string | null }[];
    };

export interface Decision {
  readonly outcome: Outcome;
  /** What the history does not have yet, in the order of ids. */
  readonly scheduled: readonly Scheduled[];
  readonly isSuspended: boolean;
  /** JSON text. */
  readonly customStatus: string | null;
}

export interface ReplayOptions {
  readonly history: readonly HistoryEvent[];
  /** Throws what the orchestrator function threw without a state. */
  readonly state: OrchestratorState | Error;
  readonly name: string;
  readonly instanceId: string;
  readonly executionId: string;
  readonly parentInstanceId: string | null;
  readonly functionExists: (kind: 'activity' | 'orchestrator' | 'entity', name: string) => boolean;
  /** The message for a function that does not exist. */
  readonly missingFunction: (kind: 'activity' | 'orchestrator' | 'entity', name: string) => string;
  readonly maximumShortTimer: number;
  readonly longTimerInterval: number;
}

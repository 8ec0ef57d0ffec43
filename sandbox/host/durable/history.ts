/**
 * The history of one orchestration execution, in the words the Durable extension uses towards a Node.js app:
 * PascalCase names, numeric event types (`HistoryEventType` of the durable-functions library), JSON text in `Input` and
 * `Result`. `EventId` is the action's sequence number, or -1 where the event is not an action's.
 */
export const EventType = {
  ExecutionStarted: 0,
  ExecutionCompleted: 1,
  ExecutionFailed: 2,
  ExecutionTerminated: 3,
  TaskScheduled: 4,
  TaskCompleted: 5,
  TaskFailed: 6,
  SubOrchestrationInstanceCreated: 7,
  SubOrchestrationInstanceCompleted: 8,
  SubOrchestrationInstanceFailed: 9,
  TimerCreated: 10,
  TimerFired: 11,
  OrchestratorStarted: 12,
  OrchestratorCompleted: 13,
  EventSent: 14,
  EventRaised: 15,
  ContinueAsNew: 16,
  GenericEvent: 17,
  HistoryState: 18,
  ExecutionSuspended: 19,
  ExecutionResumed: 20,
} as const;

type JsonText = string | null;

interface Event<Type extends number> {
  readonly EventType: Type;
  readonly EventId: number;
  readonly IsPlayed: boolean;
  /** ISO 8601, on the host's clock. */
  readonly Timestamp: string;
}

interface Outcome<Type extends number> extends Event<Type> {
  readonly TaskScheduledId: number;
  readonly Result: JsonText;
}

interface Failure<Type extends number> extends Event<Type> {
  readonly TaskScheduledId: number;
  readonly Reason: string;
  readonly Details: string;
  readonly FailureDetails?: unknown;
}

interface Reason<Type extends number> extends Event<Type> {
  readonly Input: string | null;
}

export interface ExecutionStarted extends Event<0> {
  readonly Name: string;
  readonly Version: string | null;
  readonly Input: JsonText;
}
export interface ExecutionCompleted extends Event<1> {
  readonly OrchestrationStatus: string;
  readonly Result: string | null;
}
export interface TaskScheduled extends Event<4> {
  readonly Name: string;
  readonly Version: string | null;
  readonly Input: JsonText;
}
export interface SubOrchestrationCreated extends Event<7> {
  readonly Name: string;
  readonly InstanceId: string;
  readonly Version: string | null;
  readonly Input: JsonText;
}
export interface TimerCreated extends Event<10> {
  readonly FireAt: string;
}
export interface TimerFired extends Event<11> {
  readonly TimerId: number;
  readonly FireAt: string;
}
export interface EventSent extends Event<14> {
  readonly InstanceId: string;
  readonly Name: string;
  readonly Input: string;
}
export interface EventRaised extends Event<15> {
  readonly Name: string;
  readonly Input: JsonText;
}
export interface GenericEvent extends Event<17> {
  readonly Data: string;
}

export type HistoryEvent =
  | ExecutionStarted
  | ExecutionCompleted
  | Reason<3>
  | TaskScheduled
  | Outcome<5>
  | Failure<6>
  | SubOrchestrationCreated
  | Outcome<8>
  | Failure<9>
  | TimerCreated
  | TimerFired
  | Event<12>
  | Event<13>
  | EventSent
  | EventRaised
  | GenericEvent
  | Reason<19>
  | Reason<20>;

type WithoutEnvelope<E> = E extends HistoryEvent
  ? Omit<E, 'Timestamp' | 'IsPlayed' | 'EventId'> & { readonly EventId?: number }
  : never;

/** Stamps an event: not yet played, `EventId` -1 unless it is an action's. `at` is milliseconds since 1970. */
export function historyEvent(at: number, event: WithoutEnvelope<HistoryEvent>): HistoryEvent {
  return { EventId: -1, ...event, IsPlayed: false, Timestamp: isoTime(at) } as HistoryEvent;
}

/**
 * Milliseconds since 1970 as ISO 8601. `Date` here may be the app's virtual one: formatting a given time is the same
 * in both.
 */
export function isoTime(at: number): string {
  return new Date(at).toISOString();
}

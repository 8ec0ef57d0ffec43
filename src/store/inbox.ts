/**
 * Where triggers leave their requests before they wake the orchestration, so that nothing that was answered is lost. A
 * request stays until the run that took it has ended; events stay after that, as the record of what came and what it led to.
 */
import type { Cause, Look, OperationKind } from '../graph/request.ts';

export interface LookRequest {
  /** Unique within the deployment; the same id again is the same request. */
  readonly id: string;
  readonly deployment: string;
  readonly kind: OperationKind;
  readonly cause: Cause;
  readonly look: Look;
  /** ISO 8601. */
  readonly requestedAt: string;
  /** It waits for nobody before this: ISO 8601. */
  readonly notBefore?: string;
  /** Entered by the door that asks; without one, the run opens one if there is anything to tell. */
  readonly operationId?: string;
}

export type EventOutcome =
  | 'pending'
  /** It was looked at, and there was work to do. */
  | 'acted'
  /** It was looked at, and everything was as asked. */
  | 'nothing-differed'
  /** Nothing of this deployment is to be looked at because of it. */
  | 'ignored'
  | 'failed';

export interface EventRecord {
  readonly id: string;
  readonly deployment: string;
  readonly type: string;
  readonly source: string;
  readonly subject: string;
  /** Version of a secret, digest of an image: what the event says there is now. */
  readonly version?: string;
  /** Who caused it, as it says itself: told to people, and believed for nothing else. */
  readonly caller?: string;
  /** Plain words: `secret webui-secret-key has a new version`. */
  readonly what: string;
  readonly look: Look;
  /** ISO 8601, as are all times here. */
  readonly occurredAt: string;
  readonly receivedAt: string;
  readonly outcome: EventOutcome;
  readonly reason?: string;
  readonly operationId?: string;
  /** When what it led to was found to be as asked. */
  readonly provenAt?: string;
}

/** What has become of an event that a run took. */
export interface Settlement {
  readonly outcome: Exclude<EventOutcome, 'pending' | 'ignored'>;
  /** ISO 8601. */
  readonly at: string;
  readonly reason?: string;
  readonly operationId?: string;
}

export interface Inbox {
  putRequest(request: LookRequest): Promise<void>;
  /** False when this event has been received before. One that is `ignored` waits for nobody. */
  receiveEvent(event: EventRecord): Promise<boolean>;
  /**
   * Everything that waits, oldest first, marked as taken by this batch of this run. Asked again with the same run and
   * batch, it answers the same and what has come since; what another run took and never settled waits again. What is for
   * later stays.
   */
  take(deployment: string, run: string, batch: number): Promise<readonly (LookRequest | EventRecord)[]>;
  /** Requests are gone then; each event is kept with what it led to. Answers the events. */
  settle(
    deployment: string,
    run: string,
    settlementOf: (event: EventRecord) => Settlement,
  ): Promise<readonly EventRecord[]>;
  /** Newest first, at most `top`. */
  events(deployment: string, top: number): Promise<readonly EventRecord[]>;
  /** Deployments in which something has waited since before `since`. */
  waitingSince(since: Date): Promise<readonly string[]>;
  /** Removes events received before `before`. */
  forgetEvents(deployment: string, before: Date): Promise<void>;
}

export const isEvent = (entry: LookRequest | EventRecord): entry is EventRecord => 'receivedAt' in entry;

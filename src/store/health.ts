/** What the checks found when they last ran, and what has changed since: kept apart from the looks of the engine. */
import type { System } from '../checks/check.ts';
import type { Finding } from '../graph/finding.ts';
import type { FindingChange, Outbox } from '../notifications/change.ts';

export interface KnownFinding extends Finding {
  /** ISO 8601, as are all times here. Older than the check when it could not be made since. */
  readonly lastSeenAt: string;
}

export interface CheckRecord {
  readonly id: string;
  /** `engine`: what a resource noticed when it was last looked at, as far as no check has found it. */
  readonly system: System | 'engine';
  readonly title: string;
  readonly state: 'ok' | 'failing' | 'unknown';
  /** Why it could not be made. */
  readonly why?: string;
  readonly checkedAt: string;
  /** An `unknown` check keeps those it had: that nobody could look does not mend anything. */
  readonly findings: readonly KnownFinding[];
}

/** What has appeared and cleared is told by whoever asks the outbox for what is pending. */
export interface HealthStore extends Outbox {
  /** The last result of each check. */
  checks(deployment: string): Promise<readonly CheckRecord[]>;
  /** Replaces all results of a deployment, and adds the changes to its history. */
  record(
    deployment: string,
    checks: readonly CheckRecord[],
    changes: readonly FindingChange[],
  ): Promise<void>;
  /** What has appeared and cleared, newest first. */
  history(deployment: string): Promise<readonly FindingChange[]>;
  /** Removes changes that happened before `before`. */
  forget(deployment: string, before: Date): Promise<void>;
}

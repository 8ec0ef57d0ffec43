/**
 * What is wrong, or will be, in words for people. A resource notices it while it looks; since when it has been so is
 * remembered by the store, so that the same trouble is the same finding each time.
 */
import type { ResourceKey } from './resource.ts';

export type Severity = 'info' | 'warning' | 'error';

/** The same text each time the same thing is wrong: no times, no counts that move, never a secret. */
export interface Notice {
  /** Unique within its resource, kebab-case: `support-ended`. */
  readonly id: string;
  readonly severity: Severity;
  readonly what: string;
  /** What was seen that says so. */
  readonly evidence: string;
  /** What does not work because of it, or will not. */
  readonly breaks: string;
  /** What a person can do. */
  readonly remedy: string;
  /** The call that has the control plane put it right, where it can: `POST /api/deployments/open-webui/repair`. */
  readonly repair?: string;
}

export interface Finding extends Notice {
  readonly resource: ResourceKey;
  /** ISO 8601. */
  readonly since: string;
}

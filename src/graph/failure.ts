/**
 * A failure as data. Error objects do not survive the durable boundary, and an activity never rejects for a cloud's
 * answer, so what went wrong travels as this.
 */
export interface Failure {
  /** `retryable`: looking again later may help by itself. `fatal`: somebody has to change something first. */
  readonly kind: 'retryable' | 'fatal';
  /** The cloud's own code (`AuthorizationFailed`, `ForbiddenByRbac`, `81053`) or one PascalCase word of ours. */
  readonly code: string;
  /** One plain sentence without timestamps or secrets, the same each time the same thing is wrong. */
  readonly message: string;
  /** Only when the cloud said so. */
  readonly retryAfterSeconds?: number;
}

/** Thrown by resources for a refusal of ours; what clouds throw is classified in clients/cloud-failure.ts. */
export class FailureError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.name = 'FailureError';
    this.failure = failure;
  }
}

export const fatal = (code: string, message: string): FailureError =>
  new FailureError({ kind: 'fatal', code, message });

export const retryable = (code: string, message: string, retryAfterSeconds?: number): FailureError =>
  new FailureError({
    kind: 'retryable',
    code,
    message,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });

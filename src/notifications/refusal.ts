/**
 * Which failures are about the change that was told. A receiver that refuses a change for what it is refuses it the next
 * time as well; every other failure is about the way or the moment, and meets whatever is told then.
 */
import type { Channel } from './change.ts';

/** The receiver has answered, but has not taken the change. */
export class WebhookAnswer extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`the webhook answered ${status}`);
    this.name = 'WebhookAnswer';
    this.status = status;
  }
}

/** What is wrong with the change itself: https://www.rfc-editor.org/rfc/rfc9110#section-15.5 */
const aboutTheChange: ReadonlySet<number> = new Set([400, 413, 422]);

const answeredWith: Readonly<Record<Channel, (failure: unknown) => number | undefined>> = {
  // The vault is asked for the URL first. Its refusal carries a status as well, but says nothing about the change.
  webhook: (failure) => (failure instanceof WebhookAnswer ? failure.status : undefined),
  // A sign-in that was refused carries a status as well, under another name.
  topic: (failure) =>
    failure instanceof Error &&
    failure.name === 'RestError' &&
    'statusCode' in failure &&
    typeof failure.statusCode === 'number'
      ? failure.statusCode
      : undefined,
};

/** The status by which the receiver has refused the change for what it is; undefined for every other failure. */
export function refusedWith(channel: Channel, failure: unknown): number | undefined {
  const status = answeredWith[channel](failure);
  return status !== undefined && aboutTheChange.has(status) ? status : undefined;
}

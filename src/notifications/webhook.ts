/**
 * Tells a webhook, signed as https://www.standardwebhooks.com has it: the receiver checks the signature with the key it
 * shares with us, turns away what is old, and knows by `webhook-id` what it has had before.
 */
import { createHash } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import type { FindingChange } from './change.ts';
import { cloudEventOf } from './cloud-event.ts';
import { WebhookAnswer } from './refusal.ts';

/** Receivers are to answer within 15 to 30 seconds, says the specification. */
const TIMEOUT_MS = 15_000;

export interface WebhookTarget {
  readonly url: string;
  /** `whsec_` and base64. */
  readonly signingKey: string;
}

/** What is signed is `id.timestamp.body`, so an id has no full stop; the event in the body keeps the id that can be read. */
const messageId = ({ id }: FindingChange): string =>
  `msg_${createHash('sha256').update(id).digest('hex').slice(0, 40)}`;

/** Throws unless the receiver answered with a 2xx. The URL may hold a key: no error names it. */
export async function tellWebhook(
  { url, signingKey }: WebhookTarget,
  change: FindingChange,
  now: Date,
): Promise<void> {
  const body = JSON.stringify(cloudEventOf(change));
  const id = messageId(change);
  const signature = new Webhook(signingKey).sign(id, now, body);
  const status = await post(
    url,
    {
      'content-type': 'application/cloudevents+json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
      'webhook-signature': signature,
    },
    body,
  );
  if (status < 200 || status > 299) throw new WebhookAnswer(status);
}

async function post(url: string, headers: Readonly<Record<string, string>>, body: string): Promise<number> {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await answer.body?.cancel();
    return answer.status;
  } catch (error) {
    throw new Error(`the webhook did not answer (${error instanceof Error ? error.name : 'unknown'})`);
  }
}

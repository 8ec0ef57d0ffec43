/**
 * Where events go, and the handshake by which a webhook shows that it wants them.
 * https://learn.microsoft.com/azure/event-grid/webhook-event-delivery
 */
import { randomUUID } from 'node:crypto';
import type { FunctionApps } from '../arm/web.ts';
import type { DeliverySchema } from './envelope.ts';

const ORIGIN = 'eventgrid.azure.net';
/** Real milliseconds: the service waits 30 seconds, however fast virtual time runs. */
const HANDSHAKE_WITHIN = 30_000;

/** The function's URL at the host that runs now; undefined while none runs. */
export function functionUrl(apps: FunctionApps, functionName: string): string | undefined {
  if (!apps.app) return undefined;
  const url = new URL('/runtime/webhooks/EventGrid', apps.app.baseUrl);
  url.searchParams.set('functionName', functionName);
  url.searchParams.set('code', apps.app.eventGridKey);
  return url.href;
}

/**
 * What a webhook's URL leads to from here: this machine, or the function app under its Azure name. Undefined for any
 * other host: nothing leaves the machine.
 */
export function webhookUrl(
  apps: FunctionApps,
  functionAppName: string,
  endpointUrl: string,
): string | undefined {
  const url = new URL(endpointUrl);
  if (['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname)) return url.href;
  if (url.hostname !== `${functionAppName}.azurewebsites.net` || url.protocol !== 'https:' || !apps.app)
    return undefined;
  return new URL(url.pathname + url.search, apps.app.baseUrl).href;
}

/** Whether the webhook passes the handshake of the schema. */
export async function passesHandshake(
  url: string,
  schema: DeliverySchema,
  subscription: {
    readonly name: string;
    readonly topic: string;
    readonly now: number;
    /** For a webhook behind Entra. */
    readonly authorization?: string | undefined;
  },
): Promise<boolean> {
  const signal = AbortSignal.timeout(HANDSHAKE_WITHIN);
  const { authorization } = subscription;
  const signIn: Record<string, string> = authorization === undefined ? {} : { authorization };
  try {
    if (schema === 'CloudEventSchemaV1_0') {
      const answer = await fetch(url, {
        method: 'OPTIONS',
        headers: { ...signIn, 'webhook-request-origin': ORIGIN },
        signal,
      });
      await answer.body?.cancel();
      const allowed = answer.headers.get('webhook-allowed-origin');
      return answer.status === 200 && (allowed === '*' || allowed === ORIGIN);
    }
    const validationCode = randomUUID().toUpperCase();
    const answer = await fetch(url, {
      method: 'POST',
      headers: {
        ...signIn,
        'content-type': 'application/json; charset=utf-8',
        'aeg-event-type': 'SubscriptionValidation',
        'aeg-subscription-name': subscription.name.toUpperCase(),
      },
      body: JSON.stringify([
        {
          id: randomUUID(),
          topic: subscription.topic,
          subject: '',
          data: { validationCode },
          eventType: 'Microsoft.EventGrid.SubscriptionValidationEvent',
          eventTime: new Date(subscription.now).toISOString(),
          metadataVersion: '1',
          dataVersion: '2',
        },
      ]),
      signal,
    });
    const body: unknown = await answer.json();
    const given = (body as { validationResponse?: unknown } | null)?.validationResponse;
    return answer.status === 200 && given === validationCode;
  } catch {
    // No connection, no answer in time, or no JSON: it has not passed.
    return false;
  }
}

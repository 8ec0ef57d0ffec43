/** The ways by which changes of findings are told, as far as the app's settings name any. */
import { EventGridPublisherClient } from '@azure/eventgrid';
import type { TokenCredential } from '@azure/identity';
import { SecretClient } from '@azure/keyvault-secrets';
import type { Config } from '../config.ts';
import { fatal } from '../graph/failure.ts';
import type { Channel } from '../notifications/change.ts';
import { cloudEventOf } from '../notifications/cloud-event.ts';
import type { Teller } from '../notifications/deliver.ts';
import { tellWebhook } from '../notifications/webhook.ts';

/** No client retries by itself: the outbox does. */
const pipeline = { retryOptions: { maxRetries: 0 } };

export function notificationTargets(
  { notifications }: Pick<Config, 'notifications'>,
  credential: TokenCredential,
): Readonly<Partial<Record<Channel, Teller>>> {
  const { webhook, topicEndpoint } = notifications;
  return {
    ...(webhook === undefined ? {} : { webhook: webhookTeller(webhook, credential) }),
    ...(topicEndpoint === undefined ? {} : { topic: topicTeller(topicEndpoint, credential) }),
  };
}

/** Both are read from the vault each time, so that whoever changes them there need not tell us. */
function webhookTeller(
  { urlSecret, signingSecret }: NonNullable<Config['notifications']['webhook']>,
  credential: TokenCredential,
): Teller {
  const read = async (address: string): Promise<string> => {
    const url = new URL(address);
    const name = url.pathname.split('/')[2] ?? '';
    const { value } = await new SecretClient(`${url.origin}/`, credential, pipeline).getSecret(name);
    if (!value) throw fatal('SecretEmpty', `the vault secret ${name} has no value`);
    return value;
  };
  return async (change) => {
    const [url, signingKey] = await Promise.all([read(urlSecret), read(signingSecret)]);
    await tellWebhook({ url, signingKey }, change, new Date());
  };
}

/** The app's identity needs the role EventGrid Data Sender on the topic. */
function topicTeller(endpoint: string, credential: TokenCredential): Teller {
  const topic = new EventGridPublisherClient(endpoint, 'CloudEvent', credential, pipeline);
  return async (change) => {
    const { id, source, type, subject, time, data } = cloudEventOf(change);
    await topic.send([{ id, source, type, subject, time: new Date(time), data }]);
  };
}

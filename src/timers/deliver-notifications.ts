import type { TimerHandler } from '@azure/functions';
import type { Channel, Outbox } from '../notifications/change.ts';
import { deliver, type GivenUp, MOST_REFUSALS, type Teller } from '../notifications/deliver.ts';

/** What is told by the timer does not wait for a check: a channel that was away gets what it has missed. */
export const deliverNotifications =
  (outbox: Outbox, tellers: Readonly<Partial<Record<Channel, Teller>>>): TimerHandler =>
  async (_timer, context) => {
    const { givenUp, failures } = await deliver(outbox, tellers, new Date());
    for (const [channel, failure] of Object.entries(failures)) {
      context.error(`the ${channel} has not taken what has changed about findings:`, failure);
    }
    for (const one of givenUp) context.error(sentenceOf(one));
  };

/** Names nothing of the receiver but the channel: a URL may hold a key. */
function sentenceOf({ channel, change: { deployment, finding, id }, refusedWith }: GivenUp): string {
  const why =
    refusedWith === undefined
      ? 'after a day'
      : `after ${MOST_REFUSALS} tries, for it was refused, last with ${refusedWith}`;
  return `given up on the ${channel} ${why}: finding ${finding.id} of deployment ${deployment}, ${id}`;
}

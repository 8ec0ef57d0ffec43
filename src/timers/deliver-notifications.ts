import type { TimerHandler } from '@azure/functions';
import type { Channel, Outbox } from '../notifications/change.ts';
import { deliver, type Teller } from '../notifications/deliver.ts';

/** What is told by the timer does not wait for a check: a channel that was away gets what it has missed. */
export const deliverNotifications =
  (outbox: Outbox, tellers: Readonly<Partial<Record<Channel, Teller>>>): TimerHandler =>
  async (_timer, context) => {
    const { givenUp, failures } = await deliver(outbox, tellers, new Date());
    for (const [channel, failure] of Object.entries(failures)) {
      context.error(`the ${channel} has not taken what has changed about findings:`, failure);
    }
    for (const { id } of givenUp) context.error(`given up after a day, and told nobody: ${id}`);
  };

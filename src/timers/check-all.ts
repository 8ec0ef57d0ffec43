/** From time to time the health of every deployment is looked at, one started after the other. */
import type { InvocationContext, TimerHandler } from '@azure/functions';
import type { Store } from '../store/store.ts';

/** One that cannot be started does not hold up the others. */
export const checkAll =
  (
    store: Store,
    startCheck: (context: InvocationContext, deployment: string) => Promise<unknown>,
  ): TimerHandler =>
  async (_timer, context) => {
    for (const { name } of await store.listDeployments()) {
      try {
        await startCheck(context, name);
      } catch (error) {
        context.error(`${name} could not be checked:`, error);
      }
    }
  };

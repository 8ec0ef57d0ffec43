/** From time to time the health of every deployment is looked at, one after the other. */
import type { InvocationContext, TimerHandler } from '@azure/functions';
import type { Store } from '../store/store.ts';
import { type Turns, turnOf } from './turns.ts';

/**
 * A check makes some 40 calls of the Resource Manager, which is two seconds of what one subscription may make
 * (clients/arm-budget.ts). All are under way before the next time comes, which is five minutes later by default.
 */
export const CHECK_TURNS: Turns = { together: 1, pauseMilliseconds: 2_000, withinMilliseconds: 240_000 };

/** Begins a check that waits until then; whoever asks for one meanwhile does not have to. */
export type StartCheckAt = (context: InvocationContext, deployment: string, at: Date) => Promise<unknown>;

/** One that cannot be started does not hold up the others. */
export const checkAll =
  (store: Store, startCheck: StartCheckAt): TimerHandler =>
  async (_timer, context) => {
    const now = Date.now();
    const deployments = await store.listDeployments();
    for (const [index, { name }] of deployments.entries()) {
      try {
        await startCheck(context, name, new Date(now + turnOf(index, deployments.length, CHECK_TURNS)));
      } catch (error) {
        context.error(`${name} could not be checked:`, error);
      }
    }
  };

import { toFailure } from '../clients/cloud-failure.ts';
import type { Activities, KnownLooks } from '../orchestrations/activities.ts';
import type { StepRecord, Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';
import { loadStack, shapeOf } from './stack.ts';

/** Tells the orchestrator which resources this deployment wants, who waits for whom, and what was last known of them. */
export const describeStack =
  (store: Store): Implementation<Activities['describeStack']> =>
  async ({ deployment }) => {
    try {
      const [{ wanted }, looks] = await Promise.all([
        loadStack(store, deployment),
        store.lastLook(deployment),
      ]);
      const patience = Object.fromEntries(
        wanted.flatMap(({ key, patienceSeconds }) =>
          patienceSeconds === undefined ? [] : [[key, patienceSeconds]],
        ),
      );
      return { ok: true, stack: { shape: shapeOf(wanted), patience }, known: knownLooks(looks) };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

/** What each resource told that was ready when it was last looked at. */
export const knownLooks = (looks: readonly StepRecord[]): KnownLooks =>
  lastReadyLooks(looks.filter(({ state }) => state === 'ready'));

/** What each resource told when it was last found ready, whatever it has been since. */
export const lastReadyLooks = (looks: readonly StepRecord[]): KnownLooks =>
  Object.fromEntries(
    looks.flatMap(({ key, outputs, readyAt, seenAt = readyAt }) =>
      outputs && seenAt ? [[key, { outputs, readyAt: Date.parse(seenAt) }]] : [],
    ),
  );

import { type Check, systems } from '../checks/check.ts';
import { toFailure } from '../clients/cloud-failure.ts';
import type { Activities } from '../orchestrations/activities.ts';
import type { Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';
import { loadStack } from './stack.ts';

/** Tells the orchestrator which systems this deployment has, none of them before something of it stands. */
export const describeChecks =
  (store: Store, checks: readonly Check[]): Implementation<Activities['describeChecks']> =>
  async ({ deployment }) => {
    try {
      const [{ spec, names }, looks] = await Promise.all([
        loadStack(store, deployment),
        store.lastLook(deployment),
      ]);
      if (!looks.some(({ state }) => state === 'ready')) return { ok: true, systems: [] };
      const wanted = checks.filter((check) => check.isWanted?.({ spec, names }) ?? true);
      return {
        ok: true,
        systems: systems.filter((system) => wanted.some((check) => check.system === system)),
      };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

import { toFailure } from '../clients/cloud-failure.ts';
import type { Activities } from '../orchestrations/activities.ts';
import type { Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';
import { loadStack, shapeOf } from './stack.ts';

/** Tells the orchestrator which resources this deployment wants and who waits for whom. */
export const describeStack =
  (store: Store): Implementation<Activities['describeStack']> =>
  async ({ deployment }) => {
    try {
      const { wanted } = await loadStack(store, deployment);
      return {
        ok: true,
        shape: shapeOf(wanted),
        patience: Object.fromEntries(
          wanted.flatMap(({ key, patienceSeconds }) =>
            patienceSeconds === undefined ? [] : [[key, patienceSeconds]],
          ),
        ),
      };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

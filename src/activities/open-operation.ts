import { toFailure } from '../clients/cloud-failure.ts';
import type { Activities } from '../orchestrations/activities.ts';
import type { Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';

/** Enters an operation for work that no door has entered one for. Entered twice, it is one. */
export const openOperation =
  (store: Store): Implementation<Activities['openOperation']> =>
  async ({ deployment, id, kind, cause, at }) => {
    try {
      const record = await store.findDeployment(deployment);
      await store.createOperation({
        id,
        deployment,
        kind,
        cause,
        revision: record?.revision ?? 0,
        requestedAt: new Date(at).toISOString(),
      });
      return { ok: true };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

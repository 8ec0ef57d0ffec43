import { toFailure } from '../clients/cloud-failure.ts';
import type { Activities } from '../orchestrations/activities.ts';
import type { Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';

/** Closes the records of the operations a run worked for. */
export const recordOutcome =
  (store: Store): Implementation<Activities['recordOutcome']> =>
  async ({ operations, at, failure }) => {
    try {
      for (const { id } of operations) {
        await store.recordOutcome(id, {
          state: failure ? 'failed' : 'succeeded',
          at: new Date(at).toISOString(),
          ...(failure ? { failure } : {}),
        });
      }
      return { ok: true };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

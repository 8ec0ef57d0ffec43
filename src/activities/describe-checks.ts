import { type Check, systems } from '../checks/check.ts';
import { toFailure } from '../clients/cloud-failure.ts';
import type { Activities } from '../orchestrations/activities.ts';
import type { Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';
import { loadStack } from './stack.ts';

/** Tells the orchestrator which systems this deployment has, none of them before it has been made for the first time. */
export const describeChecks =
  (store: Store, checks: readonly Check[]): Implementation<Activities['describeChecks']> =>
  async ({ deployment }) => {
    try {
      const [{ spec, names }, looks] = await Promise.all([
        loadStack(store, deployment),
        store.lastLook(deployment),
      ]);
      const stands = looks.some(({ state }) => state === 'ready');
      if (!stands || (await isBeingMade(store, deployment))) return { ok: true, systems: [] };
      const wanted = checks.filter((check) => check.isWanted?.({ spec, names }) ?? true);
      return {
        ok: true,
        systems: systems.filter((system) => wanted.some((check) => check.system === system)),
      };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

/** More than one may be under way when the spec was changed before all of it was there. */
const FIRST_OPERATIONS = 5;

/** Everything that is not there yet would be a finding, and everybody would be told. One that fails is over, too. */
async function isBeingMade(store: Store, deployment: string): Promise<boolean> {
  if ((await store.health.checks(deployment)).length > 0) return false;
  const operations = await store.listOperations(deployment, FIRST_OPERATIONS);
  return (
    operations.length > 0 && operations.every(({ state }) => state === 'accepted' || state === 'running')
  );
}

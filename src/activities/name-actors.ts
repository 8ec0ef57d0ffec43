/**
 * Asks Azure's activity log who made the changes that were found. It shows a write only minutes later, so a change whose
 * actor is not known yet is asked about again after the next looks, for an hour.
 */
import type { Clients } from '../clients/clients.ts';
import { toFailure } from '../clients/cloud-failure.ts';
import type { Activities } from '../orchestrations/activities.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import type { DriftRecord } from '../store/drift.ts';
import type { Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';

const HOUR = 3_600_000;
/** Things the log is asked about in one go: it has a small budget of its own. */
const MOST_QUESTIONS = 20;

export const nameActors =
  (store: Store, clientsFor: (subscriptionId: string) => Clients): Implementation<Activities['nameActors']> =>
  async ({ deployment, now }) => {
    try {
      const record = await store.findDeployment(deployment);
      const parsed = record && parseSpec(deployment, record.spec);
      if (!parsed?.ok) return { ok: true };
      const nameless = (await store.drift.list(deployment)).filter(
        ({ actor, resourceId, since }) =>
          actor === undefined && resourceId !== undefined && Date.parse(since) > now - HOUR,
      );
      const byId = Map.groupBy(nameless, ({ resourceId = '' }) => resourceId);
      for (const [resourceId, records] of [...byId].slice(0, MOST_QUESTIONS)) {
        const log = clientsFor(parsed.spec.subscriptionId).activityLog();
        const write = await log.latestWrite(resourceId, earliest(records));
        if (!write) continue;
        const actor = { name: write.caller, how: 'activity-log', at: write.at } as const;
        await store.drift.put(
          deployment,
          records.map((drift) => ({ ...drift, actor })),
        );
      }
      return { ok: true };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

/** It was made after the last look that found all as asked. */
function earliest(records: readonly DriftRecord[]): Date {
  const times = records.map(({ lastAsAskedAt, since }) =>
    lastAsAskedAt === undefined ? Date.parse(since) - HOUR : Date.parse(lastAsAskedAt),
  );
  return new Date(Math.min(...times));
}

import { toFailure } from '../clients/cloud-failure.ts';
import type { Activities, RecordOutcomeInput } from '../orchestrations/activities.ts';
import type { QuarantinedImage } from '../resources/scope.ts';
import type { EventRecord, Settlement } from '../store/inbox.ts';
import type { Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';
import { receiptsOf } from './receipts.ts';
import { unannounced } from './unannounced.ts';

/** So many events are looked through for what told of a change. */
const RECENT_EVENTS = 500;

/** Closes the records of what a run worked for: operations, requests, events, and what a sweep has found by itself. */
export const recordOutcome =
  (store: Store): Implementation<Activities['recordOutcome']> =>
  async (input) => {
    const { deployment, run, operations, failure } = input;
    const at = new Date(input.at).toISOString();
    try {
      const missed = await countMissed(store, input);
      const quarantine = (await store.findDeployment(deployment))?.quarantine ?? [];
      const events = await store.inbox.settle(deployment, run, (event) =>
        settlementOf(
          input,
          at,
          quarantine.find(({ digest }) => digest === event.version),
        ),
      );
      const receipts = failure ? [] : receiptsOf(input, events);
      for (const { id } of operations) {
        await store.recordOutcome(id, {
          state: failure ? 'failed' : 'succeeded',
          at,
          receipts,
          ...(failure ? { failure } : {}),
        });
      }
      if (input.isSweep) {
        // An activity may run twice, and counts once.
        await store.changeDeployment(deployment, ({ missedEvents, sweptAt }) =>
          sweptAt === at ? {} : { missedEvents: missedEvents + missed, sweptAt: at },
        );
      }
      return { ok: true };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

/** All is as it should be once an image has been given up, but not as the event that told of it would have it. */
function settlementOf(
  { operations, failure }: RecordOutcomeInput,
  at: string,
  givenUp: QuarantinedImage | undefined,
): Settlement {
  const [operation] = operations;
  const reason = failure?.message ?? (givenUp && `given up, and the last good image runs. ${givenUp.reason}`);
  return {
    outcome: reason !== undefined ? 'failed' : operation ? 'acted' : 'nothing-differed',
    at,
    ...(operation ? { operationId: operation.id } : {}),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** Only a sweep can have missed something; a request asks for changes. */
async function countMissed(store: Store, input: RecordOutcomeInput): Promise<number> {
  if (!input.isSweep) return 0;
  const events: readonly EventRecord[] = await store.inbox.events(input.deployment, RECENT_EVENTS);
  return unannounced(input.before, input.found, events).length;
}

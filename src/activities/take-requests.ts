import { toFailure } from '../clients/cloud-failure.ts';
import { type Cause, type Look, type OperationKind, operationKinds } from '../graph/request.ts';
import type { Activities, TakenRequests } from '../orchestrations/activities.ts';
import { type EventRecord, isEvent, type LookRequest } from '../store/inbox.ts';
import type { Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';

/** Takes everything that waits in a deployment's inbox, and puts it together. */
export const takeRequests =
  (store: Store): Implementation<Activities['takeRequests']> =>
  async ({ deployment, run, batch }) => {
    try {
      return { ok: true, taken: together(await store.inbox.take(deployment, run, batch)) };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

/** The heaviest request says what the work is about; others of its kind are counted. */
export function together(entries: readonly (LookRequest | EventRecord)[]): TakenRequests {
  const kindOf = (entry: LookRequest | EventRecord): OperationKind =>
    isEvent(entry) ? 'reaction' : entry.kind;
  const weight = (entry: LookRequest | EventRecord): number => operationKinds.indexOf(kindOf(entry));
  const [first] = entries.toSorted((one, other) => weight(one) - weight(other));
  const kind = first ? kindOf(first) : 'sweep';
  const more = entries.filter((entry) => kindOf(entry) === kind).length - 1;
  return {
    count: entries.length,
    look: entries
      .filter((entry) => kindOf(entry) !== 'sweep')
      .map(({ look }) => look)
      .reduce<Look>(both, []),
    isSweep: entries.some((entry) => kindOf(entry) === 'sweep'),
    operations: entries.flatMap((entry) =>
      !isEvent(entry) && entry.operationId !== undefined ? [{ id: entry.operationId }] : [],
    ),
    kind,
    ...(first ? { cause: causeOf(first, more) } : {}),
  };
}

function causeOf(entry: LookRequest | EventRecord, more: number): Cause {
  const cause: Cause = isEvent(entry) ? { kind: 'event', what: entry.what, id: entry.id } : entry.cause;
  return more > 0 ? { ...cause, what: `${cause.what} (and ${more} more)` } : cause;
}

const both = (one: Look, other: Look): Look =>
  one === 'all' || other === 'all' ? 'all' : [...new Set([...one, ...other])];

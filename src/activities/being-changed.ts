/**
 * What the control plane is at work on looks wrong to a check: not there yet, not as many, an earlier password. As long as
 * somebody's wish is being carried out, nothing new is told of a resource that has not been found as asked since.
 */
import type { OperationKind } from '../graph/request.ts';
import type { ResourceKey } from '../graph/resource.ts';
import type { Store } from '../store/store.ts';

/** Those that change what is asked for. What is repaired was wrong by itself, and is told. */
const changing: readonly OperationKind[] = ['provision', 'rotation', 'maintenance'];
/** The last that changes something is among these, or much else has been done since. */
const LATEST_OPERATIONS = 5;
/** As long as an operation waits for a resource that does not get on (orchestrations/progress.ts); then it is told. */
const PATIENCE_MILLISECONDS = 30 * 60_000;

export interface BeingChanged {
  readonly operationId: string;
  /** Whether what a check that began then has seen of it may be the change itself. */
  covers(resource: ResourceKey): boolean;
}

/** `at`: when the check began, milliseconds since 1970. Undefined when nothing is being changed. */
export async function beingChanged(
  store: Store,
  deployment: string,
  at: number,
): Promise<BeingChanged | undefined> {
  const operations = (await store.listOperations(deployment, LATEST_OPERATIONS)).filter(
    ({ kind, state, requestedAt }) =>
      changing.includes(kind) &&
      (state === 'accepted' || state === 'running') &&
      Date.parse(requestedAt) > at - PATIENCE_MILLISECONDS,
  );
  // What was seen as an earlier one had asked may have been changed again by the last.
  const [newest] = operations;
  if (!newest) return undefined;
  const looks = await store.lastLook(deployment);
  const settled = new Set(
    // A look is as old as its beginning, and what it found ready may have become so only at its end.
    looks.flatMap(({ key, state, seenAt, readyAt = seenAt }) =>
      state === 'ready' && seenAt && readyAt && seenAt >= newest.requestedAt && Date.parse(readyAt) <= at
        ? [key]
        : [],
    ),
  );
  return { operationId: newest.id, covers: (resource) => !settled.has(resource) };
}

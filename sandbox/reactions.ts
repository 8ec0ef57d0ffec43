/** Watches a deployment that runs and tells what the control plane does about what happens to it. */
import type { ControlPlane, Operation } from './control-plane.ts';
import type { ReactionsView } from './terminal/reactions.ts';

type Watched = Pick<ControlPlane, 'events' | 'deployment' | 'operation'>;

/** Until the signal. A host that is away, or answers with errors, is simply asked again. */
export async function watchReactions(
  controlPlane: Watched,
  name: string,
  view: Pick<ReactionsView, 'showEvents' | 'showOperation' | 'showQuarantine' | 'underWay'>,
  signal: AbortSignal,
  everyMilliseconds = 500,
): Promise<void> {
  while (!signal.aborted) {
    const events = await orNothing(controlPlane.events(name));
    const deployment = await orNothing(controlPlane.deployment(name));
    // What has failed first: it is what an event of it has to be told with.
    if (deployment && !signal.aborted) view.showQuarantine(deployment.quarantine ?? []);
    if (events && !signal.aborted) view.showEvents(events);
    const last = deployment?.lastOperation?.id;
    for (const id of new Set([...view.underWay, ...(last === undefined ? [] : [last])])) {
      const operation: Operation | undefined = await orNothing(controlPlane.operation(id));
      if (operation && !signal.aborted) view.showOperation(operation);
    }
    await pause(everyMilliseconds, signal);
  }
}

async function orNothing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch {
    return undefined;
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}

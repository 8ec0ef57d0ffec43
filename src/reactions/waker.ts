import type { InvocationContext } from '@azure/functions';

/** Wakes a deployment's run; resolves once it is certain to look into the inbox, rejects when it is not. */
export type Waker = (context: InvocationContext, deployment: string) => Promise<void>;

/** Real milliseconds between two wakings of one deployment by this process. */
const PACE = 200;

interface Waking {
  readonly current: Promise<void>;
  following?: Promise<void>;
}

/**
 * A storm of events wakes a run a few times, not once each: whoever comes while a waking is under way shares the one that
 * follows, which begins after its request was left in the inbox.
 */
export function createWaker(wakeOnce: Waker): Waker {
  const wakings = new Map<string, Waking>();
  const begin: Waker = (context, deployment) => {
    const current = wakeOnce(context, deployment);
    const waking: Waking = { current };
    wakings.set(deployment, waking);
    const forget = (): void => {
      if (wakings.get(deployment) === waking && !waking.following) wakings.delete(deployment);
    };
    current.then(forget, forget);
    return current;
  };
  return (context, deployment) => {
    const waking = wakings.get(deployment);
    if (!waking) return begin(context, deployment);
    const after = async (): Promise<void> => {
      await Promise.allSettled([waking.current, new Promise((resolve) => setTimeout(resolve, PACE))]);
      await begin(context, deployment);
    };
    waking.following ??= after();
    return waking.following;
  };
}

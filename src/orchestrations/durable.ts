/**
 * A typed skin over the Durable Functions context, so that orchestrations are written with `yield*` and without casts.
 * Every task made here is fresh and yielded once: a compound that holds a task yielded before would run it twice on the
 * host (durable-functions issue #574).
 */
import type { OrchestrationContext, Task } from 'durable-functions';
import type { Activities } from './activities.ts';

export type Durable<T> = Generator<Task, T, unknown>;

type Name = keyof Activities;
type Input<N extends Name> = Parameters<Activities[N]>[0];
type Output<N extends Name> = ReturnType<Activities[N]>;

/** Milliseconds since 1970, the same on every replay. */
export const nowOf = (context: OrchestrationContext): number => context.df.currentUtcDateTime.getTime();

export function* call<N extends Name>(
  context: OrchestrationContext,
  name: N,
  input: Input<N>,
): Durable<Output<N>> {
  return (yield context.df.callActivity(name, input)) as Output<N>;
}

/** Runs one activity for each input, all at once; results come in the order of the inputs. */
export function* callAll<N extends Name>(
  context: OrchestrationContext,
  name: N,
  inputs: readonly Input<N>[],
): Durable<readonly Output<N>[]> {
  if (inputs.length === 0) return [];
  return (yield context.df.Task.all(
    inputs.map((input) => context.df.callActivity(name, input)),
  )) as Output<N>[];
}

/** Waits until a time (milliseconds since 1970) or for an external event, whichever comes first. */
export function* waitForEvent<T>(
  context: OrchestrationContext,
  name: string,
  until: number,
): Durable<{ readonly event: T } | undefined> {
  // biome-ignore lint/style/noRestrictedGlobals: made from a number, a Date reads no clock
  const timer = context.df.createTimer(new Date(until));
  const event = context.df.waitForExternalEvent(name);
  const winner = yield context.df.Task.any([event, timer]);
  if (winner !== event) return undefined;
  timer.cancel();
  return { event: event.result as T };
}

/**
 * The tasks of the host's own replay. They settle synchronously, in the order of the history's events, and so do the
 * steps that wait for them: the extension's replay runs on a scheduler that continues inline, and promises, which
 * continue later, would tell a different order.
 */
export class PendingTask {
  #settled = false;
  #error: unknown;
  #waiting: (() => void)[] = [];
  value: unknown;

  get isSettled(): boolean {
    return this.#settled;
  }

  /** What it failed with; undefined when it is still open or succeeded. */
  get error(): unknown {
    return this.#error;
  }

  complete(value?: unknown): void {
    this.#settle(value, undefined);
  }

  fail(error: unknown): void {
    this.#settle(undefined, error);
  }

  whenSettled(proceed: () => void): void {
    if (this.#settled) proceed();
    else this.#waiting.push(proceed);
  }

  #settle(value: unknown, error: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    this.value = value;
    this.#error = error;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const proceed of waiting) proceed();
  }
}

/** Steps that wait by yielding a task; they go on at once when it settles, whether it succeeded or failed. */
export type Steps = Generator<PendingTask, unknown, void>;

/** Runs the steps as far as they go; the task settles with their result or with what they throw. */
export function runSteps(steps: Steps): PendingTask {
  const task = new PendingTask();
  const proceed = (): void => {
    try {
      let step = steps.next();
      while (!step.done && step.value.isSettled) step = steps.next();
      if (step.done) task.complete(step.value);
      else step.value.whenSettled(proceed);
    } catch (error) {
      task.fail(error);
    }
  };
  proceed();
  return task;
}

/** Settles when all have settled, failed ones included (as .NET's WhenAll; the app's library fails at the first). */
export function whenAll(tasks: readonly PendingTask[]): PendingTask {
  return runSteps(
    (function* waitForEach(): Steps {
      for (const task of tasks) yield task;
      const failed = tasks.find((task) => task.error !== undefined);
      if (failed) throw failed.error;
      return undefined;
    })(),
  );
}

/** Settles with the first that settles. */
export function whenAny(tasks: readonly PendingTask[]): PendingTask {
  const first = new PendingTask();
  for (const task of tasks) task.whenSettled(() => first.complete(task.value));
  return first;
}

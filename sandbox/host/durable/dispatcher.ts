/**
 * Runs work by key: one piece at a time for a key, a limited number of keys at once, and once more for a key that was
 * woken while it ran. There is no polling: `wake` starts the work at once when there is room.
 */
export class Dispatcher {
  readonly #limit: number;
  readonly #work: (key: string) => Promise<void>;
  readonly #onError: (key: string, error: unknown) => void;
  readonly #queue = new Set<string>();
  readonly #running = new Set<string>();
  readonly #again = new Set<string>();
  #isStopped = false;
  #whenIdle: (() => void) | undefined;

  constructor(options: {
    limit: number;
    work: (key: string) => Promise<void>;
    onError: (key: string, error: unknown) => void;
  }) {
    this.#limit = options.limit;
    this.#work = options.work;
    this.#onError = options.onError;
  }

  wake(key: string): void {
    if (this.#isStopped) return;
    if (this.#running.has(key)) this.#again.add(key);
    else this.#queue.add(key);
    this.#start();
  }

  isRunning(key: string): boolean {
    return this.#running.has(key);
  }

  /** Starts nothing more; resolves when what was running has ended. */
  stop(): Promise<void> {
    this.#isStopped = true;
    this.#queue.clear();
    this.#again.clear();
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  #start(): void {
    for (const key of this.#queue) {
      if (this.#running.size >= this.#limit) return;
      this.#queue.delete(key);
      this.#running.add(key);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    try {
      await this.#work(key);
    } catch (error) {
      this.#onError(key, error);
    }
    this.#running.delete(key);
    if (this.#again.delete(key) && !this.#isStopped) this.#queue.add(key);
    if (this.#running.size === 0) this.#whenIdle?.();
    if (!this.#isStopped) this.#start();
  }
}

/**
 * The sandbox's one clock. The cloud process owns it; the functions host follows it over HTTP. Virtual time runs
 * `speed` times as fast as real time and can be held still, so the clouds' durations, durable timers, timer triggers
 * and Retry-After waits are scaled alike.
 *
 * Both processes are on one machine, so `Date.now()` is a shared real time line: a clock is fully described by
 * where it was anchored and how fast it runs, and nobody needs to ask the owner what time it is.
 */

/** What the owner publishes at `GET /clock`; times are milliseconds since 1970. */
export interface ClockState {
  /** Grows by one with each change, so that a follower can wait for the next. */
  readonly version: number;
  readonly realAnchor: number;
  readonly virtualAnchor: number;
  /** Virtual milliseconds per real millisecond; at least 0.001. */
  readonly speed: number;
  /** A held clock stands still at `virtualAnchor`. */
  readonly held: boolean;
}

export interface ClockChange {
  readonly speed?: number;
  readonly held?: boolean;
  /** Jump to this virtual time (milliseconds since 1970). Jumping back is refused. */
  readonly now?: number;
}

export interface Alarm {
  cancel(): void;
}

/** `setTimeout` overflows at 2^31 ms; alarms further away are re-armed. */
const LONGEST_REAL_WAIT = 2 ** 31 - 1;

/** Captured at load time: the functions host later replaces the global `Date` of the app it hosts. */
const realNow = Date.now.bind(Date);

export class VirtualClock {
  #state: ClockState;
  readonly #rearm = new Set<() => void>();
  readonly #listeners = new Set<(state: ClockState) => void>();

  constructor(initial: { now?: number; speed?: number; held?: boolean } = {}) {
    const real = realNow();
    this.#state = {
      version: 1,
      realAnchor: real,
      virtualAnchor: initial.now ?? real,
      speed: initial.speed ?? 1,
      held: initial.held ?? false,
    };
  }

  get state(): ClockState {
    return this.#state;
  }

  /** Virtual milliseconds since 1970. */
  now(): number {
    const { held, virtualAnchor, realAnchor, speed } = this.#state;
    return held ? virtualAnchor : Math.floor(virtualAnchor + (realNow() - realAnchor) * speed);
  }

  /** Changes speed, holds or releases the clock, or jumps ahead. Throws RangeError on a change that makes no sense. */
  change(change: ClockChange): ClockState {
    const now = this.now();
    if (change.speed !== undefined && !(change.speed >= 0.001 && change.speed <= 1_000_000)) {
      throw new RangeError('speed must be between 0.001 and 1000000');
    }
    if (change.now !== undefined && !(change.now >= now))
      throw new RangeError('the clock cannot run backwards');
    this.adopt({
      version: this.#state.version + 1,
      realAnchor: realNow(),
      virtualAnchor: change.now ?? now,
      speed: change.speed ?? this.#state.speed,
      held: change.held ?? this.#state.held,
    });
    return this.#state;
  }

  /** Takes over the owner's state: what a follower does. */
  adopt(state: ClockState): void {
    this.#state = state;
    for (const rearm of [...this.#rearm]) rearm();
    for (const listener of [...this.#listeners]) listener(state);
  }

  onChange(listener: (state: ClockState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `ring` once virtual time reaches `at` (milliseconds since 1970), across changes of speed and holds. */
  alarm(at: number, ring: () => void): Alarm {
    let timer: NodeJS.Timeout | undefined;
    const cancel = (): void => {
      clearTimeout(timer);
      this.#rearm.delete(arm);
    };
    const arm = (): void => {
      clearTimeout(timer);
      const left = at - this.now();
      if (left > 0 && this.#state.held) return;
      const wait = Math.min(Math.max(0, Math.ceil(left / this.#state.speed)), LONGEST_REAL_WAIT);
      timer = setTimeout(() => {
        if (this.now() < at) return arm();
        cancel();
        ring();
      }, wait);
    };
    this.#rearm.add(arm);
    arm();
    return { cancel };
  }

  /** Resolves after this many virtual milliseconds; rejects with the signal's reason when that aborts first. */
  wait(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const alarm = this.alarm(this.now() + milliseconds, () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
      const abort = (): void => {
        alarm.cancel();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
    });
  }
}

/**
 * Keeps a clock in step with the owner at `url` (the sandbox's `GET /clock`, which with `?after=<version>` answers
 * only once there is a newer state). Resolves after the first state has been read; throws if the owner cannot be
 * reached for that first reading. Later losses of the owner leave the clock running as it last was.
 */
export async function followClock(url: string): Promise<{ clock: VirtualClock; stop: () => void }> {
  const stopping = new AbortController();
  const read = async (after: number): Promise<ClockState> => {
    const answer = await fetch(`${url}?after=${after}`, { signal: stopping.signal });
    if (!answer.ok) throw new Error(`the clock at ${url} answered ${answer.status}`);
    return (await answer.json()) as ClockState;
  };
  const clock = new VirtualClock();
  clock.adopt(await read(0));
  const follow = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const next = await read(clock.state.version);
        if (next.version !== clock.state.version) clock.adopt(next);
      } catch {
        if (stopping.signal.aborted) return;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    }
  };
  void follow();
  return { clock, stop: () => stopping.abort() };
}

/**
 * Timer triggers on the host's clock, as the timers extension runs them: one invocation at a time for a function, the
 * next occurrence counted from the last start, and the status recorded after the invocation, so that one that was
 * missed, or cut off by the end of the host, is made up for once, marked past due. Schedules that occur more than once
 * a minute have no record.
 */
import type { Alarm, VirtualClock } from '../clock.ts';
import type { Store } from './durable/store.ts';
import { type Invocations, triggerOf, triggerType } from './invocations.ts';
import type { Log } from './log.ts';
import { parseSchedule, resolveSettings, type Schedule } from './ncrontab.ts';
import type { RegisteredFunction, Worker } from './worker.ts';

export interface TimerTriggerOptions {
  readonly worker: Worker;
  readonly invocations: Invocations;
  readonly store: Store;
  readonly clock: VirtualClock;
  readonly log: Log;
  /** Where `%SETTING%` in a schedule is looked up. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Times are milliseconds since 1970; `last` is undefined before the first invocation. */
interface Status {
  readonly last: number | undefined;
  readonly next: number;
  readonly updated: number | undefined;
}

/** .NET's DateTime before anything happened. */
const never = '0001-01-01T00:00:00';

export class TimerTriggers {
  readonly #options: TimerTriggerOptions;
  readonly #timers: Timer[] = [];

  constructor(options: TimerTriggerOptions) {
    this.#options = options;
  }

  /** A timer whose schedule cannot be read is reported and left out; the others run. */
  start(): void {
    for (const registered of this.#options.worker.functions) {
      if (triggerType(registered) !== 'timertrigger') continue;
      try {
        const timer = new Timer(this.#options, registered);
        this.#timers.push(timer);
        timer.start();
      } catch (error) {
        const message = `The '${registered.name}' function is in error: ${error instanceof Error ? error.message : error}`;
        this.#options.log.write('error', 'Host', message);
      }
    }
  }

  stop(): void {
    for (const timer of this.#timers) timer.stop();
  }
}

class Timer {
  readonly #options: TimerTriggerOptions;
  readonly #registered: RegisteredFunction;
  readonly #expression: string;
  readonly #schedule: Schedule;
  readonly #isMonitored: boolean;
  readonly #runsOnStartup: boolean;
  #status: Status;
  #alarm: Alarm | undefined;
  #isStopped = false;

  constructor(options: TimerTriggerOptions, registered: RegisteredFunction) {
    this.#options = options;
    this.#registered = registered;
    const { binding } = triggerOf(registered);
    this.#expression = resolveSettings(String(binding['schedule'] ?? ''), options.environment);
    this.#schedule = parseSchedule(this.#expression);
    this.#runsOnStartup = binding['runOnStartup'] === true;
    const now = options.clock.now();
    const first = this.#schedule.next(now);
    const occursOften = this.#schedule.next(first) < now + 60_000;
    this.#isMonitored = binding['useMonitor'] !== false && !occursOften;
    this.#status = this.#readStatus() ?? { last: undefined, next: first, updated: undefined };
  }

  start(): void {
    const now = this.#options.clock.now();
    const isPastDue = this.#isMonitored && this.#status.next < now;
    if (this.#isMonitored && this.#status.updated === undefined) {
      this.#status = { ...this.#status, updated: now };
      this.#writeStatus();
    }
    if (isPastDue) void this.#run(true);
    else if (this.#runsOnStartup) void this.#run(false);
    else this.#await();
  }

  stop(): void {
    this.#isStopped = true;
    this.#alarm?.cancel();
  }

  #await(): void {
    if (this.#isStopped) return;
    this.#alarm = this.#options.clock.alarm(this.#status.next, () => void this.#run(false));
  }

  async #run(isPastDue: boolean): Promise<void> {
    const { invocations, clock, log } = this.#options;
    const started = clock.now();
    const value = { json: timerInfo(this.#isMonitored ? this.#status : undefined, isPastDue) };
    // A failed invocation was logged; the schedule goes on.
    await invocations.invoke(this.#registered, { value }).catch(() => undefined);
    this.#status = { last: started, next: this.#schedule.next(started), updated: started };
    try {
      if (this.#isMonitored) this.#writeStatus();
    } catch (error) {
      // The occurrence will be made up for at the next start.
      log.write(
        'error',
        'Host',
        `the schedule of '${this.#registered.name}' could not be recorded: ${error}`,
      );
    }
    this.#await();
  }

  /** What was recorded under this schedule; a changed schedule starts anew. */
  #readStatus(): Status | undefined {
    const row = this.#options.store.get<{ last: number | null; next: number; updated: number }>(
      'SELECT last, next, updated FROM schedules WHERE name = ? AND schedule = ?',
      this.#registered.name,
      this.#expression,
    );
    return row && { last: row.last ?? undefined, next: row.next, updated: row.updated };
  }

  #writeStatus(): void {
    this.#options.store.run(
      'INSERT OR REPLACE INTO schedules (name, schedule, last, next, updated) VALUES (?, ?, ?, ?, ?)',
      this.#registered.name,
      this.#expression,
      this.#status.last ?? null,
      this.#status.next,
      this.#status.updated ?? this.#status.next,
    );
  }
}

/** The trigger's value as the extension serializes TimerInfo; the library turns the names to camel case. */
export function timerInfo(status: Status | undefined, isPastDue: boolean): string {
  const time = (at: number | undefined): string => (at === undefined ? never : new Date(at).toISOString());
  return JSON.stringify({
    Schedule: { AdjustForDST: true },
    ScheduleStatus: status
      ? { Last: time(status.last), Next: time(status.next), LastUpdated: time(status.last && status.updated) }
      : null,
    IsPastDue: isPastDue,
  });
}

/** Durable timers: rows with the time they fire at, and one alarm each on the host's clock. */
import type { Alarm } from '../../clock.ts';
import { EventType, historyEvent, isoTime } from './history.ts';
import { sendMessage } from './instances.ts';
import type { HubParts } from './task-hub.ts';

export interface TimerRow {
  readonly seq: number;
  readonly instance_id: string;
  readonly execution_id: string;
  readonly task_id: number;
  /** Milliseconds since 1970. */
  readonly fire_at: number;
}

export class Timers {
  readonly #hub: HubParts;
  readonly #alarms = new Map<number, Alarm>();
  #isStopped = false;

  constructor(hub: HubParts) {
    this.#hub = hub;
  }

  /** Sets the alarms of all timers on record: what a start does. */
  armAll(): void {
    for (const row of this.#hub.store.all<TimerRow>('SELECT * FROM timers')) this.arm(row);
  }

  arm(row: TimerRow): void {
    if (this.#isStopped) return;
    this.#alarms.set(
      row.seq,
      this.#hub.clock.alarm(row.fire_at, () => this.#fire(row)),
    );
  }

  stop(): void {
    this.#isStopped = true;
    for (const alarm of this.#alarms.values()) alarm.cancel();
    this.#alarms.clear();
  }

  #fire(row: TimerRow): void {
    this.#alarms.delete(row.seq);
    const { store, clock } = this.#hub;
    const fired = store.transaction(() => {
      if (store.run('DELETE FROM timers WHERE seq = ?', row.seq).changes === 0) return false;
      const event = historyEvent(clock.now(), {
        EventType: EventType.TimerFired,
        TimerId: row.task_id,
        FireAt: isoTime(row.fire_at),
      });
      sendMessage(store, row.instance_id, row.execution_id, event);
      return true;
    });
    if (fired) this.#hub.wakeInstance(row.instance_id);
  }
}

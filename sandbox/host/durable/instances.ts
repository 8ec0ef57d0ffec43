/** One row per orchestration instance, and the reads and writes of it that are not an episode's. */
import { randomUUID } from 'node:crypto';
import { EventType, type HistoryEvent, historyEvent } from './history.ts';
import type { Store } from './store.ts';

export type RuntimeStatus =
  | 'Pending'
  | 'Running'
  | 'Completed'
  | 'ContinuedAsNew'
  | 'Failed'
  | 'Canceled'
  | 'Terminated'
  | 'Suspended';

export interface Instance {
  readonly id: string;
  readonly execution_id: string;
  readonly name: string;
  readonly version: string | null;
  readonly parent_id: string | null;
  readonly parent_execution_id: string | null;
  readonly parent_task_id: number | null;
  readonly status: RuntimeStatus;
  /** JSON text, as are output (of a completed instance) and custom_status. */
  readonly input: string | null;
  readonly output: string | null;
  readonly custom_status: string | null;
  /** Milliseconds since 1970 on the host's clock. */
  readonly created: number;
  readonly updated: number;
}

export function isFinished(status: RuntimeStatus): boolean {
  return status === 'Completed' || status === 'Failed' || status === 'Terminated' || status === 'Canceled';
}

export function findInstance(store: Store, id: string): Instance | undefined {
  return store.get<Instance>('SELECT * FROM instances WHERE id = ?', id);
}

export function readHistory(store: Store, id: string): HistoryEvent[] {
  return store
    .all<{ event: string }>('SELECT event FROM history WHERE instance_id = ? ORDER BY seq', id)
    .map((row) => JSON.parse(row.event) as HistoryEvent);
}

export function writeHistory(store: Store, id: string, from: number, events: readonly HistoryEvent[]): void {
  let seq = from;
  for (const event of events) {
    store.run('INSERT INTO history VALUES (?, ?, ?)', id, seq++, JSON.stringify(event));
  }
}

/** Puts a message into the instance's control queue. One for another execution than the current will be dropped. */
export function sendMessage(store: Store, id: string, executionId: string | null, event: HistoryEvent): void {
  store.run(
    'INSERT INTO messages (instance_id, execution_id, event) VALUES (?, ?, ?)',
    id,
    executionId,
    JSON.stringify(event),
  );
}

export interface NewInstance {
  readonly id: string;
  readonly name: string;
  readonly version: string | null;
  /** JSON text. */
  readonly input: string | null;
  readonly parent?: { readonly id: string; readonly executionId: string; readonly taskId: number };
}

/** Replaces whatever was there under this id by a new pending instance. */
export function createInstance(store: Store, instance: NewInstance, now: number): void {
  store.transaction(() => {
    removeInstance(store, instance.id);
    const executionId = randomUUID();
    store.run(
      'INSERT INTO instances VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      instance.id,
      executionId,
      instance.name,
      instance.version,
      instance.parent?.id ?? null,
      instance.parent?.executionId ?? null,
      instance.parent?.taskId ?? null,
      'Pending',
      instance.input,
      null,
      null,
      now,
      now,
    );
    const started = historyEvent(now, {
      EventType: EventType.ExecutionStarted,
      Name: instance.name,
      Version: instance.version,
      Input: instance.input,
    });
    sendMessage(store, instance.id, executionId, started);
  });
}

/** Forgets the instance and everything that is still to happen for it. */
export function removeInstance(store: Store, id: string): void {
  for (const sql of [
    'DELETE FROM instances WHERE id = ?',
    'DELETE FROM history WHERE instance_id = ?',
    'DELETE FROM messages WHERE instance_id = ?',
    'DELETE FROM activities WHERE instance_id = ?',
    'DELETE FROM timers WHERE instance_id = ?',
  ]) {
    store.run(sql, id);
  }
}

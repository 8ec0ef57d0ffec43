/**
 * Runs scheduled activities. A work item's row stays until its result is committed together with the message to the
 * orchestration: an activity that was running when the process died runs again, one that had reported does not.
 */
import { EventType, historyEvent } from './history.ts';
import { httpActivityName, sendHttpRequest } from './http-activity.ts';
import { sendMessage } from './instances.ts';
import type { HubParts } from './task-hub.ts';

interface ActivityRow {
  readonly seq: number;
  readonly instance_id: string;
  readonly execution_id: string;
  readonly task_id: number;
  readonly name: string;
  /** JSON text. */
  readonly input: string;
}

/** Runs the work item with this key and reports its outcome; does nothing when it is gone. */
export async function runActivity(hub: HubParts, seq: number): Promise<void> {
  const row = hub.store.get<ActivityRow>('SELECT * FROM activities WHERE seq = ?', seq);
  if (!row) return;
  const outcome = await perform(hub, row);
  const event = historyEvent(
    hub.clock.now(),
    'reason' in outcome
      ? {
          EventType: EventType.TaskFailed,
          TaskScheduledId: row.task_id,
          Reason: outcome.reason,
          Details: outcome.details,
        }
      : { EventType: EventType.TaskCompleted, TaskScheduledId: row.task_id, Result: outcome.result },
  );
  hub.store.transaction(() => {
    const { changes } = hub.store.run('DELETE FROM activities WHERE seq = ?', seq);
    if (changes === 1) sendMessage(hub.store, row.instance_id, row.execution_id, event);
  });
  hub.wakeInstance(row.instance_id);
}

async function perform(
  hub: HubParts,
  row: ActivityRow,
): Promise<{ result: string | null } | { reason: string; details: string }> {
  try {
    const value = await call(hub, row);
    return { result: value === undefined || value === null ? null : JSON.stringify(value) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      reason: `Activity function '${row.name}' failed: ${message}`,
      details: JSON.stringify({ ClassName: 'System.Exception', Message: message }),
    };
  }
}

function call(hub: HubParts, row: ActivityRow): Promise<unknown> {
  if (row.name === httpActivityName) return sendHttpRequest(JSON.parse(row.input));
  const name = hub.functions.find('activity', row.name);
  if (!name) throw new Error(`Activity function '${row.name}' does not exist.`);
  // A string reaches the worker as it is; the worker parses it when it is JSON. Anything else goes as JSON text.
  const input: unknown = JSON.parse(row.input);
  const value = typeof input === 'string' ? input : row.input;
  return hub.functions.invoke(name, { value, instanceId: row.instance_id });
}

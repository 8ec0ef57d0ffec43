/** What an episode sends out, written in the episode's own transaction; each gives back whom to wake after it. */
import { randomUUID } from 'node:crypto';
import type { Outcome, Scheduled } from './decision.ts';
import { EventType, type HistoryEvent, historyEvent, isoTime } from './history.ts';
import { createInstance, findInstance, type Instance, isFinished, sendMessage } from './instances.ts';
import type { HubParts } from './task-hub.ts';

type WakeUp = () => void;

/** Puts an activity, a timer, a child or an entity's message on record. */
export function dispatch(hub: HubParts, from: Instance, work: Scheduled, now: number): WakeUp | undefined {
  const { store } = hub;
  switch (work.kind) {
    case 'activity': {
      const { key } = store.run(
        'INSERT INTO activities (instance_id, execution_id, task_id, name, input) VALUES (?, ?, ?, ?, ?)',
        from.id,
        from.execution_id,
        work.id,
        work.name,
        JSON.stringify(work.input ?? null),
      );
      return () => hub.wakeActivity(key);
    }
    case 'timer': {
      const { key } = store.run(
        'INSERT INTO timers (instance_id, execution_id, task_id, fire_at) VALUES (?, ?, ?, ?)',
        from.id,
        from.execution_id,
        work.id,
        work.fireAt,
      );
      return () =>
        hub.armTimer({
          seq: key,
          instance_id: from.id,
          execution_id: from.execution_id,
          task_id: work.id,
          fire_at: work.fireAt,
        });
    }
    case 'subOrchestration':
      return startChild(hub, from, work, now);
    case 'sentEvent':
      store.run(
        'INSERT INTO entity_messages (entity_id, kind, message) VALUES (?, ?, ?)',
        work.instanceId,
        work.name,
        JSON.stringify(work.input),
      );
      return () => hub.wakeEntity(work.instanceId);
  }
}

function startChild(
  hub: HubParts,
  parent: Instance,
  work: Scheduled & { kind: 'subOrchestration' },
  now: number,
): WakeUp {
  const { store } = hub;
  const existing = findInstance(store, work.instanceId);
  if (existing && !isFinished(existing.status)) {
    const reason = `An Orchestration instance with the status ${existing.status} already exists.`;
    const failed = historyEvent(now, {
      EventType: EventType.SubOrchestrationInstanceFailed,
      TaskScheduledId: work.id,
      Reason: reason,
      Details: reason,
    });
    sendMessage(store, parent.id, parent.execution_id, failed);
    return () => hub.wakeInstance(parent.id);
  }
  hub.forget(work.instanceId);
  createInstance(
    store,
    {
      id: work.instanceId,
      name: work.name,
      version: work.version ?? hub.settings.defaultVersion,
      input: JSON.stringify(work.input ?? null),
      parent: { id: parent.id, executionId: parent.execution_id, taskId: work.id },
    },
    now,
  );
  return () => hub.wakeInstance(work.instanceId);
}

/** The end of a child is a message to its parent; an instance without one tells nobody. */
export function tellParent(
  hub: HubParts,
  child: Instance,
  outcome: Outcome,
  now: number,
): WakeUp | undefined {
  const { parent_id: parentId, parent_execution_id: parentExecution, parent_task_id: taskId } = child;
  if (parentId === null || taskId === null) return undefined;
  const event =
    outcome.kind === 'completed'
      ? historyEvent(now, {
          EventType: EventType.SubOrchestrationInstanceCompleted,
          TaskScheduledId: taskId,
          Result: outcome.output,
        })
      : historyEvent(now, {
          EventType: EventType.SubOrchestrationInstanceFailed,
          TaskScheduledId: taskId,
          Reason: resultOf(outcome) ?? '',
          Details: outcome.kind === 'failed' ? outcome.details : '',
        });
  sendMessage(hub.store, parentId, parentExecution, event);
  return () => hub.wakeInstance(parentId);
}

/** A new execution under the same instance id: empty history, and what nobody waited for comes along, in order. */
export function continueAsNew(
  hub: HubParts,
  before: Instance,
  outcome: Outcome & { kind: 'continuedAsNew' },
  customStatus: string | null,
  now: number,
): WakeUp {
  const { store } = hub;
  const { id } = before;
  const late = store.all<{ event: string }>(
    'SELECT event FROM messages WHERE instance_id = ? AND execution_id IS NULL ORDER BY seq',
    id,
  );
  for (const table of ['history', 'messages', 'timers']) {
    store.run(`DELETE FROM ${table} WHERE instance_id = ?`, id);
  }
  const executionId = randomUUID();
  store.run(
    "UPDATE instances SET execution_id = ?, status = 'Running', input = ?, output = NULL, custom_status = ?, created = ?, updated = ? WHERE id = ?",
    executionId,
    outcome.input,
    customStatus,
    now,
    now,
    id,
  );
  const started = historyEvent(now, {
    EventType: EventType.ExecutionStarted,
    Name: before.name,
    Version: before.version,
    Input: outcome.input,
  });
  sendMessage(store, id, executionId, started);
  for (const { name, input } of outcome.carried) {
    sendMessage(
      store,
      id,
      null,
      historyEvent(now, { EventType: EventType.EventRaised, Name: name, Input: input }),
    );
  }
  for (const row of late) sendMessage(store, id, null, JSON.parse(row.event) as HistoryEvent);
  hub.forget(id);
  return () => hub.wakeInstance(id);
}

export function resultOf(outcome: Outcome): string | null {
  switch (outcome.kind) {
    case 'completed':
      return outcome.output;
    case 'failed':
    case 'terminated':
      return outcome.reason;
    default:
      return null;
  }
}

export function completedEvent(now: number, outcome: Outcome): HistoryEvent {
  if (outcome.kind === 'terminated') {
    // The history has the ExecutionTerminated message; what follows it is the end.
    return historyEvent(now, {
      EventType: EventType.ExecutionCompleted,
      OrchestrationStatus: 'Terminated',
      Result: outcome.reason,
    });
  }
  const status = outcome.kind === 'completed' ? 'Completed' : 'Failed';
  return historyEvent(now, {
    EventType: EventType.ExecutionCompleted,
    OrchestrationStatus: status,
    Result: resultOf(outcome),
  });
}

export function scheduledEvent(now: number, work: Scheduled): HistoryEvent {
  switch (work.kind) {
    case 'activity':
      return historyEvent(now, {
        EventType: EventType.TaskScheduled,
        EventId: work.id,
        Name: work.name,
        Version: '',
        Input: JSON.stringify([work.input ?? null]),
      });
    case 'timer':
      return historyEvent(now, {
        EventType: EventType.TimerCreated,
        EventId: work.id,
        FireAt: isoTime(work.fireAt),
      });
    case 'subOrchestration':
      return historyEvent(now, {
        EventType: EventType.SubOrchestrationInstanceCreated,
        EventId: work.id,
        Name: work.name,
        InstanceId: work.instanceId,
        Version: work.version,
        Input: JSON.stringify(work.input ?? null),
      });
    case 'sentEvent':
      return historyEvent(now, {
        EventType: EventType.EventSent,
        EventId: work.id,
        InstanceId: work.instanceId,
        Name: work.name,
        Input: JSON.stringify(work.input),
      });
  }
}

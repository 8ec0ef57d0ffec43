/** How an instance and its history look in the management API (StatusResponsePayload, DurableClient.GetStatusAsync). */
import { EventType, type HistoryEvent } from './history.ts';
import type { Instance } from './instances.ts';

const eventNames = new Map<number, string>(Object.entries(EventType).map(([name, value]) => [value, name]));

/** Times have a precision of seconds there. */
function seconds(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}

/** JSON text as its value; text that is not JSON (a failure's reason) as it is. */
function parseJson(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export function instanceStatus(
  instance: Instance,
  options: { showInput: boolean; history?: readonly HistoryEvent[]; showHistoryOutput?: boolean },
): Record<string, unknown> {
  const { history } = options;
  return {
    name: instance.name,
    instanceId: instance.id,
    runtimeStatus: instance.status,
    input: options.showInput ? parseJson(instance.input) : null,
    customStatus: parseJson(instance.custom_status),
    output: instance.status === 'Completed' ? parseJson(instance.output) : instance.output,
    createdTime: seconds(instance.created),
    lastUpdatedTime: seconds(instance.updated),
    ...(history ? { historyEvents: toStatusEvents(history, options.showHistoryOutput === true) } : {}),
  };
}

/** Scheduling events are folded into their completions; episode marks and inputs are left out. */
function toStatusEvents(history: readonly HistoryEvent[], showOutput: boolean): Record<string, unknown>[] {
  const scheduled = new Map<number, { name?: string; at: string }>();
  const result: Record<string, unknown>[] = [];
  for (const event of history) {
    const base = { EventType: eventNames.get(event.EventType), Timestamp: event.Timestamp };
    switch (event.EventType) {
      case EventType.ExecutionStarted:
        result.push({ ...base, FunctionName: event.Name });
        break;
      case EventType.TaskScheduled:
      case EventType.SubOrchestrationInstanceCreated:
        scheduled.set(event.EventId, { name: event.Name, at: event.Timestamp });
        break;
      case EventType.TimerCreated:
        scheduled.set(event.EventId, { at: event.Timestamp });
        result.push({ ...base, FireAt: event.FireAt });
        break;
      case EventType.TimerFired:
        result.push({ ...base, FireAt: event.FireAt, ScheduledTime: scheduled.get(event.TimerId)?.at });
        break;
      case EventType.TaskCompleted:
      case EventType.SubOrchestrationInstanceCompleted: {
        const from = scheduled.get(event.TaskScheduledId);
        const output = showOutput ? { Result: parseJson(event.Result) } : {};
        result.push({ ...base, ...output, FunctionName: from?.name, ScheduledTime: from?.at });
        break;
      }
      case EventType.TaskFailed:
      case EventType.SubOrchestrationInstanceFailed: {
        const from = scheduled.get(event.TaskScheduledId);
        const { Reason, Details } = event;
        result.push({ ...base, Reason, Details, FunctionName: from?.name, ScheduledTime: from?.at });
        break;
      }
      case EventType.EventRaised:
        result.push({ ...base, Name: event.Name, ...(showOutput ? { Input: parseJson(event.Input) } : {}) });
        break;
      case EventType.ExecutionCompleted: {
        const output = showOutput ? { Result: parseJson(event.Result) } : {};
        result.push({ ...base, OrchestrationStatus: event.OrchestrationStatus, ...output });
        break;
      }
      case EventType.OrchestratorStarted:
      case EventType.OrchestratorCompleted:
        break;
      default:
        result.push(base);
    }
  }
  return result;
}

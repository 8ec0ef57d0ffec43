/** What a durable client can ask of the hub: start, look, raise, terminate, suspend, resume, rewind, restart, purge. */
import { missingFunctionMessage } from './functions.ts';
import { EventType, type HistoryEvent, historyEvent } from './history.ts';
import {
  createInstance,
  findInstance,
  type Instance,
  isFinished,
  type RuntimeStatus,
  readHistory,
  removeInstance,
  sendMessage,
} from './instances.ts';
import type { TaskHub } from './task-hub.ts';

/** An argument the extension refuses with 400. */
export class BadArgumentError extends Error {
  override readonly name = 'ArgumentException';
}

/** An instance of that id is not finished: 409. */
export class AlreadyExistsError extends Error {
  override readonly name = 'OrchestrationAlreadyExistsException';
}

export interface InstanceFilter {
  readonly createdFrom?: number | undefined;
  readonly createdTo?: number | undefined;
  readonly statuses?: readonly RuntimeStatus[] | undefined;
  readonly idPrefix?: string | undefined;
}

/**
 * Starts an instance. `input` is JSON text. Throws BadArgumentError for an unknown orchestrator or an id that cannot
 * be, AlreadyExistsError while an instance of that id is not finished (unless host.json lets it be overridden).
 */
export function startInstance(
  hub: TaskHub,
  request: { name: string; id: string; input: string | null; version?: string | null },
): void {
  const name = hub.functions.find('orchestrator', request.name);
  if (!name) throw new BadArgumentError(missingFunctionMessage(hub.functions, 'orchestrator', request.name));
  refuseBadId(request.id);
  const existing = findInstance(hub.store, request.id);
  const mayReplace = hub.settings.overridableExistingInstanceStates === 'AnyState';
  if (existing && !isFinished(existing.status) && !mayReplace) {
    throw new AlreadyExistsError(
      `An Orchestration instance with the status ${existing.status} already exists.`,
    );
  }
  const version = request.version ?? hub.settings.defaultVersion;
  createInstance(hub.store, { id: request.id, name, version, input: request.input }, hub.clock.now());
  hub.forget(request.id);
  hub.wakeInstance(request.id);
}

/** The extension's rule for instance ids (DurableClient.StartNewAsync). */
function refuseBadId(id: string): void {
  if (id.startsWith('@')) {
    throw new BadArgumentError('Orchestration instance IDs must not start with @.');
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/[/\\#?\u0000-\u001f\u007f-\u009f]/.test(id)) {
    throw new BadArgumentError(
      "Orchestration instance IDs must not contain any of the following characters: '/', '\\', '#', '?', or any control characters.",
    );
  }
  if (id.length > 100) throw new BadArgumentError('Instance ID lengths must not exceed 100 characters.');
}

/** Puts an external event, a termination, a suspension or a resumption into a running instance's queue. */
export function tellInstance(
  hub: TaskHub,
  id: string,
  message:
    | { kind: 'raise'; name: string; input: string | null }
    | { kind: 'terminate' | 'suspend' | 'resume'; reason: string | null },
): void {
  const event =
    message.kind === 'raise'
      ? { EventType: EventType.EventRaised, Name: message.name, Input: message.input }
      : {
          EventType: {
            terminate: EventType.ExecutionTerminated,
            suspend: EventType.ExecutionSuspended,
            resume: EventType.ExecutionResumed,
          }[message.kind],
          Input: message.reason,
        };
  sendMessage(hub.store, id, null, historyEvent(hub.clock.now(), event));
  hub.wakeInstance(id);
}

/**
 * Rewinds a failed instance as the Azure Storage provider does: the failed tasks and their being scheduled are taken
 * out of the history (they become generic events), failed sub-orchestrations are rewound too, and the instance goes on.
 */
export function rewindInstance(hub: TaskHub, id: string, reason: string | null): void {
  const woken: string[] = [];
  hub.store.transaction(() => rewind(hub, id, reason, woken));
  for (const one of woken) {
    hub.forget(one);
    hub.wakeInstance(one);
  }
}

function rewind(hub: TaskHub, id: string, reason: string | null, woken: string[]): void {
  const { store, clock } = hub;
  const history = readHistory(store, id);
  const failed = new Set<number>();
  for (const event of history) {
    if (
      event.EventType === EventType.TaskFailed ||
      event.EventType === EventType.SubOrchestrationInstanceFailed
    ) {
      failed.add(event.TaskScheduledId);
    }
  }
  let hasChildToRewind = false;
  history.forEach((event, seq) => {
    if (event.EventType === EventType.SubOrchestrationInstanceCreated && failed.has(event.EventId)) {
      const child = findInstance(store, event.InstanceId);
      if (child?.status === 'Failed') {
        hasChildToRewind = true;
        rewind(hub, child.id, reason, woken);
      }
    }
    if (!isRewound(event, failed, store)) return;
    const replacement = historyEvent(Date.parse(event.Timestamp), {
      EventType: EventType.GenericEvent,
      Data: `Rewound: ${eventName(event)}`,
    });
    store.run(
      'UPDATE history SET event = ? WHERE instance_id = ? AND seq = ?',
      JSON.stringify(replacement),
      id,
      seq,
    );
  });
  store.run(
    "UPDATE instances SET status = 'Running', output = NULL, updated = ? WHERE id = ?",
    clock.now(),
    id,
  );
  if (hasChildToRewind) return;
  const wakeUp = historyEvent(clock.now(), {
    EventType: EventType.GenericEvent,
    Data: `Rewind: ${reason ?? ''}`,
  });
  sendMessage(store, id, null, wakeUp);
  woken.push(id);
}

/** A failed child keeps its being created: it is rewound itself and will report once more. */
function isRewound(event: HistoryEvent, failed: ReadonlySet<number>, store: TaskHub['store']): boolean {
  switch (event.EventType) {
    case EventType.TaskFailed:
    case EventType.SubOrchestrationInstanceFailed:
    case EventType.ExecutionCompleted:
      return true;
    case EventType.TaskScheduled:
      return failed.has(event.EventId);
    case EventType.SubOrchestrationInstanceCreated:
      return failed.has(event.EventId) && findInstance(store, event.InstanceId) === undefined;
    default:
      return false;
  }
}

function eventName(event: HistoryEvent): string {
  return Object.entries(EventType).find(([, value]) => value === event.EventType)?.[0] ?? 'Event';
}

/** The id under which the instance was started once more, with its name and input. Undefined if it is unknown. */
export function restartInstance(hub: TaskHub, id: string, newId: string): string | undefined {
  const instance = findInstance(hub.store, id);
  if (!instance) return undefined;
  const { name, input, version } = instance;
  startInstance(hub, { name, id: newId, input, version });
  return newId;
}

/** Forgets an instance. Its sub-orchestrations stay, as they do in the Azure Storage provider. */
export function purgeInstance(hub: TaskHub, id: string): void {
  hub.store.transaction(() => removeInstance(hub.store, id));
  hub.forget(id);
}

/** Instances in the order they were created, from the one after `after` on. */
export function listInstances(
  hub: TaskHub,
  filter: InstanceFilter,
  page: { limit: number; after?: { created: number; id: string } | undefined },
): Instance[] {
  const conditions = ['created >= ?', 'created <= ?', 'substr(id, 1, ?) = ?'];
  const prefix = filter.idPrefix ?? '';
  const values: (string | number)[] = [
    filter.createdFrom ?? Number.MIN_SAFE_INTEGER,
    filter.createdTo ?? Number.MAX_SAFE_INTEGER,
    prefix.length,
    prefix,
  ];
  if (filter.statuses?.length) {
    conditions.push('status IN (SELECT value FROM json_each(?))');
    values.push(JSON.stringify(filter.statuses));
  }
  if (page.after) {
    conditions.push('(created, id) > (?, ?)');
    values.push(page.after.created, page.after.id);
  }
  return hub.store.all<Instance>(
    `SELECT * FROM instances WHERE ${conditions.join(' AND ')} ORDER BY created, id LIMIT ?`,
    ...values,
    page.limit,
  );
}

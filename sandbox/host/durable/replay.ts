/**
 * The heart of the host: replays the cumulative list of actions an orchestrator returned against the history, and
 * finds out what is new. It does so as the Durable extension does (OutOfProcOrchestrationShim over DurableTask.Core's
 * TaskOrchestrationContext): events are played in order, actions are invoked one after the other, each awaited before
 * the next, and every activity, timer, sub-orchestration and sent event takes the next sequential id. A history event
 * whose id was not taken, or taken by something else, means that the orchestrator's code is not deterministic.
 *
 * Nothing here is forgiving: a task put into a second compound action takes a new id and runs again (durable-js #574),
 * and an orchestration whose function has returned stays open while a task is open.
 *
 * It is longer than 300 lines because it is one state machine: the context, what each action does to it and what each
 * event does to it cannot be understood apart.
 */
import { createHash } from 'node:crypto';
import type { Decision, EntityMessage, Outcome, ReplayOptions, Scheduled } from './decision.ts';
import { entityInstanceId, entityName } from './entity-id.ts';
import { EventType, type HistoryEvent } from './history.ts';
import { httpActivityName } from './http-activity.ts';
import { type Action, ActionType, type OrchestratorState, type RetryOptions } from './orchestrator-state.ts';
import { PendingTask, runSteps, type Steps, whenAll, whenAny } from './pending-task.ts';

class NonDeterminismError extends Error {
  override readonly name = 'NonDeterministicOrchestrationException';
  constructor(what: string) {
    super(
      `Non-Deterministic workflow detected: A previous execution of this orchestration ${what} Was a change made to the orchestrator code after this instance had already started running?`,
    );
  }
}

/** Raised for an action the host refuses at the point of the call; unlike a task's failure it is not swallowed. */
class RefusedActionError extends Error {
  override readonly name = 'ArgumentException';
}

/** The extension limits custom status to 16 KB of UTF-16 text (DurableOrchestrationContext.SetCustomStatus). */
const customStatusLimit = 16 * 1024;

const actionNames: Readonly<Record<Scheduled['kind'], string>> = {
  activity: 'ScheduleTaskOrchestratorAction',
  timer: 'CreateTimerOrchestratorAction',
  subOrchestration: 'CreateSubOrchestrationAction',
  sentEvent: 'SendEventOrchestratorAction',
};

/** Replays the state against the history. Never throws for what an app did: that is an outcome. */
export function replay(options: ReplayOptions): Decision {
  return new Replay(options).run();
}

class Replay {
  readonly #options: ReplayOptions;
  #nextId = 0;
  #guidCount = 0;
  #now = 0;
  /** Invoked in this replay and not (yet) met in the history. */
  readonly #unconfirmed = new Map<number, Scheduled>();
  readonly #open = new Map<number, PendingTask>();
  /** Keyed by lower-case event name: the extension compares names without regard to case. */
  readonly #waiting = new Map<string, PendingTask[]>();
  readonly #buffered = new Map<string, { name: string; input: string | null }[]>();
  #lock: { id: string; owned: Set<string> } | undefined;
  #continueAsNewInput: string | undefined;
  #customStatus: string | null = null;
  #main: PendingTask | undefined;
  #isSuspended = false;
  readonly #whileSuspended: HistoryEvent[] = [];
  #terminated: { reason: string | null } | undefined;

  constructor(options: ReplayOptions) {
    this.#options = options;
  }

  run(): Decision {
    try {
      for (const event of this.#options.history) this.#play(event);
    } catch (error) {
      if (!(error instanceof NonDeterminismError)) throw error;
      const cause = this.#main?.error;
      return this.#decide(this.#failure(cause instanceof Error && !this.#terminated ? cause : error), []);
    }
    const scheduled = [...this.#unconfirmed.values()];
    if (this.#terminated) return this.#decide({ kind: 'terminated', reason: this.#terminated.reason }, []);
    const main = this.#main;
    if (!main?.isSettled || this.#open.size > 0) return this.#decide({ kind: 'open' }, scheduled);
    if (main.error !== undefined) return this.#decide(this.#failure(main.error), scheduled);
    if (this.#continueAsNewInput !== undefined) {
      const carried = [...this.#buffered.values()].flat();
      return this.#decide({ kind: 'continuedAsNew', input: this.#continueAsNewInput, carried }, scheduled);
    }
    return this.#decide({ kind: 'completed', output: main.value as string | null }, scheduled);
  }

  #decide(outcome: Outcome, scheduled: readonly Scheduled[]): Decision {
    return { outcome, scheduled, isSuspended: this.#isSuspended, customStatus: this.#customStatus };
  }

  #failure(error: unknown): Outcome {
    const message = error instanceof Error ? error.message : String(error);
    const reason =
      error instanceof NonDeterminismError
        ? message
        : `Orchestrator function '${this.#options.name}' failed: ${message}`;
    return { kind: 'failed', reason, details: reason };
  }

  // The orchestrator's part: the list of actions.

  *#replayActions(state: OrchestratorState | Error): Steps {
    if (state instanceof Error) throw state;
    this.#setCustomStatus(state.customStatus);
    for (const action of state.actions[0] ?? []) yield this.#invoke(action);
    if (state.error) throw new Error(state.error);
    // Without an end the instance waits, as the extension does, for an event that wakes the function again.
    if (!state.isDone) yield new PendingTask();
    this.#releaseLocks();
    return state.output === null || state.output === undefined ? null : JSON.stringify(state.output);
  }

  #setCustomStatus(status: unknown): void {
    if (status === undefined || status === null) return;
    const text = JSON.stringify(status);
    const size = text.length * 2;
    if (size > customStatusLimit) {
      const kilobytes = Math.round(size / 1024);
      throw new RefusedActionError(
        `The UTF-16 size of the JSON-serialized payload must not exceed 16 KB. The current payload is ${kilobytes} KB.`,
      );
    }
    this.#customStatus = text;
  }

  #invoke(action: Action): PendingTask {
    switch (action.actionType) {
      case ActionType.CallActivity:
        return this.#callActivity(action.functionName, action.input);
      case ActionType.CallActivityWithRetry:
        this.#require('activity', action.functionName);
        return this.#retry(action.retryOptions, () => this.#callActivity(action.functionName, action.input));
      case ActionType.CallSubOrchestrator:
        return this.#callSubOrchestrator(action);
      case ActionType.CallSubOrchestratorWithRetry:
        this.#require('orchestrator', action.functionName);
        return this.#retry(action.retryOptions, () => this.#callSubOrchestrator(action));
      case ActionType.ContinueAsNew:
        this.#continueAsNewInput = JSON.stringify(action.input ?? null);
        return settled();
      case ActionType.CreateTimer:
        return this.#createTimer(Date.parse(action.fireAt ?? ''), action.isCanceled === true);
      case ActionType.WaitForExternalEvent:
        return this.#waitForEvent(action.externalEventName ?? '');
      case ActionType.CallHttp:
        return this.#callHttp(action.httpRequest);
      case ActionType.CallEntity:
        return this.#callEntity(action);
      case ActionType.SignalEntity:
        this.#signalEntity(action);
        return settled();
      case ActionType.LockEntities:
        return this.#lockEntities(action);
      case ActionType.ReleaseEntities:
        this.#releaseLocks();
        return settled();
      case ActionType.WhenAll:
        return whenAll((action.compoundActions ?? []).map((part) => this.#invoke(part)));
      case ActionType.WhenAny:
        return whenAny((action.compoundActions ?? []).map((part) => this.#invoke(part)));
      default:
        throw new RefusedActionError(
          `Received an unexpected action type from the out-of-proc function: '${action.actionType}'.`,
        );
    }
  }

  #schedule(describe: (id: number) => Scheduled): PendingTask {
    const id = this.#nextId++;
    const task = new PendingTask();
    this.#unconfirmed.set(id, describe(id));
    this.#open.set(id, task);
    task.whenSettled(() => this.#open.delete(id));
    return task;
  }

  #require(kind: 'activity' | 'orchestrator' | 'entity', name: string | null | undefined): string {
    if (!name || !this.#options.functionExists(kind, name)) {
      throw new RefusedActionError(this.#options.missingFunction(kind, name ?? ''));
    }
    return name;
  }

  #callActivity(functionName: string | null | undefined, input: unknown): PendingTask {
    const name = this.#require('activity', functionName);
    return this.#schedule((id) => ({ kind: 'activity', id, name, input }));
  }

  #callSubOrchestrator(action: Action): PendingTask {
    const name = this.#require('orchestrator', action.functionName);
    const { instanceId, parentInstanceId, executionId } = this.#options;
    const wanted = action.instanceId?.trim() ? action.instanceId : undefined;
    if (wanted && [instanceId, parentInstanceId].some((id) => id?.toLowerCase() === wanted.toLowerCase())) {
      throw new RefusedActionError(
        'The instance ID of a sub-orchestration must be different than the instance ID of a parent orchestration.',
      );
    }
    if (wanted?.startsWith('@')) {
      throw new RefusedActionError('Orchestration instance ids must not start with @');
    }
    return this.#schedule((id) => ({
      kind: 'subOrchestration',
      id,
      name,
      instanceId: wanted ?? `${executionId}:${id}`,
      version: action.version ?? null,
      input: action.input,
    }));
  }

  /** DurableTask.Core's RetryInterceptor: it waits for one back-off even after the last failed attempt. */
  #retry(options: RetryOptions | null | undefined, call: () => PendingTask): PendingTask {
    if (!options) throw new RefusedActionError('Value cannot be null. (Parameter retryOptions)');
    const replay = this;
    return runSteps(
      (function* attempts(): Steps {
        const expires = replay.#now + (options.retryTimeoutInMilliseconds ?? Number.POSITIVE_INFINITY);
        let last: unknown;
        for (let attempt = 0; attempt < options.maxNumberOfAttempts; attempt++) {
          const task = call();
          yield task;
          if (task.error === undefined) return task.value;
          last = task.error;
          const backOff =
            options.firstRetryIntervalInMilliseconds * (options.backoffCoefficient ?? 1) ** attempt;
          const longest = options.maxRetryIntervalInMilliseconds ?? replay.#options.maximumShortTimer;
          const delay = replay.#now < expires ? Math.min(backOff, longest) : 0;
          if (delay === 0) break;
          yield replay.#shortTimer(replay.#now + delay);
        }
        throw last ?? new Error('The task was never attempted.');
      })(),
    );
  }

  #shortTimer(fireAt: number): PendingTask {
    return this.#schedule((id) => ({ kind: 'timer', id, fireAt }));
  }

  #createTimer(fireAt: number, isCanceled: boolean): PendingTask {
    if (Number.isNaN(fireAt)) throw new RefusedActionError('A timer needs a time to fire at.');
    const { maximumShortTimer, longTimerInterval } = this.#options;
    const isLong = fireAt - this.#now > maximumShortTimer;
    const first = this.#shortTimer(isLong ? this.#now + longTimerInterval : fireAt);
    if (isCanceled) first.fail(new Error('A task was canceled.'));
    if (!isLong || isCanceled) return first;
    const replay = this;
    return runSteps(
      (function* pieces(): Steps {
        yield first;
        while (fireAt > replay.#now) {
          yield replay.#shortTimer(replay.#now + Math.min(fireAt - replay.#now, longTimerInterval));
        }
        return undefined;
      })(),
    );
  }

  /** Waiters of one name form a stack: the newest gets the event. */
  #waitForEvent(name: string): PendingTask {
    const key = name.toLowerCase();
    const task = new PendingTask();
    const stack = this.#waiting.get(key) ?? [];
    stack.push(task);
    this.#waiting.set(key, stack);
    const queue = this.#buffered.get(key);
    const next = queue?.shift();
    if (queue?.length === 0) this.#buffered.delete(key);
    if (next) this.#raise(next.name, next.input);
    return task;
  }

  #raise(name: string, input: string | null): void {
    const key = name.toLowerCase();
    const stack = this.#waiting.get(key);
    const waiter = stack?.pop();
    if (stack?.length === 0) this.#waiting.delete(key);
    if (waiter) {
      waiter.complete(input);
      return;
    }
    const queue = this.#buffered.get(key) ?? [];
    queue.push({ name, input });
    this.#buffered.set(key, queue);
  }

  /** While the answer is 202 with a Location, the extension waits Retry-After and polls: activity, timer, activity… */
  #callHttp(request: unknown): PendingTask {
    const replay = this;
    const send = (input: unknown): PendingTask =>
      replay.#schedule((id) => ({ kind: 'activity', id, name: httpActivityName, input }));
    const { asynchronousPatternEnabled, headers, ...rest } = (request ?? {}) as {
      asynchronousPatternEnabled?: boolean;
      headers?: Record<string, string>;
    };
    return runSteps(
      (function* poll(): Steps {
        let task = send(request);
        for (;;) {
          yield task;
          if (task.error !== undefined) throw task.error;
          const answer = JSON.parse(String(task.value)) as {
            statusCode: number;
            headers?: Record<string, string>;
          };
          const header = (name: string): string | undefined =>
            Object.entries(answer.headers ?? {}).find(([key]) => key.toLowerCase() === name)?.[1];
          const location = header('location');
          if (answer.statusCode !== 202 || !asynchronousPatternEnabled || !location) return task.value;
          const seconds = Number(header('retry-after') ?? Number.NaN);
          yield replay.#shortTimer(replay.#now + (Number.isNaN(seconds) ? 30_000 : seconds * 1000));
          const { 'x-functions-key': _ownKey, ...kept } = headers ?? {};
          task = send({ ...rest, method: 'GET', uri: location, content: null, headers: kept });
        }
      })(),
    );
  }

  // Entities: a request is a sent event; its response comes back as an external event named by the request's id.

  #sendToEntity(instanceId: string, name: string, input: EntityMessage): void {
    const id = this.#nextId++;
    this.#unconfirmed.set(id, { kind: 'sentEvent', id, instanceId, name, input });
  }

  #entityRequest(action: Action, signal: boolean): EntityMessage {
    const target = action.instanceId ?? '';
    this.#require('entity', entityName(target));
    const { instanceId, executionId } = this.#options;
    return {
      id: this.#newGuid(),
      parent: instanceId,
      parentExecution: executionId,
      op: action.operation ?? '',
      signal,
      input: action.input === undefined || action.input === null ? null : JSON.stringify(action.input),
    };
  }

  #callEntity(action: Action): PendingTask {
    const target = action.instanceId ?? '';
    if (this.#lock && !this.#lock.owned.has(target)) {
      throw new RefusedActionError('While holding locks, cannot call entities whose lock is not held.');
    }
    const request = this.#entityRequest(action, false);
    this.#sendToEntity(target, 'op', request);
    return this.#waitForEvent(request.id);
  }

  #signalEntity(action: Action): void {
    const target = action.instanceId ?? '';
    if (this.#lock?.owned.has(target)) {
      throw new RefusedActionError('While holding locks, cannot signal entities whose lock is held.');
    }
    this.#sendToEntity(target, 'op', this.#entityRequest(action, true));
  }

  #lockEntities(action: Action): PendingTask {
    if (this.#lock)
      throw new RefusedActionError('Cannot acquire more locks when already holding some locks.');
    const lockset = action.lockSet ?? [];
    const first = lockset[0];
    if (!first)
      throw new RefusedActionError('The list of entities to lock must not be null or empty. (entities)');
    for (const entity of lockset) this.#require('entity', entity.name);
    const id = action.lockRequestId ?? this.#newGuid();
    const { instanceId, executionId } = this.#options;
    this.#sendToEntity(entityInstanceId(first), 'op', {
      id,
      parent: instanceId,
      parentExecution: executionId,
      lockset,
      pos: 0,
    });
    const granted = this.#waitForEvent(id);
    granted.whenSettled(() => {
      this.#lock = { id, owned: new Set(lockset.map(entityInstanceId)) };
    });
    return granted;
  }

  #releaseLocks(): void {
    const lock = this.#lock;
    this.#lock = undefined;
    if (!lock) return;
    for (const target of lock.owned) {
      this.#sendToEntity(target, 'release', { id: lock.id, parent: this.#options.instanceId });
    }
  }

  /** The same on every replay: it follows from the instance, the time and the count. */
  #newGuid(): string {
    const text = `${this.#options.instanceId}_${this.#now}_${this.#guidCount++}`;
    const hash = createHash('sha1').update(text).digest('hex');
    return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-5${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
  }

  // The history's part.

  #play(event: HistoryEvent): void {
    const isHeeded =
      event.EventType === EventType.ExecutionResumed || event.EventType === EventType.ExecutionTerminated;
    if (this.#isSuspended && !isHeeded) {
      // Time goes on for a suspended instance; only what it would react to is kept back.
      if (event.EventType === EventType.OrchestratorStarted) this.#now = Date.parse(event.Timestamp);
      else this.#whileSuspended.push(event);
      return;
    }
    switch (event.EventType) {
      case EventType.OrchestratorStarted:
        this.#now = Date.parse(event.Timestamp);
        break;
      case EventType.ExecutionStarted:
        this.#main = runSteps(this.#replayActions(this.#options.state));
        break;
      case EventType.TaskScheduled:
        this.#confirm('activity', 'scheduled an activity task', event.EventId, event.Name);
        break;
      case EventType.TimerCreated:
        this.#confirm('timer', 'created a timer', event.EventId);
        break;
      case EventType.SubOrchestrationInstanceCreated:
        this.#confirm('subOrchestration', 'scheduled a sub-orchestration task', event.EventId, event.Name);
        break;
      case EventType.EventSent:
        this.#confirm('sentEvent', 'sent an event', event.EventId);
        break;
      case EventType.TaskCompleted:
      case EventType.SubOrchestrationInstanceCompleted:
        this.#open.get(event.TaskScheduledId)?.complete(event.Result);
        break;
      case EventType.TaskFailed:
      case EventType.SubOrchestrationInstanceFailed:
        this.#open.get(event.TaskScheduledId)?.fail(new Error(event.Reason));
        break;
      case EventType.TimerFired:
        this.#open.get(event.TimerId)?.complete();
        break;
      case EventType.EventRaised:
        this.#raise(event.Name, event.Input);
        break;
      case EventType.ExecutionTerminated:
        this.#terminated ??= { reason: event.Input };
        break;
      case EventType.ExecutionSuspended:
        this.#isSuspended = true;
        break;
      case EventType.ExecutionResumed:
        this.#isSuspended = false;
        for (const held of this.#whileSuspended.splice(0)) this.#play(held);
        break;
      default:
        break;
    }
  }

  /** The history says this id was given out: the replay must have given it to the same thing. */
  #confirm(kind: Scheduled['kind'], did: string, id: number, name?: string): void {
    const now = this.#unconfirmed.get(id);
    const named = name === undefined ? '' : ` and name '${name}'`;
    if (!now) {
      throw new NonDeterminismError(
        `${did} with sequence ID ${id}${named}, but the current replay execution hasn't (yet?) scheduled this task.`,
      );
    }
    if (now.kind !== kind) {
      throw new NonDeterminismError(
        `${did} with sequence ID ${id}${named}, but the current orchestration replay instead produced a ${actionNames[now.kind]} action with this sequence number.`,
      );
    }
    const nowName = 'name' in now ? now.name : undefined;
    if (name !== undefined && nowName?.toLowerCase() !== name.toLowerCase()) {
      throw new NonDeterminismError(
        `${did} with sequence ID ${id}${named}, but the current orchestration replay instead scheduled one with name '${nowName}' with this sequence number.`,
      );
    }
    this.#unconfirmed.delete(id);
  }
}

function settled(): PendingTask {
  const task = new PendingTask();
  task.complete();
  return task;
}

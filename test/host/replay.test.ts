import { describe, expect, test } from 'vitest';
import type { Decision } from '../../sandbox/host/durable/decision.ts';
import { EventType, type HistoryEvent, historyEvent } from '../../sandbox/host/durable/history.ts';
import {
  type Action,
  ActionType,
  type OrchestratorState,
} from '../../sandbox/host/durable/orchestrator-state.ts';
import { replay } from '../../sandbox/host/durable/replay.ts';

const start = Date.parse('2026-01-01T00:00:00Z');
const day = 86_400_000;
const known = ['a', 'b', 'd', 'child', 'counter'];

const activity = (functionName: string): Action => ({
  actionType: ActionType.CallActivity,
  functionName,
  input: 1,
});
const any = (...compoundActions: Action[]): Action => ({ actionType: ActionType.WhenAny, compoundActions });
const all = (...compoundActions: Action[]): Action => ({ actionType: ActionType.WhenAll, compoundActions });
const timer = (after: number, isCanceled = false): Action => ({
  actionType: ActionType.CreateTimer,
  fireAt: new Date(start + after).toISOString(),
  isCanceled,
});
const event = (externalEventName: string): Action => ({
  actionType: ActionType.WaitForExternalEvent,
  externalEventName,
});
const retry = (maxNumberOfAttempts: number): Action => ({
  actionType: ActionType.CallActivityWithRetry,
  functionName: 'a',
  retryOptions: { firstRetryIntervalInMilliseconds: 1000, maxNumberOfAttempts, backoffCoefficient: 2 },
});

/** Grows a history as the host does: each step is an episode, and what it scheduled is recorded. */
class Story {
  readonly history: HistoryEvent[] = [];
  at = start;
  last: Decision | undefined;

  constructor() {
    this.history.push(
      historyEvent(start, { EventType: EventType.OrchestratorStarted }),
      historyEvent(start, { EventType: EventType.ExecutionStarted, Name: 'o', Version: null, Input: null }),
    );
  }

  /** Begins an episode with these messages. */
  message(...messages: Parameters<typeof historyEvent>[1][]): this {
    this.history.push(historyEvent(this.at, { EventType: EventType.OrchestratorStarted }));
    for (const message of messages) this.history.push(historyEvent(this.at, message));
    return this;
  }

  completed(id: number, result: unknown = 'r'): this {
    return this.message({
      EventType: EventType.TaskCompleted,
      TaskScheduledId: id,
      Result: JSON.stringify(result),
    });
  }

  failed(id: number): this {
    return this.message({ EventType: EventType.TaskFailed, TaskScheduledId: id, Reason: 'no', Details: '' });
  }

  fired(id: number, at: number): this {
    this.at = start + at;
    return this.message({
      EventType: EventType.TimerFired,
      TimerId: id,
      FireAt: new Date(this.at).toISOString(),
    });
  }

  raised(name: string, value: unknown): this {
    return this.message({ EventType: EventType.EventRaised, Name: name, Input: JSON.stringify(value) });
  }

  /** Replays the actions, records what is new, and tells it as `kind id name`. */
  play(actions: Action[], state: Partial<OrchestratorState> = {}): string[] {
    const decision = replay({
      history: this.history,
      state: { isDone: false, actions: [actions], schemaVersion: 2, ...state },
      name: 'o',
      instanceId: 'i',
      executionId: 'e',
      parentInstanceId: 'p',
      functionExists: (_kind, name) => known.includes(name.toLowerCase()),
      missingFunction: (kind, name) => `no ${kind} ${name}`,
      maximumShortTimer: 6 * day,
      longTimerInterval: 3 * day,
    });
    this.last = decision;
    const time = this.at;
    return decision.scheduled.map((work): string => {
      switch (work.kind) {
        case 'activity':
          this.history.push(
            historyEvent(time, {
              EventType: EventType.TaskScheduled,
              EventId: work.id,
              Name: work.name,
              Version: '',
              Input: null,
            }),
          );
          return `activity ${work.id} ${work.name}`;
        case 'timer': {
          const FireAt = new Date(work.fireAt).toISOString();
          this.history.push(
            historyEvent(time, { EventType: EventType.TimerCreated, EventId: work.id, FireAt }),
          );
          return `timer ${work.id} +${work.fireAt - start}`;
        }
        case 'subOrchestration':
          return `child ${work.id} ${work.instanceId}`;
        case 'sentEvent':
          this.history.push(
            historyEvent(time, {
              EventType: EventType.EventSent,
              EventId: work.id,
              InstanceId: work.instanceId,
              Name: work.name,
              Input: JSON.stringify(work.input),
            }),
          );
          return `${work.name} ${work.id} ${work.instanceId}`;
        default:
          return work satisfies never;
      }
    });
  }

  get outcome(): unknown {
    return this.last?.outcome;
  }
}

describe('the list of actions', () => {
  test('is only reached as far as the actions before have completed', () => {
    const story = new Story();
    const list = [activity('a'), activity('b'), activity('d')];
    expect(story.play(list)).toEqual(['activity 0 a']);
    expect(story.play(list)).toEqual([]);
    expect(story.completed(0).play(list)).toEqual(['activity 1 b']);
    expect(story.failed(1).play(list)).toEqual(['activity 2 d']);
    expect(story.outcome).toEqual({ kind: 'open' });
  });

  test('schedules all parts of a compound, in order', () => {
    expect(new Story().play([all(activity('a'), any(activity('b'), timer(1000)), activity('d'))])).toEqual([
      'activity 0 a',
      'activity 1 b',
      'timer 2 +1000',
      'activity 3 d',
    ]);
  });

  test('goes past an "any" with its first part, past an "all" only when every part has settled', () => {
    const first = new Story();
    const anyList = [any(activity('a'), activity('b')), activity('d')];
    first.play(anyList);
    expect(first.completed(1).play(anyList)).toEqual(['activity 2 d']);
    const second = new Story();
    const allList = [all(activity('a'), activity('b')), activity('d')];
    second.play(allList);
    expect(second.failed(0).play(allList)).toEqual([]);
    expect(second.completed(1).play(allList)).toEqual(['activity 2 d']);
  });

  test('a task put into a second compound runs again under a new id (durable-js #574)', () => {
    const story = new Story();
    const [a, b, d] = [activity('a'), activity('b'), activity('d')];
    expect(story.play([any(a, b)])).toEqual(['activity 0 a', 'activity 1 b']);
    expect(story.completed(0).play([any(a, b), any(b, d)])).toEqual(['activity 2 b', 'activity 3 d']);
  });

  test('ends with the output once the function is done and nothing is open', () => {
    const story = new Story();
    const list = [any(activity('a'), timer(5000))];
    story.play(list);
    story.completed(0).play(list, { isDone: true, output: [1] });
    expect(story.outcome).toEqual({ kind: 'open' });
    story.fired(1, 5000).play(list, { isDone: true, output: [1] });
    expect(story.outcome).toEqual({ kind: 'completed', output: '[1]' });
  });

  test('ends with the error after the actions', () => {
    const story = new Story();
    story.play([activity('a')], { error: 'bad' });
    expect(story.outcome).toEqual({ kind: 'open' });
    story.completed(0).play([activity('a')], { error: 'bad' });
    expect(story.outcome).toMatchObject({ kind: 'failed', reason: "Orchestrator function 'o' failed: bad" });
  });

  test.each([
    { reason: 'an unknown activity', action: activity('x'), message: 'no activity x' },
    {
      reason: 'an unknown child',
      action: { actionType: ActionType.CallSubOrchestrator, functionName: 'x' },
      message: 'no orchestrator x',
    },
    {
      reason: "the parent's id for a child",
      action: { actionType: ActionType.CallSubOrchestrator, functionName: 'child', instanceId: 'P' },
      message: 'must be different',
    },
    {
      reason: 'an unknown action',
      action: { actionType: 77 },
      message: "unexpected action type from the out-of-proc function: '77'",
    },
  ])('fails at $reason', ({ action, message }) => {
    const story = new Story();
    expect(story.play([action as Action, activity('a')])).toEqual([]);
    expect(story.outcome).toMatchObject({ kind: 'failed', reason: expect.stringContaining(message) });
  });
});

describe('timers', () => {
  test('a cancelled one is settled, and takes its id', () => {
    const story = new Story();
    story.play([any(activity('a'), timer(1000))]);
    const list = [any(activity('a'), timer(1000, true)), activity('b')];
    expect(story.completed(0).play(list)).toEqual(['activity 2 b']);
    story.completed(2).play(list, { isDone: true });
    expect(story.outcome).toMatchObject({ kind: 'completed' });
  });

  test('beyond six days come in pieces of three', () => {
    const story = new Story();
    const list = [timer(8 * day), activity('a')];
    expect(story.play(list)).toEqual([`timer 0 +${3 * day}`]);
    expect(story.fired(0, 3 * day).play(list)).toEqual([`timer 1 +${6 * day}`]);
    expect(story.fired(1, 6 * day).play(list)).toEqual([`timer 2 +${8 * day}`]);
    expect(story.fired(2, 8 * day).play(list)).toEqual(['activity 3 a']);
  });

  test('of exactly six days come in one', () => {
    expect(new Story().play([timer(6 * day)])).toEqual([`timer 0 +${6 * day}`]);
  });
});

describe('retries', () => {
  test('take the ids n, n+1, n+2 …, back off, and wait once more after the last failure', () => {
    const story = new Story();
    const list = [retry(2), activity('b')];
    expect(story.play(list)).toEqual(['activity 0 a']);
    expect(story.failed(0).play(list)).toEqual(['timer 1 +1000']);
    expect(story.fired(1, 1000).play(list)).toEqual(['activity 2 a']);
    expect(story.failed(2).play(list)).toEqual(['timer 3 +3000']);
    expect(story.fired(3, 3000).play(list)).toEqual(['activity 4 b']);
  });

  test('end with the first success', () => {
    const story = new Story();
    story.play([retry(3), activity('b')]);
    expect(story.completed(0).play([retry(3), activity('b')])).toEqual(['activity 1 b']);
  });
});

describe('external events', () => {
  test('go to the newest waiter of the name, in any case', () => {
    const story = new Story();
    const list = [any(event('x'), event('x')), activity('a')];
    expect(story.play(list)).toEqual([]);
    expect(story.raised('X', 1).play(list)).toEqual(['activity 0 a']);
  });

  test('that nobody waits for are kept, in order, and carried to the next execution', () => {
    const story = new Story();
    const list = [activity('a'), event('x'), { actionType: ActionType.ContinueAsNew, input: { n: 1 } }];
    story.play([activity('a')]);
    story.raised('x', 1).raised('y', 2).raised('x', 3);
    story.completed(0).play(list, { isDone: true });
    expect(story.outcome).toEqual({
      kind: 'continuedAsNew',
      input: '{"n":1}',
      carried: [
        { name: 'x', input: '3' },
        { name: 'y', input: '2' },
      ],
    });
  });
});

describe('a suspended instance', () => {
  test('reacts to what came in the meantime when it is resumed', () => {
    const story = new Story();
    const list = [activity('a'), activity('b')];
    story.play(list);
    story.message({ EventType: EventType.ExecutionSuspended, Input: null });
    expect(story.completed(0).play(list)).toEqual([]);
    expect(story.last?.isSuspended).toBe(true);
    story.message({ EventType: EventType.ExecutionResumed, Input: null });
    expect(story.play(list)).toEqual(['activity 1 b']);
    expect(story.last?.isSuspended).toBe(false);
  });

  test('can be terminated', () => {
    const story = new Story();
    story.play([activity('a')]);
    story.message({ EventType: EventType.ExecutionSuspended, Input: null });
    story.message({ EventType: EventType.ExecutionTerminated, Input: 'why' }).play([activity('a')]);
    expect(story.outcome).toEqual({ kind: 'terminated', reason: 'why' });
  });
});

describe('entities', () => {
  const id = '@counter@one';
  const call: Action = { actionType: ActionType.CallEntity, instanceId: id, operation: 'get' };
  const signal: Action = { actionType: ActionType.SignalEntity, instanceId: id, operation: 'add', input: 2 };
  const lock: Action = {
    actionType: ActionType.LockEntities,
    lockSet: [{ name: 'Counter', key: 'one' }],
    lockRequestId: 'lock-1',
  };
  const release: Action = { actionType: ActionType.ReleaseEntities };

  test('a signal takes an id and is not waited for; a call waits for the event named by its request', () => {
    const story = new Story();
    const list = [signal, call, activity('a')];
    expect(story.play(list)).toEqual([`op 0 ${id}`, `op 1 ${id}`]);
    const request = story.last?.scheduled[1];
    const requestId = request?.kind === 'sentEvent' ? request.input.id : '';
    expect(story.raised(requestId, { result: '2' }).play(list)).toEqual(['activity 2 a']);
  });

  test('a lock is waited for and released, at the latest at the end', () => {
    const story = new Story();
    expect(story.play([lock])).toEqual([`op 0 ${id}`]);
    story.raised('lock-1', { result: 'x' });
    expect(story.play([lock, release, activity('a')])).toEqual([`release 1 ${id}`, 'activity 2 a']);
    const forgetful = new Story();
    forgetful.play([lock]);
    expect(forgetful.raised('lock-1', {}).play([lock], { isDone: true })).toEqual([`release 1 ${id}`]);
  });

  test('within a lock a signal to the locked entity is refused', () => {
    const story = new Story();
    story.play([lock]);
    story.raised('lock-1', {}).play([lock, signal]);
    expect(story.outcome).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('cannot signal entities'),
    });
  });
});

describe('code that changed under a running instance', () => {
  test.each([
    { reason: 'another activity', now: [activity('b')], message: "with name 'b'" },
    { reason: 'another kind', now: [timer(1000)], message: 'produced a CreateTimerOrchestratorAction' },
    { reason: 'nothing any more', now: [], message: "hasn't (yet?) scheduled this task" },
    {
      reason: 'something put before it',
      now: [event('x'), activity('a')],
      message: "hasn't (yet?) scheduled this task",
    },
  ])('is found: $reason', ({ now, message }) => {
    const story = new Story();
    story.play([activity('a')]);
    story.completed(0).play(now);
    expect(story.outcome).toMatchObject({
      kind: 'failed',
      reason: expect.stringMatching(
        /^Non-Deterministic workflow detected: A previous execution of this orchestration/,
      ),
    });
    expect((story.outcome as { reason: string }).reason).toContain(message);
  });

  test('another input is not: the extension compares names only', () => {
    const story = new Story();
    story.play([activity('a')]);
    story.completed(0).play([{ ...activity('A'), functionName: 'a', input: 'other' }], { isDone: true });
    expect(story.outcome).toMatchObject({ kind: 'completed' });
  });
});

describe('custom status', () => {
  test('is JSON text of at most 16 KB in UTF-16', () => {
    const story = new Story();
    story.play([activity('a')], { customStatus: 'x'.repeat(8190) });
    expect(story.last?.customStatus).toHaveLength(8192);
    const tooLong = new Story();
    tooLong.play([activity('a')], { customStatus: 'x'.repeat(8191) });
    expect(tooLong.outcome).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('must not exceed 16 KB'),
    });
  });
});

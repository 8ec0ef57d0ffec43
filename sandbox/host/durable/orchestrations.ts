/**
 * One episode of an orchestration: take every message that waits for the instance, run the orchestrator function over
 * the history, replay what it returned, and commit history, outgoing work and the end of the messages together.
 */

import type { Decision } from './decision.ts';
import { missingFunctionMessage } from './functions.ts';
import { EventType, type HistoryEvent, historyEvent } from './history.ts';
import { findInstance, type Instance, isFinished, readHistory, writeHistory } from './instances.ts';
import {
  messageWithoutState,
  type OrchestratorState,
  stateFromError,
  toOrchestratorState,
} from './orchestrator-state.ts';
import {
  completedEvent,
  continueAsNew,
  dispatch,
  resultOf,
  scheduledEvent,
  tellParent,
} from './outgoing-work.ts';
import { replay } from './replay.ts';
import type { HubParts } from './task-hub.ts';

interface MessageRow {
  readonly seq: number;
  readonly execution_id: string | null;
  readonly event: string;
}

interface Played {
  readonly executionId: string;
  readonly events: HistoryEvent[];
}

/** Timers longer than this are split into pieces (the Azure Storage provider's values). */
const maximumShortTimer = { text: '6.00:00:00', milliseconds: 6 * 86_400_000 };
const longTimerInterval = { text: '3.00:00:00', milliseconds: 3 * 86_400_000 };

/** How many instances' histories are kept in memory between episodes. */
const rememberedHistories = 200;

export class Orchestrations {
  readonly #hub: HubParts;
  readonly #histories = new Map<string, Played>();

  constructor(hub: HubParts) {
    this.#hub = hub;
  }

  /** Must be called when an instance's history was changed from outside an episode. */
  forget(id: string): void {
    this.#histories.delete(id);
  }

  async runEpisode(id: string): Promise<void> {
    const { store, clock } = this.#hub;
    // Activities that end in the same turn of the event loop are delivered in one episode, not in one each.
    await new Promise((resolve) => setImmediate(resolve));
    const instance = findInstance(store, id);
    const waiting = store.all<MessageRow>(
      'SELECT seq, execution_id, event FROM messages WHERE instance_id = ? ORDER BY seq',
      id,
    );
    const current = waiting.filter(
      (row) => row.execution_id === null || row.execution_id === instance?.execution_id,
    );
    if (!instance || isFinished(instance.status) || current.length === 0) {
      store.transaction(() => this.#consume(waiting));
      return;
    }
    const past = this.#history(instance);
    const fresh = [
      historyEvent(startTime(past, clock.now()), { EventType: EventType.OrchestratorStarted }),
      ...current.map((row) => JSON.parse(row.event) as HistoryEvent),
    ];
    const state = await this.#runFunction(instance, past, fresh);
    const decision = this.#replay(instance, [...past, ...fresh], state);
    const wakeUps = store.transaction(() => this.#commit(instance, past, fresh, waiting, decision));
    for (const wakeUp of wakeUps) wakeUp();
  }

  #history(instance: Instance): HistoryEvent[] {
    const known = this.#histories.get(instance.id);
    if (known?.executionId === instance.execution_id) return known.events;
    const events = readHistory(this.#hub.store, instance.id).map(played);
    this.#histories.set(instance.id, { executionId: instance.execution_id, events });
    const oldest = this.#histories.keys().next().value;
    if (this.#histories.size > rememberedHistories && oldest !== undefined) this.#histories.delete(oldest);
    return events;
  }

  async #runFunction(
    instance: Instance,
    past: readonly HistoryEvent[],
    fresh: readonly HistoryEvent[],
  ): Promise<OrchestratorState | Error> {
    const { functions } = this.#hub;
    const name = functions.find('orchestrator', instance.name);
    if (!name) return new Error(missingFunctionMessage(functions, 'orchestrator', instance.name));
    const trigger = {
      history: [...past, ...fresh],
      input: instance.input === null ? null : (JSON.parse(instance.input) as unknown),
      instanceId: instance.id,
      isReplaying: past.length > 0,
      parentInstanceId: instance.parent_id,
      upperSchemaVersion: 1,
      upperSchemaVersionNew: this.#hub.settings.upperSchemaVersion,
      longRunningTimerIntervalDuration: longTimerInterval.text,
      maximumShortTimerDuration: maximumShortTimer.text,
      defaultHttpAsyncRequestSleepTimeMillseconds: 30_000,
    };
    try {
      const value = await functions.invoke(name, { value: JSON.stringify(trigger), instanceId: instance.id });
      return toOrchestratorState(value);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      try {
        return stateFromError(message) ?? new Error(message);
      } catch {
        return new Error(messageWithoutState(message));
      }
    }
  }

  #replay(instance: Instance, history: readonly HistoryEvent[], state: OrchestratorState | Error): Decision {
    const { functions } = this.#hub;
    return replay({
      history,
      state,
      name: instance.name,
      instanceId: instance.id,
      executionId: instance.execution_id,
      parentInstanceId: instance.parent_id,
      functionExists: (kind, name) => functions.find(kind, name) !== undefined,
      missingFunction: (kind, name) => missingFunctionMessage(functions, kind, name),
      maximumShortTimer: maximumShortTimer.milliseconds,
      longTimerInterval: longTimerInterval.milliseconds,
    });
  }

  #consume(rows: readonly MessageRow[]): void {
    for (const row of rows) this.#hub.store.run('DELETE FROM messages WHERE seq = ?', row.seq);
  }

  /** Returns whom to wake once it is committed. */
  #commit(
    before: Instance,
    past: HistoryEvent[],
    fresh: readonly HistoryEvent[],
    messages: readonly MessageRow[],
    decision: Decision,
  ): (() => void)[] {
    const { store, clock } = this.#hub;
    const now = clock.now();
    // Replaced, purged or rewound while the function ran: this episode never happened.
    if (findInstance(store, before.id)?.execution_id !== before.execution_id) {
      this.forget(before.id);
      return [];
    }
    this.#consume(messages);
    const wakeUps: (() => void)[] = [];
    const events = [...fresh];
    for (const scheduled of decision.scheduled) {
      events.push(scheduledEvent(now, scheduled));
      const wakeUp = dispatch(this.#hub, before, scheduled, now);
      if (wakeUp) wakeUps.push(wakeUp);
    }
    const { outcome } = decision;
    if (outcome.kind === 'continuedAsNew') {
      return [...wakeUps, continueAsNew(this.#hub, before, outcome, decision.customStatus, now)];
    }
    if (outcome.kind !== 'open') events.push(completedEvent(now, outcome));
    events.push(historyEvent(now, { EventType: EventType.OrchestratorCompleted }));
    writeHistory(store, before.id, past.length, events);
    past.push(...events.map(played));
    this.#update(before.id, decision, now);
    if (outcome.kind !== 'open') {
      this.forget(before.id);
      store.run('DELETE FROM timers WHERE instance_id = ?', before.id);
      const wakeUp = tellParent(this.#hub, before, outcome, now);
      if (wakeUp) wakeUps.push(wakeUp);
    }
    return wakeUps;
  }

  #update(id: string, { outcome, isSuspended, customStatus }: Decision, now: number): void {
    const status = { completed: 'Completed', failed: 'Failed', terminated: 'Terminated' } as const;
    const runtimeStatus =
      outcome.kind === 'open' || outcome.kind === 'continuedAsNew'
        ? isSuspended
          ? 'Suspended'
          : 'Running'
        : status[outcome.kind];
    this.#hub.store.run(
      'UPDATE instances SET status = ?, output = ?, custom_status = ?, updated = ? WHERE id = ?',
      runtimeStatus,
      resultOf(outcome),
      customStatus,
      now,
      id,
    );
  }
}

/** An orchestration's time never runs backwards, even if the clock was set back a little. */
function startTime(past: readonly HistoryEvent[], now: number): number {
  const last = past.at(-1);
  return last ? Math.max(now, Date.parse(last.Timestamp)) : now;
}

function played(event: HistoryEvent): HistoryEvent {
  return { ...event, IsPlayed: true };
}

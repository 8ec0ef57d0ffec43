/**
 * The task hub: owns the queues and the alarms, and puts orchestrations, activities, timers and entities together.
 * All of it works on the store; a start picks up whatever the store says is still to do.
 */
import type { VirtualClock } from '../../clock.ts';
import { runActivity } from './activities.ts';
import { Dispatcher } from './dispatcher.ts';
import { runEntity } from './entities.ts';
import type { DurableFunctions } from './functions.ts';
import { Orchestrations } from './orchestrations.ts';
import type { Store } from './store.ts';
import { type TimerRow, Timers } from './timers.ts';

export interface HubSettings {
  readonly hubName: string;
  readonly maxConcurrentActivityFunctions: number;
  readonly maxConcurrentOrchestratorFunctions: number;
  readonly maxConcurrentEntityFunctions: number;
  readonly overridableExistingInstanceStates: 'NonRunningStates' | 'AnyState';
  readonly defaultVersion: string | null;
  /** `upperSchemaVersionNew` of the orchestration trigger: 2 (V3) or 3 (V4, which `context.df.lock` needs). */
  readonly upperSchemaVersion: 2 | 3;
}

/** What the parts of the hub know of each other. */
export interface HubParts {
  readonly store: Store;
  readonly clock: VirtualClock;
  readonly functions: DurableFunctions;
  readonly settings: HubSettings;
  wakeInstance(id: string): void;
  wakeActivity(seq: number): void;
  wakeEntity(id: string): void;
  armTimer(row: TimerRow): void;
  /** To be called when an instance's history was changed from outside an episode of its own. */
  forget(id: string): void;
}

export class TaskHub implements HubParts {
  readonly store: Store;
  readonly clock: VirtualClock;
  readonly functions: DurableFunctions;
  readonly settings: HubSettings;
  readonly #orchestrations = new Orchestrations(this);
  readonly #timers = new Timers(this);
  readonly #instanceWork: Dispatcher;
  readonly #activityWork: Dispatcher;
  readonly #entityWork: Dispatcher;

  constructor(options: {
    store: Store;
    clock: VirtualClock;
    functions: DurableFunctions;
    settings: HubSettings;
    /** Told of failures of the hub itself, such as a full disk; the work is tried again after a second. */
    onError: (what: string, error: unknown) => void;
  }) {
    this.store = options.store;
    this.clock = options.clock;
    this.functions = options.functions;
    this.settings = options.settings;
    const retryLater = (what: string, wake: (key: string) => void) => (key: string, error: unknown) => {
      options.onError(`${what} ${key}`, error);
      setTimeout(() => wake(key), 1000).unref();
    };
    this.#instanceWork = new Dispatcher({
      limit: this.settings.maxConcurrentOrchestratorFunctions,
      work: (id) => this.#orchestrations.runEpisode(id),
      onError: (id, error) => {
        this.#orchestrations.forget(id);
        retryLater('orchestration', (key) => this.wakeInstance(key))(id, error);
      },
    });
    this.#activityWork = new Dispatcher({
      limit: this.settings.maxConcurrentActivityFunctions,
      work: (seq) => runActivity(this, Number(seq)),
      onError: retryLater('activity', (key) => this.wakeActivity(Number(key))),
    });
    this.#entityWork = new Dispatcher({
      limit: this.settings.maxConcurrentEntityFunctions,
      work: (id) => runEntity(this, id),
      onError: retryLater('entity', (key) => this.wakeEntity(key)),
    });
  }

  /** Takes up all work on record. */
  start(): void {
    this.#timers.armAll();
    const { store } = this;
    for (const { seq } of store.all<{ seq: number }>('SELECT seq FROM activities ORDER BY seq')) {
      this.wakeActivity(seq);
    }
    for (const { id } of store.all<{ id: string }>('SELECT DISTINCT instance_id AS id FROM messages')) {
      this.wakeInstance(id);
    }
    for (const { id } of store.all<{ id: string }>('SELECT DISTINCT entity_id AS id FROM entity_messages')) {
      this.wakeEntity(id);
    }
  }

  /** Takes no more work; resolves when what was running has ended and is committed. */
  async stop(): Promise<void> {
    this.#timers.stop();
    await Promise.all([this.#instanceWork.stop(), this.#activityWork.stop(), this.#entityWork.stop()]);
  }

  forget(id: string): void {
    this.#orchestrations.forget(id);
  }

  wakeInstance(id: string): void {
    this.#instanceWork.wake(id);
  }

  wakeActivity(seq: number): void {
    this.#activityWork.wake(String(seq));
  }

  wakeEntity(id: string): void {
    this.#entityWork.wake(id);
  }

  armTimer(row: TimerRow): void {
    this.#timers.arm(row);
  }
}

/**
 * Operations that last: accepted now, done when virtual time has come. They are kept on disk, so that one in flight
 * survives the end of the process; whether one has ended is read from the clock whenever somebody looks, and an alarm
 * makes the consequences fire on time when nobody does.
 */
import { randomUUID } from 'node:crypto';
import type { Alarm } from '../../../clock.ts';
import type { Table } from '../../world.ts';
import { type Cause, reportChange } from './audit.ts';
import type { Frame } from './frame.ts';
import { type Json, withMember } from './json.ts';
import { Refusal } from './refusal.ts';
import type { Finish, OperationStyle, Stored } from './resource-type.ts';

export interface Operation {
  readonly id: string;
  readonly resourceId: string;
  readonly type: string;
  /** `put`, `patch`, `delete`, or the name of an action. */
  readonly verb: string;
  readonly style: OperationStyle;
  /** Virtual milliseconds since 1970. */
  readonly startedAt: number;
  readonly endsAt: number;
  readonly status: 'InProgress' | 'Succeeded' | 'Failed' | 'Canceled';
  readonly input: Json;
  /** The resource had another state before; false for actions that do not occupy it. */
  readonly occupies: boolean;
  readonly apiVersion: string;
  readonly cause: Cause;
  /** Dialled in when it was accepted: it will end so. */
  readonly failsWith?: { readonly code: string; readonly message: string };
  readonly error?: { readonly code: string; readonly message: string };
  readonly result?: Json;
}

export class Operations {
  readonly #frame: Frame;
  readonly #table: Table<Operation>;
  /** Times at which something takes effect that is no operation (a role assignment having propagated). */
  readonly #moments: Table<number>;
  readonly #alarms = new Map<string, Alarm>();
  readonly #inFlight = new Set<string>();
  readonly #finishing = new Map<string, Promise<void>>();
  /** Operations whose end is being worked out further up the stack. */
  readonly #entered = new Set<string>();

  constructor(frame: Frame) {
    this.#frame = frame;
    this.#table = frame.world.table<Operation>('arm/operations');
    this.#moments = frame.world.table<number>('arm/moments');
  }

  /** Takes up what was in flight when the process last ended. */
  resume(): void {
    for (const operation of this.#table.values()) {
      if (operation.status !== 'InProgress') continue;
      this.#inFlight.add(operation.id);
      this.#arm(operation.id, operation.endsAt);
    }
    for (const [id, at] of this.#moments.entries()) this.#armMoment(id, at);
  }

  get(id: string): Operation | undefined {
    return this.#table.get(id.toLowerCase());
  }

  start(start: Omit<Operation, 'id' | 'startedAt' | 'endsAt' | 'status'> & { takes: number }): Operation {
    const { takes, ...rest } = start;
    const now = this.#frame.world.clock.now();
    const operation: Operation = {
      ...rest,
      id: randomUUID(),
      startedAt: now,
      endsAt: now + takes,
      status: 'InProgress',
    };
    this.#table.set(operation.id, operation);
    this.#inFlight.add(operation.id);
    this.#arm(operation.id, operation.endsAt);
    return operation;
  }

  /** Ends an operation because what it worked on is being deleted. */
  cancel(id: string): void {
    const operation = this.#table.get(id);
    if (operation?.status !== 'InProgress') return;
    this.#alarms.get(id)?.cancel();
    this.#alarms.delete(id);
    this.#inFlight.delete(id);
    this.#table.set(id, { ...operation, status: 'Canceled' });
  }

  /** Tells the world to look again at this virtual time. */
  touchAt(at: number): void {
    const id = randomUUID();
    this.#moments.set(id, at);
    this.#armMoment(id, at);
  }

  /**
   * Ends every operation whose time has come. What ends without waiting has ended when this returns; the promise, if
   * any, is for the rest.
   */
  settle(): Promise<void> | undefined {
    const now = this.#frame.world.clock.now();
    const due = [...this.#inFlight]
      .map((id) => this.#table.get(id))
      .filter((operation) => operation !== undefined && operation.endsAt <= now)
      .sort((a, b) => (a?.endsAt ?? 0) - (b?.endsAt ?? 0))
      .filter((operation) => operation !== undefined);
    for (const operation of due) this.#finish(operation);
    return this.#finishing.size === 0
      ? undefined
      : Promise.all(this.#finishing.values()).then(() => undefined);
  }

  #arm(id: string, at: number): void {
    this.#alarms.set(
      id,
      this.#frame.world.clock.alarm(at, () => {
        this.#alarms.delete(id);
        void this.settle();
      }),
    );
  }

  #armMoment(id: string, at: number): void {
    this.#alarms.set(
      id,
      this.#frame.world.clock.alarm(at, () => {
        this.#alarms.delete(id);
        this.#moments.delete(id);
        this.#frame.world.touch();
      }),
    );
  }

  /** Stops all alarms; what is in flight stays on disk. */
  close(): void {
    for (const alarm of this.#alarms.values()) alarm.cancel();
    this.#alarms.clear();
  }

  #finish(operation: Operation): void {
    // Ending one makes others look (a command runs in a cluster, which is listed), and that ends what is due.
    if (this.#finishing.has(operation.id) || this.#entered.has(operation.id)) return;
    this.#alarms.get(operation.id)?.cancel();
    this.#alarms.delete(operation.id);
    const failed = (error: unknown): void => this.#end(operation, refusalOf(error));
    if (operation.failsWith) {
      this.#end(operation, operation.failsWith);
      return;
    }
    this.#entered.add(operation.id);
    try {
      const outcome =
        operation.verb === 'delete'
          ? this.#frame.removeNow(operation.resourceId, operation.id)
          : this.#finishOnResource(operation);
      if (!(outcome instanceof Promise)) {
        this.#end(operation, undefined, outcome);
        return;
      }
      const finishing = outcome
        .then((finish) => this.#end(operation, undefined, finish ?? undefined), failed)
        .finally(() => this.#finishing.delete(operation.id));
      this.#finishing.set(operation.id, finishing);
    } catch (error) {
      failed(error);
    } finally {
      this.#entered.delete(operation.id);
    }
  }

  #finishOnResource(operation: Operation): Finish | undefined | Promise<Finish | undefined> {
    const stored = this.#frame.store.get(operation.resourceId);
    if (!stored)
      throw new Refusal(404, 'ResourceNotFound', `The resource '${operation.resourceId}' is gone.`);
    return this.#frame.catalogue.typeOf(operation.type).finish?.(this.#frame, operation, stored);
  }

  #end(operation: Operation, error: { code: string; message: string } | undefined, finish?: Finish): void {
    const current = this.#table.get(operation.id);
    if (current?.status !== 'InProgress') return;
    this.#inFlight.delete(operation.id);
    this.#table.set(operation.id, {
      ...current,
      status: error ? 'Failed' : 'Succeeded',
      ...(error && { error: { code: error.code, message: error.message } }),
      ...(finish?.result && { result: finish.result }),
    });
    const stored = this.#frame.store.get(operation.resourceId);
    if (stored) this.#writeEnd(operation, stored, error, finish);
    if (stored && error)
      this.#frame.catalogue.typeOf(operation.type).failed?.(this.#frame, operation, stored);
    const id = stored?.id ?? operation.resourceId;
    reportChange(this.#frame.world, operation.cause, id, error ? 'Failure' : 'Success');
    this.#frame.world.touch();
  }

  #writeEnd(operation: Operation, stored: Stored, error: Stored['error'], finish: Finish | undefined): void {
    if (!operation.occupies && !finish?.body && !finish?.hidden) return;
    const words = this.#frame.catalogue.typeOf(stored.type).state;
    const shown = finish?.body ?? stored.body;
    const state = error ? words?.failed : (finish?.state ?? words?.succeeded);
    const occupied = operation.occupies && words !== undefined && state !== undefined;
    this.#frame.store.put(stored.id, stored.type, {
      body: occupied ? withMember(shown, words.path, state) : shown,
      ...(finish?.hidden && { hidden: finish.hidden }),
      operationId: stored.operationId === operation.id ? undefined : stored.operationId,
      ...(operation.occupies && { error }),
    });
  }
}

function refusalOf(error: unknown): { code: string; message: string } {
  if (error instanceof Refusal) return { code: error.code, message: error.message };
  // Not a provider's refusal but a defect of the sandbox: it must be seen by whoever runs it.
  console.error('arm: an operation could not be ended', error);
  return { code: 'InternalServerError', message: 'The sandbox has a defect: see its output.' };
}

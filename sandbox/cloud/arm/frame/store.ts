/** All resources, by id without regard to case. */
import { randomUUID } from 'node:crypto';
import type { Table, World } from '../../world.ts';
import type { Json } from './json.ts';
import type { Stored } from './resource-type.ts';
import { isWithin, lastName } from './target.ts';

export class ResourceStore {
  readonly #world: World;
  readonly #table: Table<Stored>;
  /** By type, then by id, both in lower case: most questions are about one type among thousands of resources. */
  readonly #byType = new Map<string, Map<string, Stored>>();
  #version = 0;

  constructor(world: World) {
    this.#world = world;
    this.#table = world.table<Stored>('arm/resources');
    for (const [key, stored] of this.#table.entries()) this.#ofType(stored.type).set(key, stored);
  }

  /** Grows with each change, so that what was worked out from the resources can be kept until then. */
  get version(): number {
    return this.#version;
  }

  /** The caller knows the type of the id, hence the shapes. */
  get<Body extends Json = Json, Hidden extends Json = Json>(id: string): Stored<Body, Hidden> | undefined {
    return this.#table.get(id.toLowerCase()) as Stored<Body, Hidden> | undefined;
  }

  /** Creates or replaces; what is not given stays. */
  put(
    id: string,
    type: string,
    change: {
      body?: Json;
      hidden?: Json;
      operationId?: string | undefined;
      error?: Stored['error'] | undefined;
    },
  ): Stored {
    const before = this.get(id);
    const now = this.#world.clock.now();
    const operationId = 'operationId' in change ? change.operationId : before?.operationId;
    const error = 'error' in change ? change.error : before?.error;
    const stored: Stored = {
      id: before?.id ?? id,
      type: before?.type ?? type,
      name: before?.name ?? lastName(id),
      body: change.body ?? before?.body ?? {},
      hidden: change.hidden ?? before?.hidden ?? {},
      etag: randomUUID(),
      createdAt: before?.createdAt ?? now,
      changedAt: now,
      ...(operationId === undefined ? {} : { operationId }),
      ...(error === undefined ? {} : { error }),
    };
    const key = id.toLowerCase();
    this.#table.set(key, stored);
    this.#ofType(stored.type).set(key, stored);
    this.#version += 1;
    return stored;
  }

  delete(id: string): void {
    const key = id.toLowerCase();
    const stored = this.#table.get(key);
    if (!stored) return;
    this.#table.delete(key);
    this.#ofType(stored.type).delete(key);
    this.#version += 1;
  }

  ofType<Body extends Json = Json, Hidden extends Json = Json>(
    type: string,
    scope = '',
  ): Stored<Body, Hidden>[] {
    const all = [...this.#ofType(type)];
    const outer = scope.toLowerCase().replace(/\/$/, '');
    return all
      .filter(([key]) => outer === '' || key === outer || key.startsWith(`${outer}/`))
      .map(([, stored]) => stored as Stored<Body, Hidden>);
  }

  #ofType(type: string): Map<string, Stored> {
    const key = type.toLowerCase();
    const known = this.#byType.get(key) ?? new Map<string, Stored>();
    this.#byType.set(key, known);
    return known;
  }

  /** Everything in this scope, the scope itself not included; inner resources first. */
  within(scope: string): Stored[] {
    return this.#table
      .values()
      .filter(({ id }) => isWithin(id, scope) && id.length > scope.length)
      .sort((a, b) => b.id.length - a.id.length);
  }
}

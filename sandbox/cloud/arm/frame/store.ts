/** All resources, by id without regard to case. */
import { randomUUID } from 'node:crypto';
import type { Table, World } from '../../world.ts';
import type { Json } from './json.ts';
import type { Stored } from './resource-type.ts';
import { isWithin, lastName } from './target.ts';

export class ResourceStore {
  readonly #world: World;
  readonly #table: Table<Stored>;

  constructor(world: World) {
    this.#world = world;
    this.#table = world.table<Stored>('arm/resources');
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
    this.#table.set(id.toLowerCase(), stored);
    return stored;
  }

  delete(id: string): void {
    this.#table.delete(id.toLowerCase());
  }

  ofType<Body extends Json = Json, Hidden extends Json = Json>(
    type: string,
    scope = '',
  ): Stored<Body, Hidden>[] {
    return this.#table
      .values()
      .filter(
        (stored) => stored.type.toLowerCase() === type.toLowerCase() && isWithin(stored.id, scope),
      ) as Stored<Body, Hidden>[];
  }

  /** Everything in this scope, the scope itself not included; inner resources first. */
  within(scope: string): Stored[] {
    return this.#table
      .values()
      .filter(({ id }) => isWithin(id, scope) && id.length > scope.length)
      .sort((a, b) => b.id.length - a.id.length);
  }
}

/**
 * What a cloud's own log remembers of changes: kept on disk, shown a while after it happened, and never more than so many;
 * a new one takes the place of the oldest.
 */
import { createHash } from 'node:crypto';
import type { Table, World } from './world.ts';

interface Noted {
  /** Grows by one with each. */
  readonly number: number;
  /** Virtual milliseconds since 1970. */
  readonly at: number;
  /** When the log begins to show it. */
  readonly shownAt: number;
}

export interface TrailOptions {
  /** Name of the table of entries, and of the one that counts them. */
  readonly table: string;
  readonly counter: string;
  readonly most: number;
  /** Virtual milliseconds until an entry shows, the shortest and the longest. */
  readonly lag: readonly [number, number];
}

export class ChangeTrail<T extends object> {
  readonly #world: World;
  readonly #entries: Table<T & Noted>;
  readonly #counter: Table<number>;
  readonly #options: TrailOptions;

  constructor(world: World, options: TrailOptions) {
    this.#world = world;
    this.#entries = world.table(options.table);
    this.#counter = world.table(options.counter);
    this.#options = options;
  }

  note(entry: T): void {
    const { most, lag } = this.#options;
    const number = this.#counter.get('next') ?? 0;
    this.#counter.set('next', number + 1);
    const at = this.#world.clock.now();
    const [shortest, longest] = lag;
    const shownAt = at + Math.floor(shortest + drawn(`${number}`) * (longest - shortest));
    this.#entries.set(String(number % most), { ...entry, number, at, shownAt });
  }

  /** Those that show by now, the latest first. */
  shown(): (T & Noted)[] {
    const now = this.#world.clock.now();
    return this.#entries
      .values()
      .filter(({ shownAt }) => shownAt <= now)
      .sort((one, other) => other.at - one.at || other.number - one.number);
  }
}

/** From 0 to 1, the same each time for the same seed. */
function drawn(seed: string): number {
  return createHash('sha256').update(seed).digest().readUInt32BE() / 2 ** 32;
}

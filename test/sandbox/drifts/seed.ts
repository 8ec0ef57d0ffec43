/** One change by somebody else, and all that is to become of it. */
import type { Json } from './people.ts';

export interface Seed {
  /** In words. */
  readonly what: string;
  readonly resource: string;
  /** The field as a record is to name it. */
  readonly path: string;
  readonly wanted: Json;
  readonly found: Json;
  /** What `drift.rules` says of it: `repair` is what goes without saying. */
  readonly policy: 'repair' | 'report' | 'adopt';
  /** Who the source names, where there is one. */
  readonly actor?: string;
  make(): Promise<unknown>;
  /** What the cloud has in that field now. */
  read(): Promise<Json>;
  /** Method, host and path of the writes that put it right, or that take the field over; none is asked for otherwise. */
  readonly writes?: RegExp;
  /** Where the spec holds it once it is adopted. */
  readonly field?: readonly string[];
}

export const at = (value: Json, ...path: readonly (string | number)[]): Json =>
  path.reduce<Json>((so, name) => (so as Record<string | number, Json> | undefined)?.[name], value);

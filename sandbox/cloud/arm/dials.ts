/** Habits of the simulated Azure that can be turned, because reality differs or changes; kept with the world. */
import { z } from 'zod';
import type { Table, World } from '../world.ts';

/** With their settings in a new world. */
const defaults = {
  /** "Any custom changes … won't persist through an upgrade": https://learn.microsoft.com/azure/aks/resize-node-pool */
  'upgrade-drops-foreign-identities': true,
  /** An app without a network of its own reaches public addresses only. */
  'control-plane-outside-network': false,
} as const;

export type DialName = keyof typeof defaults;
export type Dials = Table<boolean>;

export function openDials(world: World): Dials {
  return world.table<boolean>('arm/dials');
}

export function isOn(dials: Dials, name: DialName): boolean {
  return dials.get(name) ?? defaults[name];
}

export function allDials(dials: Dials): Record<DialName, boolean> {
  const names = Object.keys(defaults) as DialName[];
  return Object.fromEntries(names.map((name) => [name, isOn(dials, name)])) as Record<DialName, boolean>;
}

/** Turns those that are named; throws ZodError on one that is not there. */
export function turnDials(dials: Dials, wanted: unknown): void {
  const known = z.strictObject(
    Object.fromEntries(Object.keys(defaults).map((name) => [name, z.boolean().optional()])),
  );
  for (const [name, on] of Object.entries(known.parse(wanted))) {
    if (on !== undefined) dials.set(name, on);
  }
}

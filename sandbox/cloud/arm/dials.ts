/** Habits of the simulated Azure that can be turned, because reality differs or changes; kept with the world. */
import type { Table, World } from '../world.ts';

/** With their settings in a new world. */
const defaults = {
  /** "Any custom changes … won't persist through an upgrade": https://learn.microsoft.com/azure/aks/resize-node-pool */
  'upgrade-drops-foreign-identities': true,
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

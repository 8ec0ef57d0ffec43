import type { Pause } from '../store/store.ts';

/** Pauses that have not ended. */
export const activePauses = (pauses: readonly Pause[], now: Date): readonly Pause[] =>
  pauses.filter(({ until }) => Date.parse(until) > now.getTime());

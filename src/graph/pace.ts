/** How long to leave a resource alone between two looks, and when to give it up. Seconds throughout. */

/** A cloud that names no Retry-After is first asked again after this long. */
const FIRST_PAUSE = 5;
/** Longest pause between two looks at something that keeps failing. */
const LONGEST_PAUSE = 60;

/** https://learn.microsoft.com/azure/role-based-access-control/troubleshooting: up to 10 minutes; PostgreSQL takes most. */
export const DEFAULT_PATIENCE = 1_800;

/**
 * Pause before the next look: what the cloud asked for, but never less than a second; without that it doubles with each
 * failure in a row, and stays at the first step while there is plain progress.
 */
export function pauseSeconds(failures: number, retryAfterSeconds?: number): number {
  if (retryAfterSeconds !== undefined) return Math.max(1, retryAfterSeconds);
  return Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.max(0, failures - 1));
}

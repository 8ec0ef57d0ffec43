/**
 * What the activity log remembers of each change: that it was asked for, that it goes on, how it ended. Kept on disk, and
 * never more than so many; a new one takes the place of the oldest.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { World } from '../../world.ts';
import type { Cause } from './audit.ts';

export type ActivityStatus = 'Started' | 'Accepted' | 'Succeeded' | 'Failed';

export interface Activity {
  readonly id: string;
  /** Grows by one with each. */
  readonly number: number;
  /** Virtual milliseconds since 1970. */
  readonly at: number;
  /** When the log begins to show it. */
  readonly shownAt: number;
  readonly status: ActivityStatus;
  readonly resourceId: string;
  readonly cause: Cause;
}

/** Azure keeps 90 days; this is what a sandbox writes in many hours. */
const MOST_ACTIVITIES = 20_000;

/** Azure's own are shown after 3 to 20 minutes: https://learn.microsoft.com/azure/azure-monitor/platform/activity-log */
const SHORTEST_LAG_MILLISECONDS = 120_000;
const LONGEST_LAG_MILLISECONDS = 360_000;

export function noteActivity(world: World, cause: Cause, resourceId: string, status: ActivityStatus): void {
  const counter = world.table<number>('arm/activity-counter');
  const number = counter.get('next') ?? 0;
  counter.set('next', number + 1);
  const at = world.clock.now();
  world.table<Activity>('arm/activities').set(String(number % MOST_ACTIVITIES), {
    id: randomUUID(),
    number,
    at,
    shownAt: at + lagOf(`${number} ${resourceId} ${status}`),
    status,
    resourceId,
    cause,
  });
}

/** Those that the log shows by now, the latest first. */
export function shownActivities(world: World): Activity[] {
  const now = world.clock.now();
  return world
    .table<Activity>('arm/activities')
    .values()
    .filter(({ shownAt }) => shownAt <= now)
    .sort((a, b) => b.at - a.at || b.number - a.number);
}

/** The same each time for the same event of the same world. */
function lagOf(seed: string): number {
  const drawn = createHash('sha256').update(seed).digest().readUInt32BE() / 2 ** 32;
  return Math.floor(
    SHORTEST_LAG_MILLISECONDS + drawn * (LONGEST_LAG_MILLISECONDS - SHORTEST_LAG_MILLISECONDS),
  );
}

/** What the activity log remembers of each change: that it was asked for, that it goes on, how it ended. */
import { randomUUID } from 'node:crypto';
import { ChangeTrail } from '../../change-trail.ts';
import type { World } from '../../world.ts';
import type { Cause } from './audit.ts';

export type ActivityStatus = 'Started' | 'Accepted' | 'Succeeded' | 'Failed';

interface NotedActivity {
  readonly id: string;
  readonly status: ActivityStatus;
  readonly resourceId: string;
  readonly cause: Cause;
}

/** Azure keeps 90 days; this is what a sandbox writes in many hours. */
const MOST_ACTIVITIES = 20_000;

/** Azure's own are shown after 3 to 20 minutes: https://learn.microsoft.com/azure/azure-monitor/platform/activity-log */
const LAG_MILLISECONDS = [120_000, 360_000] as const;

const trailOf = (world: World): ChangeTrail<NotedActivity> =>
  new ChangeTrail(world, {
    table: 'arm/activities',
    counter: 'arm/activity-counter',
    most: MOST_ACTIVITIES,
    lag: LAG_MILLISECONDS,
  });

export type Activity = ReturnType<typeof shownActivities>[number];

export function noteActivity(world: World, cause: Cause, resourceId: string, status: ActivityStatus): void {
  trailOf(world).note({ id: randomUUID(), status, resourceId, cause });
}

/** Those that the log shows by now, the latest first. */
export const shownActivities = (world: World) => trailOf(world).shown();

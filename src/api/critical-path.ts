/** Which chain of resources, each waiting for the one before, took longest: where time can be gained at all. */
import type { StepRecord } from '../store/store.ts';

type TimedStep = Pick<StepRecord, 'key' | 'waitsFor' | 'startedAt' | 'readyAt'>;

export interface CriticalPath {
  readonly seconds: number;
  /** In the order they came. */
  readonly steps: readonly { readonly key: string; readonly seconds: number }[];
}

const none: CriticalPath = { seconds: 0, steps: [] };

/** Seconds from when it could first move until it was found ready; undefined while it is not. */
export function secondsOf({
  startedAt,
  readyAt,
}: Pick<TimedStep, 'startedAt' | 'readyAt'>): number | undefined {
  return startedAt === undefined || readyAt === undefined ? undefined : secondsBetween(startedAt, readyAt);
}

/** Never negative: clocks may have been set between. */
export const secondsBetween = (from: string, to: string): number =>
  Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);

/** Counts resources that are ready; of several longest chains the one first in the given order. */
export function criticalPath(steps: readonly TimedStep[]): CriticalPath {
  const byKey = new Map<string, TimedStep>(steps.map((step) => [step.key, step]));
  const longest = new Map<string, CriticalPath>();

  const endingWith = (step: TimedStep): CriticalPath => {
    const known = longest.get(step.key);
    if (known) return known;
    // Stored before it is known, so that steps which wait for each other, which no stack has, could not recurse.
    longest.set(step.key, none);
    const before = longestOf(
      step.waitsFor.flatMap((key) => {
        const needed = byKey.get(key);
        return needed ? [endingWith(needed)] : [];
      }),
    );
    const seconds = secondsOf(step);
    const path: CriticalPath =
      seconds === undefined
        ? before
        : { seconds: before.seconds + seconds, steps: [...before.steps, { key: step.key, seconds }] };
    longest.set(step.key, path);
    return path;
  };
  return longestOf(steps.map(endingWith));
}

const longestOf = (paths: readonly CriticalPath[]): CriticalPath =>
  paths.reduce((so, path) => (path.seconds > so.seconds ? path : so), paths[0] ?? none);

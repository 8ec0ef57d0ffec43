const MINUTE = 60_000;

/** Milliseconds between two times of a schedule that comes every so many minutes or hours; undefined for any other. */
export function intervalOf(schedule: string): number | undefined {
  const [, minutes, hours] = /^\S+ (?:\*\/(\d+) \*|\d+ \*\/(\d+)) \* \* \*$/.exec(schedule) ?? [];
  if (minutes !== undefined) return Number(minutes) * MINUTE;
  return hours === undefined ? undefined : Number(hours) * 60 * MINUTE;
}

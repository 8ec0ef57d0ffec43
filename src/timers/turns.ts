/**
 * What is done for every deployment is not begun for all at the same moment: clouds grant so many calls a second, and
 * whoever wants something now would have to wait until everybody has had a turn.
 */

export interface Turns {
  /** So many are begun together. */
  readonly together: number;
  /** Between one such group and the next. */
  readonly pauseMilliseconds: number;
  /** All have begun within this, however many there are. */
  readonly withinMilliseconds: number;
}

/** Milliseconds from now until it is this one's turn; the same each time as long as the others are the same. */
export function turnOf(
  index: number,
  count: number,
  { together, pauseMilliseconds, withinMilliseconds }: Turns,
): number {
  const groups = Math.max(1, Math.floor(withinMilliseconds / pauseMilliseconds));
  const size = Math.max(together, Math.ceil(count / groups));
  return Math.floor(index / size) * pauseMilliseconds;
}

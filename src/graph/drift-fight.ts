/**
 * When putting a field right has become a fight with somebody who changes it back each time. Pure. A fight does not end by
 * waiting: what says so are times that stay the same until a person asks for another try or the field is as asked.
 */
const HOUR = 3_600_000;

/** So many repairs within an hour are a fight, if the field differs once more within another. */
export const MOST_REPAIRS_IN_AN_HOUR = 3;
/** Where nothing tells of changes but the sweep, half an hour apart unless said, an hour never holds as many. */
export const MOST_REPAIRS_IN_A_ROW = 5;
const LONGEST_GAP = 2 * HOUR;

export interface Struggle {
  /** When the field was put right, ISO 8601 as are all times here, oldest first. */
  readonly repairs: readonly string[];
  /** Since when it differs again. */
  readonly since: string;
  /** When a person last asked for a repair: what came before does not count. */
  readonly repairAfter?: string | undefined;
}

/** Why the next repair would only go on with a fight; undefined when it would not. */
export function whyFought({ repairs, since, repairAfter }: Struggle): string | undefined {
  const asked = repairAfter === undefined ? Number.NEGATIVE_INFINITY : Date.parse(repairAfter);
  const counted = repairs.map((at) => Date.parse(at)).filter((at) => at > asked);
  const last = counted.at(-1);
  if (last === undefined) return undefined;
  // Who changes it back at once does so while it has been different all along.
  const times = [...counted, Math.max(last, Date.parse(since))];

  const [third] = times.slice(-MOST_REPAIRS_IN_AN_HOUR - 1);
  const gaps = times.slice(1).map((at, index) => at - (times[index] ?? at));
  const isInAnHour = third !== undefined && last - third <= HOUR && (gaps.at(-1) ?? 0) <= HOUR;
  if (gaps.length >= MOST_REPAIRS_IN_AN_HOUR && isInAnHour) {
    return 'put right three times within an hour, and changed back each time';
  }
  const inARow = gaps.slice(-MOST_REPAIRS_IN_A_ROW);
  return inARow.length === MOST_REPAIRS_IN_A_ROW && inARow.every((gap) => gap <= LONGEST_GAP)
    ? 'put right five times in a row, and changed back each time'
    : undefined;
}

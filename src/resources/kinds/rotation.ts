/**
 * Whether a value in the vault is to be replaced by another: because somebody asked for it, or because it nears its end.
 * Pure. What says so is the version itself, so that a look after a crash decides as the look before it did.
 *
 * A wish is older than the version that satisfies it, but the vault keeps times to the second, by its own clock: a
 * version made in the very second of the wish could be either. So whoever rotates for a wish writes that wish on the new
 * version, and one that carries it is never replaced for it again.
 */

/** As Key Vault tells about a version. */
export interface VersionFacts {
  readonly createdOn?: Date | undefined;
  readonly expiresOn?: Date | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
}

/** The latest wish that a version satisfies, ISO 8601. */
const WISH_TAG = 'rotation';

const DAY = 86_400_000;
/** Key Vault announces a secret's end 30 days ahead: https://learn.microsoft.com/azure/event-grid/event-schema-key-vault */
const NOTICE_DAYS = 30;
/** An expiry is set before the vault says when the version was made, and a month's end may lie between the two. */
const TOLERANCE_DAYS = 2;

/** What a version that is made for this wish carries. */
export const wishTags = (wish: Date | undefined): Readonly<Record<string, string>> =>
  wish ? { [WISH_TAG]: wish.toISOString() } : {};

/** Whether a version is as new as somebody asked for; one whose age is not told never is. */
export function satisfies({ createdOn, tags }: VersionFacts, wish: Date | undefined): boolean {
  if (!wish) return true;
  const answered = Date.parse(tags?.[WISH_TAG] ?? '');
  return answered >= wish.getTime() || (createdOn !== undefined && createdOn >= wish);
}

/** Whether a version nears its end or is past it. */
export const isExpiring = ({ createdOn, expiresOn }: VersionFacts, now: Date): boolean =>
  createdOn !== undefined && expiresOn !== undefined && now >= renewalTime(createdOn, expiresOn);

/** When to replace what lives from then till then: some weeks before its end, a short-lived one not from its first day on. */
export const renewalTime = (from: Date, until: Date): Date =>
  new Date(until.getTime() - Math.min(NOTICE_DAYS * DAY, (until.getTime() - from.getTime()) / 3));

/**
 * When a version is to expire. Whoever lets it end sooner means it; one without an end, or with one beyond the wished
 * lifetime, is given the end that lifetime says, counted from when it was made.
 */
export function expiryOf({ createdOn, expiresOn }: VersionFacts, months: number): Date | undefined {
  if (!createdOn) return expiresOn;
  const latest = monthsLater(createdOn, months);
  const isSooner = expiresOn !== undefined && expiresOn.getTime() <= latest.getTime() + TOLERANCE_DAYS * DAY;
  return isSooner ? expiresOn : latest;
}

/** Calendar months later, in UTC; the 31st of a short month becomes its last day. */
export function monthsLater(from: Date, months: number): Date {
  const day = from.getUTCDate();
  const target = new Date(from);
  target.setUTCDate(1);
  target.setUTCMonth(target.getUTCMonth() + months);
  const lastDay = new Date(Date.UTC(target.getUTCFullYear(), target.getUTCMonth() + 1, 0)).getUTCDate();
  target.setUTCDate(Math.min(day, lastDay));
  return target;
}

/** Who changed what, as a cloud's own log tells it some minutes later. */

export interface LoggedWrite {
  /** A user's principal name or address, or what names an application or an API token. */
  readonly caller: string;
  /** RFC 3339: when it was asked for, as far as the log tells. */
  readonly at: string;
}

export interface ChangeLog {
  /**
   * Writes to what the cloud knows by this id that succeeded and that somebody else than the control plane made; the latest
   * first. None where the control plane may not read the log.
   */
  writes(id: string, since: Date): Promise<readonly LoggedWrite[]>;
}

export const latestFirst = (one: LoggedWrite, other: LoggedWrite): number => other.at.localeCompare(one.at);

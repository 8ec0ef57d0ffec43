/** The last events that some subscription wanted, for the control door. In memory: it begins anew with the process. */

const LENGTH = 1_000;

export interface LoggedEvent {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  /** ISO 8601, virtual time. */
  readonly time: string;
  /** Name of the subscription: an event that two want is here twice. */
  readonly subscription: string;
  /** Only there when it was lost on purpose. */
  readonly dropped?: true;
}

export class EventLog {
  readonly #emitted: LoggedEvent[] = [];
  /** Apart, so that what was lost is still known after many that were not. */
  readonly #dropped: LoggedEvent[] = [];

  add(event: LoggedEvent): void {
    keep(this.#emitted, event);
    if (event.dropped) keep(this.#dropped, event);
  }

  /** Oldest first. */
  get emitted(): readonly LoggedEvent[] {
    return this.#emitted;
  }

  get dropped(): readonly LoggedEvent[] {
    return this.#dropped;
  }
}

function keep(list: LoggedEvent[], event: LoggedEvent): void {
  list.push(event);
  if (list.length > LENGTH) list.shift();
}

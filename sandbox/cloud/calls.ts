/** The record of every call that reached the simulated clouds: what proofs and benchmarks count. */
import type { ServiceName } from './world.ts';

export interface Call {
  /** Virtual time, ISO 8601. */
  readonly time: string;
  /** `postgresql` for a connection to a database server, of which only that is recorded. */
  readonly service: ServiceName | 'postgresql' | 'refused';
  readonly method: string;
  readonly host: string;
  /** Path and query, with values of parameters that carry secrets (`code`, `sig`, `token`) replaced. */
  readonly path: string;
  /** 0 when the connection was cut before an answer. */
  readonly status: number;
  readonly caller: string;
  readonly milliseconds: number;
}

const SECRET_PARAMETERS = /([?&](?:code|sig|token|client_secret)=)[^&]*/gi;

export class CallLog {
  readonly #calls: Call[] = [];
  readonly #keep: number;
  #dropped = 0;

  /** Keeps the newest `keep` calls; older ones are only counted. */
  constructor(keep = 100_000) {
    this.#keep = keep;
  }

  add(call: Call): void {
    this.#calls.push({ ...call, path: call.path.replace(SECRET_PARAMETERS, '$1…') });
    if (this.#calls.length > this.#keep) {
      this.#calls.shift();
      this.#dropped += 1;
    }
  }

  /** Calls since the position an earlier reader was given; `next` is the position to go on from. */
  since(position: number): { readonly calls: readonly Call[]; readonly next: number } {
    return {
      calls: this.#calls.slice(Math.max(0, position - this.#dropped)),
      next: this.#dropped + this.#calls.length,
    };
  }
}

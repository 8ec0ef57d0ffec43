/**
 * Probes without polling: a process says when its answers change, and from a probe's period and thresholds follows when
 * the kubelet would have noticed.
 */
import type { Container, Probe } from '../object.ts';
import type { Process } from '../processes/process.ts';

export interface Outcome {
  readonly ok: boolean;
  readonly message: string;
}

/** What the probe would find at this moment. */
export function probe(process: Process, spec: Probe, container: Container, address: string): Outcome {
  const { httpGet, tcpSocket, exec } = spec;
  if (httpGet) {
    const port = portOf(httpGet.port, container);
    const path = httpGet.path ?? '/';
    const status = port === undefined ? undefined : process.status(port, path);
    if (status === undefined) {
      const url = `http://${address}:${port ?? httpGet.port}${path}`;
      return {
        ok: false,
        message: `Get "${url}": dial tcp ${address}:${port ?? httpGet.port}: connect: connection refused`,
      };
    }
    const ok = status >= 200 && status < 400;
    return { ok, message: ok ? '' : `HTTP probe failed with statuscode: ${status}` };
  }
  if (tcpSocket) {
    const port = portOf(tcpSocket.port, container);
    const ok = port !== undefined && process.listens(port);
    return {
      ok,
      message: ok ? '' : `dial tcp ${address}:${port ?? tcpSocket.port}: connect: connection refused`,
    };
  }
  if (exec) {
    const code = process.exec?.(exec.command ?? []) ?? 1;
    return { ok: code === 0, message: code === 0 ? '' : `command terminated with exit code ${code}` };
  }
  return { ok: false, message: 'the sandbox has no gRPC health service' };
}

function portOf(port: number | string, container: Container): number | undefined {
  if (typeof port === 'number') return port;
  return /^\d+$/.test(port)
    ? Number(port)
    : container.ports?.find(({ name }) => name === port)?.containerPort;
}

/** One probe of one run of a container. Times are virtual milliseconds. */
export class ProbeWatch {
  readonly spec: Probe;
  readonly #first: number;
  readonly #period: number;
  #outcome: boolean | undefined;
  #flipsAt = 0;
  value: boolean;

  constructor(spec: Probe, startedAt: number, initial: boolean) {
    this.spec = spec;
    this.#first = startedAt + (spec.initialDelaySeconds ?? 0) * 1000;
    this.#period = (spec.periodSeconds ?? 10) * 1000;
    this.value = initial;
  }

  /**
   * Takes in what the probe would find now. `wakeAt` is when to ask again if nothing changes before; `failedFirst` is
   * true once for each row of failures.
   */
  update(ok: boolean, now: number): { readonly wakeAt?: number; readonly failedFirst: boolean } {
    const isNew = ok !== this.#outcome;
    if (isNew) {
      this.#outcome = ok;
      const threshold = (ok ? this.spec.successThreshold : this.spec.failureThreshold) ?? (ok ? 1 : 3);
      this.#flipsAt = this.#nextTick(now) + (threshold - 1) * this.#period;
    }
    if (ok !== this.value) {
      if (now < this.#flipsAt) return { wakeAt: this.#flipsAt, failedFirst: isNew && !ok };
      this.value = ok;
    }
    return { failedFirst: isNew && !ok };
  }

  /** For a start-up probe: the container is given up when it has not passed by then. */
  get givesUpAt(): number {
    return (
      this.#first +
      ((this.spec.failureThreshold ?? 3) - 1) * this.#period +
      (this.spec.timeoutSeconds ?? 1) * 1000
    );
  }

  #nextTick(now: number): number {
    return this.#first + Math.max(0, Math.ceil((now - this.#first) / this.#period)) * this.#period;
  }
}

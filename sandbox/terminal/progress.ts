/**
 * Live progress: on a terminal one line per resource, redrawn in place; elsewhere one line whenever a resource gets
 * somewhere, and nothing else.
 */
import { styleText } from 'node:util';
import { createLogUpdate } from 'log-update';
import type { Operation, Step } from '../control-plane.ts';
import { duration, shortDuration } from './duration.ts';

export interface ProgressView {
  show(operation: Operation): void;
  /** Leaves the last picture standing. */
  end(): void;
}

const marks: Record<Step['state'], string> = {
  pending: styleText('dim', '·'),
  waiting: styleText('yellow', '◐'),
  ready: styleText('green', '✔'),
  failed: styleText('red', '✘'),
  blocked: styleText('red', '⊘'),
};

/** Virtual milliseconds from first look to ready, or until `now`. */
const elapsed = (step: Step, now: number): number =>
  step.startedAt ? (step.readyAt ? Date.parse(step.readyAt) : now) - Date.parse(step.startedAt) : 0;

export function describeStep(step: Step): string {
  if (step.state === 'failed') return `failed: ${step.failure?.message ?? step.reason ?? 'no reason given'}`;
  if (step.state === 'waiting') return step.failure?.message ?? step.reason ?? 'waiting';
  if (step.state === 'blocked') return step.reason ?? 'blocked';
  if (step.state === 'ready') return step.did === 'nothing' ? 'as asked' : step.did;
  return '';
}

/** `virtualNow` is the sandbox's clock; the real time of a step is measured here, by when it was first seen moving. */
export function createProgressView(output: NodeJS.WriteStream, virtualNow: () => number): ProgressView {
  const clock = new RealTimes();
  return output.isTTY ? new LiveView(output, virtualNow, clock) : new PlainView(output, virtualNow, clock);
}

/** Real milliseconds each step took, as seen from here. */
class RealTimes {
  readonly #started = new Map<string, number>();
  readonly #ended = new Map<string, number>();

  note(operation: Operation): void {
    const now = performance.now();
    for (const step of operation.steps) {
      if (step.state === 'pending') continue;
      if (!this.#started.has(step.key)) this.#started.set(step.key, now);
      if (step.state === 'waiting') this.#ended.delete(step.key);
      else if (!this.#ended.has(step.key)) this.#ended.set(step.key, now);
    }
  }

  of(key: string): number {
    const started = this.#started.get(key);
    return started === undefined ? 0 : (this.#ended.get(key) ?? performance.now()) - started;
  }
}

class LiveView implements ProgressView {
  readonly #draw: ReturnType<typeof createLogUpdate>;
  readonly #output: NodeJS.WriteStream;
  readonly #virtualNow: () => number;
  readonly #times: RealTimes;

  constructor(output: NodeJS.WriteStream, virtualNow: () => number, times: RealTimes) {
    this.#output = output;
    this.#draw = createLogUpdate(output);
    this.#virtualNow = virtualNow;
    this.#times = times;
  }

  show(operation: Operation): void {
    this.#times.note(operation);
    const width = Math.max(...operation.steps.map(({ key }) => key.length), 0);
    const line = (step: Step): string => {
      const times = step.startedAt
        ? `${duration(elapsed(step, this.#virtualNow())).padStart(7)} ${styleText('dim', shortDuration(this.#times.of(step.key)).padStart(6))}`
        : ' '.repeat(14);
      const room = Math.max(10, this.#output.columns - width - 20);
      return `${marks[step.state]} ${step.key.padEnd(width)} ${times}  ${cut(describeStep(step), room)}`;
    };
    const ready = operation.steps.filter(({ state }) => state === 'ready').length;
    const rows = Math.max(5, this.#output.rows - 3);
    const shown = mostTelling(operation.steps, rows);
    const hidden = operation.steps.length - shown.length;
    this.#draw(
      [
        `${ready} of ${operation.steps.length} ready${hidden > 0 ? ` (${hidden} more not shown)` : ''}   ${styleText('dim', 'virtual   real')}`,
        ...shown.map(line),
      ].join('\n'),
    );
  }

  end(): void {
    this.#draw.done();
  }
}

/** On a low screen, what moves or fails is worth more than what is ready or has not begun. */
function mostTelling(steps: readonly Step[], rows: number): readonly Step[] {
  if (steps.length <= rows) return steps;
  const order: Step['state'][] = ['failed', 'waiting', 'blocked', 'ready', 'pending'];
  const kept = new Set(
    [...steps].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state)).slice(0, rows),
  );
  return steps.filter((step) => kept.has(step));
}

const cut = (text: string, room: number): string =>
  text.length > room ? `${text.slice(0, room - 1)}…` : text;

class PlainView implements ProgressView {
  readonly #output: NodeJS.WriteStream;
  readonly #virtualNow: () => number;
  readonly #times: RealTimes;
  readonly #said = new Map<string, string>();

  constructor(output: NodeJS.WriteStream, virtualNow: () => number, times: RealTimes) {
    this.#output = output;
    this.#virtualNow = virtualNow;
    this.#times = times;
  }

  show(operation: Operation): void {
    this.#times.note(operation);
    for (const step of operation.steps) {
      if (step.state !== 'ready' && step.state !== 'failed') continue;
      if (this.#said.get(step.key) === step.state) continue;
      this.#said.set(step.key, step.state);
      const times = `${duration(elapsed(step, this.#virtualNow()))} (${shortDuration(this.#times.of(step.key))} real)`;
      this.#output.write(`${step.state.padEnd(7)} ${step.key.padEnd(34)} ${describeStep(step)}, ${times}\n`);
    }
  }

  end(): void {}
}

/**
 * What the control plane does by itself once a deployment runs, told as it happens: a line when a cloud told something,
 * when that led to an operation, for each resource pushed, and when all is proven. Lines are only added, so that a
 * terminal and a file read the same.
 */
import { styleText } from 'node:util';
import type { Operation, QuarantinedImage, ReceivedEvent, Step } from '../control-plane.ts';
import { duration } from './duration.ts';
import { describeStep } from './progress.ts';

type Line = Parameters<typeof styleText>[0];

/** What is known of one event, so that nothing is said twice. */
interface Told {
  readonly outcome: ReceivedEvent['outcome'];
  readonly operation: string | undefined;
}

const ENDED: readonly ReceivedEvent['outcome'][] = ['acted', 'nothing-differed', 'ignored', 'failed'];

export class ReactionsView {
  readonly #output: NodeJS.WritableStream;
  readonly #speed: () => number;
  readonly #told = new Map<string, Told>();
  readonly #steps = new Map<string, Step['state']>();
  readonly #announced = new Set<string>();
  readonly #ended = new Set<string>();
  #quarantine: ReadonlyMap<string, QuarantinedImage> | undefined;
  #isFirst = true;

  /** `speed`: virtual seconds in a real one. */
  constructor(output: NodeJS.WritableStream, speed: () => number) {
    this.#output = output;
    this.#speed = speed;
  }

  /** Operations that somebody has seen already: nothing more is said of them. */
  skip(operation: string): void {
    this.#ended.add(operation);
  }

  /** Operations under way that events have led to, which are worth looking at. */
  get underWay(): readonly string[] {
    return [...this.#announced].filter((id) => !this.#ended.has(id));
  }

  /** What was in it before anybody looked is history. */
  showQuarantine(images: readonly QuarantinedImage[]): void {
    const before = this.#quarantine;
    this.#quarantine = new Map(images.map((image) => [image.digest, image]));
    if (!before) return;
    for (const { digest, repository, reason } of images) {
      if (before.has(digest)) continue;
      this.#say(`    ✘ ${repository}@${digest} is quarantined: ${reason}`, undefined, 'red');
      this.#say('      the last good image is put back, and this one is not tried again');
    }
    for (const { digest, repository } of before.values()) {
      if (!this.#quarantine.has(digest)) this.#say(`    ${repository}@${digest} may be tried again`);
    }
  }

  /** What has ended before anybody looked is history. */
  showEvents(events: readonly ReceivedEvent[]): void {
    for (const event of [...events].reverse()) {
      if (this.#isFirst && ENDED.includes(event.outcome)) {
        this.#told.set(event.id, { outcome: event.outcome, operation: event.operation?.id });
        if (event.operation) this.#ended.add(event.operation.id);
      } else this.#showEvent(event);
    }
    this.#isFirst = false;
    const listed = new Set(events.map(({ id }) => id));
    for (const id of this.#told.keys()) if (!listed.has(id)) this.#told.delete(id);
  }

  #showEvent(event: ReceivedEvent): void {
    const told = this.#told.get(event.id);
    const { what, outcome, reason = 'no reason given', operation, provenAt, secondsToProof } = event;
    const isQuiet = outcome === 'nothing-differed' || outcome === 'ignored';
    if (!told && !isQuiet) this.#say(`→ ${what}`, event.receivedAt, 'cyan');
    if (operation && operation.id !== told?.operation && !isQuiet && !this.#ended.has(operation.id)) {
      const isJoined = this.#announced.has(operation.id);
      this.#say(`  ${isJoined ? 'joins' : 'leads to'} operation ${operation.id}`);
      this.#announced.add(operation.id);
    }
    if (outcome !== told?.outcome) {
      if (outcome === 'nothing-differed') this.#say(`· ${what}: nothing differed`, event.receivedAt, 'dim');
      if (outcome === 'ignored') this.#say(`· ${what}: ignored, ${reason}`, event.receivedAt, 'dim');
      if (outcome === 'failed') this.#say(`✘ ${what}: ${reason}`, undefined, 'red');
      if (outcome === 'acted' && provenAt === undefined) this.#say(`✔ ${what}: done`, undefined, 'green');
      if (outcome === 'acted' && provenAt !== undefined && secondsToProof !== undefined) {
        this.#say(`✔ ${what}: proven after ${this.#both(secondsToProof)}`, provenAt, 'green');
      }
    }
    this.#told.set(event.id, { outcome, operation: operation?.id });
  }

  /** An operation that no event announced, such as a sweep's, speaks up with the first thing that it does. */
  showOperation(operation: Operation): void {
    if (this.#ended.has(operation.id)) return;
    const busy = operation.steps.filter(({ did, state }) => did !== 'nothing' || state === 'failed');
    if (busy.length > 0 && !this.#announced.has(operation.id)) {
      this.#say(`→ ${operation.cause?.what ?? 'somebody asked'}`, operation.requestedAt, 'cyan');
      this.#say(`  leads to operation ${operation.id}`);
      this.#announced.add(operation.id);
    }
    for (const step of busy) this.#showStep(operation.id, step);
    if (operation.state !== 'succeeded' && operation.state !== 'failed') return;
    this.#ended.add(operation.id);
    for (const key of this.#steps.keys()) {
      if (key.startsWith(`${operation.id}\n`)) this.#steps.delete(key);
    }
    if (!this.#announced.delete(operation.id)) return;
    const seconds =
      (Date.parse(operation.finishedAt ?? operation.requestedAt) - Date.parse(operation.requestedAt)) / 1000;
    const isFine = operation.state === 'succeeded';
    const why = isFine ? '' : `: ${operation.failure?.message ?? 'no reason given'}`;
    this.#say(
      `  operation ${operation.id} ${operation.state} after ${this.#both(seconds)}${why}`,
      undefined,
      isFine ? 'dim' : 'red',
    );
  }

  #showStep(operation: string, step: Step): void {
    const key = `${operation}\n${step.key}`;
    const told = this.#steps.get(key);
    if (told === step.state) return;
    this.#steps.set(key, step.state);
    if (step.state === 'failed') this.#say(`    ✘ ${step.key} ${describeStep(step)}`, undefined, 'red');
    else if (step.state === 'ready') this.#say(`    ✔ ${step.key} ${step.did}`);
    else if (told === undefined) this.#say(`    ◐ ${step.key} pushed; ${describeStep(step)}`);
  }

  /** Seconds of the clouds, and what they were here. */
  #both(seconds: number): string {
    const real = Math.round((seconds * 1000) / this.#speed());
    return `${duration(seconds * 1000)} of the clouds' time, ${real} ms of yours`;
  }

  #say(text: string, at?: string, style?: Line): void {
    const time = at === undefined ? '' : `  ${at.slice(11, 19)}`;
    const line = style === undefined ? text : styleText(style, text, this.#styling);
    this.#output.write(`${line}${time === '' ? '' : styleText('dim', time, this.#styling)}\n`);
  }

  /** Colours only where they are seen. */
  get #styling(): { stream: NodeJS.WritableStream; validateStream: boolean } {
    return { stream: this.#output, validateStream: true };
  }
}

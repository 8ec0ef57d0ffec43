/** What people and tests can do to deliveries: lose, repeat, delay and shuffle them, the same way for the same seed. */
import { z } from 'zod';

const SECOND = 1000;
/** From the source to the first attempt. */
const FIRST_DELIVERY = 1 * SECOND;
/** How far apart events get that are dialled to come out of order, or twice. */
const DISORDER = 30 * SECOND;

const controlSchema = z.strictObject({
  /** Share of events, 0 to 1, that never arrive. */
  dropShare: z.number().min(0).max(1).default(0),
  /** Share of events that arrive twice. */
  repeatShare: z.number().min(0).max(1).default(0),
  /** Added to every first delivery, virtual milliseconds. */
  delayMilliseconds: z.number().nonnegative().default(0),
  reorder: z.boolean().default(false),
  /** The same seed makes the same choices. */
  seed: z.int().default(1),
});
export type DeliveryControl = z.infer<typeof controlSchema>;

export class DeliverySettings {
  #control: DeliveryControl = controlSchema.parse({});
  #random = randomOf(1);

  get(): DeliveryControl {
    return this.#control;
  }

  /** Throws ZodError on values that make no sense. */
  replace(control: unknown): void {
    this.#control = controlSchema.parse(control);
    this.#random = randomOf(this.#control.seed);
  }

  /** When an event that was published now is to be delivered first; never, or twice, where that is dialled. */
  timesFor(now: number): number[] {
    const { dropShare, repeatShare, delayMilliseconds, reorder } = this.#control;
    if (this.#random() < dropShare) return [];
    const isRepeated = this.#random() < repeatShare;
    const soonest = now + FIRST_DELIVERY + delayMilliseconds;
    const disorder = (): number => Math.floor(this.#random() * DISORDER);
    return [soonest + (reorder ? disorder() : 0), ...(isRepeated ? [soonest + disorder()] : [])];
  }
}

/** Mulberry32: small, and the same on every machine. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

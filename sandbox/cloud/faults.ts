/**
 * Faults that can be dialled in: a list of rules, each matched against a call before (or after) a service sees it.
 * The kinds are those of the REST fault matrix in the literature: refuse, cut before the service acted, cut after it
 * acted, truncate, delay; and an ARM operation that fails after it was accepted.
 */
import { z } from 'zod';
import type { ServiceName } from './world.ts';

export const faultRuleSchema = z.strictObject({
  id: z.string().min(1),
  service: z.string().optional(),
  method: z.string().optional(),
  /** Regular expression, tested against host + path + query. */
  path: z.string().optional(),
  /** Skip this many matching calls first. */
  skip: z.number().int().nonnegative().default(0),
  /** Strike at most this many times; without it, always. */
  times: z.number().int().positive().optional(),
  fault: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('answer'),
      status: z.number().int().min(400).max(599),
      code: z.string().default('InjectedFault'),
      message: z.string().default('injected by the sandbox'),
      retryAfterSeconds: z.number().nonnegative().optional(),
    }),
    z.strictObject({ kind: z.literal('cut-before') }),
    z.strictObject({ kind: z.literal('cut-after') }),
    z.strictObject({ kind: z.literal('truncate') }),
    /** Virtual milliseconds before the service sees the call. */
    z.strictObject({ kind: z.literal('delay'), milliseconds: z.number().nonnegative() }),
    /** The asynchronous operation that this call starts ends in `Failed` with this code. */
    z.strictObject({ kind: z.literal('operation-fails'), code: z.string(), message: z.string() }),
  ]),
});

export type FaultRule = z.infer<typeof faultRuleSchema>;
export type Fault = FaultRule['fault'];

export class Faults {
  #rules: FaultRule[] = [];
  readonly #seen = new Map<string, number>();

  get rules(): readonly FaultRule[] {
    return this.#rules;
  }

  /** Replaces all rules and forgets what was counted. Throws ZodError on a rule that makes no sense. */
  replace(rules: unknown): void {
    this.#rules = z.array(faultRuleSchema).parse(rules);
    this.#seen.clear();
  }

  /** The fault that strikes this call, if any; the first rule that applies wins and is counted. */
  strike(
    call: { service: ServiceName; method: string; target: string },
    kinds: Fault['kind'][],
  ): Fault | undefined {
    for (const rule of this.#rules) {
      if (!kinds.includes(rule.fault.kind)) continue;
      if (rule.service !== undefined && rule.service !== call.service) continue;
      if (rule.method !== undefined && rule.method !== call.method) continue;
      if (rule.path !== undefined && !new RegExp(rule.path, 'i').test(call.target)) continue;
      const seen = (this.#seen.get(rule.id) ?? 0) + 1;
      this.#seen.set(rule.id, seen);
      if (seen <= rule.skip) continue;
      if (rule.times !== undefined && seen > rule.skip + rule.times) continue;
      return rule.fault;
    }
    return undefined;
  }
}

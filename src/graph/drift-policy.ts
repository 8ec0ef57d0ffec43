/**
 * What becomes of differences that somebody else made: put right, told, or taken into the spec. Pure. A cloud takes most
 * resources whole, so a resource with one field that is to be left alone is not written at all, unless it is made of parts
 * that are written apart.
 */
import { whyOnlyReported } from './drift-defaults.ts';
import { whyFought } from './drift-fight.ts';
import type { Difference, ResourceKey } from './resource.ts';

export type DriftPolicy = 'repair' | 'report' | 'adopt';

export interface DriftRule {
  readonly resource: string;
  readonly path?: string | undefined;
  readonly policy: DriftPolicy;
}

/** Automation that is switched off until a time; without a resource, all of it. */
export interface ActivePause {
  readonly resource?: ResourceKey;
  readonly reason: string;
  /** ISO 8601, as are all times here. */
  readonly until: string;
}

/** What is remembered of a difference. */
export interface EarlierDrift {
  readonly path: string;
  readonly since: string;
  /** When the field was last seen as asked. */
  readonly lastAsAskedAt?: string;
  readonly isSettled: boolean;
  /** When it was pushed, if that is so short a time ago that it need not show yet. */
  readonly pushedAt?: string;
  /** When it was put right, oldest first. */
  readonly repairs: readonly string[];
}

export type Treatment =
  /** It is put right. */
  | 'repair'
  /** It is left, as a rule asks, or because putting it right could hurt. */
  | 'reported'
  /** The spec takes it over. */
  | 'adopt'
  /** A rule asks to take it over, and the spec has no place for it, or cannot be changed so. */
  | 'adopt-impossible'
  | 'paused'
  /** Put right again and again, and somebody changes it back each time. */
  | 'fought'
  /** By itself it would be put right, but another field of the same resource is left alone. */
  | 'held-with';

export interface Verdict {
  readonly difference: Difference;
  readonly policy: DriftPolicy;
  readonly treatment: Treatment;
  /** Why it is not put right, in words that stay the same as long as it is so. */
  readonly why?: string;
}

export interface DriftDecision {
  /** `wait`: it has just been pushed, and no cloud shows everything at once. */
  readonly action: 'repair' | 'wait' | 'hold';
  readonly verdicts: readonly Verdict[];
  /** What is to be written when the action is to repair. */
  readonly pushed: readonly Difference[];
}

export interface DriftQuestion {
  readonly key: ResourceKey;
  readonly differences: readonly Difference[];
  /** Whether each is written by itself; see `pushesApart` of a resource. */
  readonly isApart?: boolean;
  /** Whether somebody else made it; what the spec, a new secret or time makes different is ours to push, whatever the rules. */
  isDrift(difference: Difference): boolean;
  readonly rules: readonly DriftRule[];
  readonly pauses: readonly ActivePause[];
  /** When a person last asked to have this resource put right. */
  readonly repairAfter?: string | undefined;
  /** When the resource was last looked at and all but what is remembered was as asked. */
  readonly lastAsAskedAt?: string | undefined;
  readonly earlier: readonly EarlierDrift[];
  /** Why the spec cannot take a difference over; undefined when it can. */
  whyNotAdopted(difference: Difference): string | undefined;
  readonly now: Date;
}

/** The pause that holds a resource: its own rather than that of everything. */
export function pauseOf(
  pauses: readonly ActivePause[],
  key: ResourceKey,
  now: Date,
): ActivePause | undefined {
  const active = pauses.filter(({ until }) => Date.parse(until) > now.getTime());
  return (
    active.find(({ resource }) => resource === key) ?? active.find(({ resource }) => resource === undefined)
  );
}

export const whyPaused = ({ until, reason }: ActivePause): string => `paused until ${until}: ${reason}`;

/** The first rule that applies decides. A rule for a field is one for everything below it, too. */
function ruleOf(rules: readonly DriftRule[], key: ResourceKey, path: string): DriftPolicy | undefined {
  const covers = (field: string): boolean =>
    path === field || (path.startsWith(field) && /^[.[:]/.test(path.slice(field.length)));
  return rules.find(
    (candidate) => candidate.resource === key && (candidate.path === undefined || covers(candidate.path)),
  )?.policy;
}

/** What rules say of a field, whatever it has; without one it is put right. */
export const policyOf = (rules: readonly DriftRule[], key: ResourceKey, path: string): DriftPolicy =>
  ruleOf(rules, key, path) ?? 'repair';

export function decideDrift(question: DriftQuestion): DriftDecision {
  const { key, differences, pauses, now } = question;
  const pause = pauseOf(pauses, key, now);
  if (pause) {
    const verdicts = differences.map((difference): Verdict => {
      const { policy } = policyFor(question, difference);
      return { difference, policy, treatment: 'paused', why: whyPaused(pause) };
    });
    return { action: 'hold', verdicts, pushed: [] };
  }
  const alone = differences.map((difference) => judgeAlone(question, difference));
  if (question.isApart) return decideApart(question, alone);
  // A change of ours cannot wait for a field that is only to be told about: images and secrets have to get through.
  const isOurs = differences.some((difference) => !question.isDrift(difference));
  const holder = alone.find(({ treatment }) => treatment !== 'repair');
  if (isOurs || !holder) {
    const verdicts = alone.map(
      ({ difference, policy }): Verdict => ({ difference, policy, treatment: 'repair' }),
    );
    const isUnderWay = !isOurs && differences.every((difference) => mayNotShowYet(question, difference));
    return { action: isUnderWay ? 'wait' : 'repair', verdicts, pushed: differences };
  }
  const why = `left with ${holder.difference.path || 'the rest'}: the resource is only written as a whole`;
  const verdicts = alone.map(
    (verdict): Verdict =>
      verdict.treatment === 'repair' ? { ...verdict, treatment: 'held-with', why } : verdict,
  );
  return { action: 'hold', verdicts, pushed: [] };
}

function decideApart(question: DriftQuestion, alone: readonly Verdict[]): DriftDecision {
  const verdicts = alone.map(
    (verdict): Verdict =>
      question.isDrift(verdict.difference)
        ? verdict
        : { difference: verdict.difference, policy: verdict.policy, treatment: 'repair' },
  );
  const repaired = verdicts
    .filter(({ treatment }) => treatment === 'repair')
    .map(({ difference }) => difference);
  const pushed = repaired.filter(
    (difference) => !question.isDrift(difference) || !mayNotShowYet(question, difference),
  );
  const action = pushed.length > 0 ? 'repair' : repaired.length > 0 ? 'wait' : 'hold';
  return { action, verdicts, pushed };
}

function judgeAlone(question: DriftQuestion, difference: Difference): Verdict {
  const { repairAfter, now } = question;
  const { policy, why } = policyFor(question, difference);
  const before = earlierOf(question, difference);
  const isAsked = isAskedFor(question, before);
  if (policy === 'report' && !isAsked) return { difference, policy, treatment: 'reported', why };
  if (policy === 'adopt' && !isAsked) {
    const obstacle = question.whyNotAdopted(difference);
    return obstacle === undefined
      ? { difference, policy, treatment: 'adopt', why }
      : { difference, policy, treatment: 'adopt-impossible', why: `${why}, which is refused: ${obstacle}` };
  }
  const since = before && !before.isSettled ? before.since : now.toISOString();
  const fight = whyFought({ repairs: before?.repairs ?? [], since, repairAfter });
  return fight === undefined
    ? { difference, policy, treatment: 'repair' }
    : { difference, policy, treatment: 'fought', why: fight };
}

/** What the rules say, or else what goes without saying. */
function policyFor(
  { key, rules }: DriftQuestion,
  difference: Difference,
): { readonly policy: DriftPolicy; readonly why: string } {
  const ruled = ruleOf(rules, key, difference.path);
  if (ruled !== undefined) return { policy: ruled, why: `a rule says: ${ruled}` };
  const harm = whyOnlyReported(key, difference);
  return harm === undefined
    ? { policy: 'repair', why: 'no rule says otherwise' }
    : { policy: 'report', why: harm };
}

const earlierOf = ({ earlier }: DriftQuestion, { path }: Difference): EarlierDrift | undefined =>
  earlier.find((known) => known.path === path);

/** A person who asks wants everything put right that differs then, also what no look has found yet. */
function isAskedFor(
  { repairAfter, lastAsAskedAt }: DriftQuestion,
  before: EarlierDrift | undefined,
): boolean {
  if (repairAfter === undefined) return false;
  const times = before && !before.isSettled ? [before.since, before.lastAsAskedAt] : [lastAsAskedAt];
  return times.some((at) => at !== undefined && Date.parse(repairAfter) >= Date.parse(at));
}

function mayNotShowYet(question: DriftQuestion, difference: Difference): boolean {
  const { repairAfter } = question;
  const before = earlierOf(question, difference);
  if (!before || before.isSettled || before.pushedAt === undefined) return false;
  return repairAfter === undefined || Date.parse(before.pushedAt) >= Date.parse(repairAfter);
}

/**
 * What becomes of differences that somebody else made: put right, told, or taken into the spec. Pure. A cloud takes most
 * resources whole, so a resource with one field that is to be left alone is not written at all.
 */
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
  readonly isSettled: boolean;
  /** When it was put right, oldest first. */
  readonly repairs: readonly string[];
}

export type Treatment =
  /** It is put right. */
  | 'repair'
  /** It is left, as a rule asks. */
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
  readonly action: 'repair' | 'hold';
  readonly verdicts: readonly Verdict[];
}

export interface DriftQuestion {
  readonly key: ResourceKey;
  readonly differences: readonly Difference[];
  /** Whether somebody else made it; what the spec or a new secret makes different is ours to push, whatever the rules. */
  isDrift(difference: Difference): boolean;
  readonly rules: readonly DriftRule[];
  readonly pauses: readonly ActivePause[];
  /** When a person last asked to have this resource put right. */
  readonly repairAfter?: string | undefined;
  readonly earlier: readonly EarlierDrift[];
  /** Why the spec cannot take a difference over; undefined when it can. */
  whyNotAdopted(difference: Difference): string | undefined;
  readonly now: Date;
}

const HOUR = 3_600_000;
/** So many repairs within an hour are a fight; the next is not made. */
export const MOST_REPAIRS_IN_AN_HOUR = 3;

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
export function policyOf(rules: readonly DriftRule[], key: ResourceKey, path: string): DriftPolicy {
  const covers = (field: string): boolean =>
    path === field || (path.startsWith(field) && /^[.[:]/.test(path.slice(field.length)));
  const rule = rules.find(
    (candidate) => candidate.resource === key && (candidate.path === undefined || covers(candidate.path)),
  );
  return rule?.policy ?? 'repair';
}

/** Repairs that count for a fight: within the last hour, and since a person last asked for one. */
export const recentRepairs = (
  repairs: readonly string[],
  now: Date,
  repairAfter: string | undefined,
): readonly string[] =>
  repairs.filter(
    (at) =>
      Date.parse(at) > now.getTime() - HOUR &&
      (repairAfter === undefined || Date.parse(at) > Date.parse(repairAfter)),
  );

export function decideDrift(question: DriftQuestion): DriftDecision {
  const { key, differences, pauses, now } = question;
  const pause = pauseOf(pauses, key, now);
  if (pause) {
    const verdicts = differences.map((difference): Verdict => {
      const policy = policyOf(question.rules, key, difference.path);
      return { difference, policy, treatment: 'paused', why: whyPaused(pause) };
    });
    return { action: 'hold', verdicts };
  }
  const alone = differences.map((difference) => judgeAlone(question, difference));
  // A change of ours cannot wait for a field that is only to be told about: images and secrets have to get through.
  const isOurs = differences.some((difference) => !question.isDrift(difference));
  const holder = alone.find(({ treatment }) => treatment !== 'repair');
  if (isOurs || !holder) {
    const verdicts = alone.map(
      ({ difference, policy }): Verdict => ({ difference, policy, treatment: 'repair' }),
    );
    return { action: 'repair', verdicts };
  }
  const why = `left with ${holder.difference.path || 'the rest'}: the resource is only written as a whole`;
  const verdicts = alone.map(
    (verdict): Verdict =>
      verdict.treatment === 'repair' ? { ...verdict, treatment: 'held-with', why } : verdict,
  );
  return { action: 'hold', verdicts };
}

function judgeAlone(question: DriftQuestion, difference: Difference): Verdict {
  const { key, rules, repairAfter, earlier, now } = question;
  const policy = policyOf(rules, key, difference.path);
  const before = earlier.find(({ path }) => path === difference.path);
  const since = before && !before.isSettled ? Date.parse(before.since) : now.getTime();
  if (repairAfter !== undefined && Date.parse(repairAfter) >= since) {
    return { difference, policy, treatment: 'repair' };
  }
  if (policy === 'report') return { difference, policy, treatment: 'reported', why: 'a rule says: report' };
  if (policy === 'adopt') {
    const why = question.whyNotAdopted(difference);
    return why === undefined
      ? { difference, policy, treatment: 'adopt', why: 'a rule says: adopt' }
      : {
          difference,
          policy,
          treatment: 'adopt-impossible',
          why: `a rule says: adopt, which is refused: ${why}`,
        };
  }
  const repairs = recentRepairs(before?.repairs ?? [], now, repairAfter);
  return repairs.length >= MOST_REPAIRS_IN_AN_HOUR
    ? {
        difference,
        policy,
        treatment: 'fought',
        why: 'put right three times within an hour, and changed back each time',
      }
    : { difference, policy, treatment: 'repair' };
}

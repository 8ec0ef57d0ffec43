/**
 * What several checks look at is asked for once in a round: clouds throttle whoever asks too often, and findings of one
 * round agree with each other. A round is one scope object; whoever wants a fresh look makes another.
 */
import type { CheckScope } from './check.ts';

const rounds = new WeakMap<CheckScope, Map<string, Promise<unknown>>>();

/** The answer, or the failure, of the first time in this round; `what` names it among all that are asked for so. */
export function oncePerRound<T>(scope: CheckScope, what: string, look: () => Promise<T>): Promise<T> {
  const looks = rounds.get(scope) ?? new Map<string, Promise<unknown>>();
  rounds.set(scope, looks);
  const known = looks.get(what);
  if (known) return known as Promise<T>;
  const asked = look();
  looks.set(what, asked);
  return asked;
}

/** What findings have in common: how they are put right, and what has to be there to look. */
import { lostWith } from '../graph/drift-defaults.ts';
import { fatal } from '../graph/failure.ts';
import type { CheckFinding, CheckScope } from './check.ts';

/**
 * For what a reconcile puts right: of the finding's own resource, and what is gone with it, whatever the rules say; of others
 * as they say.
 */
export const repairCall = (scope: Pick<CheckScope, 'names'>, { repair, resource }: CheckFinding) =>
  repair === repairOf(scope) ? `${repair}?resources=${(lostWith(resource) ?? [resource]).join(',')}` : repair;

export const repairOf = ({ names }: Pick<CheckScope, 'names'>): string =>
  `POST /api/deployments/${names.deployment}/repair`;

/** What a check looks at or from. That it is missing is another check's finding, and makes this one impossible. */
export function needed<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw fatal('NothingToLookAt', `${what} is not there`);
  return found;
}

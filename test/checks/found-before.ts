/** What the checks found in the round before, as the next one is told. */
import type { CheckScope } from '../../src/checks/check.ts';
import type { Finding } from '../../src/graph/finding.ts';

type Earlier = Pick<Finding, 'id' | 'severity' | 'since'>;

export const foundBefore = (...findings: readonly Earlier[]): NonNullable<CheckScope['foundBefore']> =>
  new Map(findings.map((finding) => [finding.id, finding]));

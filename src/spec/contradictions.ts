/** Rules that need more than one field, or know more than a field's form. Each is pure and reports all it finds. */
import type { Names } from '../naming.ts';
import { imageRules } from './contradictions/images.ts';
import { nameRules } from './contradictions/names.ts';
import { networkRules } from './contradictions/network.ts';
import { postgresRules } from './contradictions/postgres.ts';
import { schedulingRules } from './contradictions/scheduling.ts';
import { secretRules } from './contradictions/secrets.ts';
import { workloadRules } from './contradictions/workloads.ts';
import type { Problem } from './problem.ts';
import type { DeploymentSpec, DeploymentSpecInput } from './spec.ts';

export interface Subject {
  readonly spec: DeploymentSpec;
  /** As the user wrote it: what is only a default cannot contradict anything. */
  readonly given: DeploymentSpecInput;
  readonly names: Names;
}

export type Rule = (subject: Subject) => readonly Problem[];

const rules: readonly Rule[] = [
  ...nameRules,
  ...imageRules,
  ...networkRules,
  ...schedulingRules,
  ...postgresRules,
  ...workloadRules,
  ...secretRules,
];

export const contradictions = (subject: Subject): readonly Problem[] =>
  rules.flatMap((rule) => rule(subject));

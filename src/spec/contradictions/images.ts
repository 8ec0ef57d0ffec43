/** What is imported has to be something that would be deployed: otherwise it would be imported for ever. */
import semver from 'semver';
import type { Rule } from '../contradictions.ts';
import { problem } from '../problem.ts';
import { compileTagPattern } from '../tag-pattern.ts';

const followable: Rule = ({ spec }) =>
  Object.entries(spec.registry.images).flatMap(([name, { source, follow }]) => {
    if (!follow) return [];
    const field = `registry.images.${name}.follow`;
    if (source.includes('@')) {
      return [problem(field, `must be absent: registry.images.${name}.source names one digest`)];
    }
    const tag = source.split(':')[1] ?? '';
    if (follow.semver !== undefined && !semver.satisfies(tag, follow.semver)) {
      return [problem(`${field}.semver`, `must include the tag of registry.images.${name}.source`)];
    }
    if (follow.pattern !== undefined && !compileTagPattern(follow.pattern).test(tag)) {
      return [problem(`${field}.pattern`, `must match the tag of registry.images.${name}.source`)];
    }
    return [];
  });

export const imageRules: readonly Rule[] = [followable];

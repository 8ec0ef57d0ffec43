/**
 * Puts all that is wrong with a deployment in the order in which a person should read it: what the rest comes from is
 * first, and what comes from something else says from what.
 */
import type { Finding, Severity } from '../graph/finding.ts';
import type { GraphShape } from '../graph/plan.ts';
import type { ResourceKey } from '../graph/resource.ts';
import { type System, systems } from './check.ts';

/** A finding and who made it; a resource's own look is no check and has no system. */
export interface SourcedFinding extends Finding {
  readonly check?: string;
  readonly system?: System;
}

export interface RankedFinding extends SourcedFinding {
  /** The failing resource that this one rests on, directly or through others. */
  readonly causedBy?: ResourceKey;
}

const severities: readonly Severity[] = ['error', 'warning', 'info'];

/** `shape` in the stack's reading order; a finding about a resource outside it rests on nothing and comes late. */
export function rank(
  shape: GraphShape,
  ofChecks: readonly SourcedFinding[],
  ofLooks: readonly Finding[],
): readonly RankedFinding[] {
  const told = new Set(ofChecks.map(troubleOf));
  const findings: readonly SourcedFinding[] = [
    ...ofChecks,
    ...ofLooks.filter((finding) => !told.has(troubleOf(finding))),
  ];
  const failing = new Set(
    findings.flatMap(({ severity, resource }) => (severity === 'error' ? [resource] : [])),
  );
  const order = new Map(shape.map(({ key }, index) => [key, index]));
  const placeOf = (key: ResourceKey): number => order.get(key) ?? shape.length;
  const restsOn = (key: ResourceKey): ResourceKey[] =>
    [...neededBy(shape, key)]
      .filter((need) => failing.has(need))
      .toSorted((one, other) => placeOf(one) - placeOf(other));
  const ranked = findings.map((finding): RankedFinding => {
    const causes = restsOn(finding.resource);
    const root = causes.find((cause) => restsOn(cause).length === 0);
    return root === undefined ? finding : { ...finding, causedBy: root };
  });
  const systemOf = ({ system }: SourcedFinding): number =>
    system === undefined ? systems.length : systems.indexOf(system);
  return ranked.toSorted(
    (one, other) =>
      Number(one.causedBy !== undefined) - Number(other.causedBy !== undefined) ||
      severities.indexOf(one.severity) - severities.indexOf(other.severity) ||
      systemOf(one) - systemOf(other) ||
      placeOf(one.resource) - placeOf(other.resource) ||
      one.id.localeCompare(other.id),
  );
}

const troubleOf = ({ resource, id }: Finding): string => `${resource} ${id}`;

/** Everything a resource waits for, directly or through others. */
function neededBy(shape: GraphShape, key: ResourceKey): ReadonlySet<ResourceKey> {
  const needs = new Map(shape.map((node) => [node.key, node.waitsFor]));
  const found = new Set<ResourceKey>();
  const open = [...(needs.get(key) ?? [])];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    open.push(...(needs.get(next) ?? []));
  }
  return found;
}

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
  const errors = findings.filter(({ severity }) => severity === 'error');
  const failing = new Set(errors.map(({ resource }) => resource));
  const failingItself = new Set(errors.filter((error) => !isHearsay(error)).map(({ resource }) => resource));
  const order = new Map(shape.map(({ key }, index) => [key, index]));
  const placeOf = (key: ResourceKey): number => order.get(key) ?? shape.length;
  const restsOn = (key: ResourceKey, causes: ReadonlySet<ResourceKey>): ResourceKey[] =>
    [...neededBy(shape, key)]
      .filter((need) => causes.has(need))
      .toSorted((one, other) => placeOf(one) - placeOf(other));
  const ranked = findings.map((finding): RankedFinding => {
    const isSeenItself = !isInside(finding.resource) && !isHearsay(finding);
    const causes = isSeenItself ? failingItself : failing;
    const root = restsOn(finding.resource, causes).find((cause) => restsOn(cause, causes).length === 0);
    return root === undefined ? finding : { ...finding, causedBy: root };
  });
  const systemOf = ({ system }: SourcedFinding): number =>
    system === undefined ? systems.length : systems.indexOf(system);
  return ranked.toSorted(
    (one, other) =>
      Number(one.causedBy !== undefined) - Number(other.causedBy !== undefined) ||
      severities.indexOf(one.severity) - severities.indexOf(other.severity) ||
      Number(isHearsay(one)) - Number(isHearsay(other)) ||
      systemOf(one) - systemOf(other) ||
      placeOf(one.resource) - placeOf(other.resource) ||
      one.id.localeCompare(other.id),
  );
}

const isInside = (resource: ResourceKey): boolean => resource.startsWith('kubernetes/');

/**
 * Who suffers from something tells whose fault it seems to be: a pod that cannot resolve a name blames the zone, where
 * only the record is gone; a tunnel without connections blames cloudflared. Whoever has looked at the thing itself is
 * believed first, and is not said to suffer from what others guess.
 */
function isHearsay({ check, system, resource }: SourcedFinding): boolean {
  switch (system) {
    case 'nodes':
      // What the nodes themselves show of a pool that Azure knows more about.
      return check === 'nodes-carry-pods';
    case 'site':
      return true;
    case 'tunnel':
      return isInside(resource);
    case 'secrets':
    case 'workloads':
    case 'models':
      return !isInside(resource);
    default:
      return false;
  }
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

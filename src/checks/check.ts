/**
 * The contract of a check: it looks at one thing that can be wrong with a running stack and tells what it found, as a
 * person would who goes through the troubleshooting chapter. It never writes, and it is never green by default: what
 * cannot be looked at is thrown, and becomes `unknown`.
 */
import type { Clients } from '../clients/clients.ts';
import type { Finding, Notice } from '../graph/finding.ts';
import type { ResourceKey } from '../graph/resource.ts';
import type { Names } from '../naming.ts';
import type { KnownLooks } from '../orchestrations/activities.ts';
import type { DeploymentSpec } from '../spec/spec.ts';

/** Systems, in the order in which a person would go through them: each rests on those before it. */
export const systems = [
  'cluster',
  'nodes',
  'roles',
  'vault',
  'storage',
  'database',
  'sign-in',
  'tunnel',
  'secrets',
  'workloads',
  'models',
  'site',
] as const;
export type System = (typeof systems)[number];

export interface CheckScope {
  readonly spec: DeploymentSpec;
  readonly names: Names;
  readonly clients: Clients;
  readonly now: Date;
  /** What each resource told when it was last found ready: ids, names, hosts. Nothing in it is fresh. */
  readonly known: KnownLooks;
  /** What the checks had found before, by its id: what hovers about a threshold is not to come and go. */
  readonly foundBefore?: ReadonlyMap<string, Pick<Finding, 'severity' | 'since'>>;
}

/** What a check found wrong, and with which resource of the stack. */
export interface CheckFinding extends Notice {
  readonly resource: ResourceKey;
}

export interface Check {
  /** Kebab-case, unique among all checks: `identity-on-scale-sets`. Persisted. */
  readonly id: string;
  readonly system: System;
  /** A statement that is true when all is well: `Every scale set carries the identity`. */
  readonly title: string;
  /** Whether this spec has the thing at all; pure. */
  isWanted?(scope: Pick<CheckScope, 'spec' | 'names'>): boolean;
  /** Empty when all is well, worst first. Throws whatever kept it from looking; also a 403. */
  run(scope: CheckScope): Promise<readonly CheckFinding[]>;
}

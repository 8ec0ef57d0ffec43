/** What somebody else changed about a deployment, and what became of it. Values of secrets are never in it. */
import type { DriftPolicy } from '../graph/drift-policy.ts';
import type { Json, ResourceKey } from '../graph/resource.ts';

export type DriftState =
  /** Being put right, or taken into the spec at once. */
  | 'open'
  | 'repaired'
  /** Left as it is. */
  | 'reported'
  /** The spec asks for it now. */
  | 'adopted'
  | 'fought'
  | 'paused'
  /** As asked again without our doing. */
  | 'gone';

/** Who made it, as the cloud tells. */
export interface DriftActor {
  readonly name: string;
  readonly how: 'activity-log' | 'audit-log' | 'event' | 'field-manager';
  /** ISO 8601, as are all times here. */
  readonly at?: string;
}

/** One field of one resource; the same field again is the same record. */
export interface DriftRecord {
  readonly resource: ResourceKey;
  /** As a difference names it; empty when the resource itself was gone. */
  readonly path: string;
  readonly wanted: Json;
  readonly found: Json;
  /** What was found was too long to keep, and a text that says so has its place. */
  readonly isCut?: boolean;
  readonly since: string;
  /** When the value that is found now was first seen, where the field had another one before. */
  readonly foundSince?: string;
  readonly lastSeenAt: string;
  readonly state: DriftState;
  readonly policy: DriftPolicy;
  /** Why it was not put right. */
  readonly why?: string;
  /** The last times it was put right, oldest first. */
  readonly repairs: readonly string[];
  /** When it was last pushed; it has not been seen as asked since. */
  readonly pushedAt?: string;
  readonly settledAt?: string;
  /** When it was last seen as asked, or with another value: whoever made it did so after that. */
  readonly lastAsAskedAt?: string;
  readonly actor?: DriftActor;
  /** By which the resource's cloud knows it, where its outputs tell. */
  readonly resourceId?: string;
  readonly operationId?: string;
}

/** Still different, as far as is known. */
export const isUnsettled = ({ state }: Pick<DriftRecord, 'state'>): boolean =>
  state === 'open' || state === 'reported' || state === 'fought' || state === 'paused';

export interface DriftStore {
  /** Newest first. */
  list(deployment: string): Promise<readonly DriftRecord[]>;
  /** Those that are still different. */
  unsettled(deployment: string): Promise<readonly DriftRecord[]>;
  of(deployment: string, resource: ResourceKey): Promise<readonly DriftRecord[]>;
  put(deployment: string, records: readonly DriftRecord[]): Promise<void>;
  /**
   * Changes one record as it is now, again and again until nobody was faster; does nothing where there is none or `change`
   * gives none. Throws ConflictError when others keep changing it.
   */
  change(
    deployment: string,
    resource: ResourceKey,
    path: string,
    change: (record: DriftRecord) => DriftRecord | undefined,
  ): Promise<void>;
  /** Removes records that were settled before `before`. */
  forget(deployment: string, before: Date): Promise<void>;
}

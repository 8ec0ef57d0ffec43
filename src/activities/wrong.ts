import type { Observed, Outputs } from '../graph/resource.ts';
import type { StackResource } from '../resources/index.ts';
import type { DeploymentRecord, Store } from '../store/store.ts';
import type { Asked } from './wish.ts';

/** A resource that is not as asked, and what has to be known to decide what becomes of it. */
export interface Wrong extends Asked {
  readonly store: Store;
  readonly record: DeploymentRecord;
  readonly title: string;
  readonly resource: Pick<StackResource, 'pushesApart' | 'isOfNewPart'>;
  readonly seen: Observed<Outputs>;
  /** Fields of the spec that the look has read. */
  readonly reads: readonly string[];
  readonly now: Date;
}

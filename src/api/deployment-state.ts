/** What the store knows about one deployment, put together as the answers need it. */
import type { DeploymentRecord, OperationRecord, StepRecord, Store } from '../store/store.ts';
import { countSteps, type DeploymentState, deploymentState, type StepCounts } from './step-counts.ts';

export interface KnownDeployment {
  readonly record: DeploymentRecord;
  readonly state: DeploymentState;
  readonly progress: StepCounts;
  /** The last look at each resource the stack has now. */
  readonly resources: readonly StepRecord[];
  readonly lastOperation: OperationRecord | undefined;
}

export async function loadDeployment(store: Store, record: DeploymentRecord): Promise<KnownDeployment> {
  const [looks, lastOperation] = await Promise.all([
    store.lastLook(record.name),
    record.lastOperationId === undefined ? undefined : store.findOperation(record.lastOperationId),
  ]);
  const resources =
    lastOperation?.state === 'succeeded' && looksAtAll.has(lastOperation.kind)
      ? onlyThoseOf(lastOperation, looks)
      : looks;
  const progress = countSteps(resources);
  return { record, state: deploymentState(progress, lastOperation), progress, resources, lastOperation };
}

/** A reaction or a rotation looks at a part of the stack only. */
const looksAtAll: ReadonlySet<OperationRecord['kind']> = new Set(['provision', 'sweep']);

/** A resource the spec no longer asks for was looked at once, too; an operation that came to its end names the rest. */
function onlyThoseOf(operation: OperationRecord, looks: readonly StepRecord[]): readonly StepRecord[] {
  const wanted = new Set(operation.steps.map(({ key }) => key));
  return looks.filter(({ key }) => wanted.has(key));
}

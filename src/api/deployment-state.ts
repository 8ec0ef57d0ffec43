/** What the store knows about one deployment, put together as the answers need it. */
import { namesOf } from '../naming.ts';
import { wantedResources } from '../resources/index.ts';
import { parseSpec } from '../spec/parse-spec.ts';
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
  const resources = onlyWanted(record, looks);
  const progress = countSteps(resources);
  return { record, state: deploymentState(progress, lastOperation), progress, resources, lastOperation };
}

/** What the spec no longer asks for was looked at once, too. A spec that today's rules refuse tells nothing. */
function onlyWanted({ name, spec }: DeploymentRecord, looks: readonly StepRecord[]): readonly StepRecord[] {
  const parsed = parseSpec(name, spec);
  if (!parsed.ok) return looks;
  const wanted = wantedResources({ spec: parsed.spec, names: namesOf(name, parsed.spec) });
  const keys = new Set(wanted.map(({ key }) => key));
  return looks.filter(({ key }) => keys.has(key));
}

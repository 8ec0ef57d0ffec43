/** How records lie in their tables. Whatever has a structure is kept as JSON; what is filtered or merged has a column. */
import { createHash } from 'node:crypto';
import type { Cause } from '../graph/request.ts';
import { noWishes } from '../resources/scope.ts';
import type { DeploymentSpecInput } from '../spec/spec.ts';
import type { DeploymentMemory, DeploymentRecord, OperationRecord, Receipt, StepRecord } from './store.ts';
import { rowKeyOf } from './tables.ts';

/** What Azure Table Storage adds to every row it gives out. */
export interface RowMetadata {
  readonly etag: string;
}

export interface DeploymentRow {
  readonly partitionKey: string;
  readonly rowKey: typeof DEPLOYMENT;
  readonly spec: string;
  readonly revision: number;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly lastOperationId?: string;
  readonly rotateAfter?: string;
  readonly quarantine?: string;
  readonly wishes?: string;
  readonly pauses?: string;
  readonly repairAfter?: string;
  readonly missedEvents?: number;
  readonly sweptAt?: string;
}

export interface OperationRow {
  readonly partitionKey: string;
  readonly rowKey: typeof OPERATION;
  readonly deployment: string;
  readonly kind: OperationRecord['kind'];
  readonly cause: string;
  readonly revision: number;
  readonly state: OperationRecord['state'];
  readonly requestedAt: string;
  readonly finishedAt?: string;
  readonly failure?: string;
  readonly receipts?: string;
}

/** In the list of a deployment's operations. */
export interface ListedOperationRow {
  readonly partitionKey: string;
  readonly rowKey: string;
  readonly operationId: string;
}

export interface StepRow {
  readonly partitionKey: string;
  readonly rowKey: string;
  readonly ordinal: number;
  readonly step: string;
}

export const DEPLOYMENT = 'deployment';
export const OPERATION = 'operation';

/** Characters; see LARGEST_SPEC_CHARACTERS: the same limit of one column. */
const LONGEST_COLUMN = 32_000;

/** Azure's own tag of the row will not do: it also changes when an operation is entered. */
function etagOf({ revision, createdAt }: DeploymentRow): string {
  const birth = createHash('sha256').update(createdAt).digest('hex').slice(0, 8);
  return `"${revision}-${birth}"`;
}

export function toDeployment(row: DeploymentRow): DeploymentRecord {
  const spec: DeploymentSpecInput = JSON.parse(row.spec);
  return {
    name: row.partitionKey,
    spec,
    revision: row.revision,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
    ...(row.lastOperationId === undefined ? {} : { lastOperationId: row.lastOperationId }),
    rotateAfter: row.rotateAfter === undefined ? {} : JSON.parse(row.rotateAfter),
    quarantine: row.quarantine === undefined ? [] : JSON.parse(row.quarantine),
    wishes: row.wishes === undefined ? noWishes : JSON.parse(row.wishes),
    pauses: row.pauses === undefined ? [] : JSON.parse(row.pauses),
    repairAfter: row.repairAfter === undefined ? {} : JSON.parse(row.repairAfter),
    missedEvents: row.missedEvents ?? 0,
    ...(row.sweptAt === undefined ? {} : { sweptAt: row.sweptAt }),
    etag: etagOf(row),
  };
}

/** Only the columns of what is given. */
export const toMemoryColumns = ({
  rotateAfter,
  quarantine,
  wishes,
  pauses,
  repairAfter,
  ...plain
}: DeploymentMemory): Partial<DeploymentRow> => ({
  ...plain,
  ...Object.fromEntries(
    Object.entries({ rotateAfter, quarantine, wishes, pauses, repairAfter }).flatMap(([column, value]) =>
      value === undefined ? [] : [[column, JSON.stringify(value)]],
    ),
  ),
});

export function toOperation(row: OperationRow, steps: readonly StepRecord[]): OperationRecord {
  const cause: Cause = JSON.parse(row.cause);
  // One that could not be started may yet have succeeded.
  const failure: OperationRecord['failure'] =
    row.state === 'failed' && row.failure ? JSON.parse(row.failure) : undefined;
  return {
    id: row.partitionKey,
    deployment: row.deployment,
    kind: row.kind,
    cause,
    revision: row.revision,
    state: row.state === 'accepted' && steps.length > 0 ? 'running' : row.state,
    requestedAt: row.requestedAt,
    ...(row.finishedAt === undefined ? {} : { finishedAt: row.finishedAt }),
    ...(failure === undefined ? {} : { failure }),
    receipts: row.receipts === undefined ? [] : JSON.parse(row.receipts),
    steps,
  };
}

export function toStepRow(partitionKey: string, kind: 'step' | 'look', step: StepRecord): StepRow {
  return {
    partitionKey,
    rowKey: rowKeyOf(kind, step.key),
    ordinal: step.ordinal,
    step: JSON.stringify(fitting(step)),
  };
}

/** Receipts of a storm of events are more than one column holds; what came is all in the list of events. */
export function toReceiptsColumn(receipts: readonly Receipt[]): string {
  const kept: string[] = [];
  let room = LONGEST_COLUMN - '[]'.length;
  for (const text of receipts.map((receipt) => JSON.stringify(receipt))) {
    room -= text.length + ','.length;
    if (room < 0) break;
    kept.push(text);
  }
  return `[${kept.join(',')}]`;
}

/** Differences are the only part without a bound of its own; of too long ones their paths are kept. */
function fitting(step: StepRecord): StepRecord {
  if (JSON.stringify(step).length <= LONGEST_COLUMN) return step;
  const differences = step.differences?.slice(0, 50).map(({ path }) => ({
    path: path.slice(0, 200),
    wanted: '(too long to keep)',
    found: '(too long to keep)',
  }));
  return differences ? { ...step, differences } : step;
}

export const toSteps = (rows: readonly StepRow[]): readonly StepRecord[] =>
  rows.toSorted((a, b) => a.ordinal - b.ordinal).map(({ step }): StepRecord => JSON.parse(step));

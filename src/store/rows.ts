/** How records lie in their tables. Whatever has a structure is kept as JSON; what is filtered or merged has a column. */
import { createHash } from 'node:crypto';
import type { Finding } from '../graph/finding.ts';
import type { Cause } from '../graph/request.ts';
import type { Difference } from '../graph/resource.ts';
import { noWishes, type QuarantinedImage } from '../resources/scope.ts';
import type { DeploymentSpecInput } from '../spec/spec.ts';
import { shortText } from './short-text.ts';
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
/** Characters of what an operation failed with; the clouds' own words have no bound. */
const LONGEST_MESSAGE = 4_000;
/** Characters of one text, where all of them together are too long for a column. */
const LONGEST_TEXT = 400;
const LONGEST_PATH = 200;
const MOST_PATHS = 50;

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
    Object.entries({
      rotateAfter,
      quarantine: quarantine && newestImages(quarantine),
      wishes,
      pauses,
      repairAfter,
    }).flatMap(([column, value]) => (value === undefined ? [] : [[column, JSON.stringify(value)]])),
  ),
});

/** As many as fit; one that was given up so long ago is hardly what a tag names now. */
const newestImages = (quarantine: readonly QuarantinedImage[]): readonly QuarantinedImage[] =>
  firstThatFit(
    quarantine.toReversed().map((image) => ({ ...image, reason: shortText(image.reason, LONGEST_TEXT) })),
    LONGEST_COLUMN,
  ).toReversed();

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
export const toReceiptsColumn = (receipts: readonly Receipt[]): string =>
  JSON.stringify(firstThatFit(receipts, LONGEST_COLUMN));

export const toFailureColumn = (failure: NonNullable<OperationRecord['failure']>): string =>
  JSON.stringify({ ...failure, message: shortText(failure.message, LONGEST_MESSAGE) });

/** The first of them that have room in so many characters of JSON. */
function firstThatFit<T>(items: readonly T[], room: number): readonly T[] {
  let left = room - '[]'.length;
  const end = items.findIndex((item) => {
    left -= JSON.stringify(item).length + ','.length;
    return left < 0;
  });
  return end < 0 ? items : items.slice(0, end);
}

/**
 * One that is too long keeps what decides, its outputs and its wish among it, and the beginning of what is told in words;
 * of differences the paths, as far as there is room.
 */
function fitting(step: StepRecord): StepRecord {
  if (JSON.stringify(step).length <= LONGEST_COLUMN) return step;
  const { differences, findings, reason, failure, ...plain } = step;
  const short: StepRecord = {
    ...plain,
    ...(reason === undefined ? {} : { reason: shortText(reason, LONGEST_TEXT) }),
    ...(failure && { failure: { ...failure, message: shortText(failure.message, LONGEST_TEXT) } }),
  };
  const told = findings && { ...short, findings: firstThatFit(findings.map(inShort), roomBeside(short)) };
  const kept = told ?? short;
  return differences ? { ...kept, differences: firstThatFit(pathsOf(differences), roomBeside(kept)) } : kept;
}

/** For one field more; its name takes a little itself. */
const roomBeside = (step: StepRecord): number =>
  LONGEST_COLUMN - JSON.stringify(step).length - ',"differences":'.length;

const inShort = (finding: Finding): Finding => ({
  ...finding,
  what: shortText(finding.what, LONGEST_TEXT),
  evidence: shortText(finding.evidence, LONGEST_TEXT),
  breaks: shortText(finding.breaks, LONGEST_TEXT),
  remedy: shortText(finding.remedy, LONGEST_TEXT),
});

const pathsOf = (differences: readonly Difference[]): readonly Difference[] =>
  differences.slice(0, MOST_PATHS).map(({ path }) => ({
    path: path.slice(0, LONGEST_PATH),
    wanted: '(too long to keep)',
    found: '(too long to keep)',
  }));

export const toSteps = (rows: readonly StepRow[]): readonly StepRecord[] =>
  rows.toSorted((a, b) => a.ordinal - b.ordinal).map(({ step }): StepRecord => JSON.parse(step));

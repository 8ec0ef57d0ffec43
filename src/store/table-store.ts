/** The store in Azure Table Storage; the same code on Azurite. */
import { isDeepStrictEqual } from 'node:util';
import { odata, type TableClient, type TableEntityResult } from '@azure/data-tables';
import type { TokenCredential } from '@azure/identity';
import type { StoreConnection } from '../config.ts';
import {
  DEPLOYMENT,
  type DeploymentRow,
  type ListedOperationRow,
  OPERATION,
  type OperationRow,
  type StepRow,
  toDeployment,
  toFailureColumn,
  toMemoryColumns,
  toOperation,
  toReceiptsColumn,
  toStepRow,
  toSteps,
} from './rows.ts';
import {
  ConflictError,
  type DeploymentRecord,
  type Precondition,
  type StepRecord,
  type Store,
} from './store.ts';
import { orNothing, TRIES, unlessBeaten } from './table-answers.ts';
import { createTableDrift } from './table-drift.ts';
import { createTableHealth } from './table-health.ts';
import { createTableInbox } from './table-inbox.ts';
import { newestFirst, openTables, operationsOf, rowKeyOf } from './tables.ts';

/** A transaction takes 100 rows and 4 MiB; so many of the largest rows fit both. */
const ROWS_PER_TRANSACTION = 50;

/** Makes its tables on first use. Methods throw what Azure's client throws when the store does not answer. */
export function createTableStore(connection: StoreConnection, credential: TokenCredential): Store {
  const tables = openTables(connection, credential);

  const findDeploymentRow = async (name: string): Promise<TableEntityResult<DeploymentRow> | undefined> =>
    orNothing((await tables.deployments()).getEntity<DeploymentRow>(name, DEPLOYMENT));

  return {
    async check() {
      await findDeploymentRow('none');
    },

    async findDeployment(name) {
      const row = await findDeploymentRow(name);
      return row && toDeployment(row);
    },

    async listDeployments() {
      const filter = odata`RowKey eq ${DEPLOYMENT}`;
      const rows = (await tables.deployments()).listEntities<DeploymentRow>({ queryOptions: { filter } });
      return (await allOf(rows)).map(toDeployment);
    },

    async putDeployment(name, spec, now, precondition = {}) {
      const table = await tables.deployments();
      const at = now.toISOString();
      for (let attempt = 0; attempt < TRIES; attempt += 1) {
        const found = await findDeploymentRow(name);
        const record = found && toDeployment(found);
        assertHolds(precondition, record);
        if (record && isDeepStrictEqual(record.spec, JSON.parse(JSON.stringify(spec)))) return record;
        const row: DeploymentRow = {
          partitionKey: name,
          rowKey: DEPLOYMENT,
          spec: JSON.stringify(spec),
          revision: (record?.revision ?? 0) + 1,
          createdAt: record?.createdAt ?? at,
          updatedAt: at,
        };
        const isWritten = found
          ? await unlessBeaten(table.updateEntity(row, 'Merge', { etag: found.etag }))
          : await unlessBeaten(table.createEntity(row));
        if (isWritten) return toDeployment({ ...found, ...row });
      }
      throw new ConflictError(`others keep changing the deployment ${name}`);
    },

    async changeDeployment(name, change) {
      const table = await tables.deployments();
      for (let attempt = 0; attempt < TRIES; attempt += 1) {
        const found = await findDeploymentRow(name);
        if (!found) throw new Error(`there is no deployment ${name}`);
        const memory = toMemoryColumns(change(toDeployment(found)));
        const keys = { partitionKey: name, rowKey: DEPLOYMENT };
        if (await unlessBeaten(table.updateEntity({ ...keys, ...memory }, 'Merge', { etag: found.etag }))) {
          return toDeployment({ ...found, ...memory });
        }
      }
      throw new ConflictError(`others keep changing the deployment ${name}`);
    },

    async createOperation({ id, deployment, cause, ...operation }) {
      const row: OperationRow = {
        ...operation,
        partitionKey: id,
        rowKey: OPERATION,
        deployment,
        cause: JSON.stringify(cause),
        state: 'accepted',
      };
      const operations = await tables.operations();
      await operations.upsertEntity(row, 'Replace');
      const listed = { partitionKey: operationsOf(deployment), rowKey: newestFirst(id), operationId: id };
      await operations.upsertEntity<ListedOperationRow>(listed, 'Replace');
      const isKnown = await orNothing(
        (await tables.deployments()).updateEntity(
          { partitionKey: deployment, rowKey: DEPLOYMENT, lastOperationId: id },
          'Merge',
        ),
      );
      if (!isKnown) throw new Error(`there is no deployment ${deployment}`);
    },

    async findOperation(id) {
      const rows = await rowsOf<OperationRow | StepRow>(await tables.operations(), id);
      const operation = rows.find(isOperationRow);
      return operation && toOperation(operation, toSteps(rows.filter(isStepRow)));
    },

    async listOperations(deployment, top) {
      const operations = await tables.operations();
      const filter = odata`PartitionKey eq ${operationsOf(deployment)}`;
      const rows = operations.listEntities<ListedOperationRow>({ queryOptions: { filter } });
      const listed = await firstOf<ListedOperationRow>(rows.byPage({ maxPageSize: top }), top);
      const found = await Promise.all(
        listed.map(async ({ operationId }) => {
          // The record comes first, and one step is enough to know that it runs.
          const ofIt = odata`PartitionKey eq ${operationId}`;
          const parts = operations.listEntities<OperationRow | StepRow>({ queryOptions: { filter: ofIt } });
          const some = await firstOf<OperationRow | StepRow>(parts.byPage({ maxPageSize: 2 }), 2);
          const row = some.find(isOperationRow);
          if (!row) return [];
          const { steps: _, receipts: __, ...summary } = toOperation(row, toSteps(some.filter(isStepRow)));
          return [summary];
        }),
      );
      return found.flat();
    },

    async recordSteps(deployment, operationIds, steps) {
      const [operations, deployments] = await Promise.all([tables.operations(), tables.deployments()]);
      await Promise.all([
        ...operationIds.map((id) => writeSteps(operations, id, 'step', steps)),
        writeSteps(deployments, deployment, 'look', steps),
      ]);
    },

    async recordOutcome(operationId, { state, at, failure, receipts }) {
      const outcome = {
        partitionKey: operationId,
        rowKey: OPERATION,
        state,
        ...(state === 'succeeded' || state === 'failed' ? { finishedAt: at } : {}),
        ...(failure === undefined ? {} : { failure: toFailureColumn(failure) }),
        ...(receipts === undefined ? {} : { receipts: toReceiptsColumn(receipts) }),
      };
      await orNothing((await tables.operations()).updateEntity(outcome, 'Merge'));
    },

    async lastLook(deployment) {
      const rows = await rowsOf<DeploymentRow | StepRow>(await tables.deployments(), deployment);
      return toSteps(rows.filter(isStepRow));
    },

    async findLook(deployment, key) {
      const table = await tables.deployments();
      const row = await orNothing(table.getEntity<StepRow>(deployment, rowKeyOf('look', key)));
      return row && toSteps([row])[0];
    },

    inbox: createTableInbox(tables.inbox),
    drift: createTableDrift(tables.drift),
    health: createTableHealth(tables.health),
  };
}

function assertHolds({ ifMatch, ifNoneMatch }: Precondition, found: DeploymentRecord | undefined): void {
  const isAmong = (tags: readonly string[]): boolean =>
    found !== undefined && (tags.includes('*') || tags.includes(found.etag));
  if (ifMatch && !isAmong(ifMatch)) {
    throw new ConflictError(found ? 'the deployment has changed' : 'there is no such deployment');
  }
  if (ifNoneMatch && isAmong(ifNoneMatch)) throw new ConflictError('there is such a deployment already');
}

const isOperationRow = (row: OperationRow | StepRow): row is OperationRow => row.rowKey === OPERATION;
const isStepRow = (row: DeploymentRow | OperationRow | StepRow): row is StepRow => 'step' in row;

function rowsOf<Row extends object>(table: TableClient, partition: string): Promise<readonly Row[]> {
  const filter = odata`PartitionKey eq ${partition}`;
  return allOf(table.listEntities<Row>({ queryOptions: { filter } }));
}

async function allOf<Row>(rows: AsyncIterable<Row>): Promise<readonly Row[]> {
  const all: Row[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

/** Pages that are not needed are not asked for. */
async function firstOf<Row>(pages: AsyncIterable<readonly Row[]>, count: number): Promise<readonly Row[]> {
  const first: Row[] = [];
  for await (const page of pages) {
    first.push(...page);
    if (first.length >= count) break;
  }
  return first.slice(0, count);
}

async function writeSteps(
  table: TableClient,
  partition: string,
  kind: 'step' | 'look',
  steps: readonly StepRecord[],
): Promise<void> {
  // A transaction refuses the same row twice; the later record is the newer.
  const latest = [...new Map(steps.map((step) => [step.key, toStepRow(partition, kind, step)])).values()];
  for (let start = 0; start < latest.length; start += ROWS_PER_TRANSACTION) {
    const rows = latest.slice(start, start + ROWS_PER_TRANSACTION);
    await table.submitTransaction(rows.map((row) => ['upsert', { ...row }, 'Replace']));
  }
}

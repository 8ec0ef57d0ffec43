/** Records of drift in Azure Table Storage: a partition per deployment, a row per field of a resource. */
import { createHash } from 'node:crypto';
import { odata, type TableClient, type TransactionAction } from '@azure/data-tables';
import type { Json, ResourceKey } from '../graph/resource.ts';
import { type DriftRecord, type DriftStore, isUnsettled } from './drift.ts';
import { ConflictError } from './store.ts';
import { orNothing, TRIES, unlessBeaten } from './table-answers.ts';

interface DriftRow {
  readonly partitionKey: string;
  readonly rowKey: string;
  readonly isUnsettled: boolean;
  readonly lastSeenAt: string;
  readonly record: string;
}

const ROWS_PER_TRANSACTION = 100;
const LARGEST_FORGOTTEN = 300;
/** Characters of one value; with two of them and the longest path a record fits into a column. */
const LONGEST_VALUE = 4_000;
const LONGEST_PATH = 1_000;

const prefixOf = (resource: ResourceKey): string => `${resource.replaceAll('/', '~')}~`;

const keptPath = (path: string): string => path.slice(0, LONGEST_PATH);

/** Paths are anybody's text; row keys may not be. What is kept of a path finds its row again. */
const rowKeyOf = ({ resource, path }: Pick<DriftRecord, 'resource' | 'path'>): string =>
  `${prefixOf(resource)}${createHash('sha256').update(keptPath(path)).digest('hex').slice(0, 40)}`;

const TOO_LONG = '(too long to keep)';

const fitting = (value: Json): Json => (JSON.stringify(value).length <= LONGEST_VALUE ? value : TOO_LONG);

const toRow = (deployment: string, record: DriftRecord): DriftRow => ({
  partitionKey: deployment,
  rowKey: rowKeyOf(record),
  isUnsettled: isUnsettled(record),
  lastSeenAt: record.lastSeenAt,
  record: JSON.stringify({
    ...record,
    path: keptPath(record.path),
    wanted: fitting(record.wanted),
    found: fitting(record.found),
  }),
});

function recordOf({ record }: DriftRow): DriftRecord {
  const kept: DriftRecord = JSON.parse(record);
  return kept.found === TOO_LONG ? { ...kept, isCut: true } : kept;
}

export function createTableDrift(open: () => Promise<TableClient>): DriftStore {
  const rowsWhere = async (filter: string, most = Number.POSITIVE_INFINITY): Promise<DriftRow[]> => {
    const rows: DriftRow[] = [];
    for await (const row of (await open()).listEntities<DriftRow>({ queryOptions: { filter } })) {
      rows.push(row);
      if (rows.length >= most) break;
    }
    return rows;
  };

  const change = async (actions: readonly TransactionAction[]): Promise<void> => {
    if (actions.length === 0) return;
    const table = await open();
    for (let start = 0; start < actions.length; start += ROWS_PER_TRANSACTION) {
      await table.submitTransaction(actions.slice(start, start + ROWS_PER_TRANSACTION));
    }
  };

  return {
    async list(deployment) {
      const rows = await rowsWhere(odata`PartitionKey eq ${deployment}`);
      return rows.map(recordOf).toSorted((one, other) => other.since.localeCompare(one.since));
    },

    async unsettled(deployment) {
      const rows = await rowsWhere(odata`PartitionKey eq ${deployment} and isUnsettled eq ${true}`);
      return rows.map(recordOf);
    },

    async of(deployment, resource) {
      const prefix = prefixOf(resource);
      const rows = await rowsWhere(
        odata`PartitionKey eq ${deployment} and RowKey ge ${prefix} and RowKey lt ${`${prefix}~`}`,
      );
      return rows.map(recordOf);
    },

    async put(deployment, records) {
      // A transaction refuses the same row twice.
      const rows = new Map(records.map((record) => [rowKeyOf(record), toRow(deployment, record)]));
      await change([...rows.values()].map((row) => ['upsert', { ...row }, 'Replace']));
    },

    async change(deployment, resource, path, changed) {
      const table = await open();
      const rowKey = rowKeyOf({ resource, path });
      for (let attempt = 0; attempt < TRIES; attempt += 1) {
        const found = await orNothing(table.getEntity<DriftRow>(deployment, rowKey));
        const record = found && changed(recordOf(found));
        if (!record) return;
        const row = toRow(deployment, record);
        if (await unlessBeaten(table.updateEntity({ ...row }, 'Replace', { etag: found.etag }))) return;
      }
      throw new ConflictError(`others keep changing what is known of ${path} of ${resource}`);
    },

    async forget(deployment, before) {
      const old = await rowsWhere(
        odata`PartitionKey eq ${deployment} and isUnsettled eq ${false} and lastSeenAt lt ${before.toISOString()}`,
        LARGEST_FORGOTTEN,
      );
      await change(old.map(({ partitionKey, rowKey }) => ['delete', { partitionKey, rowKey }]));
    },
  };
}

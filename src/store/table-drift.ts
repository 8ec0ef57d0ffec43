/** Records of drift in Azure Table Storage: a partition per deployment, a row per field of a resource. */
import { createHash } from 'node:crypto';
import { odata, type TableClient, type TransactionAction } from '@azure/data-tables';
import type { Json, ResourceKey } from '../graph/resource.ts';
import { type DriftRecord, type DriftStore, isUnsettled } from './drift.ts';

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

/** Paths are anybody's text; row keys may not be. */
const rowKeyOf = ({ resource, path }: DriftRecord): string =>
  `${prefixOf(resource)}${createHash('sha256').update(path).digest('hex').slice(0, 40)}`;

const fitting = (value: Json): Json =>
  JSON.stringify(value).length <= LONGEST_VALUE ? value : '(too long to keep)';

const toRow = (deployment: string, record: DriftRecord): DriftRow => ({
  partitionKey: deployment,
  rowKey: rowKeyOf(record),
  isUnsettled: isUnsettled(record),
  lastSeenAt: record.lastSeenAt,
  record: JSON.stringify({
    ...record,
    path: record.path.slice(0, LONGEST_PATH),
    wanted: fitting(record.wanted),
    found: fitting(record.found),
  }),
});

const recordOf = ({ record }: DriftRow): DriftRecord => JSON.parse(record);

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

    async forget(deployment, before) {
      const old = await rowsWhere(
        odata`PartitionKey eq ${deployment} and isUnsettled eq ${false} and lastSeenAt lt ${before.toISOString()}`,
        LARGEST_FORGOTTEN,
      );
      await change(old.map(({ partitionKey, rowKey }) => ['delete', { partitionKey, rowKey }]));
    },
  };
}

/** Results of checks in Azure Table Storage: a partition per deployment, a row per check and one per change. */
import { createHash } from 'node:crypto';
import { odata, type TableClient, type TransactionAction } from '@azure/data-tables';
import type { Channel, FindingChange, PendingChange, Refusals } from '../notifications/change.ts';
import type { CheckRecord, HealthStore } from './health.ts';

interface CheckRow {
  readonly partitionKey: string;
  readonly rowKey: string;
  readonly ordinal: number;
  readonly record: string;
}

interface ChangeRow {
  readonly partitionKey: string;
  readonly rowKey: string;
  readonly at: string;
  readonly change: string;
  /** On which channels it has still to be told. */
  readonly webhook: boolean;
  readonly topic: boolean;
  /** JSON of `Refusals`; only where a receiver has refused it. */
  readonly webhookRefused?: string;
  readonly topicRefused?: string;
}

const ROWS_PER_TRANSACTION = 100;
const LARGEST_FORGOTTEN = 300;
const CHECK = 'check~';
const CHANGE = 'change~';
/** Right after every row key that begins with `check~` or `change~`: `~` is the last of the printable characters. */
const END = '~';

const checkKey = (id: string): string => `${CHECK}${id}`;
/** In the order of time; an id may hold slashes, a row key may not. */
const changeKey = ({ at, id }: FindingChange): string =>
  `${CHANGE}${at}~${createHash('sha256').update(id).digest('hex').slice(0, 40)}`;

const changeOf = ({ change }: ChangeRow): FindingChange => JSON.parse(change);
const pendingOf = (row: ChangeRow, channel: Channel): PendingChange => {
  const refused = row[`${channel}Refused`];
  return { ...changeOf(row), ...(refused === undefined ? {} : { refused: JSON.parse(refused) as Refusals }) };
};
const oldestFirst = (one: FindingChange, other: FindingChange): number =>
  one.at.localeCompare(other.at) || one.id.localeCompare(other.id);

export function createTableHealth(open: () => Promise<TableClient>): HealthStore {
  const rowsWhere = async <Row extends object>(
    filter: string,
    most = Number.POSITIVE_INFINITY,
  ): Promise<Row[]> => {
    const rows: Row[] = [];
    for await (const row of (await open()).listEntities<Row>({ queryOptions: { filter } })) {
      rows.push(row);
      if (rows.length >= most) break;
    }
    return rows;
  };

  const of = <Row extends object>(deployment: string, prefix: string): Promise<Row[]> =>
    rowsWhere<Row>(
      odata`PartitionKey eq ${deployment} and RowKey ge ${prefix} and RowKey lt ${prefix + END}`,
    );

  const change = async (actions: readonly TransactionAction[]): Promise<void> => {
    const table = await open();
    for (let start = 0; start < actions.length; start += ROWS_PER_TRANSACTION) {
      await table.submitTransaction(actions.slice(start, start + ROWS_PER_TRANSACTION));
    }
  };

  return {
    async checks(deployment) {
      const rows = await of<CheckRow>(deployment, CHECK);
      return rows
        .toSorted((one, other) => one.ordinal - other.ordinal)
        .map(({ record }): CheckRecord => JSON.parse(record));
    },

    async record(deployment, checks, changes) {
      const wanted = new Set(checks.map(({ id }) => checkKey(id)));
      const gone = (await of<CheckRow>(deployment, CHECK)).filter(({ rowKey }) => !wanted.has(rowKey));
      // Changes come first: should the rest fail, the same are found again, under the same ids.
      await change([
        ...changes.map((told): TransactionAction => {
          const row: ChangeRow = {
            partitionKey: deployment,
            rowKey: changeKey(told),
            at: told.at,
            change: JSON.stringify(told),
            webhook: true,
            topic: true,
          };
          return ['upsert', { ...row }, 'Replace'];
        }),
        ...checks.map((record, ordinal): TransactionAction => {
          const row: CheckRow = {
            partitionKey: deployment,
            rowKey: checkKey(record.id),
            ordinal,
            record: JSON.stringify(record),
          };
          return ['upsert', { ...row }, 'Replace'];
        }),
        ...gone.map(({ partitionKey, rowKey }): TransactionAction => ['delete', { partitionKey, rowKey }]),
      ]);
    },

    async history(deployment) {
      const rows = await of<ChangeRow>(deployment, CHANGE);
      return rows.map(changeOf).toSorted((one, other) => oldestFirst(other, one));
    },

    async forget(deployment, before) {
      const until = `${CHANGE}${before.toISOString()}`;
      const old = await rowsWhere<ChangeRow>(
        odata`PartitionKey eq ${deployment} and RowKey ge ${CHANGE} and RowKey lt ${until}`,
        LARGEST_FORGOTTEN,
      );
      await change(old.map(({ partitionKey, rowKey }) => ['delete', { partitionKey, rowKey }]));
    },

    async pending(channel, top) {
      const isPending = channel === 'webhook' ? odata`webhook eq ${true}` : odata`topic eq ${true}`;
      const rows = await rowsWhere<ChangeRow>(isPending);
      return rows
        .map((row) => pendingOf(row, channel))
        .toSorted(oldestFirst)
        .slice(0, top);
    },

    async settle(channel, changes) {
      for (const [deployment, some] of Map.groupBy(changes, (told) => told.deployment)) {
        await change(
          some.map((told) => [
            'update',
            { partitionKey: deployment, rowKey: changeKey(told), [channel]: false },
            'Merge',
          ]),
        );
      }
    },

    async rememberRefused(channel, told, refused) {
      await change([
        [
          'update',
          {
            partitionKey: told.deployment,
            rowKey: changeKey(told),
            [`${channel}Refused`]: JSON.stringify(refused),
          },
          'Merge',
        ],
      ]);
    },
  };
}

/**
 * The inbox in Azure Table Storage: a partition per deployment, a row per request and per event. `waits` is what is asked
 * for most, so it has a column; what a run has taken carries the run's mark until it is settled.
 */
import { createHash } from 'node:crypto';
import { odata, type TableClient, type TransactionAction } from '@azure/data-tables';
import { type EventRecord, type Inbox, isEvent, type LookRequest, type Settlement } from './inbox.ts';
import { shortText } from './short-text.ts';
import { hasStatus } from './tables.ts';

interface InboxRow {
  readonly partitionKey: string;
  readonly rowKey: string;
  readonly at: string;
  readonly waits: boolean;
  /** `run/batch` of who has taken it, or empty. */
  readonly taken: string;
  /** The request, or the event as it came. */
  readonly entry: string;
  /** What has become of an event. */
  readonly settlement?: string;
}

/** Of one batch; a storm is taken in several. Bounds what one activity reads and writes. */
const LARGEST_BATCH = 300;
const ROWS_PER_TRANSACTION = 100;
/** Characters; why an event has failed is told in the clouds' own words, and a column has a bound. */
const LONGEST_REASON = 4_000;

/** Ids of events are anybody's text; row keys may not be. */
const rowKeyOf = (kind: 'request' | 'event', id: string): string =>
  `${kind}~${createHash('sha256').update(id).digest('hex').slice(0, 40)}`;

const entryOf = (row: InboxRow): LookRequest | EventRecord => JSON.parse(row.entry);

/** Clocks differ a little from host to host: only what was put off on purpose waits for its time. */
function isDue(row: InboxRow, now: string): boolean {
  const entry = entryOf(row);
  return isEvent(entry) || entry.notBefore === undefined || entry.notBefore <= now;
}

function eventOf(row: InboxRow): EventRecord | undefined {
  const entry = entryOf(row);
  if (!isEvent(entry)) return undefined;
  if (row.settlement === undefined) return entry;
  const { at, ...settlement }: Settlement = JSON.parse(row.settlement);
  const isProven = settlement.outcome === 'acted' || settlement.outcome === 'nothing-differed';
  return { ...entry, ...settlement, ...(isProven ? { provenAt: at } : {}) };
}

const toColumn = ({ reason, ...settlement }: Settlement): string =>
  JSON.stringify(
    reason === undefined ? settlement : { ...settlement, reason: shortText(reason, LONGEST_REASON) },
  );

export function createTableInbox(open: () => Promise<TableClient>): Inbox {
  const rowsWhere = async (filter: string, most = Number.POSITIVE_INFINITY): Promise<InboxRow[]> => {
    const rows: InboxRow[] = [];
    for await (const row of (await open()).listEntities<InboxRow>({ queryOptions: { filter } })) {
      rows.push(row);
      if (rows.length >= most) break;
    }
    return rows;
  };

  const change = async (actions: readonly TransactionAction[]): Promise<void> => {
    const table = await open();
    for (let start = 0; start < actions.length; start += ROWS_PER_TRANSACTION) {
      await table.submitTransaction(actions.slice(start, start + ROWS_PER_TRANSACTION));
    }
  };

  return {
    async putRequest(request) {
      const row: InboxRow = {
        partitionKey: request.deployment,
        rowKey: rowKeyOf('request', request.id),
        at: request.notBefore ?? request.requestedAt,
        waits: true,
        taken: '',
        entry: JSON.stringify(request),
      };
      await (await open()).upsertEntity(row, 'Replace');
    },

    async receiveEvent(event) {
      const row: InboxRow = {
        partitionKey: event.deployment,
        rowKey: rowKeyOf('event', event.id),
        at: event.receivedAt,
        waits: event.outcome === 'pending',
        taken: '',
        entry: JSON.stringify(event),
      };
      try {
        await (await open()).createEntity(row);
        return true;
      } catch (error) {
        if (hasStatus(error, 409)) return false;
        throw error;
      }
    },

    async take(deployment, run, batch) {
      const mark = `${run}/${batch}`;
      const waiting = await rowsWhere(odata`PartitionKey eq ${deployment} and waits eq ${true}`);
      const now = new Date().toISOString();
      const free = waiting
        .filter((row) => isDue(row, now))
        .filter(({ taken }) => taken === mark || !taken.startsWith(`${run}/`))
        .toSorted((one, other) => one.at.localeCompare(other.at))
        .slice(0, LARGEST_BATCH);
      await change(
        free
          .filter(({ taken }) => taken !== mark)
          .map(({ partitionKey, rowKey }) => ['update', { partitionKey, rowKey, taken: mark }, 'Merge']),
      );
      return free.map(entryOf);
    },

    async settle(deployment, run, settlementOf) {
      // By the run's mark alone: settled twice, it answers the same.
      const taken = await rowsWhere(
        odata`PartitionKey eq ${deployment} and taken ge ${`${run}/`} and taken lt ${`${run}0`}`,
      );
      const settled = taken.map((row) => {
        const entry = entryOf(row);
        return isEvent(entry) ? { ...row, settlement: toColumn(settlementOf(entry)) } : row;
      });
      await change(
        settled.map(({ partitionKey, rowKey, settlement }) =>
          settlement === undefined
            ? ['delete', { partitionKey, rowKey }]
            : ['update', { partitionKey, rowKey, waits: false, settlement }, 'Merge'],
        ),
      );
      return settled.flatMap((row) => eventOf(row) ?? []);
    },

    async events(deployment, top) {
      const rows = await rowsWhere(
        odata`PartitionKey eq ${deployment} and RowKey ge ${'event~'} and RowKey lt ${'event~~'}`,
      );
      return rows
        .toSorted((one, other) => other.at.localeCompare(one.at))
        .slice(0, top)
        .flatMap((row) => eventOf(row) ?? []);
    },

    async waitingSince(since) {
      const rows = await rowsWhere(odata`waits eq ${true} and at lt ${since.toISOString()}`);
      return [...new Set(rows.map(({ partitionKey }) => partitionKey))];
    },

    async forgetEvents(deployment, before) {
      const old = await rowsWhere(
        odata`PartitionKey eq ${deployment} and waits eq ${false} and at lt ${before.toISOString()}`,
        LARGEST_BATCH,
      );
      await change(old.map(({ partitionKey, rowKey }) => ['delete', { partitionKey, rowKey }]));
    },
  };
}

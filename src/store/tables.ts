/** The tables and how they are opened: made on first use, over a connection string or the app's identity. */
import { type TableClient as Client, TableClient, type TableServiceClientOptions } from '@azure/data-tables';
import type { TokenCredential } from '@azure/identity';
import type { StoreConnection } from '../config.ts';

export interface Tables {
  /** A partition per deployment: its record and the last look at each of its resources. */
  deployments(): Promise<Client>;
  /** A partition per operation: its record and its steps; and one per deployment, the list of its operations. */
  operations(): Promise<Client>;
  /** A partition per deployment: what asks to look, and the events that came. */
  inbox(): Promise<Client>;
  /** A partition per deployment: what others have changed. */
  drift(): Promise<Client>;
  /** A partition per deployment: what the checks found, and what has appeared and cleared. */
  health(): Promise<Client>;
}

/** Short, for callers have their own patience: a request is to fail while its client still waits. */
const options: TableServiceClientOptions = {
  retryOptions: { maxRetries: 3, retryDelayInMs: 200, maxRetryDelayInMs: 2_000 },
};

export function openTables(connection: StoreConnection, credential: TokenCredential): Tables {
  return {
    deployments: madeOnce(clientFor(connection, credential, 'deployments')),
    operations: madeOnce(clientFor(connection, credential, 'operations')),
    inbox: madeOnce(clientFor(connection, credential, 'inbox')),
    drift: madeOnce(clientFor(connection, credential, 'drift')),
    health: madeOnce(clientFor(connection, credential, 'health')),
  };
}

function clientFor(connection: StoreConnection, credential: TokenCredential, table: string): Client {
  if (connection.kind === 'identity') {
    return new TableClient(connection.tableEndpoint, table, credential, options);
  }
  const { connectionString } = connection;
  // Only Azurite is reached without TLS; a storage account refuses it.
  const allowInsecureConnection = /UseDevelopmentStorage=true|http:\/\//i.test(connectionString);
  return TableClient.fromConnectionString(connectionString, table, { ...options, allowInsecureConnection });
}

/** Remembers that the table is there only once it really is, so that a store that was away is found again. */
function madeOnce(client: Client): () => Promise<Client> {
  let made: Promise<Client> | undefined;
  return () => {
    made ??= client.createTable().then(
      () => client,
      (error: unknown) => {
        made = undefined;
        throw error;
      },
    );
    return made;
  };
}

/** Row keys may not hold a slash: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model */
export const rowKeyOf = (kind: 'step' | 'look', key: string): string => `${kind}~${key.replaceAll('/', '~')}`;

/** Partition with the list of a deployment's operations; no operation's id looks like it. */
export const operationsOf = (deployment: string): string => `of~${deployment}`;

/** Rows come in the order of their keys: later operations have smaller ones. */
export const newestFirst = (operationId: string): string =>
  `${operationId.slice(0, 15).replaceAll(/\d/g, (digit) => String(9 - Number(digit)))}~${operationId}`;

export const hasStatus = (error: unknown, ...codes: readonly number[]): boolean =>
  error instanceof Error && 'statusCode' in error && codes.includes(Number(error.statusCode));

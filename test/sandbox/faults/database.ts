import { randomBytes } from 'node:crypto';
import { type Fault, group, type Hands, settled } from './fault.ts';
import { dropRecords, putRecords, type Record, unlink } from './storage.ts';
import { setSecret } from './vault.ts';

const server = `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-openwebui`;
const zone = `${group}/providers/Microsoft.Network/privateDnsZones/open-webui.private.postgres.database.azure.com`;
const version = 'api-version=2024-08-01';

async function setParameter(hands: Hands, name: string, value: string): Promise<void> {
  const properties = { value, source: 'user-override' };
  await hands.arm('PUT', `${server}/configurations/${name}?${version}`, { properties });
  await settled(hands, `${server}?${version}`);
}

/** Starts, stops or restarts it, and waits until it has. */
async function power(hands: Hands, action: 'start' | 'stop' | 'restart'): Promise<void> {
  await hands.arm('POST', `${server}/${action}?${version}`);
  await settled(hands, `${server}?${version}`);
}

let records: readonly Record[] = [];

export const databaseFaults: readonly Fault[] = [
  {
    what: 'Somebody has unlinked the DNS zone of the database',
    seed: 'PostgreSQL: its name resolves',
    finding: 'azure/private-dns-zones database-zone-not-linked',
    break: (hands) => unlink(hands, zone),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the DNS record of the database',
    seed: 'PostgreSQL: its name resolves',
    finding: 'azure/postgres-server database-record-missing',
    break: async (hands) => {
      records = await dropRecords(hands, zone);
    },
    mend: (hands) => putRecords(hands, zone, records),
  },
  {
    what: 'Somebody has taken pgvector off the allow-list',
    seed: 'Usage 8: connections and parameters of the database',
    finding: 'azure/postgres-parameters database-extension-not-allowed',
    break: (hands) => setParameter(hands, 'azure.extensions', ''),
    mend: 'repair',
  },
  {
    what: 'Somebody has changed a parameter of the database',
    seed: 'Usage 8: connections and parameters of the database',
    finding: 'azure/postgres-parameters database-parameter-work-mem',
    break: (hands) => setParameter(hands, 'work_mem', '8192'),
    mend: 'repair',
  },
  {
    what: 'A parameter of the database waits for a restart',
    seed: 'Usage 8: connections and parameters of the database',
    finding: 'azure/postgres-parameters database-restart-pending',
    break: async (hands) => {
      await setParameter(hands, 'max_connections', '120');
      await power(hands, 'restart');
      await setParameter(hands, 'max_connections', '100');
    },
    mend: 'repair',
  },
  {
    what: 'The connection string in the vault does without TLS',
    seed: 'PostgreSQL: SSL required',
    finding: 'azure/postgres-connection-string connection-string-wrong',
    break: (hands) =>
      setSecret(hands, 'postgres-connection-string', (value) =>
        value.replace('sslmode=require', 'sslmode=disable'),
      ),
    mend: 'repair',
  },
  {
    what: 'The vault names another database server',
    seed: 'PostgreSQL: server is accessible',
    finding: 'azure/reference-secrets server-reference-wrong',
    break: (hands) => setSecret(hands, 'postgres-server-fqdn', () => 'other.postgres.database.azure.com'),
    mend: 'repair',
  },
  {
    what: 'Somebody has given the database another password',
    seed: 'PostgreSQL: password authentication failed',
    finding: 'azure/postgres-server database-login-password-changed',
    break: async (hands) => {
      const administratorLoginPassword = `by-hand-${randomBytes(12).toString('hex')}-A1`;
      await hands.arm('PATCH', `${server}?${version}`, { properties: { administratorLoginPassword } });
      await settled(hands, `${server}?${version}`);
    },
    mend: 'repair',
  },
  {
    what: 'Somebody has stopped the database server',
    seed: 'PostgreSQL: server status in Azure',
    finding: 'azure/postgres-server database-server-stopped',
    break: (hands) => power(hands, 'stop'),
    mend: (hands) => power(hands, 'start'),
  },
];

export const databaseLosses: readonly Fault[] = [
  {
    what: 'Somebody has dropped the database',
    seed: 'Usage 3: connecting to PostgreSQL, its tables',
    finding: 'azure/postgres-database database-missing',
    orElse: 'azure/postgres-database database-login-no-database',
    break: async ({ arm }) => arm('DELETE', `${server}/databases/openwebuidb?${version}`),
    mend: 'repair',
    // An empty one gets its tables when Open WebUI starts.
    tidy: async ({ call, sample }) => {
      const { body } = await call('POST', 'restart', { workload: 'open-webui' });
      await sample.api.watch(body.operation.id, () => {}, 100);
    },
  },
];

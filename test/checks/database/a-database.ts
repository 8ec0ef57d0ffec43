/** A real PostgreSQL 18 with a database such as Open WebUI's, its user, and people who do things to it. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import pg from 'pg';
import { openCertificateAuthority } from '../../../sandbox/cloud/certificate-authority.ts';
import { startPostgres } from '../../../sandbox/cloud/postgres-server.ts';
import { type DatabaseFacts, readFacts } from '../../../src/checks/database/facts.ts';
import { type DatabaseSnapshot, readSnapshot } from '../../../src/checks/database/snapshot.ts';
import { type DatabaseLogin, inDatabase } from '../../../src/clients/database.ts';
import { makeDirectory } from '../../a-directory.ts';

export const login = { user: 'webui', password: 'Correct-horse-7@/#', database: 'openwebui' } as const;

export interface ADatabase {
  readonly login: DatabaseLogin;
  look(): Promise<DatabaseSnapshot>;
  facts(): Promise<DatabaseFacts>;
  /** Somebody's session as the user of the login, until the suite ends. */
  open(application: string): Promise<pg.Client>;
  /** As the superuser, in the database. */
  administer(...statements: readonly string[]): Promise<void>;
  /** Ends all sessions but the superuser's. */
  disconnectAll(): Promise<void>;
  stop(): Promise<void>;
}

export async function startDatabase(): Promise<ADatabase> {
  const directory = makeDirectory('database-checks-');
  const certificates = await openCertificateAuthority(directory);
  setDefaultCACertificates([...getCACertificates('default'), readFileSync(certificates.file, 'utf8')]);
  const server = await startPostgres({
    directory: join(directory, 'postgres'),
    certificate: await certificates.issueServerCertificate(['localhost']),
  });
  const whole: DatabaseLogin = { host: 'localhost', port: server.port, ...login };
  const as = async (database: string, statements: readonly string[]): Promise<void> => {
    const admin = await server.connect(database);
    try {
      for (const statement of statements) await admin.query(statement);
    } finally {
      await admin.end();
    }
  };
  await as('postgres', [
    `CREATE ROLE webui LOGIN PASSWORD ${pg.escapeLiteral(login.password)} CONNECTION LIMIT 10`,
    'CREATE DATABASE openwebui OWNER webui',
  ]);
  await as('openwebui', ['SET ROLE webui', 'CREATE TABLE chat (id text PRIMARY KEY, title text)']);
  const open = new Set<pg.Client>();
  const disconnectAll = async (): Promise<void> => {
    await Promise.all([...open].map((client) => client.end().catch(() => undefined)));
    open.clear();
    // Until the server has forgotten them they count.
    const admin = await server.connect();
    try {
      for (;;) {
        const { rowCount } = await admin.query(
          "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'webui'",
        );
        if (rowCount === 0) break;
      }
    } finally {
      await admin.end();
    }
  };
  return {
    login: whole,
    look: () => inDatabase(whole, undefined, readSnapshot),
    facts: () => inDatabase(whole, undefined, readFacts),
    open: async (application) => {
      const client = new pg.Client({ ...whole, ssl: true, application_name: application });
      client.on('error', () => undefined);
      await client.connect();
      open.add(client);
      return client;
    },
    administer: (...statements) => as('openwebui', statements),
    disconnectAll,
    stop: async () => {
      await disconnectAll();
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

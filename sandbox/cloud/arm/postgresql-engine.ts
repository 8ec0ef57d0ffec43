/**
 * The one real PostgreSQL behind all simulated flexible servers. Servers share it: the role and the databases of each
 * carry names made from the server's, so that many fit. It is started when the first server needs it.
 */
import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import pg from 'pg';
import type { ServerCertificates } from '../neighbours.ts';
import { type PostgresServer, startPostgres } from '../postgres-server.ts';

/** What the engine must know of a server to stand for it. */
export interface EngineServer {
  readonly name: string;
  readonly login: string;
  readonly verifier: string;
  readonly databases: readonly string[];
  /** Connections left for users: `max_connections` less what Azure keeps. */
  readonly connectionLimit: number;
  /** Parameters that can differ from server to server within one engine. */
  readonly settings: Readonly<Record<string, string>>;
}

/** PostgreSQL cuts names at 63 bytes; a hash keeps them apart and short. */
const shortName = (kind: 'role' | 'db', ...parts: readonly string[]): string =>
  `${kind}_${createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 24)}`;

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

export class PostgresEngine {
  readonly #directory: string;
  readonly #certificates: () => ServerCertificates;
  #running: Promise<PostgresServer> | undefined;
  /** Servers whose roles and databases have been compared since the start; cleared by every change. */
  readonly #known = new Map<string, string>();
  /** One administrative step at a time: PostgreSQL refuses concurrent changes of the same role. */
  #last: Promise<unknown> = Promise.resolve();

  /** `directory` holds the data; the certificate is asked for when the engine starts. */
  constructor(directory: string, certificates: () => ServerCertificates) {
    this.#directory = directory;
    this.#certificates = certificates;
  }

  #start(): Promise<PostgresServer> {
    this.#running ??= this.#certificates()
      .issueServerCertificate(['*.postgres.database.azure.com'])
      .then((certificate) => startPostgres({ directory: this.#directory, certificate }));
    return this.#running;
  }

  /** Address of the engine; starts it. */
  async address(): Promise<string> {
    return `postgresql://127.0.0.1:${(await this.#start()).port}`;
  }

  /** Makes roles and databases as the server has them; what is so already stays untouched. */
  async match(server: EngineServer): Promise<void> {
    const wish = JSON.stringify(server);
    if (this.#known.get(server.name) === wish) return;
    await this.#administer(async (client) => {
      const role = shortName('role', server.name, server.login);
      const known = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
      if (known.rowCount === 0) await client.query(`CREATE ROLE ${quoted(role)} LOGIN CREATEDB CREATEROLE`);
      await client.query(
        `ALTER ROLE ${quoted(role)} CONNECTION LIMIT ${server.connectionLimit} PASSWORD ${literal(server.verifier)}`,
      );
      // What an administrator on Azure may see of everybody's sessions and statements.
      await client.query(`GRANT pg_monitor, pg_signal_backend TO ${quoted(role)}`);
      for (const [name, value] of Object.entries(server.settings)) {
        await client.query(`ALTER ROLE ${quoted(role)} SET ${quoted(name)} = ${literal(value)}`);
      }
      for (const database of server.databases) {
        const name = shortName('db', server.name, database);
        const there = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
        // The binaries bring no en_US.utf8; sorting is the only thing that could tell.
        if (there.rowCount === 0) await client.query(`CREATE DATABASE ${quoted(name)} OWNER ${quoted(role)}`);
      }
    });
    this.#known.set(server.name, wish);
  }

  async dropDatabase(server: string, database: string): Promise<void> {
    this.#known.delete(server);
    await this.#administer((client) =>
      client.query(`DROP DATABASE IF EXISTS ${quoted(shortName('db', server, database))} WITH (FORCE)`),
    );
  }

  async dropServer(server: Pick<EngineServer, 'name' | 'login' | 'databases'>): Promise<void> {
    for (const database of server.databases) await this.dropDatabase(server.name, database);
    await this.#administer((client) =>
      client.query(`DROP ROLE IF EXISTS ${quoted(shortName('role', server.name, server.login))}`),
    );
  }

  /** Ends everybody's sessions on a server, as stopping or restarting it does. */
  async disconnectAll(server: Pick<EngineServer, 'name' | 'databases'>): Promise<void> {
    const names = server.databases.map((database) => shortName('db', server.name, database));
    await this.#administer((client) =>
      client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY($1)', [names]),
    );
  }

  /** A connected client; throws what PostgreSQL answers, under the names the caller used. */
  async connect(server: string, login: string, password: string, database: string): Promise<Client> {
    const { port } = await this.#start();
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: shortName('role', server, login),
      password,
      database: shortName('db', server, database),
      // `sslmode=require` encrypts and verifies nothing.
      ssl: { rejectUnauthorized: false },
    });
    // A session that the server ends later is the caller's to notice at its next query.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async close(): Promise<void> {
    const running = this.#running;
    if (!running) return;
    await this.#last.catch(() => undefined);
    await (await running.catch(() => undefined))?.stop();
  }

  #administer<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const step = this.#last
      .catch(() => undefined)
      .then(async () => {
        const client = await (await this.#start()).connect();
        try {
          return await work(client);
        } finally {
          await client.end();
        }
      });
    this.#last = step;
    return step;
  }
}

/**
 * The one real PostgreSQL behind all simulated flexible servers. A server is a group role that owns its databases
 * and a login that is a member; names carry the server's name in front. What clients make themselves by SQL (roles,
 * databases) has no such prefix and is found by who made it. Databases sort by the built-in locale C.UTF-8, whatever
 * collation they show: the order of accented letters differs, nothing else does.
 */
import { createHash } from 'node:crypto';
import pg from 'pg';
import type { ServerCertificates } from '../neighbours.ts';
import { type PostgresServer, startPostgres } from '../postgres-server.ts';

/** NAMEDATALEN - 1. */
const LONGEST_NAME = 63;
const GROUP = 'azure_pg_admin';

export class PostgresEngine {
  readonly #directory: string;
  readonly #certificates: () => ServerCertificates;
  #server: Promise<PostgresServer> | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #looker: Promise<pg.Client> | undefined;
  #isClosed = false;

  /** `directory` holds the data; the authority is asked for a certificate when the engine starts. */
  constructor(directory: string, certificates: () => ServerCertificates) {
    this.#directory = directory;
    this.#certificates = certificates;
  }

  /** Address of the engine, without credentials; starts it. */
  async address(): Promise<string> {
    return `postgresql://127.0.0.1:${(await this.#start()).port}`;
  }

  /** Ends what was begun, then PostgreSQL. */
  async close(): Promise<void> {
    await this.#tail;
    this.#isClosed = true;
    const looker = await this.#looker?.catch(() => undefined);
    await looker?.end();
    const server = await this.#server?.catch(() => undefined);
    await server?.stop();
  }

  /** Repeatable. The login can make databases and roles but is no superuser, like Azure's administrator. */
  createServer(server: string, login: string | undefined, verifier: string | undefined): Promise<void> {
    return this.#run(async (admin) => {
      await ensureRole(admin, nameIn(server, GROUP), 'NOLOGIN');
      if (login === undefined || verifier === undefined) return;
      const role = nameIn(server, login);
      await ensureRole(admin, role, 'LOGIN CREATEDB CREATEROLE INHERIT NOSUPERUSER');
      await admin.query(`ALTER ROLE ${quoted(role)} PASSWORD ${pg.escapeLiteral(verifier)}`);
      await admin.query(`GRANT ${quoted(nameIn(server, GROUP))} TO ${quoted(role)} WITH ADMIN OPTION`);
    });
  }

  /** The verifier is what PostgreSQL stores, so the password itself never comes here. */
  setPassword(server: string, login: string, verifier: string): Promise<void> {
    return this.#alter(server, login, `PASSWORD ${pg.escapeLiteral(verifier)}`);
  }

  limitConnections(server: string, login: string, limit: number): Promise<void> {
    return this.#alter(server, login, `CONNECTION LIMIT ${Math.max(1, Math.floor(limit))}`);
  }

  /** In force for the login's next sessions; without a value it is PostgreSQL's own. */
  setParameter(server: string, login: string, name: string, value: string | undefined): Promise<void> {
    // A setting that is a list of names is written as such, not as one quoted text.
    const text = value === undefined || name === 'search_path' ? value : pg.escapeLiteral(value);
    return this.#alter(
      server,
      login,
      text === undefined ? `RESET ${quoted(name)}` : `SET ${quoted(name)} = ${text}`,
    );
  }

  /** Repeatable. */
  createDatabase(server: string, database: string): Promise<void> {
    const name = nameIn(server, database);
    return this.#run(async (admin) => {
      const found = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
      if (found.rowCount) return;
      await admin.query(
        `CREATE DATABASE ${quoted(name)} OWNER ${quoted(nameIn(server, GROUP))} TEMPLATE template0 ` +
          "ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
      );
    });
  }

  dropDatabase(server: string, database: string): Promise<void> {
    return this.#run(async (admin) => {
      await admin.query(`DROP DATABASE IF EXISTS ${quoted(nameIn(server, database))} WITH (FORCE)`);
    });
  }

  /** Ends all sessions of the server, as a restart does. */
  disconnectAll(server: string): Promise<void> {
    return this.#run(async (admin) => {
      await admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity a LEFT JOIN pg_database d ON d.oid = a.datid
         WHERE a.usesysid = ANY($1) OR d.datdba = ANY($1)`,
        [await rolesOf(admin, server)],
      );
    });
  }

  /** The server's databases and roles, those that its clients made included. Repeatable. */
  dropServer(server: string): Promise<void> {
    return this.#run(async (admin) => {
      const roles = await rolesOf(admin, server);
      const databases = await namesOf(
        admin,
        'SELECT datname AS name FROM pg_database WHERE datdba = ANY($1)',
        roles,
      );
      for (const name of databases) await admin.query(`DROP DATABASE ${quoted(name)} WITH (FORCE)`);
      await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = ANY($1)', [
        roles,
      ]);
      const names = await namesOf(admin, 'SELECT rolname AS name FROM pg_roles WHERE oid = ANY($1)', roles);
      if (names.length > 0) await admin.query(`DROP ROLE ${names.map(quoted).join(', ')}`);
    });
  }

  /** Where the engine listens on 127.0.0.1, and who has signed its certificate; starts it. */
  async endpoint(): Promise<{ readonly port: number; readonly ca: string }> {
    const { port } = await this.#start();
    return { port, ca: this.#certificates().pem };
  }

  /** What the engine calls a user and a database that a client of this server means. */
  namesOf(
    server: string,
    user: string,
    database: string,
  ): Promise<{ readonly user: string; readonly database: string }> {
    return this.#look(async (admin) => {
      const roles = await rolesOf(admin, server);
      const users = await namesOf(admin, 'SELECT rolname AS name FROM pg_roles WHERE oid = ANY($1)', roles);
      const databases = await namesOf(
        admin,
        'SELECT datname AS name FROM pg_database WHERE datdba = ANY($1)',
        roles,
      );
      return { user: meant(server, user, users), database: meant(server, database, databases) };
    });
  }

  /** A client's session over TLS. Rejects with PostgreSQL's own error, in which names carry the server's prefix. */
  async open(request: {
    readonly server: string;
    readonly host: string;
    readonly user: string;
    readonly password: string;
    readonly database: string;
  }): Promise<pg.Client> {
    const { server, host, password } = request;
    const names = await this.namesOf(server, request.user, request.database);
    const { port } = await this.#start();
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      ...names,
      password,
      ssl: { ca: this.#certificates().pem, servername: host },
    });
    // A session that a restart ends must not end this process; whoever holds the client listens for itself.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  #alter(server: string, login: string, change: string): Promise<void> {
    const role = quoted(nameIn(server, login));
    return this.#run(async (admin) => {
      await admin.query(`ALTER ROLE ${role} ${change}`);
    });
  }

  /** Starts PostgreSQL unless it runs; rejects when it does not come up, and the next call tries again. */
  #start(): Promise<PostgresServer> {
    if (this.#isClosed) return Promise.reject(new Error('the database engine has been stopped'));
    this.#server ??= this.#launch().catch((error: unknown) => {
      this.#server = undefined;
      throw error;
    });
    return this.#server;
  }

  async #launch(): Promise<PostgresServer> {
    const certificate = await this.#certificates().issueServerCertificate(['*.postgres.database.azure.com']);
    return startPostgres({ directory: this.#directory, certificate });
  }

  /**
   * Looks do not stand in line behind jobs, and share one session: every session that a client opens begins with one, and
   * a hundred stacks have hundreds of clients.
   */
  async #look<T>(look: (admin: pg.Client) => Promise<T>): Promise<T> {
    this.#looker ??= this.#openLooker();
    return look(await this.#looker);
  }

  async #openLooker(): Promise<pg.Client> {
    const forget = (): void => {
      this.#looker = undefined;
    };
    try {
      const client = await (await this.#start()).connect();
      client.on('error', forget);
      client.on('end', forget);
      return client;
    } catch (error) {
      forget();
      throw error;
    }
  }

  /** One job after the other, in the order in which they were asked for. */
  #run<T>(job: (admin: pg.Client) => Promise<T>): Promise<T> {
    const run = this.#tail.then(async () => {
      const admin = await (await this.#start()).connect();
      try {
        return await job(admin);
      } finally {
        await admin.end();
      }
    });
    this.#tail = run.catch(() => undefined);
    return run;
  }
}

/** A name of a server in the engine; the same name always maps to the same, and two servers never share one. */
export function nameIn(server: string, name: string): string {
  const full = `${server}.${name}`;
  if (Buffer.byteLength(full) <= LONGEST_NAME) return full;
  return `${server.slice(0, 24)}.${createHash('sha256').update(full).digest('hex').slice(0, 32)}`;
}

/** What a client means by a name: the server's own, else one that the server's roles have made by SQL. */
function meant(server: string, name: string, known: readonly string[]): string {
  const own = nameIn(server, name);
  return !known.includes(own) && known.includes(name) && !name.startsWith(`${server}.`) ? name : own;
}

const quoted = (name: string): string => pg.escapeIdentifier(name);

async function ensureRole(admin: pg.Client, role: string, attributes: string): Promise<void> {
  const found = await admin.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
  await admin.query(`${found.rowCount ? 'ALTER' : 'CREATE'} ROLE ${quoted(role)} ${attributes}`);
}

/** Ids of the group, its members, and the roles that those have made. */
async function rolesOf(admin: pg.Client, server: string): Promise<number[]> {
  const found = await admin.query<{ id: number }>(
    `WITH own AS (SELECT oid AS id FROM pg_roles WHERE rolname = $1),
       members AS (SELECT member AS id FROM pg_auth_members JOIN own ON own.id = roleid),
       made AS (SELECT roleid AS id FROM pg_auth_members JOIN members ON members.id = member WHERE admin_option)
     SELECT id FROM own UNION SELECT id FROM members UNION SELECT id FROM made`,
    [nameIn(server, GROUP)],
  );
  return found.rows.map(({ id }) => id);
}

async function namesOf(admin: pg.Client, query: string, roles: readonly number[]): Promise<string[]> {
  const found = await admin.query<{ name: string }>(query, [roles]);
  return found.rows.map(({ name }) => name);
}

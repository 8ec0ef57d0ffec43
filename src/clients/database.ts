/**
 * One session of a PostgreSQL database, to look around in: read-only, over TLS with the server's certificate verified,
 * with a limit on everything that may take long. What the server or the network refuses is told as a failure that names
 * neither the password nor the address it stands in.
 */
import http from 'node:http';
import https from 'node:https';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import pg from 'pg';
import { FailureError, fatal, retryable } from '../graph/failure.ts';

/** A check has twenty seconds for all that it does. */
const CONNECT_WITHIN_MS = 5_000;
const STATEMENT_WITHIN_MS = 4_000;
/** The size of a table cannot be read while somebody holds it locked. */
const LOCK_WITHIN_MS = 1_000;
const CLOSE_WITHIN_MS = 1_000;

const APPLICATION = 'open-webui-control-plane';
/** Ends each statement (PostgreSQL 18 forgets what stands before), so that whoever looks through statistics can tell ours apart. */
export const STATEMENT_MARK = `/* ${APPLICATION} */`;

export interface DatabaseLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/**
 * What `default_transaction_read_only` was before the session was made read-only: `on` where nobody can write. A setting
 * of the session itself, since PostgreSQL forgets what it has been: https://www.postgresql.org/docs/18/runtime-config-custom.html
 */
export const READ_ONLY_BEFORE = 'control_plane.read_only_before';
const BEGIN_READ_ONLY = `SELECT
  set_config('${READ_ONLY_BEFORE}', current_setting('default_transaction_read_only'), false),
  set_config('default_transaction_read_only', 'on', false)`;

/** Answers the rows. */
export type Query = (sql: string) => Promise<readonly unknown[]>;

/**
 * Opens a session, has it used, and closes it whatever happens. Throws `PasswordRefused`, `LoginRefused`,
 * `NoSuchDatabase`, `ConnectionsExhausted`, `DatabaseUnreachable`, and other codes that say what kept it from looking.
 */
export async function inDatabase<T>(
  login: DatabaseLogin,
  httpsProxy: string | undefined,
  work: (query: Query) => Promise<T>,
): Promise<T> {
  const stream = httpsProxy === undefined ? new Socket() : await tunnel(new URL(httpsProxy), login);
  const client = new pg.Client({
    ...login,
    ssl: { rejectUnauthorized: true },
    stream: () => stream,
    application_name: APPLICATION,
    connectionTimeoutMillis: CONNECT_WITHIN_MS,
    statement_timeout: STATEMENT_WITHIN_MS,
    // For a server that does not even answer that.
    query_timeout: STATEMENT_WITHIN_MS + 1_000,
    lock_timeout: LOCK_WITHIN_MS,
  });
  // When a session is ended from outside, the statement that it is at fails; this event only repeats it.
  client.on('error', () => undefined);
  const asked = async <A>(answer: Promise<A>): Promise<A> => {
    try {
      return await answer;
    } catch (error) {
      throw failureOf(error, login);
    }
  };
  try {
    await asked(client.connect());
    const query: Query = async (sql) => {
      const answer = client.query<Record<string, unknown>>(`${sql} ${STATEMENT_MARK}`);
      return (await asked(answer)).rows;
    };
    await query(BEGIN_READ_ONLY);
    return await work(query);
  } finally {
    await close(client);
    stream.destroy();
  }
}

/** Politely, so that the server's log is not full of lost connections; a network that swallows it is not waited for. */
async function close(client: pg.Client): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_WITHIN_MS);
  });
  await Promise.race([client.end().catch(() => undefined), limit]);
  clearTimeout(timer);
}

/** A stream to the server through a forward proxy. */
function tunnel(proxy: URL, { host, port }: DatabaseLogin): Promise<Duplex> {
  const { username, password } = proxy;
  const authorization = `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`;
  const { request } = proxy.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const asked = request({
      method: 'CONNECT',
      host: proxy.hostname,
      port: proxy.port,
      path: `${host}:${port}`,
      headers: { host: `${host}:${port}`, ...(username ? { 'proxy-authorization': authorization } : {}) },
      agent: false,
      timeout: CONNECT_WITHIN_MS,
    });
    asked.once('connect', ({ statusCode, statusMessage }, socket) => {
      socket.setTimeout(0);
      if (statusCode === 200) return resolve(dialled(socket));
      socket.destroy();
      reject(unreachable(host, `the proxy answered ${statusCode} ${statusMessage ?? ''}`.trim()));
    });
    asked.once('response', (answer) => {
      answer.destroy();
      reject(unreachable(host, `the proxy answered ${answer.statusCode}`));
    });
    asked.once('timeout', () => asked.destroy(unreachable(host, 'the proxy did not answer in time')));
    asked.once('error', (error) => reject(failureOf(error, { host })));
    asked.end();
  });
}

/** `pg` dials the stream that it is given; this one has been dialled. */
const dialled = (socket: Socket): Socket =>
  Object.assign(socket, {
    connect: () => {
      process.nextTick(() => socket.emit('connect'));
      return socket;
    },
  });

const unreachable = (host: string, why: string): FailureError =>
  retryable('DatabaseUnreachable', `the database server ${host} cannot be reached: ${why}`);

/** https://www.postgresql.org/docs/18/errcodes-appendix.html */
const refusals: Readonly<Record<string, (host: string) => FailureError>> = {
  '28P01': (host) => fatal('PasswordRefused', `the database server ${host} refuses the password`),
  '28000': (host) => fatal('LoginRefused', `the database server ${host} does not let this user in`),
  '3D000': (host) => fatal('NoSuchDatabase', `the database server ${host} has no such database`),
  '42501': (host) => fatal('DatabaseForbids', `the database server ${host} does not allow the user to look`),
  '53300': (host) =>
    retryable('ConnectionsExhausted', `the database server ${host} takes no more connections`),
  '55P03': (host) => retryable('DatabaseLocked', `something in the database on ${host} is locked`),
  '57014': (host) => retryable('DatabaseSlow', `the database server ${host} did not answer in time`),
  '57P01': (host) => unreachable(host, 'it ended the session'),
  '57P03': (host) => unreachable(host, 'it is starting or stopping'),
};

function failureOf(error: unknown, { host }: Pick<DatabaseLogin, 'host'>): FailureError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (error instanceof pg.DatabaseError) {
    // Azure says so to addresses that its firewall does not let in; about the user it says nothing.
    if (code === '28000' && error.message.includes('pg_hba.conf')) {
      return unreachable(host, 'it takes no connection from here (no pg_hba.conf entry)');
    }
    // The server's own words are left out: they quote what they are about.
    return (
      refusals[code]?.(host) ??
      retryable('DatabaseError', `the database server ${host} answered with ${code}`)
    );
  }
  if (error instanceof FailureError) return error;
  if (/^(CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|ERR_TLS_CERT)/.test(code)) {
    return fatal(
      'DatabaseCertificateUntrusted',
      `the database server ${host} shows a certificate that is not trusted (${code})`,
    );
  }
  return unreachable(host, code === '' ? 'it did not answer, or not in time' : code);
}

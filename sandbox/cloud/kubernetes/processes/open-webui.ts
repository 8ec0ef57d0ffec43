/**
 * Open WebUI as far as its surroundings notice it: it reads its settings, migrates its PostgreSQL schema, needs the
 * vector extension and Redis when told to use them, then serves 8080. `/health` only says that the process runs;
 * `/ready` and `/health/db` ask the database (open-webui backend/open_webui/main.py). It holds one real connection. Its
 * pages, sign-ins and chats are in files of their own.
 */
import { FIRST_MIGRATION, RECHECK, START } from '../durations.ts';
import { recordSecretSet } from '../secret-sets.ts';
import { reasonOf, WebuiDatabase } from './open-webui-database.ts';
import { WebuiPages } from './open-webui-pages.ts';
import { migrate, SchemaError } from './open-webui-schema.ts';
import type { Process, ProcessContext } from './process.ts';

/** Real milliseconds: connections to the real server stay few however fast the clock runs. */
const LEAST_REAL_PAUSE = 250;
/** From so many running at once on, they share what these may ask; a fleet asks for less and less. */
const FULL_PACE = 4;
const FLEET = 12;
const DATA_DIRECTORY = '/app/backend/data';
/** PostgreSQL refuses who asks to log in, not the way to it: invalid_password, invalid_authorization_specification. */
const LOGIN_REFUSALS = ['28P01', '28000'];

export function startOpenWebui(context: ProcessContext): Process {
  const process = new OpenWebui(context);
  process.start();
  return process;
}

class OpenWebui implements Process {
  static readonly #running = new Set<OpenWebui>();
  readonly #context: ProcessContext;
  readonly #port: number;
  readonly #database: WebuiDatabase;
  readonly #pages: WebuiPages;
  #answering = 0;
  #isServing = false;
  #isStopped = false;
  #databaseAnswers = false;
  #isChecking = false;
  #mustCheckAgain = false;
  #checkedAt = 0;
  #checkedReally = 0;

  constructor(context: ProcessContext) {
    this.#context = context;
    this.#port = Number(context.env['PORT'] ?? 8080);
    this.#database = new WebuiDatabase(context, (why) => this.#loseDatabase(why));
    this.#pages = new WebuiPages(context, this.#database, () => ({
      hasDatabase: this.#databaseAnswers,
      hasRedis: this.#missingRedis() === undefined,
    }));
  }

  start(): void {
    const { env, mounts, isResumed } = this.#context;
    OpenWebui.#running.add(this);
    if (isResumed) {
      // It never stopped serving; whether the database still answers is found out on the way.
      this.#isServing = true;
      this.#databaseAnswers = true;
      void this.#database.open().then((answer) => {
        if (!answer.ok) this.#loseDatabase(answer.reason);
      });
      return;
    }
    recordSecretSet(this.#context);
    if (!env['WEBUI_SECRET_KEY']) {
      this.#crash(['ValueError: Required environment variable not found. Terminating now.']);
      return;
    }
    if (!mounts.some(({ path }) => path.replace(/\/$/, '') === DATA_DIRECTORY)) {
      this.#crash([`PermissionError: [Errno 13] Permission denied: '${DATA_DIRECTORY}/cache'`]);
      return;
    }
    if (!env['DATABASE_URL']) {
      // Without a server it falls back to SQLite in the data directory, which SMB's byte-range locks do not allow.
      this.#crash(['sqlite3.OperationalError: database is locked']);
      return;
    }
    this.#context.log('INFO  [alembic.runtime.migration] Context impl PostgresqlImpl.');
    void this.#prepareDatabase();
  }

  async #prepareDatabase(): Promise<void> {
    const { env, clock } = this.#context;
    const opened = await this.#database.open();
    if (this.#isStopped) return;
    if (!opened.ok) {
      this.#crash([`sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) ${opened.reason}`]);
      return;
    }
    this.#databaseAnswers = true;
    const needsVector = env['VECTOR_DB'] === 'pgvector';
    try {
      await this.#database.use((client) =>
        migrate(client, {
          needsVector,
          allowedExtensions: this.#database.allowedExtensions,
          log: (line) => this.#context.log(line),
          pause: () => clock.wait(FIRST_MIGRATION),
        }),
      );
    } catch (error) {
      if (this.#isStopped) return;
      this.#crash(
        error instanceof SchemaError
          ? [error.message]
          : [`sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) ${reasonOf(error)}`],
      );
      return;
    }
    if (this.#isStopped) return;
    this.#context.after(START['open-webui'], () => this.#serve());
  }

  #serve(): void {
    const missing = this.#missingRedis();
    if (missing !== undefined) {
      this.#crash([`redis.exceptions.ConnectionError: ${missing}`]);
      return;
    }
    this.#isServing = true;
    this.#context.log(`INFO:     Uvicorn running on http://0.0.0.0:${this.#port} (Press CTRL+C to quit)`);
    this.#context.changed();
    // The database was asked when the process started; whatever was told since then was not for its ears yet.
    this.lookAgain();
  }

  /** Why the Redis that websockets are to go through does not answer; undefined when it does or is not asked for. */
  #missingRedis(): string | undefined {
    const { env, pod } = this.#context;
    if (env['WEBSOCKET_MANAGER'] !== 'redis' && !env['REDIS_URL']) return undefined;
    const text = env['WEBSOCKET_REDIS_URL'] || env['REDIS_URL'] || 'redis://localhost:6379/0';
    const url = URL.parse(text);
    if (!url) return 'Redis URL must specify one of the following schemes (redis://, rediss://, unix://)';
    const answer = this.#context.dial(url.hostname, Number(url.port || 6379), pod.metadata.namespace ?? '');
    if ('refused' in answer) return `Error connecting to ${url.host}. ${answer.refused}`;
    return answer.software === 'valkey' ? undefined : `Error connecting to ${url.host}. Protocol Error`;
  }

  #crash(lines: readonly string[]): void {
    this.#context.log('Traceback (most recent call last):');
    for (const line of lines) this.#context.log(line);
    this.#context.after(1000, () => this.#context.exit(1));
  }

  #loseDatabase(why: string): void {
    if (this.#isStopped) return;
    if (this.#databaseAnswers) {
      this.#context.log(`sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) ${why}`);
    }
    this.#databaseAnswers = false;
    this.#context.changed();
    this.lookAgain();
  }

  /** The pool's connections break when the way to the server, the server or the login goes: seen a little later. */
  lookAgain(where: 'world' | 'cluster' = 'world'): void {
    if (where === 'cluster') return;
    if (!this.#isServing || this.#isStopped) return;
    if (this.#isChecking) {
      // A check under way may have looked before whatever has changed now.
      this.#mustCheckAgain = true;
      return;
    }
    this.#isChecking = true;
    const wait = Math.max(0, this.#checkedAt + RECHECK - this.#context.clock.now());
    this.#context.after(wait, () => {
      const { size } = OpenWebui.#running;
      const pause = LEAST_REAL_PAUSE * Math.max(1, size / FULL_PACE, size - FLEET);
      const left = this.#checkedReally + pause - performance.now();
      setTimeout(() => void this.#check(), Math.max(0, left)).unref();
    });
  }

  async #check(): Promise<void> {
    this.#checkedAt = this.#context.clock.now();
    this.#checkedReally = performance.now();
    if (this.#isStopped) return;
    this.#mustCheckAgain = false;
    const hadDatabase = this.#databaseAnswers;
    const opened = await this.#database.open();
    // A new password shuts out new sessions only: the open one goes on.
    const isHeld = !opened.ok && LOGIN_REFUSALS.includes(opened.code) && (await this.#database.answers());
    this.#isChecking = false;
    if (this.#isStopped) return;
    if (!opened.ok && !isHeld) {
      this.#database.drop();
      if (hadDatabase)
        this.#context.log(`WARNING Readiness check DB ping failed: OperationalError('${opened.reason}')`);
    }
    this.#databaseAnswers = opened.ok || isHeld;
    if (hadDatabase !== this.#databaseAnswers) this.#context.changed();
    if (this.#mustCheckAgain) this.lookAgain();
    else if (!this.#databaseAnswers) this.#context.after(RECHECK, () => this.lookAgain());
  }

  status(port: number, path: string): number | undefined {
    if (!this.#isServing || port !== this.#port) return undefined;
    const [name = '/'] = path.split('?');
    if (name === '/ready') return this.#databaseAnswers && this.#missingRedis() === undefined ? 200 : 503;
    if (name === '/health/db') return this.#databaseAnswers ? 200 : 500;
    if (name.startsWith('/api/') && name !== '/api/version' && name !== '/api/config') return 401;
    return 200;
  }

  listens(port: number): boolean {
    return this.#isServing && port === this.#port;
  }

  fetch(port: number, request: Request, path: string): Promise<Response> | undefined {
    if (!this.listens(port)) return undefined;
    this.#answering += 1;
    return this.#pages.answer(request, path).finally(() => {
      this.#answering -= 1;
      if (this.#isStopped && this.#answering === 0) this.#database.close();
    });
  }

  exec(command: readonly string[]): number {
    return /curl|wget/.test(command.join(' ')) ? (this.#isServing ? 0 : 7) : 0;
  }

  /** What has been asked is still answered, as Uvicorn does on SIGTERM. */
  stop(): void {
    this.#isStopped = true;
    this.#isServing = false;
    OpenWebui.#running.delete(this);
    if (this.#answering === 0) this.#database.close();
  }
}

/**
 * The connection that an Open WebUI pod holds, with the DATABASE_URL its container was started with. PostgreSQL asks for
 * the password when a session begins and never again, so an open connection outlives a new password; once it has died,
 * only the password the container knows can open another. Each use asks the server first, as SQLAlchemy's
 * `pool_pre_ping` does (backend/open_webui/internal/db.py), and connects anew when it does not answer.
 */
import type { Client } from 'pg';
import type { Answer } from '../../neighbours.ts';
import type { ProcessContext } from './process.ts';

interface Connection {
  readonly client: Client;
  uses: number;
  /** Another one has taken its place: it ends with its last use. */
  isRetired: boolean;
}

export class WebuiDatabase {
  readonly #context: ProcessContext;
  readonly #lost: (why: string) => void;
  #current: Connection | undefined;
  #opening: Promise<Answer<{ connection: Connection }>> | undefined;
  #isClosed = false;
  #allowedExtensions: readonly string[] = [];

  /** `lost` is called when the connection breaks by itself. */
  constructor(context: ProcessContext, lost: (why: string) => void) {
    this.#context = context;
    this.#lost = lost;
  }

  /** What azure.extensions allowed when the connection was made. */
  get allowedExtensions(): readonly string[] {
    return this.#allowedExtensions;
  }

  /** A new connection in the place of the one before, which finishes what it is used for. */
  open(): Promise<Answer<{ connection: Connection }>> {
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** Lends the connection. Throws the reason of the server, or of the way to it, when there is none to lend. */
  async use<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const connection = await this.#checkOut();
    try {
      return await work(connection.client);
    } finally {
      this.#giveBack(connection);
    }
  }

  /** Whether the open connection still answers. */
  async answers(): Promise<boolean> {
    const connection = this.#current;
    return connection !== undefined && (await isAlive(connection));
  }

  /** Ends the connection once nobody uses it; the next use opens another. */
  drop(): void {
    const connection = this.#current;
    this.#current = undefined;
    if (connection) this.#retire(connection);
  }

  /** The process ends, and with it whatever the connection is used for. */
  close(): void {
    this.#isClosed = true;
    const connection = this.#current;
    this.#current = undefined;
    if (connection) end(connection);
  }

  async #connect(): Promise<Answer<{ connection: Connection }>> {
    const { env, pod, neighbours } = this.#context;
    const pool = this.#context.nodePool(pod.spec.nodeName);
    if (!pool) return { ok: false, code: 'NoNode', reason: 'the node has gone' };
    let answer: Awaited<ReturnType<typeof neighbours.databases.connect>>;
    try {
      answer = await neighbours.databases.connect(env['DATABASE_URL'] ?? '', pool.vnetId);
    } catch (error) {
      return { ok: false, code: 'Failed', reason: reasonOf(error) };
    }
    if (!answer.ok) return answer;
    const { client, allowedExtensions } = answer;
    const connection: Connection = { client, uses: 0, isRetired: false };
    if (this.#isClosed) {
      this.#retire(connection);
      return { ok: false, code: 'Closed', reason: 'the process is ending' };
    }
    client.on('error', (error) => this.#lose(connection, reasonOf(error)));
    client.on('end', () => this.#lose(connection, 'server closed the connection unexpectedly'));
    const before = this.#current;
    this.#current = connection;
    this.#allowedExtensions = allowedExtensions;
    if (before) this.#retire(before);
    return { ok: true, connection };
  }

  async #checkOut(): Promise<Connection> {
    const current = this.#current;
    if (current) {
      current.uses += 1;
      if (await isAlive(current)) return current;
      this.#giveBack(current);
      this.#lose(current, 'server closed the connection unexpectedly');
    }
    const opened = await this.open();
    if (!opened.ok) throw new Error(opened.reason);
    // While this waited for it, a newer one may have taken its place.
    if (opened.connection.isRetired) return this.#checkOut();
    opened.connection.uses += 1;
    return opened.connection;
  }

  #giveBack(connection: Connection): void {
    connection.uses -= 1;
    if (connection.isRetired && connection.uses === 0) end(connection);
  }

  #lose(connection: Connection, why: string): void {
    if (this.#current !== connection) return;
    this.#current = undefined;
    this.#retire(connection);
    this.#lost(why);
  }

  #retire(connection: Connection): void {
    connection.isRetired = true;
    if (connection.uses === 0) end(connection);
  }
}

/** The reason without anything of the connection string in it. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'connection failed';
}

async function isAlive({ client }: Connection): Promise<boolean> {
  try {
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  }
}

function end({ client }: Connection): void {
  void client.end().catch(() => undefined);
}

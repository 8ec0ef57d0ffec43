/**
 * The task hub's tables in SQLite. Every change that belongs together is one transaction, committed before anybody is
 * told of it: after `kill -9` at any moment the next start finds each instance as it last was.
 *
 * WAL with synchronous=NORMAL: what is committed survives the death of the process, which is what a development host
 * has to survive; after a power cut the last transactions may be missing, but the file is whole. The lock is
 * exclusive: two hosts on one task hub would both run its work.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';

const schema = `
  CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, name TEXT NOT NULL, version TEXT,
    parent_id TEXT, parent_execution_id TEXT, parent_task_id INTEGER,
    status TEXT NOT NULL, input TEXT, output TEXT, custom_status TEXT,
    created INTEGER NOT NULL, updated INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS history (
    instance_id TEXT NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (instance_id, seq)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, instance_id TEXT NOT NULL, execution_id TEXT, event TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS messages_by_instance ON messages (instance_id, seq);
  CREATE TABLE IF NOT EXISTS activities (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, instance_id TEXT NOT NULL, execution_id TEXT NOT NULL,
    task_id INTEGER NOT NULL, name TEXT NOT NULL, input TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS activities_by_instance ON activities (instance_id);
  CREATE TABLE IF NOT EXISTS timers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, instance_id TEXT NOT NULL, execution_id TEXT NOT NULL,
    task_id INTEGER NOT NULL, fire_at INTEGER NOT NULL
  );
  CREATE INDEX IF NOT EXISTS timers_by_instance ON timers (instance_id);
  CREATE TABLE IF NOT EXISTS entities (
    id TEXT PRIMARY KEY, has_state INTEGER NOT NULL, state TEXT, locked_by TEXT, lock_id TEXT, updated INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS entity_messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, entity_id TEXT NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS entity_messages_by_entity ON entity_messages (entity_id, seq);
  CREATE TABLE IF NOT EXISTS schedules (
    name TEXT PRIMARY KEY, schedule TEXT NOT NULL, last INTEGER, next INTEGER NOT NULL, updated INTEGER NOT NULL
  );
`;

/** Thrown when another host has the same data file open. */
export class StoreInUseError extends Error {
  override readonly name = 'StoreInUseError';
}

export class Store {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #depth = 0;

  /** `path` may be `:memory:`. Throws StoreInUseError when another process has the file open. */
  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    try {
      this.#database.exec(
        'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;',
      );
      this.#database.exec(schema);
    } catch (error) {
      this.#database.close();
      if (error instanceof Error && error.message.includes('locked')) {
        throw new StoreInUseError(`${path} is in use by another host`, { cause: error });
      }
      throw error;
    }
  }

  /** Commits what `work` did, or nothing of it when it throws. */
  transaction<Result>(work: () => Result): Result {
    if (this.#depth > 0) return work();
    this.#database.exec('BEGIN IMMEDIATE');
    this.#depth++;
    try {
      const result = work();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    } finally {
      this.#depth--;
    }
  }

  all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  get<Row>(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined;
  }

  /** The number of rows changed, and the last row's key. */
  run(sql: string, ...values: SQLInputValue[]): { changes: number; key: number } {
    const { changes, lastInsertRowid } = this.#prepare(sql).run(...values);
    return { changes: Number(changes), key: Number(lastInsertRowid) };
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

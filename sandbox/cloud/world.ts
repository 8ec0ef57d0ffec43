/**
 * What all simulated services stand on: one clock, one persisted memory, one record of calls, one switchboard for
 * faults, one stream of events. A service owns its tables; nobody else writes them. What services may ask of each
 * other is in neighbours.ts.
 */
import { DatabaseSync } from 'node:sqlite';
import type { VirtualClock } from '../clock.ts';
import type { CallLog } from './calls.ts';
import type { Faults } from './faults.ts';

export type ServiceName =
  | 'arm'
  | 'entra'
  | 'graph'
  | 'identity'
  | 'key-vault'
  | 'registry'
  | 'kubernetes'
  | 'cloudflare'
  | 'site'
  | 'notifications';

/** Filled in by a service while it answers, read by the record of calls. */
export interface CallContext {
  /** Host name the caller asked for, lower case, without port. */
  readonly host: string;
  /** Who called: a principal's display name, `anonymous`, or a Cloudflare token's name. */
  caller: string;
}

/** One cloud API. It sees the request as if it were that host: TLS and the proxy are already behind it. */
export interface Service {
  readonly name: ServiceName;
  matches(host: string): boolean;
  fetch(request: Request, call: CallContext): Response | Promise<Response>;
}

/** Facts of the tenant in which the sandbox plays; the same on every machine, so that walk-throughs can be copied. */
export interface Settings {
  readonly subscriptionId: string;
  readonly tenantId: string;
  /** The control plane's own user-assigned identity, as `infra/` would have made it. */
  readonly controlPlane: {
    readonly resourceGroup: string;
    readonly identityName: string;
    readonly clientId: string;
    readonly principalId: string;
    readonly functionAppName: string;
    readonly vaultName: string;
    /** The function app's own storage account. */
    readonly storageAccountName: string;
  };
  /** A person with Owner on the subscription and Global Administrator in Entra: breaks and mends things by hand. */
  readonly operator: { readonly principalId: string; readonly userPrincipalName: string };
  readonly cloudflare: {
    readonly accountId: string;
    readonly zoneId: string;
    readonly zoneName: string;
  };
}

/** An event as a source emits it; Event Grid wraps it in the subscription's envelope and delivers it. */
export interface SourceEvent {
  /** ARM id of the topic's resource. */
  readonly topic: string;
  readonly subject: string;
  readonly eventType: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly dataVersion: string;
}

/** Records by key, kept in memory and written through to disk. Change a record only by `set`: it is stored as JSON. */
export interface Table<T> {
  get(key: string): T | undefined;
  set(key: string, value: T): void;
  delete(key: string): boolean;
  has(key: string): boolean;
  values(): T[];
  entries(): [string, T][];
}

export interface World {
  readonly clock: VirtualClock;
  readonly settings: Settings;
  readonly calls: CallLog;
  readonly faults: Faults;
  /** Opens (and on first use creates) a table. Names are prefixed with the owner: `key-vault/secrets`. */
  table<T>(name: string): Table<T>;
  emit(event: SourceEvent): void;
  onEvent(listener: (event: SourceEvent) => void): void;
  /** Tells everybody interested that something in the world may have changed (controllers look again). */
  touch(): void;
  onTouch(listener: () => void): void;
}

/** The memory: an SQLite file (or ':memory:'), so that a killed sandbox finds its world as it was. */
export class Memory {
  readonly #database: DatabaseSync;
  readonly #tables = new Map<string, Table<unknown>>();

  constructor(file: string) {
    this.#database = new DatabaseSync(file);
    this.#database.exec(
      'PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;' +
        'CREATE TABLE IF NOT EXISTS records (owner TEXT, key TEXT, json TEXT, PRIMARY KEY (owner, key)) WITHOUT ROWID',
    );
  }

  table<T>(name: string): Table<T> {
    const known = this.#tables.get(name);
    if (known) return known as Table<T>;
    const records = new Map<string, T>();
    for (const row of this.#database.prepare('SELECT key, json FROM records WHERE owner = ?').all(name)) {
      records.set(String(row['key']), JSON.parse(String(row['json'])) as T);
    }
    const put = this.#database.prepare('INSERT OR REPLACE INTO records VALUES (?, ?, ?)');
    const drop = this.#database.prepare('DELETE FROM records WHERE owner = ? AND key = ?');
    const table: Table<T> = {
      get: (key) => records.get(key),
      set: (key, value) => {
        if (this.#database.isOpen) put.run(name, key, JSON.stringify(value));
        records.set(key, value);
      },
      delete: (key) => {
        if (this.#database.isOpen) drop.run(name, key);
        return records.delete(key);
      },
      has: (key) => records.has(key),
      values: () => [...records.values()],
      entries: () => [...records.entries()],
    };
    this.#tables.set(name, table as Table<unknown>);
    return table;
  }

  /** What is changed after this, by a timer that was still under way, is lost with the process. */
  close(): void {
    this.#database.close();
  }
}

/** Puts a world together from its parts. Touches within one turn of the event loop are told once. */
export function createWorld(
  memory: Memory,
  clock: VirtualClock,
  settings: Settings,
  calls: CallLog,
  faults: Faults,
): World {
  const eventListeners = new Set<(event: SourceEvent) => void>();
  const touchListeners = new Set<() => void>();
  let isTouched = false;
  return {
    clock,
    settings,
    calls,
    faults,
    table: (name) => memory.table(name),
    emit: (event) => {
      for (const listener of [...eventListeners]) listener(event);
    },
    onEvent: (listener) => void eventListeners.add(listener),
    touch: () => {
      if (isTouched) return;
      isTouched = true;
      setImmediate(() => {
        isTouched = false;
        for (const listener of [...touchListeners]) listener();
      });
    },
    onTouch: (listener) => void touchListeners.add(listener),
  };
}

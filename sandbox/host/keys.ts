/**
 * The host's keys: the master key, the default function key for all functions, and the extensions' system keys. Made on
 * the first start and kept in a file only its owner can read.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

const keySchema = z.string().min(20);
const fileSchema = z.object({
  masterKey: keySchema,
  functionKeys: z.object({ default: keySchema }),
  systemKeys: z.object({ durabletask_extension: keySchema, eventgrid_extension: keySchema }),
});
type KeyFile = z.infer<typeof fileSchema>;

export type SystemKeyName = keyof KeyFile['systemKeys'];

export class Keys {
  readonly #keys: KeyFile;

  constructor(keys: KeyFile) {
    this.#keys = keys;
  }

  get master(): string {
    return this.#keys.masterKey;
  }

  /** The host-level key named `default`, which opens every function. */
  get functionDefault(): string {
    return this.#keys.functionKeys.default;
  }

  get system(): Readonly<Record<SystemKeyName, string>> {
    return this.#keys.systemKeys;
  }

  isMaster(key: string): boolean {
    return isSame(key, this.master);
  }

  opensFunction(key: string): boolean {
    return isSame(key, this.functionDefault) || this.isMaster(key);
  }

  /** A system key opens its extension's webhooks; so does the master key. */
  opensExtension(name: SystemKeyName, key: string): boolean {
    return isSame(key, this.system[name]) || this.isMaster(key);
  }
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** 40 random bytes, as long as the real host's keys and without characters that need escaping in a query. */
function newKey(): string {
  return randomBytes(40).toString('base64url');
}

/** Reads the keys, or makes and keeps them; without a file they last as long as the process. */
export function openKeys(file: string | undefined): Keys {
  if (file !== undefined && existsSync(file)) {
    return new Keys(fileSchema.parse(JSON.parse(readFileSync(file, 'utf8'))));
  }
  const keys: KeyFile = {
    masterKey: newKey(),
    functionKeys: { default: newKey() },
    systemKeys: { durabletask_extension: newKey(), eventgrid_extension: newKey() },
  };
  if (file !== undefined) {
    writeFileSync(file, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
    chmodSync(file, 0o600);
  }
  return new Keys(keys);
}

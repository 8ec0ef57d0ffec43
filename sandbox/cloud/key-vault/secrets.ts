/**
 * What is inside the vaults: secrets with their versions, what is deleted but recoverable, and the moments at which a
 * version nears its end. Deleting and recovering take a few seconds, as they do in the real service.
 */
import { randomBytes } from 'node:crypto';
import type { Alarm } from '../../clock.ts';
import type { Table, World } from '../world.ts';

const DAY_MILLISECONDS = 86_400_000;
/** SecretNearExpiry: https://learn.microsoft.com/azure/event-grid/event-schema-key-vault */
const NEAR_EXPIRY_MILLISECONDS = 30 * DAY_MILLISECONDS;
/** Virtual time until a deleted secret shows among the deleted ones, or a recovered one among the living. */
const TRANSITION_MILLISECONDS = 5_000;

export interface SecretVersion {
  readonly version: string;
  readonly value: string;
  readonly contentType?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly enabled: boolean;
  /** Seconds since 1970, as all times on this wire. */
  readonly nbf?: number;
  readonly exp?: number;
  readonly created: number;
  readonly updated: number;
  /** Which events about its end have been sent. */
  readonly announced?: 'near-expiry' | 'expired';
}

export interface Secret {
  readonly host: string;
  readonly name: string;
  /** Oldest first. */
  readonly versions: readonly SecretVersion[];
  readonly deletion?: { readonly at: number; readonly purgeAt: number };
  readonly recoveredAt?: number;
}

export type SecretState = 'live' | 'being-deleted' | 'deleted' | 'being-recovered';
export type SecretEvent = 'SecretNewVersionCreated' | 'SecretNearExpiry' | 'SecretExpired';

export class Secrets {
  readonly #world: World;
  readonly #secrets: Table<Secret>;
  readonly #announce: (event: SecretEvent, secret: Secret, version: SecretVersion) => void;
  #alarm: Alarm | undefined;

  constructor(world: World, announce: (event: SecretEvent, secret: Secret, version: SecretVersion) => void) {
    this.#world = world;
    this.#secrets = world.table('key-vault/secrets');
    this.#announce = announce;
  }

  /** Names are case-insensitive. A secret whose retention has run out no longer exists. */
  find(host: string, name: string): { secret: Secret; state: SecretState } | undefined {
    const key = keyOf(host, name);
    const secret = this.#secrets.get(key);
    if (!secret) return undefined;
    const now = this.#world.clock.now();
    if (secret.deletion && now >= secret.deletion.purgeAt) {
      this.#secrets.delete(key);
      return undefined;
    }
    if (secret.deletion) {
      return {
        secret,
        state: now - secret.deletion.at < TRANSITION_MILLISECONDS ? 'being-deleted' : 'deleted',
      };
    }
    const isRecovering =
      secret.recoveredAt !== undefined && now - secret.recoveredAt < TRANSITION_MILLISECONDS;
    return { secret, state: isRecovering ? 'being-recovered' : 'live' };
  }

  /** The secrets of one vault that are in this state, by name. */
  list(host: string, state: SecretState): Secret[] {
    return this.#secrets
      .values()
      .filter((secret) => secret.host === host && this.find(host, secret.name)?.state === state)
      .sort((a, b) => a.name.localeCompare(b.name));
  }

  /** Of all vaults, deleted ones as well. */
  all(): Secret[] {
    return this.#secrets.values();
  }

  addVersion(
    host: string,
    name: string,
    content: Pick<SecretVersion, 'value' | 'contentType' | 'tags' | 'nbf' | 'exp'> & { enabled?: boolean },
  ): { secret: Secret; version: SecretVersion } {
    const now = Math.floor(this.#world.clock.now() / 1000);
    const version: SecretVersion = {
      ...content,
      enabled: content.enabled ?? true,
      version: randomBytes(16).toString('hex'),
      created: now,
      updated: now,
    };
    const known = this.find(host, name)?.secret;
    const secret: Secret = {
      ...known,
      host,
      name: known?.name ?? name,
      versions: [...(known?.versions ?? []), version],
    };
    this.#put(secret);
    this.#announce('SecretNewVersionCreated', secret, version);
    return { secret, version };
  }

  updateVersion(secret: Secret, changed: SecretVersion): Secret {
    const known = secret.versions.find(({ version }) => version === changed.version);
    const { announced: _, ...rest } = changed;
    const next = known?.exp === changed.exp ? changed : rest;
    const updated = { ...next, updated: Math.floor(this.#world.clock.now() / 1000) };
    const stored = {
      ...secret,
      versions: secret.versions.map((version) => (version.version === changed.version ? updated : version)),
    };
    this.#put(stored);
    return stored;
  }

  delete(secret: Secret, retentionDays: number): Secret {
    const { recoveredAt: _, ...rest } = secret;
    const at = this.#world.clock.now();
    const deleted: Secret = { ...rest, deletion: { at, purgeAt: at + retentionDays * DAY_MILLISECONDS } };
    this.#put(deleted);
    return deleted;
  }

  recover(secret: Secret): Secret {
    const { deletion: _, ...rest } = secret;
    const recovered: Secret = { ...rest, recoveredAt: this.#world.clock.now() };
    this.#put(recovered);
    return recovered;
  }

  purge(secret: Secret): void {
    this.#secrets.delete(keyOf(secret.host, secret.name));
  }

  purgeAll(host: string): void {
    for (const secret of this.#secrets.values()) if (secret.host === host) this.purge(secret);
  }

  #put(secret: Secret): void {
    this.#secrets.set(keyOf(secret.host, secret.name), secret);
    this.watchExpiry();
  }

  /** Sends what is due about current versions and sets one alarm for the next moment that matters. */
  watchExpiry(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    let next = Number.POSITIVE_INFINITY;
    for (const secret of this.#secrets.values()) {
      const current = secret.versions.at(-1);
      if (secret.deletion || !current?.enabled || current.exp === undefined) continue;
      if (current.announced === 'expired') continue;
      const expiry = current.exp * 1000;
      next = Math.min(next, current.announced === 'near-expiry' ? expiry : expiry - NEAR_EXPIRY_MILLISECONDS);
    }
    if (next === Number.POSITIVE_INFINITY) return;
    this.#alarm = this.#world.clock.alarm(next, () => this.#announceExpiry());
  }

  #announceExpiry(): void {
    const now = this.#world.clock.now();
    for (const secret of this.#secrets.values()) {
      const current = secret.versions.at(-1);
      if (secret.deletion || !current?.enabled || current.exp === undefined) continue;
      const expiry = current.exp * 1000;
      if (current.announced === undefined && now >= expiry - NEAR_EXPIRY_MILLISECONDS && now < expiry) {
        this.#markAnnounced(secret, current, 'near-expiry');
        this.#announce('SecretNearExpiry', secret, current);
      } else if (current.announced !== 'expired' && now >= expiry) {
        this.#markAnnounced(secret, current, 'expired');
        this.#announce('SecretExpired', secret, current);
      }
    }
    this.#world.touch();
    this.watchExpiry();
  }

  #markAnnounced(secret: Secret, current: SecretVersion, announced: 'near-expiry' | 'expired'): void {
    this.#secrets.set(keyOf(secret.host, secret.name), {
      ...secret,
      versions: [...secret.versions.slice(0, -1), { ...current, announced }],
    });
  }
}

function keyOf(host: string, name: string): string {
  return `${host}/${name.toLowerCase()}`;
}

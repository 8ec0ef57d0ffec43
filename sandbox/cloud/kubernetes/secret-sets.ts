/**
 * Which secrets each start of Open WebUI read. An environment is read once, when the container starts, and no API ever
 * tells which values are in it; so the process leaves their hashes here, and they are recognised among the vault's
 * versions when somebody asks. A mixed set has values that were never current together.
 */
import { createHash } from 'node:crypto';
import type { SecretSet, SecretSetValue, Vaults, VaultVersion } from '../neighbours.ts';
import type { ProcessContext } from './processes/process.ts';

const VARIABLES = ['WEBUI_SECRET_KEY', 'MICROSOFT_CLIENT_SECRET', 'DATABASE_URL'] as const;
/** The oldest starts are forgotten beyond this many. */
const KEPT = 5_000;

export interface StoredSecretSet {
  readonly clusterId: string;
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  /** Virtual milliseconds. */
  readonly startedAt: number;
  /** SHA-256 of each value that was set. */
  readonly hashes: Readonly<Record<string, string>>;
}

export function recordSecretSet({ clusterId, pod, env, clock, secretSets }: ProcessContext): void {
  const hashes = Object.fromEntries(
    VARIABLES.flatMap((name) => {
      const value = env[name];
      return value === undefined ? [] : [[name, hashOf(value)]];
    }),
  );
  const startedAt = clock.now();
  const key = `${clusterId}\n${pod.metadata.uid}\n${String(startedAt).padStart(20, '0')}`;
  secretSets.set(key, {
    clusterId,
    namespace: pod.metadata.namespace ?? '',
    pod: pod.metadata.name,
    podUid: pod.metadata.uid,
    startedAt,
    hashes,
  });
  const all = secretSets.entries();
  if (all.length <= KEPT) return;
  const [oldest] = all.sort(([, a], [, b]) => a.startedAt - b.startedAt);
  if (oldest) secretSets.delete(oldest[0]);
}

/** Oldest first. */
export function secretSetsOf(
  stored: readonly StoredSecretSet[],
  clusterId: string,
  vaults: Pick<Vaults, 'versionsOf'>,
): readonly SecretSet[] {
  return stored
    .filter((set) => set.clusterId === clusterId.toLowerCase())
    .sort((a, b) => a.startedAt - b.startedAt)
    .map(({ namespace, pod, podUid, startedAt, hashes }) => {
      const values = Object.entries(hashes).map(
        ([variable, hash]): SecretSetValue => ({
          variable,
          hash: hash.slice(0, 12),
          versions: vaults.versionsOf(hash),
        }),
      );
      return {
        namespace,
        pod,
        podUid,
        startedAt: new Date(startedAt).toISOString(),
        hash: hashOf(JSON.stringify(hashes)).slice(0, 16),
        values,
        isMixed: isMixed(values),
      };
    });
}

/** Whether there was no moment at which each value was the current one; what is in no vault does not count. */
export function isMixed(values: readonly Pick<SecretSetValue, 'versions'>[]): boolean {
  const known = values.map(({ versions }) => versions).filter((versions) => versions.length > 0);
  const moments = known.flatMap((versions) => versions.map(({ createdAt }) => createdAt));
  const isCurrent = (version: VaultVersion, at: string): boolean =>
    version.createdAt <= at && (version.supersededAt === null || at < version.supersededAt);
  return (
    moments.length > 0 &&
    !moments.some((at) => known.every((versions) => versions.some((version) => isCurrent(version, at))))
  );
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

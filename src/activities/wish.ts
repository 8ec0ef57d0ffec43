/**
 * What a resource is asked to be, as a short mark: everything from outside that decides it, which of the spec is what its
 * looks have read. While the mark is the one it was last found as asked under, whatever differs was changed by somebody
 * else; otherwise it is a change of ours.
 */
import { createHash } from 'node:crypto';
import type { Json, Outputs, ResourceKey } from '../graph/resource.ts';
import type { Names } from '../naming.ts';
import type { Rotation, Workload } from '../resources/scope.ts';
import type { DeploymentSpec } from '../spec/spec.ts';
import type { DeploymentRecord } from '../store/store.ts';
import { valueAt } from './spec-reads.ts';

/** Which resources heed which wishes: another's debug pod makes nothing of theirs a change of ours. */
const rotated: Readonly<Partial<Record<ResourceKey, Rotation>>> = {
  'entra/client-secret': 'client-secret',
  'azure/postgres-password': 'postgres-password',
  'azure/storage-credentials': 'storage-key',
  'cloudflare/tunnel-token': 'tunnel-token',
  'azure/webui-secret-key': 'webui-secret-key',
};
const restarted: Readonly<Partial<Record<ResourceKey, Workload>>> = {
  'kubernetes/open-webui': 'open-webui',
  'kubernetes/ollama': 'ollama',
  'kubernetes/cloudflared': 'cloudflared',
  'kubernetes/redis': 'redis',
};

export interface Asked {
  readonly key: ResourceKey;
  readonly spec: DeploymentSpec;
  readonly names: Names;
  readonly record: Pick<DeploymentRecord, 'rotateAfter' | 'wishes'>;
  /** What the resources it depends on have told. */
  readonly dependencies: Readonly<Partial<Record<ResourceKey, Outputs>>>;
}

/** Remembers, beside the mark, of which fields of the spec it is one. */
export const wishOf = (asked: Asked, reads: readonly string[]): string =>
  [markOf(asked, reads), ...reads.map(encodeURIComponent)].join(' ');

/** Whether a wish of before is the one of now. */
export function isStillAsked(wish: string, asked: Asked): boolean {
  return wish === wishOf(asked, readsIn(wish));
}

/** The same wish, read by a look that may have come further or less far. */
export const wishToo = (asked: Asked, wish: string, reads: readonly string[]): string =>
  wishOf(asked, [...new Set([...readsIn(wish), ...reads])].sort());

const readsIn = (wish: string): readonly string[] => wish.split(' ').slice(1).map(decodeURIComponent);

function markOf({ key, spec, names, record, dependencies }: Asked, reads: readonly string[]): string {
  const { rotateAfter, wishes } = record;
  const rotation = rotated[key];
  const workload = restarted[key];
  const outputs = Object.entries(dependencies).toSorted(([one], [other]) => one.localeCompare(other));
  const text = JSON.stringify([
    reads.map((read) => [read, valueAt(spec, read) ?? null]),
    names,
    rotation === undefined ? null : rotateAfter[rotation],
    workload === undefined ? null : wishes.restartAfter[workload],
    key === 'kubernetes/external-secrets' ? wishes.syncAfter : null,
    key === 'kubernetes/ollama-models' ? wishes.unwantedModels : null,
    outputs,
  ]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/**
 * Whether a secret has another version than it had: then what it lacks is what new versions lack, and nobody took it away.
 * References to secrets stand in outputs as `{vaultUrl, name, version}`.
 */
export function hasNewVersion(before: Outputs | undefined, now: Outputs): boolean {
  return Object.entries(now).some(([field, value]) => {
    const [was, is] = [versionIn(before?.[field]), versionIn(value)];
    return was !== undefined && is !== undefined && was !== is;
  });
}

function versionIn(value: Json | undefined): string | undefined {
  return typeof value === 'object' && value !== null && 'vaultUrl' in value && 'version' in value
    ? String(value.version)
    : undefined;
}

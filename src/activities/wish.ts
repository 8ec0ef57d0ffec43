/**
 * What a resource is asked to be, as a short mark: everything from outside that decides it. While the mark is the one it
 * was last found as asked under, whatever differs was changed by somebody else; otherwise it is a change of ours.
 */
import { createHash } from 'node:crypto';
import type { Json, Outputs, ResourceKey } from '../graph/resource.ts';
import type { Rotation, Workload } from '../resources/scope.ts';
import type { DeploymentSpec } from '../spec/spec.ts';
import type { DeploymentRecord } from '../store/store.ts';

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

export function wishOf(
  key: ResourceKey,
  spec: DeploymentSpec,
  { rotateAfter, wishes }: Pick<DeploymentRecord, 'rotateAfter' | 'wishes'>,
  dependencies: Readonly<Partial<Record<ResourceKey, Outputs>>>,
): string {
  // How others' changes are treated changes nothing about what is asked for.
  const { drift: _, deletionProtection: __, ...asked } = spec;
  const rotation = rotated[key];
  const workload = restarted[key];
  const outputs = Object.entries(dependencies).toSorted(([one], [other]) => one.localeCompare(other));
  const text = JSON.stringify([
    asked,
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

import type { KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { DeploymentSpec } from '../../spec/spec.ts';
import { growing, requestedBy } from '../kinds/claim.ts';
import type { Unready } from '../kinds/kubernetes-object.ts';
import { kubernetesObjects } from '../kinds/kubernetes-object.ts';
import { isLessQuantity } from '../kinds/quantity.ts';
import { namespace } from './namespace.ts';

export const OLLAMA_VOLUME = 'ollama-data';

/**
 * The disk that keeps the models. Its storage class waits for the first pod, so it is ready while still unbound, and until
 * then its size is fixed: only bound claims can grow. None can shrink: one that somebody has made larger stays so.
 */
export const ollamaVolume = kubernetesObjects({
  key: 'kubernetes/ollama-volume',
  title: 'Ollama volume',
  dependsOn: { namespace },
  isWanted: ({ spec }) => spec.ollama.externalUrl === undefined,
  objects: ({ spec }) => [
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      name: OLLAMA_VOLUME,
      labels: { app: 'ollama' },
      body: (_deps, found) => ({
        spec: claimOf(
          spec,
          found && phaseOf(found) !== 'Bound' ? requestedBy(found) : `${spec.ollama.storageGiB}Gi`,
        ),
      }),
      yielded: (object, found) =>
        found && isLessQuantity(requestedBy(object), requestedBy(found))
          ? { ...object, spec: claimOf(spec, requestedBy(found)) }
          : object,
    },
  ],
  readiness: ({ found: [claim] }) => lostClaim(claim) ?? (claim && growing(claim)),
});

const claimOf = ({ ollama }: DeploymentSpec, storage: string) => ({
  accessModes: ['ReadWriteOnce'],
  storageClassName: ollama.storageClass,
  resources: { requests: { storage } },
});

/** A claim whose volume was taken away never recovers by itself. */
export function lostClaim(claim: KubernetesObject | undefined): Unready {
  if (phaseOf(claim) !== 'Lost') return undefined;
  return {
    state: 'failed',
    code: 'VolumeLost',
    message: `the volume of the claim ${claim?.metadata.name} is gone`,
  };
}

export function phaseOf(object: KubernetesObject | undefined): string | undefined {
  const status = object?.['status'];
  if (typeof status !== 'object' || status === null || !('phase' in status)) return undefined;
  return typeof status.phase === 'string' ? status.phase : undefined;
}

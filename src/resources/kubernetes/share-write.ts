/**
 * Proves that the share can be written to with a new key of the storage account before Open WebUI changes to it: a pod
 * of the image that serves now mounts the other claim, which no node has mounted yet, writes a file and takes it away.
 * While Open WebUI is not there or uses that claim already there is nothing to prove, and nothing of an earlier proof is
 * left lying about. When the write fails nothing moves on, and the pods that run keep the mount they have.
 */
import type { KubernetesApi, KubernetesObject, ObjectReference } from '../../clients/kubernetes-api.ts';
import { KubernetesError } from '../../clients/kubernetes-api.ts';
import { fatal } from '../../graph/failure.ts';
import type { DependencyOutputs, Difference, Observed } from '../../graph/resource.ts';
import { managedBy } from '../../naming.ts';
import { connect, describe, foreignReason, isOurs } from '../kinds/kubernetes-object.ts';
import { endOf, isFor, oneShotPod } from '../kinds/one-shot-pod.ts';
import { podOf, troubleOf } from '../kinds/pods.ts';
import { goodImageOf } from '../kinds/rollout.ts';
import { claimsOf, imageOf } from '../kinds/workload.ts';
import { defineResource, type Scope } from '../scope.ts';
import { dataVolume } from './data-volume.ts';
import { externalSecrets } from './external-secrets.ts';
import { namespace } from './namespace.ts';

/** Name of the pod. */
const PROOF = 'open-webui-share-write';
const SCRIPT = `import os, sys
path = "/data/.${managedBy}"
try:
    with open(path, "w") as file:
        file.write("proof")
        file.flush()
        os.fsync(file.fileno())
    os.remove(path)
except OSError as error:
    print(error.strerror, flush=True)
    sys.exit(1)
`;

/** External Secrets' part comes first: with the old key in the Secret the other claim would prove nothing. */
const dependsOn = { namespace, externalSecrets, dataVolume } as const;
type Deps = DependencyOutputs<typeof dependsOn>;
type WriteOutputs = {
  /** The claim that may be used; null while there is nobody whom a bad one could harm. */
  readonly provenClaim: string | null;
};

export const shareWrite = defineResource<typeof dependsOn, WriteOutputs>({
  key: 'kubernetes/share-write',
  title: 'Write to the share',
  dependsOn,
  // Pulling the image to another node, mounting and writing; what takes longer will not work.
  patienceSeconds: 900,

  async observe(scope, deps): Promise<Observed<WriteOutputs>> {
    const api = await connect(scope);
    if (!api) return { state: 'absent' };
    const { wantsProof, isInUse, pod } = await look(scope, api, deps);
    const { claim } = deps.dataVolume;
    if (pod && !isOurs(pod, scope)) return { state: 'foreign', reason: foreignReason(pod) };
    if (pod?.metadata.deletionTimestamp !== undefined) {
      return { state: 'changing', reason: `${describe(pod)} is being deleted`, retryAfterSeconds: 2 };
    }
    if (!wantsProof) {
      const outputs = { provenClaim: isInUse ? claim : null };
      return pod ? { state: 'drifted', outputs, differences: [leftover(pod)] } : { state: 'ready', outputs };
    }
    if (!pod) return { state: 'absent' };
    if (!isFor(pod, claim)) {
      return { state: 'drifted', outputs: { provenClaim: null }, differences: [leftover(pod)] };
    }
    const { phase, message } = endOf(pod, scope.now);
    if (phase === 'Succeeded') return { state: 'ready', outputs: { provenClaim: claim } };
    if (phase === 'Failed') {
      return { state: 'failed', code: 'ShareWriteFailed', message: failureMessage(claim, message) };
    }
    const reason = troubleOf(podOf(pod)) ?? 'a pod is trying whether the share can be written to';
    return { state: 'changing', reason, retryAfterSeconds: 5 };
  },

  async ensure(scope, deps) {
    const api = await connect(scope);
    if (!api) throw new KubernetesError(404, 'ClusterNotFound', 'the cluster does not exist');
    const { wantsProof, pod, image } = await look(scope, api, deps);
    const { claim } = deps.dataVolume;
    if (pod && wantsProof && isFor(pod, claim)) {
      const { phase, message, isRecent } = endOf(pod, scope.now);
      if (phase !== 'Failed') return;
      if (isRecent) throw fatal('ShareWriteFailed', failureMessage(claim, message));
    }
    if (pod) await removeShareProof(scope);
    else if (wantsProof) await api.apply(proofPod(scope, claim, image));
  },

  async remove(scope) {
    await removeShareProof(scope);
  },
});

const referenceOf = ({ names }: Pick<Scope, 'names'>): ObjectReference => ({
  apiVersion: 'v1',
  kind: 'Pod',
  name: PROOF,
  namespace: names.namespace,
});

async function look(scope: Scope, api: KubernetesApi, deps: Deps) {
  const home = scope.names.namespace;
  const [deployment, pod] = await Promise.all([
    api.find({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'open-webui', namespace: home }),
    api.find(referenceOf(scope)),
  ]);
  const isInUse = claimsOf(deployment).includes(deps.dataVolume.claim);
  return {
    wantsProof: deployment !== undefined && !isInUse,
    isInUse,
    pod,
    image: goodImageOf(deployment) ?? (deployment ? imageOf(deployment) : ''),
  };
}

const leftover = (pod: KubernetesObject): Difference => ({
  path: describe(pod),
  wanted: null,
  found: 'leftover of an earlier proof',
});

const failureMessage = (claim: string, message: string): string =>
  `a pod could not write to the share through the claim ${claim} (${message}): Open WebUI keeps the mount it has`;

export const proofPod = (
  scope: Pick<Scope, 'spec' | 'names'>,
  claim: string,
  image: string,
): KubernetesObject =>
  oneShotPod(scope, {
    name: PROOF,
    proves: claim,
    image,
    script: SCRIPT,
    container: { volumeMounts: [{ name: 'data', mountPath: '/data' }] },
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName: claim } }],
  });

/** Removes the pod if it is ours; not there is success. */
export async function removeShareProof(scope: Scope): Promise<void> {
  const api = await connect(scope);
  const found = await api?.find(referenceOf(scope));
  if (api && found && !found.metadata.deletionTimestamp && isOurs(found, scope)) {
    await api.remove(referenceOf(scope));
  }
}

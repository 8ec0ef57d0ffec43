/** Volumes: there, bound to each other, and of the account and share that the spec means. */
import { z } from 'zod';
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import { claimsOf } from '../../resources/kinds/workload.ts';
import { DATA_VOLUME } from '../../resources/kubernetes/data-volume.ts';
import { OLLAMA_VOLUME, phaseOf } from '../../resources/kubernetes/ollama-volume.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { clusterOf, isOlderThan, quoted } from './cluster.ts';
import { newestWarning } from './events.ts';

/** From the claim to the disk it takes some seconds. */
const BINDING_MINUTES = 2;

const volumeSchema = z.object({
  spec: z
    .object({
      csi: z
        .object({
          volumeHandle: z.string().default(''),
          volumeAttributes: z.record(z.string(), z.string()).default({}),
        })
        .prefault({}),
    })
    .prefault({}),
});

/** A claim of the namespace, or what its absence means. */
async function claimOf(
  scope: CheckScope,
  api: KubernetesApi,
  name: string,
  { resource, breaks }: Pick<CheckFinding, 'resource' | 'breaks'>,
): Promise<KubernetesObject | CheckFinding> {
  const { namespace } = scope.names;
  const claim = await api.find({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name });
  const common = { resource, severity: 'error', breaks, repair: repairOf(scope) } as const;
  if (!claim) {
    return {
      ...common,
      id: 'claim-missing',
      what: `There is no claim ${name} for its volume.`,
      evidence: `kubectl get pvc ${name} -n ${namespace} finds nothing`,
      remedy: 'Have the control plane make it again.',
    };
  }
  if (claim.metadata.deletionTimestamp !== undefined) {
    return {
      ...common,
      id: 'claim-terminating',
      what: `The claim ${name} is being deleted, and goes as soon as no pod uses it.`,
      evidence: 'it has a deletionTimestamp',
      remedy: 'Once it has gone, have the control plane make it again.',
    };
  }
  if (phaseOf(claim) !== 'Lost') return claim;
  const { repair, ...unrepaired } = common;
  return {
    ...unrepaired,
    id: 'volume-lost',
    what: `The volume behind the claim ${name} is gone.`,
    evidence: 'the claim is Lost',
    remedy: `kubectl delete pvc ${name} -n ${namespace}, then ${repair}: it gets a new volume.`,
  };
}

const isFinding = (one: KubernetesObject | CheckFinding): one is CheckFinding => 'evidence' in one;

/** There is a pair of volume and claim for each key of the account; which is in use tells whoever mounts it. */
async function dataClaim({ known, names }: CheckScope, api: KubernetesApi): Promise<string> {
  const claim = known['kubernetes/data-volume']?.outputs['claim'];
  if (typeof claim === 'string') return claim;
  const { namespace } = names;
  const webui = await api.find({ apiVersion: 'apps/v1', kind: 'Deployment', namespace, name: 'open-webui' });
  return claimsOf(webui)[0] ?? DATA_VOLUME;
}

export const dataVolumeBound: Check = {
  id: 'data-volume-bound',
  system: 'storage',
  title: 'The share is bound as the volume of Open WebUI',
  async run(scope) {
    const api = await clusterOf(scope);
    const resource = 'kubernetes/data-volume' as const;
    const name = await dataClaim(scope, api);
    const breaks = 'No further pod of Open WebUI can be started: its uploads and its cache are there.';
    const [claim, volume] = await Promise.all([
      claimOf(scope, api, name, { resource, breaks }),
      api.find({ apiVersion: 'v1', kind: 'PersistentVolume', name }),
    ]);
    const common = { resource, severity: 'error', breaks, repair: repairOf(scope) } as const;
    if (!volume) {
      return [
        {
          ...common,
          id: 'volume-missing',
          what: `There is no volume ${name} that stands for the share.`,
          evidence: `kubectl get pv ${name} finds nothing`,
          remedy: 'Have the control plane make it again.',
        },
        ...(isFinding(claim) ? [claim] : []),
      ];
    }
    if (isFinding(claim)) return [claim];
    const wrong = wrongShare(scope, volume);
    if (wrong) {
      return [
        {
          ...common,
          id: 'wrong-share',
          what: `The volume ${name} stands for another account or share than the spec names.`,
          evidence: wrong,
          breaks: 'Open WebUI reads and writes its files elsewhere.',
          remedy: `A volume cannot be changed: kubectl delete pv ${name}, once no pod uses it, and have it made again.`,
        },
      ];
    }
    if (phaseOf(claim) === 'Bound') return [];
    const phase = phaseOf(volume) ?? '';
    if (phase === 'Released' || phase === 'Failed') {
      return [
        {
          ...common,
          id: 'volume-released',
          what: `The volume ${name} still waits for an earlier claim.`,
          evidence: `the volume is ${phase}, the claim Pending`,
          remedy: `kubectl patch pv ${name} --type merge -p '{"spec":{"claimRef":null}}'`,
        },
      ];
    }
    if (!isOlderThan(claim.metadata.creationTimestamp, BINDING_MINUTES, scope.now)) return [];
    return [
      {
        ...common,
        id: 'claim-unbound',
        what: `The claim ${name} finds no volume that fits it.`,
        evidence: `the claim is Pending, the volume ${phase || 'without a phase'}`,
        remedy: `Compare \`kubectl describe pvc ${name} -n ${scope.names.namespace}\` with \`kubectl describe pv ${name}\`: label, size, access mode, storage class.`,
      },
    ];
  },
};

/** The driver reads account and share from the handle, `group#account#share#…`, and from the attributes. */
function wrongShare({ names, spec }: CheckScope, volume: KubernetesObject): string | undefined {
  const { volumeHandle, volumeAttributes } = volumeSchema.parse(volume).spec.csi;
  const [, account, share] = volumeHandle.split('#');
  const pairs = [
    ['account', account, names.storageAccount],
    ['share', share, spec.storage.share],
    ['account', volumeAttributes['storageAccount'] ?? names.storageAccount, names.storageAccount],
    ['share', volumeAttributes['shareName'] ?? spec.storage.share, spec.storage.share],
  ] as const;
  const wrong = pairs.find(([, found, wanted]) => found !== wanted);
  return wrong && `its ${wrong[0]} is ${wrong[1] || 'not named'}, and should be ${wrong[2]}`;
}

export const ollamaVolumeBound: Check = {
  id: 'ollama-volume-bound',
  system: 'storage',
  title: 'The disk with the models is bound',
  isWanted: ({ spec }) => spec.ollama.externalUrl === undefined,
  async run(scope) {
    const api = await clusterOf(scope);
    const resource = 'kubernetes/ollama-volume' as const;
    const breaks = 'Ollama does not start, so no model answers.';
    const claim = await claimOf(scope, api, OLLAMA_VOLUME, { resource, breaks });
    if (isFinding(claim)) return [claim];
    if (phaseOf(claim) === 'Bound') return [];
    const { storageClass: name } = scope.spec.ollama;
    const storageClass = await api.find({ apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', name });
    const common = { resource, severity: 'error', breaks } as const;
    if (!storageClass) {
      return [
        {
          ...common,
          id: 'storage-class-missing',
          what: `The storage class ${name} of the disk does not exist.`,
          evidence: `the claim ${OLLAMA_VOLUME} is Pending, and kubectl get storageclass ${name} finds nothing`,
          remedy:
            'Make the storage class, or name another in ollama.storageClass and delete the unbound claim.',
        },
      ];
    }
    const { namespace } = scope.names;
    const warning = await newestWarning(api, namespace, claim);
    if (!warning) return [];
    return [
      {
        ...common,
        id: 'disk-not-made',
        what: 'Azure does not make the disk for the models.',
        evidence: quoted(`${warning.reason}: ${warning.message}`),
        remedy: `kubectl describe pvc ${OLLAMA_VOLUME} -n ${namespace}; see the quota for disks of the subscription.`,
      },
    ];
  },
};

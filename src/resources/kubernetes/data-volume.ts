/**
 * The Azure Files share as a volume for all replicas of Open WebUI: a static PersistentVolume and its claim, bound to
 * each other by label. https://learn.microsoft.com/azure/aks/azure-csi-files-storage-provision
 *
 * A node keeps a share mounted with the key it was mounted with for as long as any pod there uses the volume, and pods of
 * a rollout overlap. So each of the account's two keys has a volume and a claim of its own for the same share: pods that
 * change to the other claim mount it afresh. A pair that is not in use is idle and does no harm.
 */
import { z } from 'zod';
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { DependencyOutputs } from '../../graph/resource.ts';
import { fileShare } from '../azure/file-share.ts';
import { resourceGroup } from '../azure/resource-group.ts';
import { storageAccount } from '../azure/storage-account.ts';
import { type KeyName, storageCredentials } from '../azure/storage-credentials.ts';
import { storageEndpoint } from '../azure/storage-endpoint.ts';
import { requestedBy } from '../kinds/claim.ts';
import type { Manifest, Unready } from '../kinds/kubernetes-object.ts';
import { kubernetesObjects } from '../kinds/kubernetes-object.ts';
import type { Scope } from '../scope.ts';
import { STORAGE_SECRET } from './external-secrets.ts';
import { namespace } from './namespace.ts';
import { lostClaim, phaseOf } from './ollama-volume.ts';

export const DATA_VOLUME = 'open-webui-data';

/** Name of the volume, and of its claim, that is mounted with a key. */
export const volumeOf = (key: KeyName): string => (key === 'key1' ? DATA_VOLUME : `${DATA_VOLUME}-${key}`);

/** Open WebUI runs as root, and several nodes write at once: hence the owner, and links without a shared socket. */
const mountOptions = [
  'dir_mode=0777',
  'file_mode=0777',
  'uid=0',
  'gid=0',
  'mfsymlinks',
  'cache=strict',
  'nosharesock',
];

const dependsOn = {
  namespace,
  resourceGroup,
  storageAccount,
  fileShare,
  storageEndpoint,
  storageCredentials,
} as const;
type Deps = DependencyOutputs<typeof dependsOn>;

/**
 * Must be unique in the cluster. The driver reads its fields by position, and the fifth is there for nothing else
 * (GetFileShareInfo in pkg/azurefile/azurefile.go of kubernetes-sigs/azurefile-csi-driver).
 */
const handleOf = (deps: Deps, key: KeyName): string =>
  [
    deps.resourceGroup.name,
    deps.storageAccount.name,
    deps.fileShare.name,
    ...(key === 'key1' ? [] : ['', key]),
  ].join('#');

function pairOf(
  { spec, names }: Pick<Scope, 'spec' | 'names'>,
  key: KeyName,
): readonly Manifest<typeof dependsOn>[] {
  const storage = `${spec.storage.quotaGiB}Gi`;
  const name = volumeOf(key);
  const volumeLabel = { 'open-webui-control-plane/volume': name };
  return [
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      name,
      isClusterScoped: true,
      labels: { app: 'open-webui', ...volumeLabel },
      body: (deps) => ({
        spec: {
          capacity: { storage },
          accessModes: ['ReadWriteMany'],
          persistentVolumeReclaimPolicy: 'Retain',
          mountOptions,
          csi: {
            driver: 'file.csi.azure.com',
            volumeHandle: handleOf(deps, key),
            volumeAttributes: {
              resourceGroup: deps.resourceGroup.name,
              storageAccount: deps.storageAccount.name,
              shareName: deps.fileShare.name,
              protocol: 'smb',
            },
            nodeStageSecretRef: { name: STORAGE_SECRET, namespace: names.namespace },
          },
        },
      }),
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      name,
      labels: { app: 'open-webui' },
      body: (_deps, found) => ({
        spec: {
          accessModes: ['ReadWriteMany'],
          // Said empty: left out, the default class would make a new disk instead.
          storageClassName: '',
          selector: { matchLabels: volumeLabel },
          // A claim for a volume that was not made for it can never grow, nor does it have to: what the share holds is
          // the quota's to say. The volume does tell its size, so that a claim that is made anew finds it large enough.
          resources: { requests: { storage: found ? requestedBy(found) : storage } },
        },
      }),
    },
  ];
}

const objects = kubernetesObjects<typeof dependsOn, { readonly claim: string }>({
  key: 'kubernetes/data-volume',
  title: 'Data volume',
  dependsOn,
  objects: (scope, { storageCredentials: credentials }) => [
    ...pairOf(scope, 'key1'),
    ...(credentials?.keyName === 'key2' ? pairOf(scope, 'key2') : []),
  ],
  outputs: (_scope, deps) => ({ claim: volumeOf(deps.storageCredentials.keyName) }),
  readiness: ({ deps, found }): Unready => {
    const name = volumeOf(deps.storageCredentials.keyName);
    const named = found.filter(({ metadata }) => metadata.name === name);
    const volume = named.find(({ kind }) => kind === 'PersistentVolume');
    const claim = named.find(({ kind }) => kind === 'PersistentVolumeClaim');
    const lost = lostClaim(claim);
    if (lost) return lost;
    if (phaseOf(claim) === 'Bound') return undefined;
    if (isReleased(volume)) {
      return {
        state: 'failed',
        code: 'VolumeReleased',
        message: 'the volume still waits for an earlier claim',
      };
    }
    return { state: 'changing', reason: `the claim ${name} is not bound to its volume yet` };
  },
});

const isReleased = (volume: KubernetesObject | undefined): boolean =>
  ['Released', 'Failed'].includes(phaseOf(volume) ?? '');

/** A volume remembers the uid of its claim, and refuses the one that is made when that was deleted. */
async function forgetEarlierClaim(api: KubernetesApi, name: string): Promise<void> {
  const reference = { apiVersion: 'v1', kind: 'PersistentVolume', name };
  if (isReleased(await api.find(reference))) await api.mergePatch(reference, { spec: { claimRef: null } });
}

const podSchema = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    volumes: z
      .array(z.object({ persistentVolumeClaim: z.object({ claimName: z.string() }).optional() }))
      .default([]),
  }),
  status: z.object({ phase: z.string().default('') }).prefault({}),
});

/** Pods that may have a volume of this name mounted, also those on their way out. */
export async function usersOfVolume(
  api: KubernetesApi,
  namespaceName: string,
  claim: string,
): Promise<readonly string[]> {
  const pods = await api.list({ apiVersion: 'v1', kind: 'Pod', namespace: namespaceName });
  return pods
    .map((pod) => podSchema.parse(pod))
    .filter(({ spec }) => spec.volumes.some((volume) => volume.persistentVolumeClaim?.claimName === claim))
    .filter(({ status }) => status.phase !== 'Succeeded' && status.phase !== 'Failed')
    .map(({ metadata }) => metadata.name);
}

export const dataVolume: typeof objects = {
  ...objects,
  async ensure(scope, deps, seen) {
    await objects.ensure(scope, deps, seen);
    if (seen.state !== 'failed') return;
    const api = await scope.clients.kubernetes(scope.names.resourceGroup, scope.names.cluster);
    await forgetEarlierClaim(api, volumeOf(deps.storageCredentials.keyName));
  },
  async remove(scope, deps, seen) {
    // Both pairs, whichever is in use: the credentials may be gone, and an idle pair is left over from a rotation.
    const storageCredentials = { ...deps.storageCredentials, keyName: 'key2' } as Deps['storageCredentials'];
    await objects.remove(scope, { ...deps, storageCredentials }, seen);
  },
};

/**
 * The Azure Files share as a volume for all replicas of Open WebUI: a static PersistentVolume and its claim, bound to
 * each other by label. https://learn.microsoft.com/azure/aks/azure-csi-files-storage-provision
 */
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import { fileShare } from '../azure/file-share.ts';
import { resourceGroup } from '../azure/resource-group.ts';
import { storageAccount } from '../azure/storage-account.ts';
import { storageEndpoint } from '../azure/storage-endpoint.ts';
import type { Unready } from '../kinds/kubernetes-object.ts';
import { kubernetesObjects } from '../kinds/kubernetes-object.ts';
import { STORAGE_SECRET } from './external-secrets.ts';
import { namespace } from './namespace.ts';
import { lostClaim, phaseOf } from './ollama-volume.ts';

export const DATA_VOLUME = 'open-webui-data';
const volumeLabel = { 'open-webui-control-plane/volume': DATA_VOLUME };

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

const objects = kubernetesObjects({
  key: 'kubernetes/data-volume',
  title: 'Data volume',
  dependsOn: { namespace, resourceGroup, storageAccount, fileShare, storageEndpoint },
  objects: ({ spec, names }) => {
    const storage = `${spec.storage.quotaGiB}Gi`;
    return [
      {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        name: DATA_VOLUME,
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
              // Must be unique in the cluster; the driver reads nothing from it here.
              volumeHandle: [deps.resourceGroup.name, deps.storageAccount.name, deps.fileShare.name].join(
                '#',
              ),
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
        name: DATA_VOLUME,
        labels: { app: 'open-webui' },
        body: () => ({
          spec: {
            accessModes: ['ReadWriteMany'],
            // Said empty: left out, the default class would make a new disk instead.
            storageClassName: '',
            selector: { matchLabels: volumeLabel },
            resources: { requests: { storage } },
          },
        }),
      },
    ];
  },
  readiness: ({ found: [volume, claim] }): Unready => {
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
    return { state: 'changing', reason: `the claim ${DATA_VOLUME} is not bound to its volume yet` };
  },
});

const isReleased = (volume: KubernetesObject | undefined): boolean =>
  ['Released', 'Failed'].includes(phaseOf(volume) ?? '');

/** A volume remembers the uid of its claim, and refuses the one that is made when that was deleted. */
async function forgetEarlierClaim(api: KubernetesApi): Promise<void> {
  const reference = { apiVersion: 'v1', kind: 'PersistentVolume', name: DATA_VOLUME };
  if (isReleased(await api.find(reference))) await api.mergePatch(reference, { spec: { claimRef: null } });
}

export const dataVolume: typeof objects = {
  ...objects,
  async ensure(scope, deps, seen) {
    await objects.ensure(scope, deps, seen);
    if (seen.state !== 'failed') return;
    await forgetEarlierClaim(await scope.clients.kubernetes(scope.names.resourceGroup, scope.names.cluster));
  },
};

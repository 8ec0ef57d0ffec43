/**
 * Whether a pod's volumes can be mounted on its node now, in the words of kubelet and CSI drivers
 * (kubernetes-sigs/azurefile-csi-driver, azuredisk-csi-driver).
 */
import type { ApiServer } from '../api/api-server.ts';
import { CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS } from '../api/kinds.ts';
import { ATTACH_DISK, MOUNT_SHARE } from '../durations.ts';
import type { ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod } from '../object.ts';
import { amount } from '../quantity.ts';
import type { ControllerContext, KubernetesNeighbours } from './controller.ts';
import { secretData } from './pod-environment.ts';
import { usesClaim } from './volumes.ts';

type Volume = NonNullable<Pod['spec']['volumes']>[number];

export interface MountedVolume {
  readonly volume: string;
  readonly isPersistent: boolean;
  readonly capacityBytes: () => number | undefined;
}

export type Prepared =
  | { readonly ok: true; readonly milliseconds: number; readonly volumes: ReadonlyMap<string, MountedVolume> }
  | { readonly ok: false; readonly reason: 'FailedMount' | 'FailedAttachVolume'; readonly message: string };

/** `isStaged`: this node has the volume mounted already for another pod, so the driver does not go to the share again. */
export function prepareVolumes(
  context: ControllerContext,
  pod: Pod,
  vnetId: string,
  isStaged: (volume: string) => boolean,
): Prepared {
  const volumes = new Map<string, MountedVolume>();
  let milliseconds = 0;
  for (const volume of pod.spec.volumes ?? []) {
    const claim = volume.persistentVolumeClaim?.claimName;
    if (claim === undefined) {
      const why = prepareLocal(context.api, pod, volume);
      if (why !== undefined) {
        return {
          ok: false,
          reason: 'FailedMount',
          message: `MountVolume.SetUp failed for volume "${volume.name}" : ${why}`,
        };
      }
      volumes.set(volume.name, {
        volume: pod.metadata.uid,
        isPersistent: false,
        capacityBytes: () => amount(volume.emptyDir?.sizeLimit) || undefined,
      });
      continue;
    }
    const persistent = volumeOfClaim(context.api, pod.metadata.namespace ?? '', claim);
    if (!persistent) {
      return {
        ok: false,
        reason: 'FailedMount',
        message: `MountVolume.SetUp failed for volume "${volume.name}" : persistentvolumeclaim "${claim}" not bound`,
      };
    }
    const { name } = persistent.metadata;
    const driver = persistent.spec.csi?.driver ?? 'kubernetes.io/unknown';
    if (driver === 'file.csi.azure.com') {
      if (!isStaged(name)) {
        const why = mountShare(context.api, context.neighbours, persistent, vnetId);
        if (why !== undefined) {
          return {
            ok: false,
            reason: 'FailedMount',
            message: `MountVolume.MountDevice failed for volume "${name}" : ${why}`,
          };
        }
        milliseconds = Math.max(milliseconds, MOUNT_SHARE);
      }
    } else if (driver === 'disk.csi.azure.com') {
      const holder = otherHolder(context.api, pod, claim);
      if (holder !== undefined) {
        return {
          ok: false,
          reason: 'FailedAttachVolume',
          message: `Multi-Attach error for volume "${name}" Volume is already used by pod(s) ${holder}`,
        };
      }
      if (!isStaged(name)) milliseconds = Math.max(milliseconds, ATTACH_DISK);
    } else {
      return {
        ok: false,
        reason: 'FailedMount',
        message: `MountVolume.MountDevice failed for volume "${name}" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name ${driver} not found in the list of registered CSI drivers`,
      };
    }
    volumes.set(volume.name, {
      volume: name,
      isPersistent: true,
      capacityBytes: () => fileSystemOf(context.api, pod.metadata.namespace ?? '', claim),
    });
  }
  return { ok: true, milliseconds, volumes };
}

/** What the file system has: the claim tells it, and the volume how large the disk is. */
const fileSystemOf = (api: ApiServer, namespace: string, name: string): number | undefined =>
  amount(
    api.find<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, namespace, name)?.status?.capacity?.['storage'],
  ) || undefined;

export function volumeOfClaim(api: ApiServer, namespace: string, name: string): PersistentVolume | undefined {
  const claim = api.find<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, namespace, name);
  if (claim?.status?.phase !== 'Bound') return undefined;
  return api.find<PersistentVolume>(PERSISTENT_VOLUMES, '', claim.spec.volumeName ?? '');
}

function prepareLocal(api: ApiServer, pod: Pod, volume: Volume): string | undefined {
  const namespace = pod.metadata.namespace ?? '';
  if (volume.secret) {
    const name = volume.secret.secretName ?? '';
    const data = secretData(api, namespace, name);
    if (data === undefined) return volume.secret.optional ? undefined : `secret "${name}" not found`;
    const lost = volume.secret.items?.find(({ key }) => data[key] === undefined);
    return lost && `references non-existent secret key: ${lost.key}`;
  }
  if (volume.configMap) {
    const name = volume.configMap.name ?? '';
    const map = api.find<ConfigMap>(CONFIG_MAPS, namespace, name);
    if (!map) return volume.configMap.optional ? undefined : `configmap "${name}" not found`;
    const lost = volume.configMap.items?.find(
      ({ key }) => map.data?.[key] === undefined && map.binaryData?.[key] === undefined,
    );
    return lost && `references non-existent config key: ${lost.key}`;
  }
  if (volume.csi)
    return `kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name ${volume.csi.driver} not found in the list of registered CSI drivers`;
  return undefined;
}

/** NodeStageVolume of file.csi.azure.com; undefined when the share mounts. */
export function mountShare(
  api: ApiServer,
  neighbours: Pick<KubernetesNeighbours, 'storageAccounts'>,
  volume: PersistentVolume,
  vnetId: string,
): string | undefined {
  const { csi } = volume.spec;
  const reference = csi?.nodeStageSecretRef;
  const name = reference?.name ?? '';
  const namespace = reference?.namespace ?? '';
  if (!reference)
    return 'rpc error: code = InvalidArgument desc = GetAccountInfo failed with error: nodeStageSecretRef is required for a static share';
  const data = secretData(api, namespace, name);
  if (!data) {
    return `fetching NodeStageSecretRef ${namespace}/${name} failed: kubernetes.io/csi: failed to find the secret ${name} in the namespace ${namespace} with error: secrets "${name}" not found`;
  }
  const account = data['azurestorageaccountname']?.trim();
  const key = data['azurestorageaccountkey']?.trim();
  if (!account || !key) {
    return `rpc error: code = Internal desc = GetAccountInfo(${csi?.volumeHandle}) failed with error: could not find azurestorageaccountname or azurestorageaccountkey field in secret(${name}) of namespace(${namespace})`;
  }
  const share = csi?.volumeAttributes?.['shareName'] ?? csi?.volumeHandle.split('#')[2] ?? '';
  if (share === '')
    return `rpc error: code = InvalidArgument desc = failed to get account name or share from ${csi?.volumeHandle}`;
  const mounted = neighbours.storageAccounts.mountShare({ account, key, share, vnetId });
  if (mounted.ok) return undefined;
  return `rpc error: code = Internal desc = volume(${csi?.volumeHandle}) mount //${account}.file.core.windows.net/${share} failed with mount failed: exit status 32: ${mounted.reason}`;
}

/** A disk is attached to one node: a pod elsewhere that still has it keeps it. */
function otherHolder(api: ApiServer, pod: Pod, claim: string): string | undefined {
  return api
    .list<Pod>(PODS, pod.metadata.namespace)
    .find(
      (other) =>
        other.metadata.uid !== pod.metadata.uid &&
        other.spec.nodeName !== undefined &&
        other.spec.nodeName !== pod.spec.nodeName &&
        other.status?.phase !== 'Succeeded' &&
        other.status?.phase !== 'Failed' &&
        usesClaim(other, claim),
    )?.metadata.name;
}

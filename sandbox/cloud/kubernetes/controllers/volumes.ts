/** Binds claims to volumes: static ones by selector, dynamic ones by storage class (pkg/controller/volume/persistentvolume). */
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES } from '../api/kinds.ts';
import { matchesLabels } from '../api/selectors.ts';
import { PROVISION_DISK } from '../durations.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod, StorageClass } from '../object.ts';
import { amount } from '../quantity.ts';
import type { Controller, ControllerContext } from './controller.ts';

const SELECTED_NODE = 'volume.kubernetes.io/selected-node';
const COMPONENT = { component: 'persistentvolume-controller' };

export const volumes: Controller = (context) => {
  const { api } = context;
  for (const claim of api.list<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)) {
    if (claim.metadata.deletionTimestamp !== undefined) release(context, claim);
    else if (claim.status?.phase !== 'Bound') bind(context, claim);
    else if (!api.find(PERSISTENT_VOLUMES, '', claim.spec.volumeName ?? '')) {
      api.changeStatus(
        PERSISTENT_VOLUME_CLAIMS,
        claim,
        (draft) => (draft.status = { ...draft.status, phase: 'Lost' }),
      );
    }
  }
  for (const volume of api.list<PersistentVolume>(PERSISTENT_VOLUMES)) settle(context, volume);
};

export function usesClaim(pod: Pod, claim: string): boolean {
  return pod.spec.volumes?.some((volume) => volume.persistentVolumeClaim?.claimName === claim) ?? false;
}

function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** pvc-protection: a claim goes only when no pod uses it any more. */
function release({ api }: ControllerContext, claim: PersistentVolumeClaim): void {
  const isUsed = api
    .list<Pod>(PODS, claim.metadata.namespace)
    .some((pod) => !isFinished(pod) && usesClaim(pod, claim.metadata.name));
  if (isUsed) return;
  api.change(PERSISTENT_VOLUME_CLAIMS, claim, (draft) => {
    draft.metadata.finalizers = (draft.metadata.finalizers ?? []).filter(
      (name) => name !== 'kubernetes.io/pvc-protection',
    );
  });
}

function bind(context: ControllerContext, claim: PersistentVolumeClaim): void {
  const { api, events } = context;
  const { name, uid } = claim.metadata;
  const fitting = api
    .list<PersistentVolume>(PERSISTENT_VOLUMES)
    .filter((volume) => fits(volume, claim))
    .sort(
      (left, right) => amount(left.spec.capacity?.['storage']) - amount(right.spec.capacity?.['storage']),
    );
  const chosen =
    fitting.find((volume) => volume.spec.claimRef?.uid === uid || volume.spec.claimRef?.name === name) ??
    fitting[0];
  if (chosen) {
    join(context, claim, chosen);
    return;
  }
  const storageClass = api.find<StorageClass>(STORAGE_CLASSES, '', claim.spec.storageClassName ?? '');
  const say = (type: 'Normal' | 'Warning', reason: string, message: string): void => {
    const known = lastSaid.get(claim.metadata.uid);
    if (known === message) return;
    lastSaid.set(claim.metadata.uid, message);
    events.record(claim, type, reason, message, COMPONENT);
  };
  if (
    claim.spec.volumeName !== undefined ||
    claim.spec.selector !== undefined ||
    !claim.spec.storageClassName
  ) {
    say(
      'Normal',
      'FailedBinding',
      'no persistent volumes available for this claim and no storage class is set',
    );
    return;
  }
  if (!storageClass) {
    say(
      'Warning',
      'ProvisioningFailed',
      `storageclass.storage.k8s.io "${claim.spec.storageClassName}" not found`,
    );
    return;
  }
  if (storageClass.provisioner !== 'disk.csi.azure.com') {
    say(
      'Warning',
      'ProvisioningFailed',
      'the sandbox provisions managed disks only; bring an Azure Files share as a volume of your own',
    );
    return;
  }
  const node = claim.metadata.annotations?.[SELECTED_NODE];
  if (storageClass.volumeBindingMode === 'WaitForFirstConsumer' && node === undefined) {
    say('Normal', 'WaitForFirstConsumer', 'waiting for first consumer to be created before binding');
    return;
  }
  provision(context, claim, storageClass);
}

/** What was last said about a claim, so that a pass does not repeat it. */
const lastSaid = new Map<string, string>();

function fits(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const { claimRef } = volume.spec;
  const { namespace, name, uid } = claim.metadata;
  if (volume.metadata.deletionTimestamp !== undefined) return false;
  if (claimRef) {
    if (claimRef.namespace !== namespace || claimRef.name !== name) return false;
    if (claimRef.uid !== undefined && claimRef.uid !== uid) return false;
  } else if (volume.status?.phase === 'Released' || volume.status?.phase === 'Failed') return false;
  if (claim.spec.volumeName !== undefined && claim.spec.volumeName !== volume.metadata.name) return false;
  if ((volume.spec.storageClassName ?? '') !== (claim.spec.storageClassName ?? '')) return false;
  if (claim.spec.selector && !matchesLabels(claim.spec.selector, volume.metadata.labels)) return false;
  if (!(claim.spec.accessModes ?? []).every((mode) => volume.spec.accessModes?.includes(mode))) return false;
  return amount(volume.spec.capacity?.['storage']) >= amount(claim.spec.resources?.requests?.['storage']);
}

function join({ api }: ControllerContext, claim: PersistentVolumeClaim, volume: PersistentVolume): void {
  const { namespace = '', name, uid, resourceVersion } = claim.metadata;
  api.change(PERSISTENT_VOLUMES, volume, (draft) => {
    draft.spec.claimRef = {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      namespace,
      name,
      uid,
      resourceVersion: draft.spec.claimRef?.resourceVersion ?? resourceVersion,
    };
    draft.metadata.annotations = {
      ...draft.metadata.annotations,
      'pv.kubernetes.io/bound-by-controller': 'yes',
    };
  });
  const bound = api.change(PERSISTENT_VOLUME_CLAIMS, claim, (draft) => {
    draft.spec.volumeName = volume.metadata.name;
    draft.metadata.annotations = {
      ...draft.metadata.annotations,
      'pv.kubernetes.io/bind-completed': 'yes',
      'pv.kubernetes.io/bound-by-controller': 'yes',
    };
  });
  api.changeStatus(PERSISTENT_VOLUME_CLAIMS, bound, (draft) => {
    draft.status = {
      phase: 'Bound',
      accessModes: volume.spec.accessModes ?? [],
      capacity: { storage: volume.spec.capacity?.['storage'] ?? '0' },
    };
  });
}

function provision(
  context: ControllerContext,
  claim: PersistentVolumeClaim,
  storageClass: StorageClass,
): void {
  const { api, events, now } = context;
  const { namespace = '', name, uid } = claim.metadata;
  const startedAt = claim.metadata.annotations?.['volume.kubernetes.io/storage-provisioner'];
  if (startedAt === undefined) {
    api.change(PERSISTENT_VOLUME_CLAIMS, claim, (draft) => {
      draft.metadata.annotations = {
        ...draft.metadata.annotations,
        'volume.beta.kubernetes.io/storage-provisioner': storageClass.provisioner,
        'volume.kubernetes.io/storage-provisioner': storageClass.provisioner,
      };
    });
    readyAt.set(uid, now + PROVISION_DISK);
    events.record(
      claim,
      'Normal',
      'Provisioning',
      `External provisioner is provisioning volume for claim "${namespace}/${name}"`,
      {
        component: 'disk.csi.azure.com',
      },
    );
  }
  const due = readyAt.get(uid) ?? now;
  if (now < due) {
    context.wake(due);
    return;
  }
  const volumeName = `pvc-${uid}`;
  api.create<PersistentVolume>(
    PERSISTENT_VOLUMES,
    '',
    {
      metadata: {
        name: volumeName,
        annotations: { 'pv.kubernetes.io/provisioned-by': storageClass.provisioner },
      },
      spec: {
        capacity: { storage: claim.spec.resources?.requests?.['storage'] ?? '1Gi' },
        accessModes: claim.spec.accessModes ?? ['ReadWriteOnce'],
        persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
        storageClassName: storageClass.metadata.name,
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid },
        csi: {
          driver: storageClass.provisioner,
          volumeHandle: `/subscriptions/-/resourceGroups/-/providers/Microsoft.Compute/disks/${volumeName}`,
          volumeAttributes: { ...storageClass.parameters },
        },
      },
    },
    { manager: 'csi-provisioner' },
  );
  events.record(claim, 'Normal', 'ProvisioningSucceeded', `Successfully provisioned volume ${volumeName}`, {
    component: 'disk.csi.azure.com',
  });
}

/** When a disk on its way exists; forgotten by a restart, after which it exists at once. */
const readyAt = new Map<string, number>();

function settle({ api }: ControllerContext, volume: PersistentVolume): void {
  const { claimRef } = volume.spec;
  const claim =
    claimRef &&
    api.find<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, claimRef.namespace ?? '', claimRef.name ?? '');
  const isHeld = claim !== undefined && (claimRef?.uid === undefined || claim.metadata.uid === claimRef.uid);
  const wasHeld = claimRef?.uid !== undefined;
  const phase = isHeld && claimRef?.uid !== undefined ? 'Bound' : wasHeld ? 'Released' : 'Available';
  if (phase === 'Released' && volume.spec.persistentVolumeReclaimPolicy === 'Delete') {
    api.removeNow(PERSISTENT_VOLUMES, volume);
    return;
  }
  if (volume.metadata.deletionTimestamp !== undefined && phase !== 'Bound') {
    api.change(PERSISTENT_VOLUMES, volume, (draft) => {
      draft.metadata.finalizers = (draft.metadata.finalizers ?? []).filter(
        (name) => name !== 'kubernetes.io/pv-protection',
      );
    });
    return;
  }
  api.changeStatus(PERSISTENT_VOLUMES, volume, (draft) => {
    draft.status = {
      ...draft.status,
      phase,
      lastPhaseTransitionTime:
        draft.status?.phase === phase ? (draft.status.lastPhaseTransitionTime ?? api.now()) : api.now(),
    };
  });
}

/**
 * Disks whose claims ask for more than they have: external-resizer has the disk grown while it stays attached, and the
 * node then grows the file system, which waits for a pod that has it mounted.
 * https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
 */
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS } from '../api/kinds.ts';
import { EXPAND_DISK, GROW_FILE_SYSTEM } from '../durations.ts';
import {
  type Condition,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
  withCondition,
} from '../object.ts';
import { amount } from '../quantity.ts';
import type { Controller, ControllerContext } from './controller.ts';
import { usesClaim } from './volumes.ts';

const DRIVER = 'disk.csi.azure.com';
const RESIZER = { component: `external-resizer ${DRIVER}` };

export const volumeGrowth: Controller = (context) => {
  const { api } = context;
  for (const claim of api.list<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)) {
    if (claim.status?.phase !== 'Bound' || claim.metadata.deletionTimestamp !== undefined) continue;
    const volume = api.find<PersistentVolume>(PERSISTENT_VOLUMES, '', claim.spec.volumeName ?? '');
    if (volume?.metadata.annotations?.['pv.kubernetes.io/provisioned-by'] !== DRIVER) continue;
    const asked = amount(claim.spec.resources?.requests?.['storage']);
    if (asked > amount(volume.spec.capacity?.['storage'])) growDisk(context, claim, volume);
    else if (amount(volume.spec.capacity?.['storage']) > amount(claim.status.capacity?.['storage'])) {
      growFileSystem(context, claim, volume);
    }
  }
};

/** When a growth under way is through; forgotten by a restart, after which it is through at once. */
const dueAt = new Map<string, number>();

function isThrough({ now, wake }: ControllerContext, what: string, takes: number): boolean {
  const due = dueAt.get(what) ?? now + takes;
  dueAt.set(what, due);
  if (now < due) {
    wake(due);
    return false;
  }
  dueAt.delete(what);
  return true;
}

function growDisk(context: ControllerContext, claim: PersistentVolumeClaim, volume: PersistentVolume): void {
  const { api, events } = context;
  const { name } = volume.metadata;
  const size = claim.spec.resources?.requests?.['storage'] ?? '0';
  if (!hasCondition(claim, 'Resizing')) {
    say(context, claim, [{ type: 'Resizing', status: 'True' }]);
    events.record(claim, 'Normal', 'Resizing', `External resizer is resizing volume ${name}`, RESIZER);
  }
  if (!isThrough(context, `disk ${claim.metadata.uid} ${size}`, EXPAND_DISK)) return;
  api.change(PERSISTENT_VOLUMES, volume, (draft) => {
    draft.spec.capacity = { ...draft.spec.capacity, storage: size };
  });
  const message = 'Waiting for user to (re-)start a pod to finish file system resize of volume on node.';
  say(context, claim, [{ type: 'FileSystemResizePending', status: 'True', message }]);
  events.record(
    claim,
    'Normal',
    'FileSystemResizeRequired',
    'Require file system resize of volume on node',
    RESIZER,
  );
}

function growFileSystem(
  context: ControllerContext,
  claim: PersistentVolumeClaim,
  volume: PersistentVolume,
): void {
  const { api, events } = context;
  const isMounted = api
    .list<Pod>(PODS, claim.metadata.namespace)
    .some((pod) => pod.status?.phase === 'Running' && usesClaim(pod, claim.metadata.name));
  if (!isMounted) return;
  const storage = volume.spec.capacity?.['storage'] ?? '0';
  if (!isThrough(context, `files ${claim.metadata.uid} ${storage}`, GROW_FILE_SYSTEM)) return;
  api.changeStatus(PERSISTENT_VOLUME_CLAIMS, claim, (draft) => {
    const { conditions: _, ...status } = draft.status ?? {};
    draft.status = { ...status, capacity: { ...status.capacity, storage } };
  });
  const message = `MountVolume.NodeExpandVolume succeeded for volume "${volume.metadata.name}"`;
  events.record(claim, 'Normal', 'FileSystemResizeSuccessful', message, { component: 'kubelet' });
}

const hasCondition = (claim: PersistentVolumeClaim, type: string): boolean =>
  claim.status?.conditions?.some((condition) => condition.type === type) ?? false;

/** These conditions and no others. */
function say(
  { api }: ControllerContext,
  claim: PersistentVolumeClaim,
  conditions: readonly Condition[],
): void {
  api.changeStatus(PERSISTENT_VOLUME_CLAIMS, claim, (draft) => {
    const put = conditions.flatMap((condition) => withCondition(undefined, condition, api.now()));
    draft.status = { ...draft.status, conditions: put };
  });
}

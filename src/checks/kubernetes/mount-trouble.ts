/**
 * Why a pod that is only being created does not get on, which stands in its events alone: its volumes are not mounted, or
 * its node gives it no network. One fault has many texts there: what the driver said, then that it took too long, then
 * that the attempt before still goes on. So the texts of the last minutes are read together, and not the newest alone.
 */
import type { ResourceKey } from '../../graph/resource.ts';
import type { Pod } from '../../resources/kinds/pods.ts';
import { isOlderThan, quoted } from './cluster.ts';
import { timeOf, type Warning } from './events.ts';
import type { Look, PodTrouble } from './pod-trouble.ts';

/**
 * A mount is tried again after at most 2 minutes and 2 seconds (pkg/util/goroutinemap/exponentialbackoff), and the driver
 * has two minutes for it (pkg/volume/csi, csiTimeout): what was said longer ago than both has not come again.
 */
const LIVE_MINUTES = 5;

type Known = readonly [words: RegExp, trouble: Omit<PodTrouble, 'evidence'>];

/** Of file.csi.azure.com and mount.cifs: https://learn.microsoft.com/troubleshoot/azure/azure-kubernetes/storage/fail-to-mount-azure-file-share */
const share: readonly Known[] = [
  [
    /failed to find the secret|could not find azurestorageaccount(name|key)|secrets? "[^"]*" not found/i,
    {
      id: 'storage-secret-missing',
      resource: 'kubernetes/external-secrets',
      what: 'wait for a mount: the Secret with the storage key is missing',
      remedy:
        'kubectl describe externalsecret open-webui-storage; have the control plane bring it over again.',
      cure: 'repair',
    },
  ],
  [
    /mount error\(13\)|Permission denied/i,
    {
      id: 'mount-denied',
      resource: 'azure/storage-credentials',
      what: 'cannot mount the share: the storage account refuses the key (mount error 13)',
      remedy:
        'az storage account keys list; compare with the secret storage-account-key in the vault, and look at shared-key access and firewall of the account.',
      cure: 'repair',
    },
  ],
  [
    /could not resolve address|Unable to find suitable address|Name or service not known/i,
    {
      id: 'storage-name-unresolved',
      resource: 'azure/private-dns-zones',
      what: 'cannot mount the share: the name of the storage account does not resolve',
      remedy:
        'Look at the zone privatelink.file.core.windows.net: its record and its link to the network (az network private-dns link vnet list).',
      cure: 'repair',
    },
  ],
  [
    /mount error\((115|112|113|110|111)\)|Operation now in progress|Host is down|No route to host|Connection timed out/i,
    {
      id: 'storage-unreachable',
      resource: 'azure/storage-endpoint',
      what: 'cannot mount the share: the storage account does not answer on the network (mount error 115)',
      remedy:
        'az network private-endpoint show; is its connection approved, and does a network security group block port 445?',
      cure: 'repair',
    },
  ],
  [
    /mount error\(2\)|No such file or directory|ShareNotFound/i,
    {
      id: 'share-missing',
      resource: 'azure/file-share',
      what: 'cannot mount the share: it does not exist (mount error 2)',
      remedy: 'az storage share-rm restore if it was deleted, or have the control plane make it again.',
      cure: 'repair',
    },
  ],
];

/** Of the attach-detach controller and disk.csi.azure.com. */
const disk: readonly Known[] = [
  [
    /Multi-Attach/i,
    {
      id: 'disk-held-elsewhere',
      resource: 'kubernetes/ollama-volume',
      what: 'wait for their disk, which another node still holds',
      remedy: 'Wait some minutes; with a node that is lost: kubectl delete volumeattachment <name>.',
      cure: 'none',
    },
  ],
  [
    /maximum number of data disks|node\(s\) exceed max volume count/i,
    {
      id: 'node-takes-no-disk',
      resource: 'azure/cluster',
      what: 'wait for their disk: their node holds as many disks as its size admits',
      remedy: 'Move other pods with disks away, or use larger machines or more nodes.',
      cure: 'none',
    },
  ],
  [
    /disk .*not found|ResourceNotFound|could not find the disk/i,
    {
      id: 'disk-missing',
      resource: 'kubernetes/ollama-volume',
      what: 'wait for their disk, which Azure does not have any more',
      remedy:
        'kubectl get pv; delete the claim of the disk and have the control plane make it again: the models are pulled anew.',
      cure: 'none',
    },
  ],
];

/** What each workload mounts; the others mount nothing that is kept. */
const volumes: Partial<
  Readonly<Record<ResourceKey, { readonly resource: ResourceKey; readonly mounts: readonly Known[] }>>
> = {
  'kubernetes/open-webui': { resource: 'kubernetes/data-volume', mounts: share },
  'kubernetes/ollama': { resource: 'kubernetes/ollama-volume', mounts: disk },
};

/** The volume of a workload; the workload itself where it has none of its own. */
export const volumeOf = (workload: ResourceKey): ResourceKey => volumes[workload]?.resource ?? workload;

const mountReasons = ['FailedMount', 'FailedAttachVolume', 'FailedMapVolume'];

/** `warnings` of this pod. */
export function mountTrouble(
  { scope, resource, namespace }: Pick<Look, 'scope' | 'resource' | 'namespace'>,
  { status }: Pick<Pod, 'status'>,
  warnings: readonly Warning[],
): PodTrouble | undefined {
  // Mounts come before the network, and that before images: what was said of either is over.
  const hasNetwork = status.conditions.some(
    ({ type, status: is }) => type === 'PodReadyToStartContainers' && is === 'True',
  );
  if (hasNetwork) return undefined;
  const live = warnings
    .filter((warning) => !isOlderThan(timeOf(warning), LIVE_MINUTES, scope.now))
    // The same one each time, whichever came last.
    .toSorted((one, other) => one.message.localeCompare(other.message));
  const ofMounts = live.filter(({ reason }) => mountReasons.includes(reason));
  for (const [words, trouble] of volumes[resource]?.mounts ?? []) {
    const warning = ofMounts.find(({ message }) => words.test(message));
    if (warning) return { ...trouble, evidence: evidenceOf(warning) };
  }
  const common = { remedy: `kubectl describe pods -n ${namespace}`, cure: 'none' } as const;
  const [unknown] = ofMounts;
  if (unknown) {
    return {
      ...common,
      id: 'mount-failed',
      resource: volumeOf(resource),
      what: 'wait for a volume that cannot be mounted',
      evidence: evidenceOf(unknown),
    };
  }
  const sandbox = live.find(({ reason }) => reason === 'FailedCreatePodSandBox');
  return (
    sandbox && {
      ...common,
      id: 'no-sandbox',
      resource,
      what: 'get no network on their node',
      evidence: evidenceOf(sandbox),
    }
  );
}

/** Other pods change their names, and the trouble stays. */
const evidenceOf = ({ reason, message }: Warning): string =>
  `${reason}: ${quoted(message.replaceAll(/pod\(s\) .*$/g, 'another pod'))}`;

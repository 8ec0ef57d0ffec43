/**
 * How long things take in a cluster, in virtual milliseconds. Orders of magnitude as seen on AKS with Standard SSDs
 * and a registry in the same region; the exact value matters less than that nothing is instantaneous.
 */
import type { Software } from '../neighbours.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Image pull on a node that has no layer of it: open-webui is about 1.6 GB packed, ollama 1.9 GB, the others small. */
export const PULL: Readonly<Record<Software, number>> = {
  'open-webui': 55 * SECOND,
  ollama: 60 * SECOND,
  cloudflared: 20 * SECOND,
  valkey: 20 * SECOND,
  'external-secrets': 22 * SECOND,
  reloader: 20 * SECOND,
  other: 25 * SECOND,
};

/** From the start of the process until it listens; Open WebUI imports its Python world and loads an embedding model. */
export const START: Readonly<Record<Software, number>> = {
  'open-webui': 15 * SECOND,
  ollama: 10 * SECOND,
  cloudflared: 2 * SECOND,
  valkey: 1 * SECOND,
  'external-secrets': 5 * SECOND,
  reloader: 3 * SECOND,
  other: 0,
};

/** From SIGTERM to the end of the process. */
export const STOP: Readonly<Record<Software, number>> = {
  'open-webui': 3 * SECOND,
  ollama: 1 * SECOND,
  cloudflared: 1 * SECOND,
  valkey: 1 * SECOND,
  'external-secrets': 1 * SECOND,
  reloader: 1 * SECOND,
  other: 1 * SECOND,
};

/** Open WebUI creating its schema in an empty database, before it goes on starting. */
export const FIRST_MIGRATION = 25 * SECOND;

/** Python with psycopg2, before the first line of a program that imports nothing else. */
export const PYTHON_IMPORTS = 1 * SECOND;

/** Sandbox, network and the container itself (containerd). */
export const CREATE_CONTAINER = 1 * SECOND;

/** `AttachVolume` of a managed disk to a scale-set instance and its first format. */
export const ATTACH_DISK = 12 * SECOND;
/** CreateVolume of disk.csi.azure.com. */
export const PROVISION_DISK = 4 * SECOND;
/** ControllerExpandVolume of disk.csi.azure.com: a disk that stays attached while it grows. */
export const EXPAND_DISK = 10 * SECOND;
/** NodeExpandVolume: the node sees the larger disk and grows the file system on it. */
export const GROW_FILE_SYSTEM = 5 * SECOND;
export const MOUNT_SHARE = 2 * SECOND;

/** Kubelet: image pull and crash back-off start here and double (pkg/kubelet/kubelet.go). */
export const FIRST_BACKOFF = 10 * SECOND;
export const LONGEST_BACKOFF = 5 * MINUTE;
/** A container that ran this long starts its back-off anew. */
export const BACKOFF_RESET = 10 * MINUTE;
/** The kubelet shows ErrImagePull until its next look at the pod, ImagePullBackOff after it. */
export const PULL_ERROR_SHOWN = 3 * SECOND;
/** The kubelet's sync period for a pod that cannot start. */
export const KUBELET_SYNC = 10 * SECOND;
/** Retries of a failed mount double from half a second up to this (exponentialbackoff of the volume manager). */
export const FIRST_MOUNT_RETRY = 500;
export const LONGEST_MOUNT_RETRY = 122 * SECOND;

/** A process looks after its connections no oftener than this when the world changes. */
export const RECHECK = 5 * SECOND;
/** cloudflared retries a refused registration with back-off; this is its usual pause. */
export const TUNNEL_RETRY = 15 * SECOND;

/** ESO retries a failed sync with exponential back-off between these (pkg/controllers/common, BuildRateLimiter). */
export const SECRET_RETRY = 1 * SECOND;
export const LONGEST_SECRET_RETRY = 7 * MINUTE;
/** A SecretStore that did not validate is looked at again. */
export const STORE_RETRY = 1 * MINUTE;
/** SecretStore: `--store-requeue-interval`. */
export const STORE_REQUEUE = 5 * MINUTE;

/** Events are kept this long by the API server (`--event-ttl`). */
export const EVENT_TTL = 60 * MINUTE;

/** Model download from the Ollama registry, bytes per virtual second. */
export const MODEL_BYTES_PER_SECOND = 60_000_000;

/** `helm repo add`, rendering and sending a chart. */
export const HELM_COMMAND = 4 * SECOND;
export const HELM_WAIT_STEP = 2 * SECOND;

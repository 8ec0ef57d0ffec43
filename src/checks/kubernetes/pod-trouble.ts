/**
 * Why pods of a Deployment do not do their work, as a person finds out with `kubectl describe pod` and `kubectl logs
 * --previous`, and whose fault it is. The same trouble gives the same words whichever of its phases a pod is caught in:
 * one that crashes is now running, now waiting, now ended. All reasons stand side by side, hence the length.
 */
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import { KubernetesError } from '../../clients/kubernetes-api.ts';
import type { ResourceKey } from '../../graph/resource.ts';
import { isReady, type Pod, podsOf } from '../../resources/kinds/pods.ts';
import type { CheckScope } from '../check.ts';
import { isOlderThan, quoted } from './cluster.ts';
import { type Warning, warningsIn } from './events.ts';
import { putDownTo } from './foreign-template.ts';
import { blameOf, lastWordsOf } from './last-words.ts';

export interface PodTrouble {
  readonly id: string;
  readonly resource: ResourceKey;
  /** Completes "Pods of <Deployment> …". */
  readonly what: string;
  readonly evidence: string;
  readonly remedy: string;
  readonly canRepair: boolean;
}

/** What is younger has not had the time to show what is wrong with it. */
const SETTLE_MINUTES = 1;
/** As long as the startup probe of Open WebUI allows, which is the slowest to start. */
const START_MINUTES = 16;
const UNREADY_MINUTES = 2;
const RECENT_MINUTES = 60;
const MANY_RESTARTS = 3;

interface Look {
  readonly scope: CheckScope;
  readonly api: KubernetesApi;
  readonly namespace: string;
  /** Of the Deployment. */
  readonly resource: ResourceKey;
  readonly warningsOf: (pod: Pod) => Promise<readonly Warning[]>;
}

type Container = Pod['status']['containerStatuses'][number];

/** Each trouble once, those of the newest template first. */
export async function troubleInPods(
  scope: CheckScope,
  api: KubernetesApi,
  deployment: KubernetesObject,
  resource: ResourceKey,
): Promise<readonly PodTrouble[]> {
  const namespace = deployment.metadata.namespace ?? '';
  const { current, older } = await podsOf(api, deployment);
  let warnings: Promise<readonly Warning[]> | undefined;
  const warningsOf = async ({ metadata }: Pod): Promise<readonly Warning[]> => {
    warnings ??= warningsIn(api, namespace);
    return (await warnings).filter(({ involvedObject }) => involvedObject.name === metadata.name);
  };
  const look: Look = { scope, api, namespace, resource, warningsOf };
  const found = new Map<string, PodTrouble>();
  for (const pod of [...current, ...older]) {
    const seen = isReady(pod) ? await restartsOf(look, pod) : await troubleOf(look, pod);
    const trouble = seen && putDownTo(deployment, resource, seen);
    if (trouble && !found.has(`${trouble.resource} ${trouble.id}`))
      found.set(`${trouble.resource} ${trouble.id}`, trouble);
  }
  return [...found.values()];
}

async function troubleOf(look: Look, pod: Pod): Promise<PodTrouble | undefined> {
  const { scope, resource } = look;
  if (!isOlderThan(pod.metadata.creationTimestamp, SETTLE_MINUTES, scope.now)) return undefined;
  const unscheduled = pod.status.conditions.find(
    ({ type, status, reason }) => type === 'PodScheduled' && status === 'False' && reason === 'Unschedulable',
  );
  if (unscheduled) return unschedulable(look, unscheduled.message);
  for (const container of pod.status.containerStatuses) {
    const trouble =
      (await crashOf(look, pod, container)) ??
      (await imageTrouble(look, pod, container)) ??
      (await configTrouble(look, container));
    if (trouble) return trouble;
  }
  const isStarting = pod.status.containerStatuses.every(({ state }) => !state.running && !state.terminated);
  if (isStarting) return mountTrouble(look, pod);
  return unreadiness(look, pod, resource);
}

/** https://github.com/kubernetes/kubernetes/blob/master/pkg/scheduler/framework/types.go (FitError) */
function unschedulable({ resource, namespace }: Look, message: string): PodTrouble {
  // What preemption would bring says nothing more about the cause.
  const evidence = `the scheduler says: ${quoted(message.replace(/\.? ?preemption:.*$/s, ''))}`;
  const describePods = `kubectl describe pods -n ${namespace}`;
  const trouble = (
    id: string,
    what: string,
    remedy: string,
    whose: ResourceKey = resource,
    canRepair = false,
  ): PodTrouble => ({ id, resource: whose, what, evidence, remedy, canRepair });
  if (/persistentvolumeclaim|PersistentVolumeClaims|volume node affinity/i.test(message)) {
    return trouble(
      'volume-not-bound',
      'wait for their volume',
      'kubectl get pvc,pv; have the control plane make what is missing.',
      volumeOf(resource),
      true,
    );
  }
  if (/Insufficient (cpu|memory)|Too many pods/i.test(message)) {
    const [, which = 'pods'] = /Insufficient (cpu|memory)/i.exec(message) ?? [];
    return trouble(
      `insufficient-${which}`,
      `find no node with enough ${which === 'pods' ? 'room for one more pod' : which}`,
      'Ask for less in `resources` of the spec, or add nodes: az aks nodepool scale.',
    );
  }
  if (/untolerated taint|had taint/i.test(message)) {
    return trouble(
      'untolerated-taint',
      'are kept off every node by a taint',
      'Tolerate it in cluster.tolerations of the spec, or take it off the node pool: az aks nodepool update --node-taints.',
    );
  }
  if (/didn't match/i.test(message)) {
    return trouble(
      'no-matching-node',
      'ask for a node that there is none of',
      'Compare cluster.nodeSelector of the spec with `kubectl get nodes --show-labels`.',
    );
  }
  if (/unschedulable/i.test(message)) {
    return trouble(
      'nodes-cordoned',
      'find only nodes that are cordoned',
      'kubectl uncordon <node>',
      'azure/cluster',
    );
  }
  return trouble('unschedulable', 'cannot be placed on any node', describePods);
}

const volumeOf = (resource: ResourceKey): ResourceKey =>
  resource === 'kubernetes/ollama' ? 'kubernetes/ollama-volume' : 'kubernetes/data-volume';

const imageReasons = [
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
];

/** The reason itself stands in an event; while it backs off, the container's own message only says so. */
async function imageTrouble(look: Look, pod: Pod, { state }: Container): Promise<PodTrouble | undefined> {
  const { reason = '', message = '' } = state.waiting ?? {};
  if (!imageReasons.includes(reason)) return undefined;
  const failed = (await look.warningsOf(pod)).find((warning) =>
    /^Failed to pull image/.test(warning.message),
  );
  const said = failed?.message ?? message;
  const trouble = (id: string, resource: ResourceKey, what: string, remedy: string): PodTrouble => ({
    id,
    resource,
    what,
    evidence: `the kubelet says: ${quoted(said)}`,
    remedy,
    canRepair: true,
  });
  if (/\b40[13]\b|unauthorized|denied|authentication required/i.test(said)) {
    return trouble(
      'image-pull-refused',
      'azure/registry-pull',
      'cannot be started: the registry refuses the cluster',
      'az aks update --attach-acr <registry>, or az role assignment create --role AcrPull for the kubelet identity.',
    );
  }
  if (/not found|manifest unknown|InvalidImageName|invalid reference/i.test(`${reason} ${said}`)) {
    return trouble(
      'image-missing',
      'azure/images',
      'cannot be started: their image is not in the registry',
      'az acr repository show-tags; have the control plane import it again: az acr import.',
    );
  }
  return trouble(
    'image-pull-failed',
    'azure/registry',
    'cannot be started: their image does not come from the registry',
    'az acr check-health; see whether the registry can be reached from the nodes.',
  );
}

/** Environment variables from a Secret or a ConfigMap that is not there. */
async function configTrouble(
  { resource, namespace }: Look,
  { state }: Container,
): Promise<PodTrouble | undefined> {
  const { reason = '', message = '' } = state.waiting ?? {};
  if (!/^(CreateContainerConfigError|CreateContainerError|RunContainerError)$/.test(reason)) return undefined;
  const isSecret = /secret/i.test(message);
  const isConfig = /configmap/i.test(message);
  return {
    id: isSecret ? 'secret-missing' : isConfig ? 'config-missing' : 'container-not-created',
    resource: isSecret ? 'kubernetes/external-secrets' : isConfig ? 'kubernetes/config' : resource,
    what: isSecret
      ? 'cannot be started: a Secret or a key of it is missing'
      : isConfig
        ? 'cannot be started: their ConfigMap or a key of it is missing'
        : 'cannot be started',
    evidence: `the kubelet says: ${quoted(message)}`,
    remedy: isSecret
      ? `kubectl get externalsecrets,secrets -n ${namespace}; have the control plane bring it over again.`
      : `kubectl describe pods -n ${namespace}`,
    canRepair: isSecret || isConfig,
  };
}

/** Crashes again and again, or was killed for its memory. */
async function crashOf(look: Look, pod: Pod, container: Container): Promise<PodTrouble | undefined> {
  const { scope, resource, namespace } = look;
  const { state, lastState, restartCount, name } = container;
  const end = lastState.terminated ?? state.terminated;
  if (!end) return undefined;
  // Between two waits it runs for a moment, and is no better for that.
  const isHeldUp = state.waiting !== undefined && state.waiting.reason !== 'ContainerCreating';
  const enough = isReady(pod) || isHeldUp ? MANY_RESTARTS : 1;
  const isLooping =
    state.waiting?.reason === 'CrashLoopBackOff' ||
    (restartCount >= enough && !isOlderThan(end.finishedAt, RECENT_MINUTES, scope.now));
  const isKilled = end.reason === 'OOMKilled' && !isOlderThan(end.finishedAt, RECENT_MINUTES, scope.now);
  if (isKilled) {
    return {
      id: 'out-of-memory',
      resource,
      what: 'are killed because they use more memory than they may',
      evidence: `container ${name} ended with OOMKilled, exit code ${end.exitCode ?? 137}`,
      remedy: 'Raise resources.limits.memory in the spec.',
      canRepair: false,
    };
  }
  if (!isLooping) return undefined;
  const log = (await logOf(look, pod, container)) ?? end.message;
  const blame = blameOf(log);
  const words = blame?.words ?? lastWordsOf(log);
  return {
    id: 'crashes',
    resource: blame?.resource ?? resource,
    what: `crash again and again${blame ? `: ${blame.why}` : ''}`,
    evidence: [
      `container ${name} ends with exit code ${end.exitCode ?? 'unknown'}`,
      words && `its log says: ${words}`,
    ]
      .filter(Boolean)
      .join('; '),
    remedy: blame?.remedy ?? `kubectl logs -n ${namespace} deployment/${name} --previous`,
    canRepair: blame !== undefined,
  };
}

/** A pod that is ready now and was not a while ago. */
async function restartsOf(look: Look, pod: Pod): Promise<PodTrouble | undefined> {
  for (const container of pod.status.containerStatuses) {
    const trouble = await crashOf(look, pod, container);
    if (trouble) return trouble;
  }
  return undefined;
}

/** Of the run that ended; a node that has forgotten it, and a pod that has just gone, have nothing to say. */
async function logOf(
  { api, namespace }: Look,
  { metadata }: Pod,
  { name, state, lastState }: Container,
): Promise<string | undefined> {
  try {
    return await api.log(
      { namespace, name: metadata.name, container: name },
      // Also while it waits: by the time that the kubelet is asked, it may have been started once more.
      { tailLines: 50, previous: state.running !== undefined || lastState.terminated !== undefined },
    );
  } catch (error) {
    if (error instanceof KubernetesError && error.status === 400) return undefined;
    throw error;
  }
}

const mounts: readonly (readonly [RegExp, Omit<PodTrouble, 'evidence'>])[] = [
  [
    /failed to find the secret|could not find azurestorageaccount(name|key)|secrets? "[^"]*" not found/i,
    {
      id: 'storage-secret-missing',
      resource: 'kubernetes/external-secrets',
      what: 'wait for a mount: the Secret with the storage key is missing',
      remedy:
        'kubectl describe externalsecret open-webui-storage; have the control plane bring it over again.',
      canRepair: true,
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
      canRepair: true,
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
      canRepair: true,
    },
  ],
  [
    /mount error\((115|112|113|110|111)\)|Operation now in progress|Host is down|No route to host|timed out/i,
    {
      id: 'storage-unreachable',
      resource: 'azure/storage-endpoint',
      what: 'cannot mount the share: the storage account does not answer on the network (mount error 115)',
      remedy:
        'az network private-endpoint show; is its connection approved, and does a network security group block port 445?',
      canRepair: true,
    },
  ],
  [
    /mount error\(2\)|No such file or directory|ShareNotFound/i,
    {
      id: 'share-missing',
      resource: 'azure/file-share',
      what: 'cannot mount the share: it does not exist (mount error 2)',
      remedy: 'az storage share-rm restore if it was deleted, or have the control plane make it again.',
      canRepair: true,
    },
  ],
  [
    /Multi-Attach/i,
    {
      id: 'disk-held-elsewhere',
      resource: 'kubernetes/ollama-volume',
      what: 'wait for their disk, which another node still holds',
      remedy: 'Wait some minutes; with a node that is lost: kubectl delete volumeattachment <name>.',
      canRepair: false,
    },
  ],
];

async function mountTrouble(look: Look, pod: Pod): Promise<PodTrouble | undefined> {
  const { resource, namespace } = look;
  const warning = (await look.warningsOf(pod)).find(({ reason }) =>
    /^(FailedMount|FailedAttachVolume|FailedMapVolume|FailedCreatePodSandBox)$/.test(reason),
  );
  if (!warning) return undefined;
  const message = quoted(warning.message.replaceAll(/pod\(s\) .*$/g, 'another pod'));
  const evidence = `${warning.reason}: ${message}`;
  const known = mounts.find(([words]) => words.test(warning.message));
  if (known) return { ...known[1], evidence };
  const isMount = warning.reason !== 'FailedCreatePodSandBox';
  return {
    id: isMount ? 'mount-failed' : 'no-sandbox',
    resource: isMount ? volumeOf(resource) : resource,
    what: isMount ? 'wait for a volume that cannot be mounted' : 'get no network on their node',
    evidence,
    remedy: `kubectl describe pods -n ${namespace}`,
    canRepair: false,
  };
}

/** Runs, and its probes fail: for what starts slowly that is so for a while. */
async function unreadiness(look: Look, pod: Pod, resource: ResourceKey): Promise<PodTrouble | undefined> {
  const { scope, namespace, api } = look;
  const { conditions, containerStatuses } = pod.status;
  const unready = containerStatuses.find(({ ready }) => !ready);
  if (!unready) return undefined;
  const { started } = unready;
  const since = conditions.find(({ type }) => type === 'Ready')?.lastTransitionTime;
  const isOverdue =
    started === false
      ? isOlderThan(pod.metadata.creationTimestamp, START_MINUTES, scope.now)
      : isOlderThan(since, UNREADY_MINUTES, scope.now);
  if (!isOverdue) return undefined;
  const [probe] = (await look.warningsOf(pod)).filter(({ reason }) => reason === 'Unhealthy');
  const log = await api.log(
    { namespace, name: pod.metadata.name, container: unready.name },
    { tailLines: 50 },
  );
  const blame = blameOf(log ?? '');
  return {
    id: 'not-ready',
    resource: blame?.resource ?? resource,
    what: `run and do not get ready${blame ? `: ${blame.why}` : ''}`,
    evidence: [
      `container ${unready.name} is not ready`,
      blame ? `its log says: ${blame.words}` : probe && quoted(withoutAddress(probe.message)),
    ]
      .filter(Boolean)
      .join('; '),
    remedy: blame?.remedy ?? `kubectl logs -n ${namespace} deployment/${unready.name}`,
    canRepair: blame !== undefined,
  };
}

/** Pods change their addresses, and the trouble stays. */
const withoutAddress = (message: string): string => message.replaceAll(/\d+\.\d+\.\d+\.\d+/g, '<pod>');

/**
 * Why pods of a Deployment do not do their work, as a person finds out with `kubectl describe pod` and `kubectl logs
 * --previous`, and whose fault it is. The same trouble gives the same words whichever of its phases a pod is caught in:
 * one that crashes is now running, now waiting, now ended. All reasons stand side by side, hence the length.
 */
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { ResourceKey } from '../../graph/resource.ts';
import { isReady, type Pod, podsOf } from '../../resources/kinds/pods.ts';
import type { CheckScope } from '../check.ts';
import { isOlderThan, quoted } from './cluster.ts';
import { type Warning, warningsIn } from './events.ts';
import { putDownTo } from './foreign-template.ts';
import { blameOf, type Cure, lastWordsOf } from './last-words.ts';
import { mountTrouble, volumeOf } from './mount-trouble.ts';
import { logOf } from './pod-log.ts';

export interface PodTrouble {
  readonly id: string;
  readonly resource: ResourceKey;
  /** Completes "Pods of <Deployment> …". */
  readonly what: string;
  readonly evidence: string;
  readonly remedy: string;
  readonly cure: Cure;
}

/** What is younger has not had the time to show what is wrong with it. */
const SETTLE_MINUTES = 1;
/** As long as the startup probe of Open WebUI allows, which is the slowest to start. */
const START_MINUTES = 16;
const UNREADY_MINUTES = 2;
const RECENT_MINUTES = 60;
const MANY_RESTARTS = 3;
/** A container that runs for so long starts its back-off anew, as pkg/kubelet/kubelet.go has it. */
const SHORT_RUN_MINUTES = 10;

export interface Look {
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
  // All at once: a node that is silent about the logs of many pods takes no more time than about that of one.
  const looks = await Promise.all(
    [...current, ...older].map((pod) => (isReady(pod) ? restartsOf(look, pod) : troubleOf(look, pod))),
  );
  const found = new Map<string, PodTrouble>();
  for (const seen of looks) {
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
  if (isStarting) return mountTrouble(look, pod, await look.warningsOf(pod));
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
    cure: Cure = 'none',
  ): PodTrouble => ({ id, resource: whose, what, evidence, remedy, cure });
  if (/persistentvolumeclaim|PersistentVolumeClaims|volume node affinity/i.test(message)) {
    return trouble(
      'volume-not-bound',
      'wait for their volume',
      'kubectl get pvc,pv; have the control plane make what is missing.',
      volumeOf(resource),
      'repair',
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
    cure: 'repair',
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
    cure: isSecret || isConfig ? 'repair' : 'none',
  };
}

/** Crashes again and again, or was killed for its memory. */
async function crashOf(look: Look, pod: Pod, container: Container): Promise<PodTrouble | undefined> {
  const { scope, api, resource, namespace } = look;
  const { state, lastState, restartCount, name } = container;
  const end = lastState.terminated ?? state.terminated;
  if (!end) return undefined;
  // Between two waits it runs for a moment, and is no better for that.
  const isHeldUp = state.waiting !== undefined && state.waiting.reason !== 'ContainerCreating';
  const enough = isReady(pod) || isHeldUp ? MANY_RESTARTS : 1;
  const isLooping =
    state.waiting?.reason === 'CrashLoopBackOff' ||
    (restartCount >= enough &&
      !isOlderThan(end.finishedAt, RECENT_MINUTES, scope.now) &&
      (!isReady(pod) || wasShort(end)));
  const isKilled = end.reason === 'OOMKilled' && !isOlderThan(end.finishedAt, RECENT_MINUTES, scope.now);
  if (isKilled) {
    return {
      id: 'out-of-memory',
      resource,
      what: 'are killed because they use more memory than they may',
      evidence: `container ${name} ended with OOMKilled, exit code ${end.exitCode ?? 137}`,
      remedy: 'Raise resources.limits.memory in the spec.',
      cure: 'none',
    };
  }
  if (!isLooping) return undefined;
  // Also while it waits: by the time that the kubelet is asked, it may have been started once more.
  const previous = state.running !== undefined || lastState.terminated !== undefined;
  const { name: podName } = pod.metadata;
  const said = await logOf(api, { namespace, name: podName, container: name }, { tailLines: 50, previous });
  const log = said ?? end.message;
  const blame = blameOf(resource, log);
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
    cure: blame?.cure ?? 'none',
  };
}

/** Restarts are counted over the whole life of a pod, so one that is ready has to have ended soon after its start. */
const wasShort = ({ startedAt, finishedAt }: NonNullable<Container['state']['terminated']>): boolean =>
  Date.parse(finishedAt ?? '') - Date.parse(startedAt ?? '') < SHORT_RUN_MINUTES * 60_000;

/** A pod that is ready now and was not a while ago. */
async function restartsOf(look: Look, pod: Pod): Promise<PodTrouble | undefined> {
  for (const container of pod.status.containerStatuses) {
    const trouble = await crashOf(look, pod, container);
    if (trouble) return trouble;
  }
  return undefined;
}

/** Runs, and its probes fail: for what starts slowly that is so for a while. */
async function unreadiness(look: Look, pod: Pod, resource: ResourceKey): Promise<PodTrouble | undefined> {
  const { scope, api, namespace } = look;
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
  const { name: podName } = pod.metadata;
  const log = await logOf(api, { namespace, name: podName, container: unready.name }, { tailLines: 50 });
  const blame = blameOf(resource, log ?? '');
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
    cure: blame?.cure ?? 'none',
  };
}

/** Pods change their addresses, and the trouble stays. */
const withoutAddress = (message: string): string => message.replaceAll(/\d+\.\d+\.\d+\.\d+/g, '<pod>');

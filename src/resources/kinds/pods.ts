/**
 * The pods of a Deployment, newest template first, and what keeps one from being ready: in the words a person would find
 * by going through `kubectl describe` pod by pod. While a rollout is under way the old pods serve on, so what they say
 * comes last. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pod-template-hash-label
 */
import { z } from 'zod';
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';

const REVISION = 'deployment.kubernetes.io/revision';
const HASH = 'pod-template-hash';

const conditionsSchema = z
  .array(
    z.object({
      type: z.string(),
      status: z.string(),
      reason: z.string().default(''),
      message: z.string().default(''),
      lastTransitionTime: z.string().nullish(),
    }),
  )
  .default([]);

const terminatedSchema = z.object({
  reason: z.string().default(''),
  exitCode: z.number().optional(),
  message: z.string().default(''),
  startedAt: z.string().nullish(),
  finishedAt: z.string().nullish(),
});

const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).optional(),
    deletionTimestamp: z.string().optional(),
    creationTimestamp: z.string().default(''),
  }),
  spec: z
    .object({
      containers: z.array(z.object({ image: z.string().default('') })).default([]),
      nodeName: z.string().default(''),
    })
    .prefault({}),
  status: z
    .object({
      phase: z.string().optional(),
      conditions: conditionsSchema,
      containerStatuses: z
        .array(
          z.object({
            name: z.string(),
            ready: z.boolean().default(false),
            started: z.boolean().nullish(),
            restartCount: z.number().default(0),
            state: z
              .object({
                waiting: z
                  .object({ reason: z.string().default(''), message: z.string().default('') })
                  .optional(),
                running: z.object({}).optional(),
                terminated: terminatedSchema.optional(),
              })
              .default({}),
            lastState: z.object({ terminated: terminatedSchema.optional() }).default({}),
          }),
        )
        .default([]),
    })
    .prefault({}),
});
export type Pod = z.output<typeof podSchema>;
export const podOf = (pod: KubernetesObject): Pod => podSchema.parse(pod);

const workloadSchema = z.object({
  metadata: z.object({
    namespace: z.string().default(''),
    uid: z.string().default(''),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
  spec: z.object({ selector: z.object({ matchLabels: z.record(z.string(), z.string()).default({}) }) }),
});

const replicaSetSchema = z.object({
  metadata: z.object({
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
    ownerReferences: z.array(z.object({ uid: z.string() })).default([]),
  }),
});

/** As the Deployment counts its templates; empty until its controller has seen it. */
export const revisionOf = ({ metadata }: KubernetesObject): string => metadata.annotations?.[REVISION] ?? '';

export interface PodsOfDeployment {
  /** Made from the template as it is now. */
  readonly current: readonly Pod[];
  readonly older: readonly Pod[];
}

/**
 * Whether a pod has ended for good. One that was evicted, or whose node was shut down, stays as an object and shows what it
 * last was. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
 */
export const isOver = ({ status }: Pick<Pod, 'status'>): boolean =>
  status.phase === 'Failed' || status.phase === 'Succeeded';

/** Where a Deployment's pods are, and by which labels. */
export function selectionOf(deployment: KubernetesObject): { namespace: string; labels: string } {
  const { metadata, spec } = workloadSchema.parse(deployment);
  const labels = Object.entries(spec.selector.matchLabels).map(([key, value]) => `${key}=${value}`);
  return { namespace: metadata.namespace, labels: labels.join(',') };
}

/** Pods that have not ended and are not on their way out, newest first. */
export async function podsOf(api: KubernetesApi, deployment: KubernetesObject): Promise<PodsOfDeployment> {
  const { uid } = workloadSchema.parse(deployment).metadata;
  const { namespace, ...labels } = selectionOf(deployment);
  const [sets, listed] = await Promise.all([
    api.list({ apiVersion: 'apps/v1', kind: 'ReplicaSet', namespace }, labels),
    api.list({ apiVersion: 'v1', kind: 'Pod', namespace }, labels),
  ]);
  const revision = revisionOf(deployment);
  const hash = sets
    .map((set) => replicaSetSchema.parse(set).metadata)
    .find(
      ({ ownerReferences, annotations }) =>
        ownerReferences.some((owner) => owner.uid === uid) && annotations[REVISION] === revision,
    )?.labels[HASH];
  const pods = listed
    .map((pod) => podSchema.parse(pod))
    .filter((pod) => !pod.metadata.deletionTimestamp && !isOver(pod))
    .toSorted((one, other) => other.metadata.creationTimestamp.localeCompare(one.metadata.creationTimestamp));
  const isCurrent = (pod: Pod): boolean => hash !== undefined && pod.metadata.labels[HASH] === hash;
  return { current: pods.filter(isCurrent), older: pods.filter((pod) => !isCurrent(pod)) };
}

/** The first thing that keeps a pod from being ready. */
export async function troubleOfPods(
  api: KubernetesApi,
  deployment: KubernetesObject,
): Promise<string | undefined> {
  const { current, older } = await podsOf(api, deployment);
  const pods = [...current, ...older].filter((pod) => !isReady(pod));
  for (const pod of pods) {
    const trouble = troubleOf(pod);
    if (trouble) return trouble;
  }
  const [newest] = pods;
  return newest && (await warningAbout(api, deployment.metadata.namespace ?? '', newest));
}

export const isReady = ({ status }: Pick<Pod, 'status'>): boolean =>
  status.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True');

/** Reasons that mean nothing but "in a moment". */
const ordinary = new Set(['ContainerCreating', 'PodInitializing', '']);

export function troubleOf({ metadata, status }: Pick<Pod, 'metadata' | 'status'>): string | undefined {
  const unscheduled = status.conditions.find(
    ({ type, status: is, reason }) => type === 'PodScheduled' && is === 'False' && reason !== '',
  );
  if (unscheduled) return sentence(metadata.name, 'cannot be scheduled', unscheduled.message);
  for (const { state, lastState, restartCount, name } of status.containerStatuses) {
    const { reason = '', message = '' } = state.waiting ?? {};
    if (reason === 'CrashLoopBackOff') {
      const { terminated } = lastState;
      const end =
        terminated && `${terminated.reason || 'Error'}, exit code ${terminated.exitCode ?? 'unknown'}`;
      const words = [end, terminated?.message].filter(Boolean).join(': ');
      return sentence(metadata.name, `crashes again and again (${restartCount} restarts of ${name})`, words);
    }
    if (!ordinary.has(reason)) return sentence(metadata.name, `waits: ${reason}`, message);
  }
  return undefined;
}

/** What a pod that is only "creating" waits for (a mount, a Secret) stands in its events alone. */
async function warningAbout(
  api: KubernetesApi,
  namespace: string,
  { metadata }: Pod,
): Promise<string | undefined> {
  const events = await api.list(
    { apiVersion: 'v1', kind: 'Event', namespace },
    { fields: `involvedObject.name=${metadata.name},type=Warning` },
  );
  const newest = events
    .map((event) => eventSchema.parse(event))
    .toSorted((one, other) => other.lastTimestamp.localeCompare(one.lastTimestamp))[0];
  return newest && sentence(metadata.name, newest.reason, newest.message);
}

const eventSchema = z.object({
  reason: z.string().default('Warning'),
  message: z.string().default(''),
  lastTimestamp: z
    .string()
    .nullish()
    .transform((time) => time ?? ''),
});

/** One line, and of a length that fits a status. */
const sentence = (pod: string, what: string, detail: string): string =>
  `pod ${pod} ${what}${detail ? `: ${detail}` : ''}`.replaceAll(/\s+/g, ' ').trim().slice(0, 500);

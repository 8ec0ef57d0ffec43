/**
 * When a Deployment does its work, and if not, why: in the words a person would find by going through `kubectl describe`
 * pod by pod. https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
 */
import { z } from 'zod';
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { Scope } from '../scope.ts';
import type { Unready } from './kubernetes-object.ts';

const deploymentSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string().optional(),
    generation: z.number().optional(),
  }),
  spec: z.object({
    replicas: z.number().default(1),
    selector: z.object({ matchLabels: z.record(z.string(), z.string()).default({}) }),
  }),
  status: z
    .object({
      observedGeneration: z.number().default(0),
      replicas: z.number().default(0),
      updatedReplicas: z.number().default(0),
      readyReplicas: z.number().default(0),
      conditions: z
        .array(
          z.object({
            type: z.string(),
            status: z.string(),
            reason: z.string().default(''),
            message: z.string().default(''),
          }),
        )
        .default([]),
    })
    .prefault({}),
});

/** Whether every replica runs the newest pod template and is ready. */
export function isRolledOut(deployment: KubernetesObject): boolean {
  const { metadata, spec, status } = deploymentSchema.parse(deployment);
  const { observedGeneration, replicas, updatedReplicas, readyReplicas } = status;
  return (
    observedGeneration >= (metadata.generation ?? 0) &&
    [replicas, updatedReplicas, readyReplicas].every((count) => count === spec.replicas)
  );
}

/** `undefined` when it is rolled out. */
export async function workloadReadiness(api: KubernetesApi, deployment: KubernetesObject): Promise<Unready> {
  if (isRolledOut(deployment)) return undefined;
  const { metadata, spec, status } = deploymentSchema.parse(deployment);
  const isSeen = status.observedGeneration >= (metadata.generation ?? 0);
  const { updatedReplicas, readyReplicas } = status;
  const trouble = isSeen
    ? await troubleOfPods(api, { namespace: metadata.namespace ?? '', labels: spec.selector.matchLabels })
    : undefined;
  const stuck = status.conditions.find(
    ({ type, reason }) => type === 'Progressing' && reason === 'ProgressDeadlineExceeded',
  );
  if (isSeen && stuck) {
    return { state: 'failed', code: 'ProgressDeadlineExceeded', message: trouble ?? stuck.message };
  }
  // A quota or an admission policy refuses the pods themselves; then there are none to look at.
  const refusal = status.conditions.find(
    ({ type, status: is }) => type === 'ReplicaFailure' && is === 'True',
  );
  const progress = `${Math.min(updatedReplicas, readyReplicas)} of ${spec.replicas} replicas are ready`;
  return { state: 'changing', reason: trouble ?? refusal?.message ?? `${metadata.name}: ${progress}` };
}

const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    deletionTimestamp: z.string().optional(),
    creationTimestamp: z.string().default(''),
  }),
  status: z
    .object({
      conditions: z
        .array(
          z.object({
            type: z.string(),
            status: z.string(),
            reason: z.string().default(''),
            message: z.string().default(''),
          }),
        )
        .default([]),
      containerStatuses: z
        .array(
          z.object({
            name: z.string(),
            ready: z.boolean().default(false),
            restartCount: z.number().default(0),
            state: z
              .object({
                waiting: z
                  .object({ reason: z.string().default(''), message: z.string().default('') })
                  .optional(),
              })
              .default({}),
            lastState: z
              .object({
                terminated: z
                  .object({
                    reason: z.string().default(''),
                    exitCode: z.number().optional(),
                    message: z.string().default(''),
                  })
                  .optional(),
              })
              .default({}),
          }),
        )
        .default([]),
    })
    .prefault({}),
});
type Pod = z.output<typeof podSchema>;

/** The first thing that keeps a pod from being ready, newest pod first: older ones may be on their way out. */
async function troubleOfPods(
  api: KubernetesApi,
  { namespace, labels }: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
): Promise<string | undefined> {
  const selector = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  const listed = await api.list({ apiVersion: 'v1', kind: 'Pod', namespace }, { labels: selector.join(',') });
  const pods = listed
    .map((pod) => podSchema.parse(pod))
    .filter(({ metadata, status }) => !metadata.deletionTimestamp && !isReady(status))
    .toSorted((one, other) => other.metadata.creationTimestamp.localeCompare(one.metadata.creationTimestamp));
  for (const pod of pods) {
    const trouble = troubleOf(pod);
    if (trouble) return trouble;
  }
  const [newest] = pods;
  return newest && (await warningAbout(api, namespace, newest));
}

const isReady = ({ conditions }: Pod['status']): boolean =>
  conditions.some(({ type, status }) => type === 'Ready' && status === 'True');

/** Reasons that mean nothing but "in a moment". */
const ordinary = new Set(['ContainerCreating', 'PodInitializing', '']);

export function troubleOf({ metadata, status }: Pod): string | undefined {
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

/** Where pods may and must run, as the spec says; nothing when it says nothing. */
export const placement = ({ cluster }: Scope['spec']): Readonly<Record<string, unknown>> => ({
  ...(Object.keys(cluster.nodeSelector).length > 0 ? { nodeSelector: cluster.nodeSelector } : {}),
  ...(cluster.tolerations.length > 0 ? { tolerations: cluster.tolerations } : {}),
});

/** Replicas on different nodes where there are several, never at the price of not running. */
export const spreadOverNodes = (app: string): Readonly<Record<string, unknown>> => ({
  topologySpreadConstraints: [
    {
      maxSkew: 1,
      topologyKey: 'kubernetes.io/hostname',
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: { app } },
    },
  ],
});

/** What every image here can live with; https://kubernetes.io/docs/concepts/security/pod-security-standards/ */
export const tightContainer = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } as const;
export const tightPod = { seccompProfile: { type: 'RuntimeDefault' } } as const;
/** For images that neither need root nor write to their own file system. */
export const tightestContainer = {
  ...tightContainer,
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
} as const;

/** Reloader reads these from the workload itself, not from its pods: https://github.com/stakater/Reloader */
export const reloadAnnotations = ({ reload }: Scope['spec']): Readonly<Record<string, string>> =>
  reload ? { 'reloader.stakater.com/auto': 'true' } : {};

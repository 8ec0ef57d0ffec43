/**
 * When a Deployment does its work, and if not, why; and what all Deployments here have in common.
 * https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
 */
import { z } from 'zod';
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { Scope } from '../scope.ts';
import type { Unready } from './kubernetes-object.ts';
import { troubleOfPods } from './pods.ts';

const deploymentSchema = z.object({
  metadata: z.object({
    name: z.string(),
    generation: z.number().optional(),
  }),
  spec: z.object({ replicas: z.number().default(1) }),
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
            lastUpdateTime: z.string().optional(),
            lastTransitionTime: z.string().optional(),
          }),
        )
        .default([]),
    })
    .prefault({}),
});

export type DeploymentStatus = Pick<z.output<typeof deploymentSchema>, 'status' | 'spec'>;
/** How many pods it wishes for, and what it says of them. */
export const deploymentOf = (deployment: KubernetesObject): DeploymentStatus =>
  deploymentSchema.parse(deployment);

const templateSchema = z.object({
  spec: z.object({
    template: z.object({ spec: z.object({ containers: z.array(z.object({ image: z.string() })) }) }),
  }),
});

/** The image of its pods, as their template names it; empty where there is none. */
export const imageOf = (deployment: KubernetesObject): string =>
  templateSchema.safeParse(deployment).data?.spec.template.spec.containers[0]?.image ?? '';

const mountsSchema = z.object({
  spec: z.object({
    template: z.object({
      spec: z.object({
        volumes: z
          .array(z.object({ persistentVolumeClaim: z.object({ claimName: z.string() }).optional() }))
          .default([]),
      }),
    }),
  }),
});

/** Names of the claims that its pods mount. */
export const claimsOf = (deployment: KubernetesObject | undefined): readonly string[] =>
  (mountsSchema.safeParse(deployment).data?.spec.template.spec.volumes ?? []).flatMap(
    ({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? [],
  );

/** The `Progressing` condition, once the Deployment's controller has seen what was last applied. */
export function progressOf(deployment: KubernetesObject) {
  const { metadata, status } = deploymentSchema.parse(deployment);
  if (status.observedGeneration < (metadata.generation ?? 0)) return undefined;
  return status.conditions.find(({ type }) => type === 'Progressing');
}

/** Whether every replica runs the newest pod template and is ready. */
export function isRolledOut(deployment: KubernetesObject): boolean {
  const { metadata, spec, status } = deploymentSchema.parse(deployment);
  const { observedGeneration, replicas, updatedReplicas, readyReplicas } = status;
  return (
    observedGeneration >= (metadata.generation ?? 0) &&
    [replicas, updatedReplicas, readyReplicas].every((count) => count === spec.replicas)
  );
}

/** As many pods as are wished. */
export const replicasOf = (deployment: KubernetesObject): number =>
  deploymentSchema.parse(deployment).spec.replicas;

/** `undefined` when it is rolled out. */
export async function workloadReadiness(api: KubernetesApi, deployment: KubernetesObject): Promise<Unready> {
  if (isRolledOut(deployment)) return undefined;
  const { metadata, spec, status } = deploymentSchema.parse(deployment);
  const isSeen = status.observedGeneration >= (metadata.generation ?? 0);
  const { updatedReplicas, readyReplicas } = status;
  const trouble = isSeen ? await troubleOfPods(api, deployment) : undefined;
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

/** Where pods may and must run, as the spec says; nothing when it says nothing. */
export const placement = ({ cluster }: Scope['spec']): Readonly<Record<string, unknown>> => ({
  ...(Object.keys(cluster.nodeSelector).length > 0 ? { nodeSelector: cluster.nodeSelector } : {}),
  ...(cluster.tolerations.length > 0 ? { tolerations: cluster.tolerations } : {}),
});

/**
 * Replicas on different nodes where there are several, never at the price of not running. Of the same template only: during
 * a rollout the pods that are about to go would otherwise drive all new ones to one node.
 */
export const spreadOverNodes = (app: string): Readonly<Record<string, unknown>> => ({
  topologySpreadConstraints: [
    {
      maxSkew: 1,
      topologyKey: 'kubernetes.io/hostname',
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: { app } },
      matchLabelKeys: ['pod-template-hash'],
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

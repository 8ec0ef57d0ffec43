/**
 * A pod that tries something once, of the image that serves now, so that no other is trusted: what it may do, for what it
 * was made, and how its end is read.
 */
import { z } from 'zod';
import type { KubernetesObject } from '../../clients/kubernetes-api.ts';
import { managedBy } from '../../naming.ts';
import type { Scope } from '../scope.ts';
import { manifestOf } from './kubernetes-object.ts';
import { placement, tightContainer, tightPod } from './workload.ts';

/** What a pod tries: a version, a claim. */
const provesAnnotation = `${managedBy}/proves`;
/** How long one may take on its node, with the image to pull. */
const ATTEMPT_SECONDS = 120;
/** What failed is tried again after this at the earliest: it may have become right meanwhile. */
const RETRY_MINUTES = 5;

export interface Attempt {
  readonly name: string;
  readonly proves: string;
  readonly image: string;
  /** Python that prints why before it exits with 1. */
  readonly script: string;
  /** What the container needs beside: environment, mounts. */
  readonly container?: Readonly<Record<string, unknown>>;
  readonly volumes?: readonly Readonly<Record<string, unknown>>[];
}

export const oneShotPod = (
  scope: Pick<Scope, 'spec' | 'names'>,
  { name, proves, image, script, container, volumes }: Attempt,
): KubernetesObject =>
  manifestOf(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      name,
      // Not Open WebUI's own label, by which its Service finds the pods that get traffic.
      labels: { app: name },
      annotations: { [provesAnnotation]: proves },
      body: () => ({
        spec: {
          ...placement(scope.spec),
          restartPolicy: 'Never',
          activeDeadlineSeconds: ATTEMPT_SECONDS,
          automountServiceAccountToken: false,
          securityContext: tightPod,
          containers: [
            {
              name: 'attempt',
              image,
              imagePullPolicy: 'IfNotPresent',
              command: ['python', '-c', script],
              // What it prints last is what the pod's status says.
              terminationMessagePolicy: 'FallbackToLogsOnError',
              resources: {
                requests: { cpu: '50m', memory: '64Mi' },
                limits: { cpu: '500m', memory: '256Mi' },
              },
              securityContext: { ...tightContainer, readOnlyRootFilesystem: true },
              ...container,
            },
          ],
          ...(volumes ? { volumes } : {}),
        },
      }),
    },
    scope,
    {},
  );

export const isFor = ({ metadata }: KubernetesObject, proves: string): boolean =>
  metadata.annotations?.[provesAnnotation] === proves;

const endSchema = z.object({
  metadata: z.object({ creationTimestamp: z.string().default('') }),
  status: z
    .object({
      phase: z.string().default(''),
      reason: z.string().default(''),
      containerStatuses: z
        .array(
          z.object({
            state: z
              .object({
                terminated: z
                  .object({
                    exitCode: z.number().optional(),
                    message: z.string().default(''),
                    finishedAt: z.string().nullish(),
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

export interface End {
  /** As Kubernetes names it: `Succeeded`, `Failed`, or one in between. */
  readonly phase: string;
  /** Words of the script, or ours. */
  readonly message: string;
  /** It failed so lately that trying again would only tell the same. */
  readonly isRecent: boolean;
}

/** How an attempt ended, if it has. */
export function endOf(pod: KubernetesObject, now: Date): End {
  const { metadata, status } = endSchema.parse(pod);
  const terminated = status.containerStatuses[0]?.state.terminated;
  const lastLine = terminated?.message.trim().split('\n').at(-1);
  const message =
    status.reason === 'DeadlineExceeded'
      ? `no answer within ${ATTEMPT_SECONDS} seconds`
      : lastLine || status.reason || `exit code ${terminated?.exitCode ?? 'unknown'}`;
  const endedAt = Date.parse(terminated?.finishedAt ?? metadata.creationTimestamp);
  return {
    phase: status.phase,
    message: scrubbed(message),
    isRecent: now.getTime() - endedAt < RETRY_MINUTES * 60_000,
  };
}

/** Whatever the image printed beside the script (an import that fails, say) tells no more than words. */
const scrubbed = (message: string): string =>
  /[:@/=]\S/.test(message) ? 'the pod failed before it could say why' : message.slice(0, 200);

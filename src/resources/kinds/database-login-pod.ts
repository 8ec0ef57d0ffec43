/**
 * The pod that tries a connection string: what it runs, what it is allowed, and how its end is read. It runs once and
 * says nothing that could be part of the string.
 */
import { z } from 'zod';
import type { KubernetesObject } from '../../clients/kubernetes-api.ts';
import { managedBy } from '../../naming.ts';
import type { Scope } from '../scope.ts';
import { manifestOf } from './kubernetes-object.ts';
import { placement, tightContainer, tightPod } from './workload.ts';

/** The name of the pod, and of the ExternalSecret and the Secret that it reads. */
export const PROOF = 'open-webui-database-login';
export const PROOF_KEY = 'DATABASE_URL';

/** Which version of the connection string a pod tries. */
const versionAnnotation = `${managedBy}/proves-version`;
/** How long the pod may take on its node, with the image to pull and three attempts. */
const ATTEMPT_SECONDS = 120;

/**
 * psycopg2 has no SQLSTATE for a login that was refused (https://github.com/psycopg/psycopg/issues/1188) and repeats
 * parts of a malformed URL in its message, so only words of this list are ever printed. A server that cannot be reached
 * is tried again, as the network may still be learning of the pod.
 */
const SCRIPT = `import os, sys, time
import psycopg2
known = ("password authentication failed", "no pg_hba.conf entry", "does not exist", "is not permitted to log in", "too many clients", "remaining connection slots", "starting up", "shutting down", "could not translate host name", "timeout expired", "Connection timed out", "Connection refused", "Network is unreachable", "SSL", "invalid")
final = known[:4]
for attempt in range(3):
    try:
        with psycopg2.connect(os.environ["DATABASE_URL"], connect_timeout=10) as connection:
            connection.cursor().execute("SELECT 1")
        sys.exit(0)
    except psycopg2.Error as error:
        text = str(error)
        print(next((words for words in known if words in text), type(error).__name__), flush=True)
        if any(words in text for words in final):
            break
    time.sleep(5)
sys.exit(1)
`;

/** The image is the one that serves now, so that no other is trusted with the string. */
export const proofPod = (scope: Scope, version: string, image: string): KubernetesObject =>
  manifestOf(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      name: PROOF,
      // Not Open WebUI's own label, by which its Service finds the pods that get traffic.
      labels: { app: PROOF },
      annotations: { [versionAnnotation]: version },
      body: () => ({
        spec: {
          ...placement(scope.spec),
          restartPolicy: 'Never',
          activeDeadlineSeconds: ATTEMPT_SECONDS,
          automountServiceAccountToken: false,
          securityContext: tightPod,
          containers: [
            {
              name: 'login',
              image,
              imagePullPolicy: 'IfNotPresent',
              command: ['python', '-c', SCRIPT],
              env: [{ name: PROOF_KEY, valueFrom: { secretKeyRef: { name: PROOF, key: PROOF_KEY } } }],
              // What it prints last is what the pod's status says.
              terminationMessagePolicy: 'FallbackToLogsOnError',
              resources: {
                requests: { cpu: '50m', memory: '64Mi' },
                limits: { cpu: '500m', memory: '256Mi' },
              },
              securityContext: { ...tightContainer, readOnlyRootFilesystem: true },
            },
          ],
        },
      }),
    },
    scope,
    {},
  );

export const isFor = ({ metadata }: KubernetesObject, version: string): boolean =>
  metadata.annotations?.[versionAnnotation] === version;

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

/** How a proof ended, if it has; the message is words of the script's list, or ours. */
export function endOf(pod: KubernetesObject): { phase: string; message: string; endedAt: number } {
  const { metadata, status } = endSchema.parse(pod);
  const terminated = status.containerStatuses[0]?.state.terminated;
  const lastLine = terminated?.message.trim().split('\n').at(-1);
  const message =
    status.reason === 'DeadlineExceeded'
      ? `no answer within ${ATTEMPT_SECONDS} seconds`
      : lastLine || status.reason || `exit code ${terminated?.exitCode ?? 'unknown'}`;
  return {
    phase: status.phase,
    message: scrubbed(message),
    endedAt: Date.parse(terminated?.finishedAt ?? metadata.creationTimestamp),
  };
}

/** Whatever the image printed beside the script (an import that fails, say) tells no more than words. */
const scrubbed = (message: string): string =>
  /[:@/=]\S/.test(message) ? 'the pod failed before it could say why' : message.slice(0, 200);

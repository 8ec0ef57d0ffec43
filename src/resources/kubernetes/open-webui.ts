/**
 * Open WebUI itself. It migrates its database when it starts, and replicas that start at once migrate at once; so the
 * first start and every new image begin with one replica. Once that one is ready, an annotation records the image whose
 * migration is through, and the wished number of replicas follows.
 */
import { z } from 'zod';
import type { KubernetesObject } from '../../clients/kubernetes-api.ts';
import { managedBy } from '../../naming.ts';
import { images } from '../azure/images.ts';
import { postgresDatabase } from '../azure/postgres-database.ts';
import { postgresParameters } from '../azure/postgres-parameters.ts';
import { registryPull } from '../azure/registry-pull.ts';
import { commonLabels, kubernetesObjects } from '../kinds/kubernetes-object.ts';
import {
  isRolledOut,
  placement,
  reloadAnnotations,
  spreadOverNodes,
  tightContainer,
  tightPod,
  workloadReadiness,
} from '../kinds/workload.ts';
import { config, WEBUI_CONFIG } from './config.ts';
import { DATA_VOLUME, dataVolume } from './data-volume.ts';
import { externalSecrets, WEBUI_SECRET } from './external-secrets.ts';
import { namespace } from './namespace.ts';
import { networkPolicy } from './network-policy.ts';
import { WEBUI_PORT } from './open-webui-service.ts';
import { redis } from './redis.ts';

/** The image whose database migration has been seen through by a single replica. */
const migratedAnnotation = `${managedBy}/migrated-image`;

/** Not `/health/db`: asking the database from a probe stops the whole process while the database hangs. */
const probe = { httpGet: { path: '/health', port: 'http' }, timeoutSeconds: 5 };

const secretVariable = (name: string) => ({
  name,
  valueFrom: { secretKeyRef: { name: WEBUI_SECRET, key: name } },
});

export const openWebui = kubernetesObjects({
  key: 'kubernetes/open-webui',
  title: 'Open WebUI',
  dependsOn: {
    namespace,
    images,
    registryPull,
    config,
    externalSecrets,
    dataVolume,
    postgresDatabase,
    postgresParameters,
    redis,
    networkPolicy,
  },
  objects: ({ spec }) => [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      name: 'open-webui',
      labels: { app: 'open-webui' },
      annotations: reloadAnnotations(spec),
      body: (deps, found) => {
        const image = deps.images.openWebui;
        const isMigrated = hasMigrated(found, image);
        return {
          ...(isMigrated ? { annotations: { [migratedAnnotation]: image } } : {}),
          spec: {
            ...(isAutoscaled(found) ? {} : { replicas: isMigrated ? spec.webui.replicas : 1 }),
            strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
            // Longer than the startup probe allows, so that a slow first start is not called a failure.
            progressDeadlineSeconds: 1200,
            selector: { matchLabels: { app: 'open-webui' } },
            template: {
              metadata: {
                labels: { app: 'open-webui', ...commonLabels('open-webui') },
                // Without Reloader the pods are replaced because their template changes.
                ...(spec.reload
                  ? {}
                  : {
                      annotations: {
                        [`${managedBy}/config`]: deps.config.version,
                        [`${managedBy}/secrets`]: deps.externalSecrets.versions[WEBUI_SECRET] ?? '',
                      },
                    }),
              },
              spec: {
                ...placement(spec),
                ...spreadOverNodes('open-webui'),
                automountServiceAccountToken: false,
                securityContext: tightPod,
                containers: [
                  {
                    name: 'open-webui',
                    image,
                    imagePullPolicy: 'IfNotPresent',
                    ports: [{ name: 'http', containerPort: WEBUI_PORT, protocol: 'TCP' }],
                    envFrom: [{ configMapRef: { name: WEBUI_CONFIG } }],
                    env: ['WEBUI_SECRET_KEY', 'MICROSOFT_CLIENT_SECRET', 'DATABASE_URL'].map(secretVariable),
                    resources: spec.webui.resources,
                    // Migrations and the embedding model over SMB take minutes on half a CPU.
                    startupProbe: { ...probe, periodSeconds: 10, failureThreshold: 90 },
                    readinessProbe: { ...probe, periodSeconds: 10 },
                    livenessProbe: { ...probe, periodSeconds: 20, failureThreshold: 6 },
                    // The image runs as root and writes beside its own code.
                    securityContext: tightContainer,
                    volumeMounts: [{ name: 'data', mountPath: '/app/backend/data' }],
                  },
                ],
                volumes: [{ name: 'data', persistentVolumeClaim: { claimName: DATA_VOLUME } }],
              },
            },
          },
        };
      },
    },
  ],
  readiness: async ({ api, scope, found: [deployment] }) => {
    if (!deployment) return undefined;
    const unready = await workloadReadiness(api, deployment);
    if (unready?.state !== 'changing' || scope.spec.webui.replicas === 1) return unready;
    const isFirst = deployment.metadata.annotations?.[migratedAnnotation] === undefined;
    return isFirst
      ? { ...unready, reason: `one replica first, to migrate the database: ${unready.reason}` }
      : unready;
  },
});

/** Whether a single replica of this image has become ready, now or (recorded) earlier. */
function hasMigrated(found: KubernetesObject | undefined, image: string): boolean {
  if (!found) return false;
  if (found.metadata.annotations?.[migratedAnnotation] === image) return true;
  const deployment = deploymentSchema.safeParse(found);
  if (!deployment.success) return false;
  const { replicas, template } = deployment.data.spec;
  return replicas === 1 && template.spec.containers[0]?.image === image && isRolledOut(found);
}

const deploymentSchema = z.object({
  spec: z.object({
    replicas: z.number(),
    template: z.object({ spec: z.object({ containers: z.array(z.object({ image: z.string() })) }) }),
  }),
});

/**
 * Whether an autoscaler has set the number of replicas: it does so through the `scale` subresource as the controller
 * manager, and that field is then its own. Somebody's `kubectl scale` is not, and is put back.
 */
export function isAutoscaled(found: KubernetesObject | undefined): boolean {
  return managersSchema
    .parse(found?.metadata.managedFields ?? [])
    .some(
      ({ manager, subresource, fieldsV1 }) =>
        manager === 'kube-controller-manager' &&
        subresource === 'scale' &&
        fieldsV1['f:spec']?.['f:replicas'] !== undefined,
    );
}

const managersSchema = z.array(
  z.object({
    manager: z.string().optional(),
    subresource: z.string().optional(),
    fieldsV1: z.object({ 'f:spec': z.record(z.string(), z.unknown()).optional() }).default({}),
  }),
);

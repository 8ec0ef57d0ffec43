/**
 * Open WebUI itself. It migrates its database when it starts, and replicas that start at once migrate at once. So the
 * very first start is of one replica; the wished number follows once that one is ready. A new image needs no such
 * detour, and the pods that serve are not reduced for it: with one pod more than wished and none less, the rollout
 * starts exactly one new pod, which migrates alone, and goes on only when that is ready. Unhealthy old pods change
 * nothing about it, as the controller takes none of them away while a new one is unavailable
 * (reconcileOldReplicaSets in pkg/controller/deployment/rolling.go).
 */
import { managedBy } from '../../naming.ts';
import { images } from '../azure/images.ts';
import { postgresDatabase } from '../azure/postgres-database.ts';
import { postgresParameters } from '../azure/postgres-parameters.ts';
import { registryPull } from '../azure/registry-pull.ts';
import { besideAutoscalers, withoutReplicasOfAutoscaler } from '../kinds/autoscaling.ts';
import { commonLabels } from '../kinds/kubernetes-object.ts';
import { goodImageOf, guardedWorkload } from '../kinds/rollout.ts';
import { siteTrouble } from '../kinds/site-trouble.ts';
import {
  placement,
  reloadAnnotations,
  spreadOverNodes,
  tightContainer,
  tightPod,
  workloadReadiness,
} from '../kinds/workload.ts';
import { config, WEBUI_CONFIG } from './config.ts';
import { dataVolume } from './data-volume.ts';
import { externalSecrets, WEBUI_SECRET } from './external-secrets.ts';
import { namespace } from './namespace.ts';
import { networkPolicy } from './network-policy.ts';
import { WEBUI_PORT } from './open-webui-service.ts';
import { redis } from './redis.ts';
import { shareWrite } from './share-write.ts';

/**
 * Longer than the startup probe allows, so that a slow first start is not called a failure: it migrates an empty
 * database and loads the embedding model over SMB. Later the model is on the share, and PostgreSQL takes back a
 * migration that is cut short, so what is not ready after ten minutes will not be.
 */
const FIRST_DEADLINE = 1200;
const LATER_DEADLINE = 600;

/** Not `/health/db`: asking the database from a probe stops the whole process while the database hangs. */
const probe = { httpGet: { path: '/health', port: 'http' }, timeoutSeconds: 5 };

const secretVariable = (name: string) => ({
  name,
  valueFrom: { secretKeyRef: { name: WEBUI_SECRET, key: name } },
});

const workload = guardedWorkload({
  key: 'kubernetes/open-webui',
  title: 'Open WebUI',
  image: 'openWebui',
  dependsOn: {
    namespace,
    images,
    registryPull,
    config,
    externalSecrets,
    dataVolume,
    shareWrite,
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
      yielded: withoutReplicasOfAutoscaler,
      body: (deps, found) => {
        const isMigrated = goodImageOf(found) !== undefined;
        return {
          spec: {
            replicas: isMigrated ? spec.webui.replicas : 1,
            strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
            progressDeadlineSeconds: isMigrated ? LATER_DEADLINE : FIRST_DEADLINE,
            selector: { matchLabels: { app: 'open-webui' } },
            template: {
              metadata: {
                labels: { app: 'open-webui', ...commonLabels('open-webui') },
                annotations: {
                  [`${managedBy}/config`]: deps.config.version,
                  [`${managedBy}/secrets`]: deps.externalSecrets.versions[WEBUI_SECRET] ?? '',
                },
              },
              spec: {
                ...placement(spec),
                ...spreadOverNodes('open-webui'),
                automountServiceAccountToken: false,
                securityContext: tightPod,
                containers: [
                  {
                    name: 'open-webui',
                    image: deps.images.openWebui,
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
                volumes: [{ name: 'data', persistentVolumeClaim: { claimName: deps.dataVolume.claim } }],
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
    return goodImageOf(deployment) === undefined
      ? { ...unready, reason: `one replica first, to migrate the database: ${unready.reason}` }
      : unready;
  },
  serviceTrouble: siteTrouble,
});

export const openWebui = besideAutoscalers(workload);

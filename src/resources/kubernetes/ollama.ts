import { images } from '../azure/images.ts';
import { registryPull } from '../azure/registry-pull.ts';
import { commonLabels } from '../kinds/kubernetes-object.ts';
import { guardedWorkload } from '../kinds/rollout.ts';
import { placement, tightContainer, tightPod, workloadReadiness } from '../kinds/workload.ts';
import { namespace } from './namespace.ts';
import { OLLAMA_PORT } from './ollama-service.ts';
import { OLLAMA_VOLUME, ollamaVolume } from './ollama-volume.ts';

const probe = { httpGet: { path: '/', port: 'http' }, timeoutSeconds: 5 };

/** One Ollama: its disk can be held by one node only, hence the old pod goes before the new one comes. */
export const ollama = guardedWorkload({
  key: 'kubernetes/ollama',
  title: 'Ollama',
  image: 'ollama',
  dependsOn: { namespace, ollamaVolume, images, registryPull },
  isWanted: ({ spec }) => spec.ollama.externalUrl === undefined,
  objects: ({ spec }) => [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      name: 'ollama',
      labels: { app: 'ollama' },
      body: (deps) => ({
        spec: {
          replicas: 1,
          strategy: { type: 'Recreate' },
          selector: { matchLabels: { app: 'ollama' } },
          template: {
            metadata: { labels: { app: 'ollama', ...commonLabels('ollama') } },
            spec: {
              ...placement(spec),
              automountServiceAccountToken: false,
              securityContext: tightPod,
              containers: [
                {
                  name: 'ollama',
                  image: deps.images.ollama,
                  imagePullPolicy: 'IfNotPresent',
                  ports: [{ name: 'http', containerPort: OLLAMA_PORT, protocol: 'TCP' }],
                  resources: spec.ollama.resources,
                  startupProbe: { ...probe, periodSeconds: 5, failureThreshold: 60 },
                  readinessProbe: { ...probe, periodSeconds: 10 },
                  livenessProbe: { ...probe, periodSeconds: 20, failureThreshold: 6 },
                  // The image runs as root, whose home holds the models.
                  securityContext: tightContainer,
                  volumeMounts: [{ name: 'models', mountPath: '/root/.ollama' }],
                },
              ],
              volumes: [{ name: 'models', persistentVolumeClaim: { claimName: OLLAMA_VOLUME } }],
            },
          },
        },
      }),
    },
  ],
  readiness: async ({ api, found: [deployment] }) => deployment && workloadReadiness(api, deployment),
});

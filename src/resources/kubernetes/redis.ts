import { images } from '../azure/images.ts';
import { registryPull } from '../azure/registry-pull.ts';
import { commonLabels } from '../kinds/kubernetes-object.ts';
import { guardedWorkload } from '../kinds/rollout.ts';
import { placement, tightestContainer, tightPod, workloadReadiness } from '../kinds/workload.ts';
import type { Scope } from '../scope.ts';
import { namespace } from './namespace.ts';

export const REDIS_PORT = 6379;
/** Of the `valkey` user in its image: https://github.com/valkey-io/valkey-container */
const VALKEY_USER = 999;
const VALKEY_GROUP = 1000;

export const isRedisWanted = ({ spec }: Pick<Scope, 'spec'>): boolean =>
  spec.webui.replicas > 1 && spec.webui.redisUrl === undefined;

/**
 * What replicas of Open WebUI share of their websockets. It holds nothing worth keeping: after a restart, browsers
 * connect again. https://docs.openwebui.com/getting-started/advanced-topics/scaling
 */
export const redis = guardedWorkload({
  key: 'kubernetes/redis',
  title: 'Redis',
  image: 'redis',
  dependsOn: { namespace, images, registryPull },
  isWanted: isRedisWanted,
  objects: ({ spec }) => [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      name: 'redis',
      labels: { app: 'redis' },
      body: (deps) => ({
        spec: {
          replicas: 1,
          selector: { matchLabels: { app: 'redis' } },
          template: {
            metadata: { labels: { app: 'redis', ...commonLabels('redis') } },
            spec: {
              ...placement(spec),
              automountServiceAccountToken: false,
              securityContext: { ...tightPod, runAsUser: VALKEY_USER, runAsGroup: VALKEY_GROUP },
              containers: [
                {
                  name: 'redis',
                  image: deps.images.redis,
                  imagePullPolicy: 'IfNotPresent',
                  args: ['valkey-server', '--save', '', '--appendonly', 'no'],
                  ports: [{ name: 'redis', containerPort: REDIS_PORT, protocol: 'TCP' }],
                  resources: {
                    requests: { cpu: '50m', memory: '64Mi' },
                    limits: { cpu: '250m', memory: '256Mi' },
                  },
                  readinessProbe: { tcpSocket: { port: 'redis' }, periodSeconds: 5 },
                  livenessProbe: { tcpSocket: { port: 'redis' }, periodSeconds: 20 },
                  securityContext: tightestContainer,
                  volumeMounts: [{ name: 'data', mountPath: '/data' }],
                },
              ],
              volumes: [{ name: 'data', emptyDir: {} }],
            },
          },
        },
      }),
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      name: 'redis',
      labels: { app: 'redis' },
      body: () => ({
        spec: {
          type: 'ClusterIP',
          selector: { app: 'redis' },
          ports: [{ name: 'redis', port: REDIS_PORT, targetPort: 'redis', protocol: 'TCP' }],
        },
      }),
    },
  ],
  readiness: async ({ api, found: [deployment] }) => deployment && workloadReadiness(api, deployment),
});

import { managedBy } from '../../naming.ts';
import { images } from '../azure/images.ts';
import { registryPull } from '../azure/registry-pull.ts';
import { dnsRecord } from '../cloudflare/dns-record.ts';
import { ingress } from '../cloudflare/ingress.ts';
import { besideAutoscalers, withoutReplicasOfAutoscaler } from '../kinds/autoscaling.ts';
import { commonLabels } from '../kinds/kubernetes-object.ts';
import { guardedWorkload } from '../kinds/rollout.ts';
import { tunnelTrouble } from '../kinds/site-trouble.ts';
import {
  placement,
  reloadAnnotations,
  spreadOverNodes,
  tightestContainer,
  tightPod,
  workloadReadiness,
} from '../kinds/workload.ts';
import { externalSecrets, TUNNEL_SECRET } from './external-secrets.ts';
import { namespace } from './namespace.ts';

const METRICS_PORT = 2000;
/** Of the `nonroot` user in the distroless image. */
const NONROOT = 65_532;

const workload = guardedWorkload({
  key: 'kubernetes/cloudflared',
  title: 'cloudflared',
  image: 'cloudflared',
  dependsOn: { namespace, images, registryPull, externalSecrets, ingress, dnsRecord },
  objects: ({ spec }) => [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      name: 'cloudflared',
      labels: { app: 'cloudflared' },
      annotations: reloadAnnotations(spec),
      yielded: withoutReplicasOfAutoscaler,
      body: (deps) => ({
        spec: {
          replicas: 2,
          strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
          selector: { matchLabels: { app: 'cloudflared' } },
          template: {
            metadata: {
              labels: { app: 'cloudflared', ...commonLabels('cloudflared') },
              annotations: {
                [`${managedBy}/secrets`]: deps.externalSecrets.versions[TUNNEL_SECRET] ?? '',
              },
            },
            spec: {
              ...placement(spec),
              ...spreadOverNodes('cloudflared'),
              automountServiceAccountToken: false,
              securityContext: { ...tightPod, runAsUser: NONROOT, runAsGroup: NONROOT },
              containers: [
                {
                  name: 'cloudflared',
                  image: deps.images.cloudflared,
                  imagePullPolicy: 'IfNotPresent',
                  args: ['tunnel', '--no-autoupdate', '--metrics', `0.0.0.0:${METRICS_PORT}`, 'run'],
                  env: [
                    {
                      name: 'TUNNEL_TOKEN',
                      valueFrom: { secretKeyRef: { name: TUNNEL_SECRET, key: 'TUNNEL_TOKEN' } },
                    },
                  ],
                  ports: [{ name: 'metrics', containerPort: METRICS_PORT, protocol: 'TCP' }],
                  resources: {
                    requests: { cpu: '50m', memory: '64Mi' },
                    limits: { cpu: '500m', memory: '256Mi' },
                  },
                  readinessProbe: { httpGet: { path: '/ready', port: 'metrics' }, periodSeconds: 5 },
                  // Generous: restarting does not bring back an edge that is out of reach.
                  livenessProbe: {
                    httpGet: { path: '/ready', port: 'metrics' },
                    initialDelaySeconds: 30,
                    periodSeconds: 30,
                    failureThreshold: 10,
                  },
                  securityContext: tightestContainer,
                },
              ],
            },
          },
        },
      }),
    },
  ],
  readiness: async ({ api, found: [deployment] }) => deployment && workloadReadiness(api, deployment),
  serviceTrouble: tunnelTrouble,
});

/**
 * The tunnel's end in the cluster. Its token comes from the environment, since arguments show in every list of
 * processes; `/ready` is a success only while at least one connection to the edge stands.
 * https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/configure-tunnels/run-parameters/
 */
export const cloudflared = besideAutoscalers(workload);

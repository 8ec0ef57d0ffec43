/**
 * Who may talk to whom: people reach Open WebUI through cloudflared only, Ollama and Redis answer Open WebUI only, and
 * outwards goes what each needs. Kubelet's probes come from the pod's own node, which no policy shuts out
 * (https://kubernetes.io/docs/concepts/services-networking/network-policies/); shares are mounted by the node, so pods
 * need no SMB. Requests through the API server, by which models are pulled and health is looked at, reach pods from
 * AKS' konnectivity agents (https://github.com/tigera/operator/pull/5212).
 */
import { PROOF } from '../kinds/database-login-pod.ts';
import { kubernetesObjects } from '../kinds/kubernetes-object.ts';
import { type DebugPodKind, debugPodKinds, type Scope } from '../scope.ts';
import { namespace } from './namespace.ts';
import { OLLAMA_PORT } from './ollama-service.ts';
import { WEBUI_PORT } from './open-webui-service.ts';
import { isRedisWanted, REDIS_PORT } from './redis.ts';

const POSTGRES_PORT = 5432;
/** https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/configure-tunnels/tunnel-with-firewall/ */
const CLOUDFLARE_EDGE_PORT = 7844;

/** Name of a debug pod, and its label. */
export const debugPodName = (kind: DebugPodKind): string => `debug-${kind}`;

const app = (name: string) => ({ podSelector: { matchLabels: { app: name } } });
const tcp = (port: number) => ({ protocol: 'TCP', port });
const udp = (port: number) => ({ protocol: 'UDP', port });

const systemPods = (name: string) => ({
  namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
  podSelector: { matchLabels: { app: name } },
});
const apiServer = systemPods('konnectivity-agent');

/** The cluster's resolvers; some clusters put a cache for them on each node, which no pod selector finds. */
const resolving = { ports: [udp(53), tcp(53)] };
const https = { ports: [tcp(443)] };

/** Addresses in the database's own subnet, by either kind of private access. */
function database({ network, postgres }: Scope['spec']) {
  const { subnets } = network;
  const cidr =
    postgres.privateAccess === 'private-endpoint' ? subnets.privateEndpoints.prefix : subnets.postgres.prefix;
  return { to: [{ ipBlock: { cidr } }], ports: [tcp(POSTGRES_PORT)] };
}

/** Where an address in the spec leads to, beyond HTTPS which is open anyway. */
function elsewhere(address: string | undefined, defaultPort: number): readonly object[] {
  if (address === undefined) return [];
  const { port, protocol } = new URL(address);
  const number =
    port === '' ? (protocol === 'http:' ? 80 : protocol === 'https:' ? 443 : defaultPort) : Number(port);
  return number === 443 ? [] : [{ ports: [tcp(number)] }];
}

interface Rules {
  readonly ingress: readonly object[];
  readonly egress: readonly object[];
}

/** By app. Traffic towards a Service is judged by the port of its pods. */
export function rulesOf({ spec }: Pick<Scope, 'spec'>): Readonly<Record<string, Rules>> {
  const hasOllama = spec.ollama.externalUrl === undefined;
  const hasRedis = isRedisWanted({ spec });
  const netshoot = app(debugPodName('netshoot'));
  return {
    'open-webui': {
      ingress: [{ from: [app('cloudflared'), netshoot, apiServer], ports: [tcp(WEBUI_PORT)] }],
      egress: [
        resolving,
        // Entra, and models for embedding from Hugging Face.
        https,
        database(spec),
        ...(hasOllama ? [{ to: [app('ollama')], ports: [tcp(OLLAMA_PORT)] }] : []),
        ...(hasRedis ? [{ to: [app('redis')], ports: [tcp(REDIS_PORT)] }] : []),
        ...elsewhere(spec.ollama.externalUrl, OLLAMA_PORT),
        ...elsewhere(spec.webui.redisUrl, REDIS_PORT),
      ],
    },
    // Proves that a connection string logs in; nobody talks to it.
    [PROOF]: { ingress: [], egress: [resolving, database(spec)] },
    ...Object.fromEntries(debugPodKinds.map((kind) => [debugPodName(kind), debugRules[kind](spec)])),
    cloudflared: {
      ingress: [],
      egress: [
        resolving,
        https,
        { ports: [tcp(CLOUDFLARE_EDGE_PORT), udp(CLOUDFLARE_EDGE_PORT)] },
        { to: [app('open-webui')], ports: [tcp(WEBUI_PORT)] },
      ],
    },
    ...(hasOllama
      ? {
          ollama: {
            ingress: [{ from: [app('open-webui'), netshoot, apiServer], ports: [tcp(OLLAMA_PORT)] }],
            // The model library.
            egress: [resolving, https],
          },
        }
      : {}),
    ...(hasRedis
      ? {
          redis: { ingress: [{ from: [app('open-webui'), netshoot], ports: [tcp(REDIS_PORT)] }], egress: [] },
        }
      : {}),
  };
}

/** While somebody looks into things by hand: nobody calls them, and only one may call everybody. */
const debugRules: Readonly<Record<DebugPodKind, (spec: Scope['spec']) => Rules>> = {
  netshoot: () => ({ ingress: [], egress: [{}] }),
  psql: (spec) => ({ ingress: [], egress: [resolving, database(spec)] }),
};

export const networkPolicy = kubernetesObjects({
  key: 'kubernetes/network-policy',
  title: 'Network policies',
  dependsOn: { namespace },
  objects: (scope) =>
    Object.entries(rulesOf(scope)).map(([name, { ingress, egress }]) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      name,
      labels: { app: name },
      body: () => ({
        spec: {
          podSelector: { matchLabels: { app: name } },
          policyTypes: ['Ingress', 'Egress'],
          ingress,
          egress,
        },
      }),
    })),
});

import type { Json, People } from './people.ts';
import { at, type Seed } from './seed.ts';

const core = '/api/v1/namespaces/open-webui';
const apps = '/apis/apps/v1/namespaces/open-webui/deployments';
const policies = '/apis/networking.k8s.io/v1/namespaces/open-webui/networkpolicies';
const budget = '/apis/policy/v1/namespaces/open-webui/poddisruptionbudgets/open-webui';

const applying = (path: string): RegExp => new RegExp(`^PATCH [^/]+${path}\\?`);

/** Ten changes of objects in the cluster, each by a field manager of its own: six are put right, two adopted, two told. */
export function kubernetesSeeds({ cluster }: People): readonly Seed[] {
  const merge = (path: string, manager: string, patch: Json) => () =>
    cluster.patch(`${path}?fieldManager=${manager}`, patch);
  const strategic = (path: string, manager: string, patch: Json) => () =>
    cluster.patch(`${path}?fieldManager=${manager}`, patch, 'strategic-merge');
  const read =
    (path: string, ...field: readonly (string | number)[]) =>
    async (): Promise<Json> =>
      at(await cluster.get(path), ...field);
  const container = (name: string, fields: object) => ({
    spec: { template: { spec: { containers: [{ name, ...fields }] } } },
  });
  const containerField = ['spec', 'template', 'spec', 'containers', 0] as const;
  const enforce = 'pod-security.kubernetes.io/enforce';

  return [
    {
      what: 'the Service forgets its clients sooner',
      resource: 'kubernetes/open-webui-service',
      path: 'Service open-webui: spec.sessionAffinityConfig.clientIP.timeoutSeconds',
      ...{ wanted: 10_800, found: 60, policy: 'repair', actor: 'kubectl-edit' },
      make: merge(`${core}/services/open-webui`, 'kubectl-edit', {
        spec: { sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } },
      }),
      read: read(
        `${core}/services/open-webui`,
        'spec',
        'sessionAffinityConfig',
        'clientIP',
        'timeoutSeconds',
      ),
      writes: applying(`${core}/services/open-webui`),
    },
    {
      what: 'the Service of Ollama listens on another port',
      resource: 'kubernetes/ollama-service',
      path: 'Service ollama: spec.ports.http.port',
      ...{ wanted: 11_434, found: 11_435, policy: 'repair', actor: 'kubectl-patch' },
      make: merge(`${core}/services/ollama`, 'kubectl-patch', {
        spec: { ports: [{ name: 'http', port: 11_435, targetPort: 'http', protocol: 'TCP' }] },
      }),
      read: read(`${core}/services/ollama`, 'spec', 'ports', 0, 'port'),
      writes: applying(`${core}/services/ollama`),
    },
    {
      what: 'a setting of Open WebUI is changed',
      resource: 'kubernetes/config',
      path: 'ConfigMap open-webui-config: data.ENABLE_SIGNUP',
      ...{ wanted: 'false', found: 'true', policy: 'repair', actor: 'argocd-controller' },
      make: merge(`${core}/configmaps/open-webui-config`, 'argocd-controller', {
        data: { ENABLE_SIGNUP: 'true' },
      }),
      read: read(`${core}/configmaps/open-webui-config`, 'data', 'ENABLE_SIGNUP'),
      writes: applying(`${core}/configmaps/open-webui-config`),
    },
    {
      what: 'Open WebUI is scaled down by hand',
      resource: 'kubernetes/open-webui',
      path: 'Deployment open-webui: spec.replicas',
      ...{ wanted: 3, found: 2, policy: 'repair', actor: 'kubectl' },
      make: merge(`${apps}/open-webui/scale`, 'kubectl', { spec: { replicas: 2 } }),
      read: read(`${apps}/open-webui`, 'spec', 'replicas'),
      writes: applying(`${apps}/open-webui`),
    },
    {
      what: 'Ollama gets more memory',
      resource: 'kubernetes/ollama',
      path: 'Deployment ollama: spec.template.spec.containers.ollama.resources.limits.memory',
      ...{ wanted: '4Gi', found: '5Gi', policy: 'repair', actor: 'kubectl-set' },
      make: strategic(
        `${apps}/ollama`,
        'kubectl-set',
        container('ollama', { resources: { limits: { memory: '5Gi' } } }),
      ),
      read: read(`${apps}/ollama`, ...containerField, 'resources', 'limits', 'memory'),
      writes: applying(`${apps}/ollama`),
    },
    {
      what: 'the namespace takes privileged pods',
      resource: 'kubernetes/namespace',
      path: `Namespace open-webui: metadata.labels.${enforce}`,
      ...{ wanted: 'baseline', found: 'privileged', policy: 'repair', actor: 'kubectl-label' },
      make: merge('/api/v1/namespaces/open-webui', 'kubectl-label', {
        metadata: { labels: { [enforce]: 'privileged' } },
      }),
      read: read('/api/v1/namespaces/open-webui', 'metadata', 'labels', enforce),
      writes: applying('/api/v1/namespaces/open-webui'),
    },
    {
      what: 'Open WebUI asks for more processor',
      resource: 'kubernetes/open-webui',
      path: 'Deployment open-webui: spec.template.spec.containers.open-webui.resources.requests.cpu',
      ...{ wanted: '100m', found: '150m', policy: 'adopt', actor: 'kubectl-set' },
      make: strategic(
        `${apps}/open-webui`,
        'kubectl-set',
        container('open-webui', { resources: { requests: { cpu: '150m' } } }),
      ),
      read: read(`${apps}/open-webui`, ...containerField, 'resources', 'requests', 'cpu'),
      writes: applying(`${apps}/open-webui`),
      field: ['webui', 'resources', 'requests', 'cpu'],
    },
    {
      what: 'the Service forgets its clients after an hour',
      resource: 'kubernetes/open-webui-service',
      path: 'Service open-webui: spec.sessionAffinityConfig.clientIP.timeoutSeconds',
      ...{ wanted: 10_800, found: 3_600, policy: 'adopt', actor: 'helm' },
      make: merge(`${core}/services/open-webui`, 'helm', {
        spec: { sessionAffinityConfig: { clientIP: { timeoutSeconds: 3_600 } } },
      }),
      read: read(
        `${core}/services/open-webui`,
        'spec',
        'sessionAffinityConfig',
        'clientIP',
        'timeoutSeconds',
      ),
      writes: applying(`${core}/services/open-webui`),
      field: ['webui', 'sessionAffinitySeconds'],
    },
    {
      what: 'draining may take two replicas at once',
      resource: 'kubernetes/disruption-budget',
      path: 'PodDisruptionBudget open-webui: spec.maxUnavailable',
      ...{ wanted: 1, found: 2, policy: 'report', actor: 'kubectl-edit' },
      make: merge(budget, 'kubectl-edit', { spec: { maxUnavailable: 2 } }),
      read: read(budget, 'spec', 'maxUnavailable'),
    },
    {
      what: 'Redis answers everybody',
      resource: 'kubernetes/network-policy',
      path: 'NetworkPolicy redis: spec.ingress',
      wanted: [
        {
          from: [
            { podSelector: { matchLabels: { app: 'open-webui' } } },
            { podSelector: { matchLabels: { app: 'debug-netshoot' } } },
          ],
          ports: [{ protocol: 'TCP', port: 6379 }],
        },
      ],
      found: [{}],
      ...{ policy: 'report', actor: 'kubectl-replace' },
      make: merge(`${policies}/redis`, 'kubectl-replace', { spec: { ingress: [{}] } }),
      read: read(`${policies}/redis`, 'spec', 'ingress'),
    },
  ];
}

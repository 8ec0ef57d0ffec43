/** Services: there, pointing at the right pods and port, with a ready endpoint wherever a pod is ready. */
import { z } from 'zod';
import type { KubernetesApi } from '../../clients/kubernetes-api.ts';
import type { ResourceKey } from '../../graph/resource.ts';
import { isOver, isReady, podOf } from '../../resources/kinds/pods.ts';
import { ollamaService } from '../../resources/kubernetes/ollama-service.ts';
import { openWebuiService } from '../../resources/kubernetes/open-webui-service.ts';
import { isRedisWanted, redis } from '../../resources/kubernetes/redis.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { clusterOf } from './cluster.ts';
import { type Plain, plain, type WishedObject, wishedObjects } from './wished-objects.ts';

interface Target {
  readonly name: string;
  readonly resource: ResourceKey;
  readonly objects: Plain;
  readonly breaks: string;
  isWanted(scope: Pick<CheckScope, 'spec'>): boolean;
}

const targets: readonly Target[] = [
  {
    name: 'open-webui',
    resource: 'kubernetes/open-webui-service',
    objects: plain(openWebuiService),
    breaks: 'The tunnel delivers to nobody: the site answers 502.',
    isWanted: () => true,
  },
  {
    name: 'ollama',
    resource: 'kubernetes/ollama-service',
    objects: plain(ollamaService),
    breaks: 'Open WebUI finds no Ollama: no model answers.',
    isWanted: ({ spec }) => spec.ollama.externalUrl === undefined,
  },
  {
    name: 'redis',
    resource: 'kubernetes/redis',
    objects: plain(redis),
    breaks: 'Replicas of Open WebUI do not share their websockets, and none of them starts.',
    isWanted: isRedisWanted,
  },
];

export const servicesDeliver: Check = {
  id: 'services-deliver',
  system: 'workloads',
  title: 'Services deliver to ready pods',
  async run(scope) {
    const api = await clusterOf(scope);
    const findings = await Promise.all(
      targets
        .filter((target) => target.isWanted(scope))
        .map(async (target) => {
          const [service] = await wishedObjects(scope, target.objects, 'Service');
          return service ? troubleOf(scope, api, target, service) : [];
        }),
    );
    return findings.flat();
  },
};

async function troubleOf(
  scope: CheckScope,
  api: KubernetesApi,
  { name, resource, breaks }: Target,
  { found, wrong }: WishedObject,
): Promise<readonly CheckFinding[]> {
  const { namespace } = scope.names;
  const common = { resource, severity: 'error', breaks, repair: repairOf(scope) } as const;
  if (!found) {
    return [
      {
        ...common,
        id: `${name}-service-missing`,
        what: `There is no Service ${name}.`,
        evidence: `kubectl get service ${name} -n ${namespace} finds nothing`,
        remedy: 'Have the control plane make it again.',
      },
    ];
  }
  const affinity = wrong.filter((text) => text.startsWith('sessionAffinity'));
  const misled = wrong.find((text) => !affinity.includes(text));
  if (misled !== undefined) {
    return [
      {
        ...common,
        id: `${name}-service-misled`,
        what: `The Service ${name} does not point at the pods and the port it should.`,
        evidence: misled,
        remedy: `Have the control plane put it right, or: kubectl edit service ${name} -n ${namespace}`,
      },
    ];
  }
  const affinityFindings: readonly CheckFinding[] = affinity[0]
    ? [
        {
          ...common,
          id: `${name}-service-affinity`,
          severity: 'warning',
          what: `The Service ${name} keeps clients with one pod otherwise than the spec says.`,
          evidence: affinity[0],
          breaks: 'Sessions may move from one replica to another.',
          remedy: 'Have the control plane put it right.',
        },
      ]
    : [];
  const [ready, pods] = await Promise.all([
    readyEndpoints(api, namespace, name),
    readyPods(api, namespace, name),
  ]);
  // Without a ready pod there is nothing to deliver to, which is a matter of the pods.
  if (ready > 0 || pods === 0) return affinityFindings;
  return [
    {
      ...common,
      id: `${name}-service-empty`,
      what: `The Service ${name} has no ready endpoint, although pods are ready.`,
      evidence: `kubectl get endpointslices -n ${namespace} -l kubernetes.io/service-name=${name} shows none that is ready`,
      remedy: `Compare the names of the pods' ports with targetPort: kubectl describe service ${name} -n ${namespace}`,
    },
    ...affinityFindings,
  ];
}

const sliceSchema = z.object({
  endpoints: z
    .array(z.object({ conditions: z.object({ ready: z.boolean().nullish() }).prefault({}) }))
    .nullish(),
  ports: z.array(z.unknown()).nullish(),
});

/** Unsaid is ready: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions */
export async function readyEndpoints(
  api: KubernetesApi,
  namespace: string,
  service: string,
): Promise<number> {
  const slices = await api.list(
    { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', namespace },
    { labels: `kubernetes.io/service-name=${service}` },
  );
  return slices
    .map((slice) => sliceSchema.parse(slice))
    .filter(({ ports }) => (ports ?? []).length > 0)
    .flatMap(({ endpoints }) => endpoints ?? [])
    .filter(({ conditions }) => conditions.ready !== false).length;
}

export async function readyPods(api: KubernetesApi, namespace: string, app: string): Promise<number> {
  const pods = await api.list({ apiVersion: 'v1', kind: 'Pod', namespace }, { labels: `app=${app}` });
  return pods.map(podOf).filter((pod) => !pod.metadata.deletionTimestamp && !isOver(pod) && isReady(pod))
    .length;
}

/** One check for each Deployment of the stack: there, as many as wished, available, and if not, why. */

import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import { managedBy } from '../../naming.ts';
import { isAutoscaled } from '../../resources/kinds/autoscaling.ts';
import { isReady, type Pod, podsOf } from '../../resources/kinds/pods.ts';
import { goodImageOf } from '../../resources/kinds/rollout.ts';
import { type DeploymentStatus, deploymentOf, replicasOf } from '../../resources/kinds/workload.ts';
import { isRedisWanted } from '../../resources/kubernetes/redis.ts';
import type { Workload } from '../../resources/scope.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { clusterOf, isOlderThan, quoted } from './cluster.ts';
import type { Cure } from './last-words.ts';
import { troubleInPods } from './pod-trouble.ts';

interface Kind {
  readonly name: Workload;
  readonly title: string;
  readonly breaks: string;
  replicas(spec: CheckScope['spec']): number;
  isWanted(scope: Pick<CheckScope, 'spec'>): boolean;
  /** Whether an autoscaler may have its replicas. */
  readonly isScalable?: true;
}

const isOllamaHere = ({ spec }: Pick<CheckScope, 'spec'>): boolean => spec.ollama.externalUrl === undefined;

/** In the order in which one needs the other. */
const kinds: readonly Kind[] = [
  {
    name: 'redis',
    title: 'Redis',
    breaks: 'Replicas of Open WebUI do not share their websockets, and none of them starts.',
    replicas: () => 1,
    isWanted: isRedisWanted,
  },
  {
    name: 'ollama',
    title: 'Ollama',
    breaks: 'No model answers.',
    replicas: () => 1,
    isWanted: isOllamaHere,
  },
  {
    name: 'open-webui',
    title: 'Open WebUI',
    breaks: 'Nobody can use the site: it answers 502.',
    replicas: ({ webui }) => webui.replicas,
    isWanted: () => true,
    isScalable: true,
  },
  {
    name: 'cloudflared',
    title: 'cloudflared',
    breaks: 'Nobody reaches the site: the tunnel has no end in the cluster.',
    replicas: () => 2,
    isWanted: () => true,
    isScalable: true,
  },
];

/** A rollout, and a moment without an available pod, are none of our business before that. */
const AWAY_MINUTES = 5;
/** By then a rollout is over, or has been called stuck. */
const MIXED_MINUTES = 25;

export const workloadChecks: readonly Check[] = kinds.map((kind) => ({
  id: `${kind.name}-runs`,
  system: 'workloads',
  title: `${kind.title} runs as wished`,
  isWanted: kind.isWanted,
  run: (scope) => troubles(scope, kind),
}));

async function troubles(scope: CheckScope, kind: Kind): Promise<readonly CheckFinding[]> {
  const api = await clusterOf(scope);
  const { name, title, breaks } = kind;
  const { namespace } = scope.names;
  const resource = `kubernetes/${name}` as const;
  const found = await api.find({ apiVersion: 'apps/v1', kind: 'Deployment', namespace, name });
  const repair = repairOf(scope);
  if (!found) {
    return [
      {
        id: 'deployment-missing',
        resource,
        severity: 'error',
        what: `There is no Deployment ${name}.`,
        evidence: `kubectl get deployment ${name} -n ${namespace} finds nothing`,
        breaks,
        remedy: 'Have the control plane make it again.',
        repair,
      },
    ];
  }
  const { spec, status } = deploymentOf(found);
  if (spec.replicas === 0) {
    return [
      {
        id: 'scaled-to-zero',
        resource,
        severity: 'error',
        what: `${title} is switched off: its Deployment has no replicas.`,
        evidence: 'spec.replicas is 0',
        breaks,
        remedy: `kubectl scale deployment ${name} -n ${namespace} --replicas=${kind.replicas(scope.spec)}`,
        repair,
      },
    ];
  }
  const isServing = status.readyReplicas > 0;
  const inPods = (await troubleInPods(scope, api, found, resource)).map(
    ({ id, resource: whose, what, evidence, remedy, cure }): CheckFinding => ({
      id: `${name}-${id}`,
      resource: whose,
      severity: isServing ? 'warning' : 'error',
      what: `Pods of ${title} ${what}.`,
      evidence,
      breaks: isServing
        ? `${title} has fewer working pods than wished, and is not brought up to date.`
        : breaks,
      remedy,
      ...repairBy(scope, cure),
    }),
  );
  const stuck = inPods.length > 0 ? [] : unexplained(scope, kind, status);
  return [
    ...inPods,
    ...stuck,
    ...(await count(scope, api, kind, found)),
    ...(inPods.length + stuck.length > 0 ? [] : await mixed(scope, api, kind, found)),
  ];
}

function repairBy(scope: CheckScope, cure: Cure): { readonly repair?: string } {
  if (cure === 'none') return {};
  if (cure === 'repair') return { repair: repairOf(scope) };
  return { repair: `POST /api/deployments/${scope.names.deployment}/rotate?what=${cure.rotate}` };
}

/** What the Deployment itself complains of, where no pod tells why. */
function unexplained(
  scope: CheckScope,
  { name, title, breaks }: Kind,
  { conditions, readyReplicas }: DeploymentStatus['status'],
): readonly CheckFinding[] {
  const resource = `kubernetes/${name}` as const;
  const { namespace } = scope.names;
  const is = (type: string, wanted: string) =>
    conditions.find((condition) => condition.type === type && condition.status === wanted);
  const severity = readyReplicas > 0 ? 'warning' : 'error';
  const refused = is('ReplicaFailure', 'True');
  if (refused) {
    return [
      {
        id: 'pods-refused',
        resource,
        severity,
        what: `The cluster refuses pods of ${title}.`,
        // The first quoted word is the name of a pod that there never was.
        evidence: quoted(refused.message.replace(/pods? "[^"]*"/, 'a pod')),
        breaks,
        remedy: `See quotas, limits and policies: kubectl get resourcequota,limitrange -n ${namespace}`,
      },
    ];
  }
  const late = is('Progressing', 'False');
  const away = is('Available', 'False');
  const isAway = away !== undefined && isOlderThan(away.lastTransitionTime, AWAY_MINUTES, scope.now);
  if (!isAway && !late) return [];
  return [
    {
      id: isAway ? 'unavailable' : 'rollout-stuck',
      resource,
      severity: isAway ? 'error' : 'warning',
      what: isAway ? `${title} is not available.` : `A rollout of ${title} does not get on.`,
      evidence: isAway ? 'the Deployment is not Available' : `the Deployment says: ${late?.reason ?? ''}`,
      breaks: isAway ? breaks : `${title} is not brought up to date; the pods before it serve on.`,
      remedy: `kubectl describe deployment ${name} -n ${namespace}; kubectl get pods -n ${namespace} -l app=${name}`,
    },
  ];
}

/** As the engine has it: an autoscaler knows better where several pods serve, and the very first start is of one. */
async function count(
  scope: CheckScope,
  api: KubernetesApi,
  { name, title, replicas, isScalable }: Kind,
  deployment: KubernetesObject,
): Promise<readonly CheckFinding[]> {
  const wished = replicas(scope.spec);
  const found = replicasOf(deployment);
  const isYoung = name === 'open-webui' && goodImageOf(deployment) === undefined;
  if (found === wished || isYoung || (isScalable && (await isAutoscaled(api, deployment)))) return [];
  return [
    {
      id: 'replicas-differ',
      resource: `kubernetes/${name}`,
      severity: 'warning',
      what: `${title} has another number of replicas than the spec says.`,
      evidence: `spec.replicas is ${found}, and should be ${wished}`,
      breaks:
        found < wished
          ? 'Fewer pods carry the load.'
          : 'More pods than planned use the nodes and the database.',
      remedy: `kubectl scale deployment ${name} -n ${scope.names.namespace} --replicas=${wished}`,
      repair: repairOf(scope),
    },
  ];
}

/** Of what a pod read when it started: secrets and settings. */
const marks = [`${managedBy}/secrets`, `${managedBy}/config`] as const;
const marksOf = ({ metadata }: Pod): string =>
  marks.map((mark) => metadata.annotations?.[mark] ?? '').join(' ');

async function mixed(
  scope: CheckScope,
  api: KubernetesApi,
  { name, title }: Kind,
  deployment: KubernetesObject,
): Promise<readonly CheckFinding[]> {
  const { current, older } = await podsOf(api, deployment);
  const pods = [...current, ...older].filter(isReady);
  const newest = pods
    .map(({ metadata }) => metadata.creationTimestamp)
    .toSorted()
    .at(-1);
  const isLong = isOlderThan(newest, MIXED_MINUTES, scope.now);
  if (new Set(pods.map(marksOf)).size < 2 || !isLong) return [];
  return [
    {
      id: 'mixed-configuration',
      resource: `kubernetes/${name}`,
      severity: 'warning',
      what: `Pods of ${title} run with different secrets or settings.`,
      evidence: `their annotations ${marks.join(' and ')} are not the same`,
      breaks: 'What a user meets depends on the pod, and pods with earlier secrets may be refused soon.',
      remedy: `kubectl rollout restart deployment ${name} -n ${scope.names.namespace}`,
      repair: repairOf(scope),
    },
  ];
}

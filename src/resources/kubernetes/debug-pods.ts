/**
 * Pods for looking into things by hand, while somebody wants them: `kubectl exec` is the person's own, with the person's
 * own rights. A pod ends by itself when its time is up, whether or not anybody is there to take it away
 * (`activeDeadlineSeconds`); then, or when it is not wanted any more, it is removed.
 */
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import { KubernetesError } from '../../clients/kubernetes-api.ts';
import { retryable } from '../../graph/failure.ts';
import type { DependencyOutputs, Difference, Observed } from '../../graph/resource.ts';
import type { DeploymentSpec } from '../../spec/spec.ts';
import { images } from '../azure/images.ts';
import { postgresDatabase } from '../azure/postgres-database.ts';
import { postgresServer } from '../azure/postgres-server.ts';
import { registryPull } from '../azure/registry-pull.ts';
import { connect, describe, foreignReason, isOurs, manifestOf } from '../kinds/kubernetes-object.ts';
import { isReady, podOf, troubleOf } from '../kinds/pods.ts';
import { placement, tightContainer, tightPod } from '../kinds/workload.ts';
import { type DebugPodKind, debugPodKinds, defineResource, type Scope } from '../scope.ts';
import { externalSecrets, WEBUI_SECRET } from './external-secrets.ts';
import { namespace } from './namespace.ts';
import { debugPodName, networkPolicy } from './network-policy.ts';

const dependsOn = {
  namespace,
  images,
  registryPull,
  networkPolicy,
  externalSecrets,
  postgresServer,
  postgresDatabase,
} as const;
type Deps = DependencyOutputs<typeof dependsOn>;
type DebugPods = {
  /** Names of the pods that are ready to be used. */
  readonly pods: readonly string[];
};

const LOOK_AGAIN_SECONDS = 5;

export const debugPods = defineResource<typeof dependsOn, DebugPods>({
  key: 'kubernetes/debug-pods',
  title: 'Debug pods',
  dependsOn,
  patienceSeconds: 600,

  async observe(scope): Promise<Observed<DebugPods>> {
    const api = await connect(scope);
    if (!api) return { state: 'absent' };
    const { found, missing, leftover } = await look(scope, api);
    const stranger = found.find((pod) => !isOurs(pod, scope));
    if (stranger) return { state: 'foreign', reason: foreignReason(stranger) };
    const outputs = {
      pods: found.filter((pod) => isReady(podOf(pod))).map(({ metadata }) => metadata.name),
    };
    const differences: Difference[] = [
      ...missing.map((kind) => ({ path: `Pod ${debugPodName(kind)}`, wanted: 'present', found: null })),
      ...leftover.map((pod) => ({ path: describe(pod), wanted: null, found: 'not wanted any more' })),
    ];
    if (differences.length > 0) return { state: 'drifted', outputs, differences };
    const leaving = found.find(({ metadata }) => metadata.deletionTimestamp !== undefined);
    if (leaving) {
      const reason = `${describe(leaving)} is being deleted`;
      return { state: 'changing', reason, retryAfterSeconds: LOOK_AGAIN_SECONDS };
    }
    const unready = found.map(podOf).find((pod) => !isReady(pod));
    if (unready) {
      const reason = troubleOf(unready) ?? `${unready.metadata.name} is starting`;
      return { state: 'changing', reason, retryAfterSeconds: LOOK_AGAIN_SECONDS };
    }
    return { state: 'ready', outputs };
  },

  async ensure(scope, deps) {
    const api = await connect(scope);
    if (!api) throw new KubernetesError(404, 'ClusterNotFound', 'the cluster does not exist');
    const { missing, leftover } = await look(scope, api);
    for (const pod of leftover) await api.remove(referenceTo(scope, pod.metadata.name));
    for (const kind of missing) {
      // Tools are brought into the registry when they are wanted; what was last told of it may be from before.
      if (!imageOf[kind](deps)) {
        const why = `the image of ${debugPodName(kind)} is not in the registry yet`;
        throw retryable('ImageNotImported', why, LOOK_AGAIN_SECONDS);
      }
      await api.apply(podFor(scope, deps, kind));
    }
  },

  async remove(scope) {
    const api = await connect(scope);
    if (!api) return;
    for (const kind of debugPodKinds) {
      const reference = referenceTo(scope, debugPodName(kind));
      const found = await api.find(reference);
      if (found && isOurs(found, scope)) await api.remove(reference);
    }
  },
});

const referenceTo = ({ names }: Pick<Scope, 'names'>, name: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  name,
  namespace: names.namespace,
});

/** Why a pod is to be there now. */
const wishFor = ({ wishes, now }: Scope, kind: DebugPodKind) =>
  wishes.debugPods.find((wish) => wish.kind === kind && Date.parse(wish.until) > now.getTime());

const ended = new Set(['Succeeded', 'Failed']);

async function look(scope: Scope, api: KubernetesApi) {
  const all = await Promise.all(
    debugPodKinds.map(async (kind) => ({
      kind,
      wish: wishFor(scope, kind),
      pod: await api.find(referenceTo(scope, debugPodName(kind))),
    })),
  );
  const found = all.flatMap(({ pod }) => (pod ? [pod] : []));
  const isOver = (pod: KubernetesObject): boolean => ended.has(phaseOf(pod));
  return {
    found,
    missing: all.flatMap(({ kind, wish, pod }) => (wish && !pod ? [kind] : [])),
    leftover: all.flatMap(({ wish, pod }) =>
      pod && !pod.metadata.deletionTimestamp && (!wish || isOver(pod)) ? [pod] : [],
    ),
  };
}

function phaseOf({ status }: KubernetesObject): string {
  return typeof status === 'object' && status !== null && 'phase' in status ? String(status.phase) : '';
}

/** Long enough for a shell in it; whoever wants more asks again. */
function podFor(scope: Scope, deps: Deps, kind: DebugPodKind): KubernetesObject {
  const wish = wishFor(scope, kind);
  const seconds = Math.ceil((Date.parse(wish?.until ?? '') - scope.now.getTime()) / 1000);
  const name = debugPodName(kind);
  return manifestOf(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      name,
      labels: { app: name },
      body: () => ({
        spec: {
          ...placement(scope.spec),
          restartPolicy: 'Never',
          activeDeadlineSeconds: Math.max(1, seconds),
          terminationGracePeriodSeconds: 1,
          automountServiceAccountToken: false,
          securityContext: tightPod,
          containers: [
            {
              name: kind,
              imagePullPolicy: 'IfNotPresent',
              // Whoever looks into things brings the command; until then it only has to stay.
              command: ['sleep', 'infinity'],
              resources: {
                requests: { cpu: '50m', memory: '64Mi' },
                limits: { cpu: '500m', memory: '256Mi' },
              },
              ...containers[kind](scope.spec, deps),
            },
          ],
        },
      }),
    },
    scope,
    {},
  );
}

const imageOf: Readonly<Record<DebugPodKind, (deps: Deps) => string>> = {
  netshoot: ({ images }) => images.netshoot,
  psql: ({ images }) => images.postgresClient,
};

const containers: Readonly<
  Record<DebugPodKind, (spec: DeploymentSpec, deps: Deps) => Readonly<Record<string, unknown>>>
> = {
  // ping and traceroute need raw sockets, which `baseline` leaves to images by default.
  netshoot: (_, deps) => ({
    image: imageOf.netshoot(deps),
    securityContext: { allowPrivilegeEscalation: false },
  }),
  // What psql reads by itself: https://www.postgresql.org/docs/current/libpq-envars.html
  psql: ({ postgres }, deps) => ({
    image: imageOf.psql(deps),
    securityContext: tightContainer,
    env: [
      { name: 'PGHOST', value: deps.postgresServer.fqdn },
      { name: 'PGPORT', value: '5432' },
      { name: 'PGDATABASE', value: postgres.database },
      { name: 'PGUSER', value: postgres.adminLogin },
      { name: 'PGSSLMODE', value: 'require' },
      {
        name: 'PGPASSWORD',
        valueFrom: { secretKeyRef: { name: WEBUI_SECRET, key: 'POSTGRES_PASSWORD' } },
      },
    ],
  }),
};

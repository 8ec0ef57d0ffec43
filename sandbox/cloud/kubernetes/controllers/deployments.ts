/**
 * Rolls Deployments out through ReplicaSets (pkg/controller/deployment): rolling update, recreate, revisions, progress.
 * It keeps all rules of the real controller, which makes it longer than the others.
 */
import { createHash } from 'node:crypto';
import type { ApiServer } from '../api/api-server.ts';
import { DEPLOYMENTS, PODS, REPLICA_SETS } from '../api/kinds.ts';
import {
  type Condition,
  type Deployment,
  isSame,
  type Pod,
  type ReplicaSet,
  withCondition,
} from '../object.ts';
import type { Controller, ControllerContext } from './controller.ts';
import { controlledBy } from './garbage-collector.ts';
import { activePods, availableAt } from './replica-sets.ts';

const REVISION = 'deployment.kubernetes.io/revision';
const DESIRED = 'deployment.kubernetes.io/desired-replicas';
const MOST = 'deployment.kubernetes.io/max-replicas';
const HASH = 'pod-template-hash';
/** Annotations of the Deployment that its ReplicaSets do not copy (pkg/controller/deployment/util). */
const NOT_COPIED = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  'deployment.kubernetes.io/revision-history',
  DESIRED,
  MOST,
  'deprecated.deployment.rollback.to',
]);

export const deployments: Controller = (context) => {
  for (const deployment of context.api.list<Deployment>(DEPLOYMENTS)) {
    if (deployment.metadata.deletionTimestamp === undefined) rollOut(context, deployment);
  }
};

function rollOut(context: ControllerContext, deployment: Deployment): void {
  const { api } = context;
  const owned = ownedSets(api, deployment);
  const current = owned.find((set) => isSame(templateOf(set), templateOf(deployment)));
  if (deployment.spec.paused) {
    if (current) scaleTo(context, deployment, current, deployment.spec.replicas ?? 1);
    writeStatus(context, deployment, current);
    return;
  }
  const mustWait =
    deployment.spec.strategy?.type === 'Recreate' &&
    owned.some((set) => set !== current && !isGone(api, set, context, deployment));
  const fresh = current
    ? renewRevision(api, deployment, current, owned)
    : mustWait
      ? undefined
      : addSet(context, deployment, owned);
  if (deployment.spec.strategy?.type === 'Recreate') {
    if (fresh && !mustWait) scaleTo(context, deployment, fresh, deployment.spec.replicas ?? 1);
  } else if (fresh)
    roll(
      context,
      deployment,
      fresh,
      owned.filter((set) => set.metadata.uid !== fresh.metadata.uid),
    );
  writeStatus(context, deployment, fresh);
  if (fresh) dropHistory(api, deployment, fresh);
}

export function ownedSets(api: ApiServer, deployment: Deployment): ReplicaSet[] {
  return api
    .list<ReplicaSet>(REPLICA_SETS, deployment.metadata.namespace)
    .filter(
      (set) =>
        set.metadata.deletionTimestamp === undefined &&
        set.metadata.ownerReferences?.some(({ uid }) => uid === deployment.metadata.uid),
    );
}

/** The pod template without the hash label that tells ReplicaSets apart. */
function templateOf(workload: Deployment | ReplicaSet): unknown {
  const { metadata, spec } = workload.spec.template ?? {};
  const { [HASH]: _, ...labels } = metadata?.labels ?? {};
  return { labels, annotations: metadata?.annotations ?? {}, spec };
}

function revisionOf(object: { metadata: { annotations?: Record<string, string> } }): number {
  return Number(object.metadata.annotations?.[REVISION] ?? 0);
}

function highestRevision(sets: readonly ReplicaSet[]): number {
  return Math.max(0, ...sets.map(revisionOf));
}

/** A template that comes back (rollout undo) gets the newest revision number. */
function renewRevision(
  api: ApiServer,
  deployment: Deployment,
  current: ReplicaSet,
  owned: readonly ReplicaSet[],
): ReplicaSet {
  const highest = highestRevision(owned);
  const revision = revisionOf(current) === highest && highest > 0 ? highest : highest + 1;
  setRevision(api, deployment, revision);
  return api.change(REPLICA_SETS, current, (draft) => {
    draft.metadata.annotations = {
      ...draft.metadata.annotations,
      ...copied(deployment),
      [REVISION]: String(revision),
    };
    draft.spec.minReadySeconds = deployment.spec.minReadySeconds ?? 0;
    if (deployment.spec.minReadySeconds === undefined) delete draft.spec.minReadySeconds;
  });
}

function copied(deployment: Deployment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(deployment.metadata.annotations ?? {}).filter(([name]) => !NOT_COPIED.has(name)),
  );
}

function setRevision(api: ApiServer, deployment: Deployment, revision: number): void {
  api.change(DEPLOYMENTS, deployment, (draft) => {
    draft.metadata.annotations = { ...draft.metadata.annotations, [REVISION]: String(revision) };
  });
}

function addSet(
  context: ControllerContext,
  deployment: Deployment,
  owned: readonly ReplicaSet[],
): ReplicaSet {
  const { api } = context;
  const { namespace = '', name } = deployment.metadata;
  const hash = hashOf(JSON.stringify(templateOf(deployment)), deployment.status?.collisionCount ?? 0);
  const revision = highestRevision(owned) + 1;
  const template = deployment.spec.template;
  const replicas =
    deployment.spec.strategy?.type === 'Recreate' ? (deployment.spec.replicas ?? 1) : room(deployment, owned);
  const annotations = { ...copied(deployment), [REVISION]: String(revision) };
  const set = api.create<ReplicaSet>(
    REPLICA_SETS,
    namespace,
    {
      metadata: {
        name: `${name}-${hash}`,
        labels: { ...template.metadata?.labels, [HASH]: hash },
        annotations: { ...annotations, ...sizes(deployment) },
        ownerReferences: controlledBy(deployment, DEPLOYMENTS),
      },
      spec: {
        replicas,
        ...(deployment.spec.minReadySeconds === undefined
          ? {}
          : { minReadySeconds: deployment.spec.minReadySeconds }),
        selector: {
          ...deployment.spec.selector,
          matchLabels: { ...deployment.spec.selector.matchLabels, [HASH]: hash },
        },
        template: {
          ...template,
          metadata: { ...template.metadata, labels: { ...template.metadata?.labels, [HASH]: hash } },
        },
      },
    },
    { manager: 'kube-controller-manager' },
  );
  setRevision(api, deployment, revision);
  context.events.record(
    deployment,
    'Normal',
    'ScalingReplicaSet',
    `Scaled up replica set ${set.metadata.name} from 0 to ${replicas}`,
    {
      component: 'deployment-controller',
    },
  );
  setProgress(
    context,
    deployment,
    'True',
    'NewReplicaSetCreated',
    `Created new replica set "${set.metadata.name}"`,
  );
  return set;
}

function hashOf(text: string, collisions: number): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  const digest = createHash('sha1').update(`${text}${collisions}`).digest();
  return Array.from(digest.subarray(0, 10), (byte) => alphabet[byte % alphabet.length]).join('');
}

function sizes(deployment: Deployment): Record<string, string> {
  const replicas = deployment.spec.replicas ?? 1;
  return { [DESIRED]: String(replicas), [MOST]: String(replicas + limits(deployment).surge) };
}

function limits(deployment: Deployment): { surge: number; unavailable: number } {
  const replicas = deployment.spec.replicas ?? 1;
  const { maxSurge = '25%', maxUnavailable = '25%' } = deployment.spec.strategy?.rollingUpdate ?? {};
  const surge = share(maxSurge, replicas, Math.ceil);
  const unavailable = share(maxUnavailable, replicas, Math.floor);
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

/** A count, or a percentage of all. */
export function share(value: number | string, all: number, round: (value: number) => number): number {
  return typeof value === 'string' && value.endsWith('%')
    ? round((Number.parseInt(value, 10) * all) / 100)
    : Number(value);
}

/** How many pods the new ReplicaSet may have now. */
function room(deployment: Deployment, sets: readonly ReplicaSet[], fresh?: ReplicaSet): number {
  const replicas = deployment.spec.replicas ?? 1;
  const total = sets.reduce((sum, set) => sum + (set.spec.replicas ?? 0), 0);
  const mine = fresh?.spec.replicas ?? 0;
  return Math.min(replicas, mine + Math.max(0, replicas + limits(deployment).surge - total));
}

function scaleTo(
  context: ControllerContext,
  deployment: Deployment,
  set: ReplicaSet,
  replicas: number,
): ReplicaSet {
  const before = set.spec.replicas ?? 0;
  const changed = context.api.change(REPLICA_SETS, set, (draft) => {
    draft.spec.replicas = replicas;
    draft.metadata.annotations = { ...draft.metadata.annotations, ...sizes(deployment) };
  });
  if (before !== replicas) {
    context.events.record(
      deployment,
      'Normal',
      'ScalingReplicaSet',
      `Scaled ${replicas > before ? 'up' : 'down'} replica set ${set.metadata.name} from ${before} to ${replicas}`,
      { component: 'deployment-controller' },
    );
  }
  return changed;
}

/** Recreate: the old pods go first, all of them. */
function isGone(
  api: ApiServer,
  set: ReplicaSet,
  context: ControllerContext,
  deployment: Deployment,
): boolean {
  if ((set.spec.replicas ?? 0) > 0) scaleTo(context, deployment, set, 0);
  return !api
    .list<Pod>(PODS, set.metadata.namespace)
    .some((pod) => pod.metadata.ownerReferences?.some(({ uid }) => uid === set.metadata.uid));
}

function roll(
  context: ControllerContext,
  deployment: Deployment,
  fresh: ReplicaSet,
  old: readonly ReplicaSet[],
): void {
  const { api, now } = context;
  const wanted = deployment.spec.replicas ?? 1;
  const mine = fresh.spec.replicas ?? 0;
  const grown = scaleTo(
    context,
    deployment,
    fresh,
    mine > wanted ? wanted : room(deployment, [...old, fresh], fresh),
  );
  const seconds = deployment.spec.minReadySeconds ?? 0;
  const available = (set: ReplicaSet): number =>
    activePods(api, set).filter((pod) => (availableAt(pod, seconds) ?? Number.POSITIVE_INFINITY) <= now)
      .length;
  const least = wanted - limits(deployment).unavailable;
  const total = [...old, grown].reduce((sum, set) => sum + (set.spec.replicas ?? 0), 0);
  const unready = (grown.spec.replicas ?? 0) - available(grown);
  // First the old pods that serve nobody, then as many serving ones as availability leaves room for.
  let most = total - least - unready;
  const sets = [...old].sort((left, right) => revisionOf(left) - revisionOf(right));
  const left = new Map(sets.map((set) => [set, set.spec.replicas ?? 0]));
  for (const set of sets) {
    const count = left.get(set) ?? 0;
    const less = Math.min(count - available(set), most, count);
    if (less <= 0) continue;
    left.set(set, count - less);
    most -= less;
  }
  let spare = [grown, ...old].reduce((sum, set) => sum + available(set), 0) - least;
  for (const set of sets) {
    const count = left.get(set) ?? 0;
    const less = Math.min(count, spare);
    if (less <= 0) continue;
    left.set(set, count - less);
    spare -= less;
  }
  for (const [set, count] of left)
    if (count !== (set.spec.replicas ?? 0)) scaleTo(context, deployment, set, count);
}

function setProgress(
  { api }: ControllerContext,
  deployment: Deployment,
  status: 'True' | 'False',
  reason: string,
  message: string,
): void {
  api.changeStatus(DEPLOYMENTS, deployment, (draft) => {
    const stamp = api.now();
    const conditions = withCondition(
      draft.status?.conditions as Condition[] | undefined,
      { type: 'Progressing', status, reason, message },
      stamp,
    );
    draft.status = {
      ...draft.status,
      conditions: conditions.map((one) =>
        one.type === 'Progressing' ? { ...one, lastUpdateTime: stamp } : one,
      ),
    };
  });
}

function writeStatus(
  context: ControllerContext,
  deployment: Deployment,
  fresh: ReplicaSet | undefined,
): void {
  const { api, now } = context;
  const sets = ownedSets(api, deployment);
  const seconds = deployment.spec.minReadySeconds ?? 0;
  const pods = sets.flatMap((set) => activePods(api, set));
  const times = pods.map((pod) => availableAt(pod, seconds));
  for (const time of times) if (time !== undefined && time > now) context.wake(time);
  const available = times.filter((time) => time !== undefined && time <= now).length;
  const updated = fresh ? activePods(api, fresh).length : 0;
  const wanted = deployment.spec.replicas ?? 1;
  const { unavailable } =
    deployment.spec.strategy?.type === 'Recreate' ? { unavailable: 0 } : limits(deployment);
  const isAvailable = available >= wanted - unavailable;
  const before =
    api.find<Deployment>(DEPLOYMENTS, deployment.metadata.namespace ?? '', deployment.metadata.name) ??
    deployment;
  const written = api.changeStatus(DEPLOYMENTS, before, (draft) => {
    const { unavailableReplicas: _, replicas: __, ...rest } = draft.status ?? {};
    draft.status = {
      ...rest,
      observedGeneration: draft.metadata.generation ?? 0,
      replicas: pods.length,
      updatedReplicas: updated,
      readyReplicas: times.filter((time) => time !== undefined).length,
      availableReplicas: available,
      ...(Math.max(wanted, pods.length) - available > 0
        ? { unavailableReplicas: Math.max(wanted, pods.length) - available }
        : {}),
    };
    const conditions = withCondition(
      draft.status.conditions as Condition[] | undefined,
      isAvailable
        ? {
            type: 'Available',
            status: 'True',
            reason: 'MinimumReplicasAvailable',
            message: 'Deployment has minimum availability.',
          }
        : {
            type: 'Available',
            status: 'False',
            reason: 'MinimumReplicasUnavailable',
            message: 'Deployment does not have minimum availability.',
          },
      api.now(),
    );
    const known = before.status?.conditions?.find(({ type }) => type === 'Available');
    draft.status.conditions = conditions.map((one) => {
      if (one.type !== 'Available') return one;
      const isKept = known?.status === one.status;
      return { ...one, lastUpdateTime: (isKept ? known.lastUpdateTime : undefined) ?? api.now() };
    });
  });
  judgeProgress(context, before, written, fresh, pods.length);
}

/** The Progressing condition: complete, moving, or past its deadline. */
function judgeProgress(
  context: ControllerContext,
  before: Deployment,
  written: Deployment,
  fresh: ReplicaSet | undefined,
  podCount: number,
): void {
  const progressing = written.status?.conditions?.find(({ type }) => type === 'Progressing');
  const wanted = written.spec.replicas ?? 1;
  const { updatedReplicas = 0, availableReplicas = 0 } = written.status ?? {};
  const name = fresh?.metadata.name ?? '';
  if (updatedReplicas === wanted && availableReplicas === wanted && podCount === wanted && fresh) {
    const message = `ReplicaSet "${name}" has successfully progressed.`;
    if (progressing?.reason !== 'NewReplicaSetAvailable' || progressing.message !== message) {
      setProgress(context, written, 'True', 'NewReplicaSetAvailable', message);
    }
    return;
  }
  const hasMoved =
    updatedReplicas > (before.status?.updatedReplicas ?? 0) ||
    availableReplicas > (before.status?.availableReplicas ?? 0) ||
    podCount < (before.status?.replicas ?? 0);
  if (
    !progressing ||
    hasMoved ||
    (progressing.reason === 'NewReplicaSetAvailable' && !progressing.message?.includes(`"${name}"`))
  ) {
    setProgress(context, written, 'True', 'ReplicaSetUpdated', `ReplicaSet "${name}" is progressing.`);
    return;
  }
  // A finished rollout that loses a pod later is not held to the deadline again.
  if (progressing.reason === 'NewReplicaSetAvailable' || progressing.status === 'False') return;
  const deadline =
    Date.parse(progressing.lastUpdateTime ?? context.api.now()) +
    (written.spec.progressDeadlineSeconds ?? 600) * 1000;
  if (context.now < deadline) {
    context.wake(deadline);
    return;
  }
  setProgress(
    context,
    written,
    'False',
    'ProgressDeadlineExceeded',
    `ReplicaSet "${name}" has timed out progressing.`,
  );
}

function dropHistory(api: ApiServer, deployment: Deployment, fresh: ReplicaSet): void {
  const kept = deployment.spec.revisionHistoryLimit ?? 10;
  const old = ownedSets(api, deployment)
    .filter(
      (set) =>
        set.metadata.uid !== fresh.metadata.uid &&
        (set.spec.replicas ?? 0) === 0 &&
        (set.status?.replicas ?? 0) === 0,
    )
    .sort((left, right) => revisionOf(left) - revisionOf(right));
  for (const set of old.slice(0, Math.max(0, old.length - kept))) {
    api.delete(REPLICA_SETS, set.metadata.namespace ?? '', set.metadata.name);
  }
}

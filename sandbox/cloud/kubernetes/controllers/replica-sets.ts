/** Keeps as many pods as each ReplicaSet asks for (pkg/controller/replicaset). */
import { type ApiServer, randomSuffix } from '../api/api-server.ts';
import { PODS, REPLICA_SETS } from '../api/kinds.ts';
import { matchesLabels } from '../api/selectors.ts';
import { StatusError } from '../api/status-error.ts';
import { KUBELET_SYNC } from '../durations.ts';
import type { Pod, ReplicaSet } from '../object.ts';
import type { Controller, ControllerContext } from './controller.ts';
import { controlledBy } from './garbage-collector.ts';

export const replicaSets: Controller = (context) => {
  for (const set of context.api.list<ReplicaSet>(REPLICA_SETS)) {
    if (set.metadata.deletionTimestamp === undefined) scale(context, set);
    writeStatus(context, set);
  }
};

export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

/** When the pod has been ready for `minReadySeconds`; undefined while it is not ready. */
export function availableAt(pod: Pod, minReadySeconds: number): number | undefined {
  const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status !== 'True') return undefined;
  return Date.parse(ready.lastTransitionTime ?? pod.metadata.creationTimestamp) + minReadySeconds * 1000;
}

/** Pods of the set that count: not on their way out and not finished. */
export function activePods(api: ApiServer, set: ReplicaSet): Pod[] {
  return api
    .list<Pod>(PODS, set.metadata.namespace)
    .filter(
      (pod) =>
        pod.metadata.deletionTimestamp === undefined &&
        pod.status?.phase !== 'Succeeded' &&
        pod.status?.phase !== 'Failed' &&
        pod.metadata.ownerReferences?.some(({ uid }) => uid === set.metadata.uid),
    );
}

function scale(context: ControllerContext, set: ReplicaSet): void {
  const { api, events } = context;
  adopt(api, set);
  const pods = activePods(api, set);
  const missing = (set.spec.replicas ?? 1) - pods.length;
  const options = { component: 'replicaset-controller' };
  for (let count = 0; count < missing; count += 1) {
    const name = `${set.metadata.name}-${randomSuffix()}`;
    try {
      api.create<Pod>(
        PODS,
        set.metadata.namespace ?? '',
        {
          metadata: {
            name,
            generateName: `${set.metadata.name}-`,
            labels: set.spec.template?.metadata?.labels ?? {},
            ...(set.spec.template?.metadata?.annotations
              ? { annotations: set.spec.template.metadata.annotations }
              : {}),
            ownerReferences: controlledBy(set, REPLICA_SETS),
          },
          spec: set.spec.template?.spec,
        },
        { manager: 'kube-controller-manager' },
      );
      events.record(set, 'Normal', 'SuccessfulCreate', `Created pod: ${name}`, options);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      context.wake(context.now + KUBELET_SYNC);
      const known = set.status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
      if (known?.message === error.message) return;
      events.record(set, 'Warning', 'FailedCreate', `Error creating: ${error.message}`, options);
      api.changeStatus(REPLICA_SETS, set, (draft) => {
        draft.status = {
          ...draft.status,
          replicas: draft.status?.replicas ?? 0,
          conditions: [
            {
              type: 'ReplicaFailure',
              status: 'True',
              reason: 'FailedCreate',
              message: error.message,
              lastTransitionTime: api.now(),
            },
          ],
        };
      });
      return;
    }
  }
  for (const pod of [...pods].sort(byWorth).slice(0, Math.max(0, -missing))) {
    api.delete(PODS, pod.metadata.namespace ?? '', pod.metadata.name);
    events.record(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`, options);
  }
}

/** The ones to lose first: unscheduled, then not ready, then youngest. */
function byWorth(left: Pod, right: Pod): number {
  const worth = (pod: Pod): number => (pod.spec.nodeName === undefined ? 0 : isReady(pod) ? 2 : 1);
  return (
    worth(left) - worth(right) ||
    Date.parse(right.metadata.creationTimestamp) - Date.parse(left.metadata.creationTimestamp)
  );
}

/** Pods with fitting labels and no owner become the set's, as controllers adopt orphans. */
function adopt(api: ApiServer, set: ReplicaSet): void {
  for (const pod of api.list<Pod>(PODS, set.metadata.namespace)) {
    if (pod.metadata.ownerReferences?.length || pod.metadata.deletionTimestamp !== undefined) continue;
    if (!matchesLabels(set.spec.selector, pod.metadata.labels)) continue;
    api.change(PODS, pod, (draft) => {
      draft.metadata.ownerReferences = controlledBy(set, REPLICA_SETS);
    });
  }
}

function writeStatus({ api, now, wake }: ControllerContext, set: ReplicaSet): void {
  const pods = activePods(api, set);
  const times = pods.map((pod) => availableAt(pod, set.spec.minReadySeconds ?? 0));
  for (const time of times) if (time !== undefined && time > now) wake(time);
  const wanted = set.spec.replicas ?? 1;
  api.changeStatus(REPLICA_SETS, set, (draft) => {
    const { conditions, ...rest } = draft.status ?? { replicas: 0 };
    draft.status = {
      ...rest,
      replicas: pods.length,
      fullyLabeledReplicas: pods.length,
      readyReplicas: pods.filter(isReady).length,
      availableReplicas: times.filter((time) => time !== undefined && time <= now).length,
      observedGeneration: draft.metadata.generation ?? 0,
      ...(conditions && pods.length < wanted ? { conditions } : {}),
    };
  });
}

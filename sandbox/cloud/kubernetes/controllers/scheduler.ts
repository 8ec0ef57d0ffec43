/** Gives pods a node: resources, selectors, taints, volumes; and says in the real words why there is none. */
import type { ApiServer } from '../api/api-server.ts';
import { NODES, PERSISTENT_VOLUME_CLAIMS, PODS, STORAGE_CLASSES } from '../api/kinds.ts';
import { hasLabels } from '../api/selectors.ts';
import {
  type Condition,
  type Node,
  type PersistentVolumeClaim,
  type Pod,
  type StorageClass,
  timestamp,
  withCondition,
} from '../object.ts';
import { amount } from '../quantity.ts';
import type { Controller, ControllerContext } from './controller.ts';

const SELECTED_NODE = 'volume.kubernetes.io/selected-node';

export const scheduler: Controller = (context) => {
  for (const pod of context.api.list<Pod>(PODS)) {
    if (pod.spec.nodeName !== undefined || pod.metadata.deletionTimestamp !== undefined) continue;
    if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') continue;
    schedule(context, pod);
  }
};

function schedule(context: ControllerContext, pod: Pod): void {
  const { api, events } = context;
  const nodes = api.list<Node>(NODES);
  const claims = claimsOf(api, pod);
  const pods = api.list<Pod>(PODS);
  if (typeof claims === 'string') {
    refuse(
      context,
      pod,
      `0/${nodes.length} nodes are available: ${claims}. preemption: 0/${nodes.length} nodes are available: ${nodes.length} Preemption is not helpful for scheduling.`,
    );
    return;
  }
  const reasons = new Map<string, number>();
  const fitting = nodes.filter((node) => {
    const why = unfitness(pod, node, pods);
    for (const reason of why) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    return why.length === 0;
  });
  if (fitting.length === 0) {
    const listed = [...reasons]
      .map(([reason, count]) => `${count} ${reason}`)
      .sort()
      .join(', ');
    const why =
      nodes.length === 0
        ? 'no nodes available to schedule pods'
        : `0/${nodes.length} nodes are available: ${listed}. preemption: 0/${nodes.length} nodes are available: ${nodes.length} Preemption is not helpful for scheduling.`;
    refuse(context, pod, why);
    return;
  }
  const load = (node: Node): number => pods.filter(({ spec }) => spec.nodeName === node.metadata.name).length;
  const chosen = fitting.sort((left, right) => load(left) - load(right))[0];
  if (!chosen) return;
  const unbound = claims.filter(({ status }) => status?.phase !== 'Bound');
  if (unbound.length > 0) {
    // Dynamic volumes are made where the pod goes; the pod follows once they are bound.
    for (const claim of unbound) {
      api.change(PERSISTENT_VOLUME_CLAIMS, claim, (draft) => {
        draft.metadata.annotations = { ...draft.metadata.annotations, [SELECTED_NODE]: chosen.metadata.name };
      });
    }
    return;
  }
  const bound = api.change(PODS, pod, (draft) => {
    draft.spec.nodeName = chosen.metadata.name;
  });
  api.changeStatus(
    PODS,
    bound,
    (draft) => {
      draft.status = {
        ...draft.status,
        conditions: withCondition(
          draft.status?.conditions as Condition[] | undefined,
          { type: 'PodScheduled', status: 'True' },
          timestamp(context.now),
        ),
      };
    },
    'kube-scheduler',
  );
  events.record(
    pod,
    'Normal',
    'Scheduled',
    `Successfully assigned ${pod.metadata.namespace}/${pod.metadata.name} to ${chosen.metadata.name}`,
    {
      component: 'default-scheduler',
    },
  );
}

/** The pod's claims if the pod may be placed with them, otherwise why it may not. */
function claimsOf(api: ApiServer, pod: Pod): PersistentVolumeClaim[] | string {
  const found: PersistentVolumeClaim[] = [];
  for (const volume of pod.spec.volumes ?? []) {
    const name = volume.persistentVolumeClaim?.claimName;
    if (name === undefined) continue;
    const claim = api.find<PersistentVolumeClaim>(
      PERSISTENT_VOLUME_CLAIMS,
      pod.metadata.namespace ?? '',
      name,
    );
    if (!claim) return `persistentvolumeclaim "${name}" not found`;
    if (claim.metadata.deletionTimestamp !== undefined)
      return `persistentvolumeclaim "${name}" is being deleted`;
    if (claim.status?.phase === 'Lost')
      return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec.volumeName}"`;
    if (claim.status?.phase !== 'Bound' && !waitsForConsumer(api, claim)) {
      return 'pod has unbound immediate PersistentVolumeClaims';
    }
    found.push(claim);
  }
  return found;
}

function waitsForConsumer(api: ApiServer, claim: PersistentVolumeClaim): boolean {
  if (claim.spec.selector || claim.spec.volumeName !== undefined) return false;
  const storageClass = api.find<StorageClass>(STORAGE_CLASSES, '', claim.spec.storageClassName ?? '');
  return storageClass?.volumeBindingMode === 'WaitForFirstConsumer';
}

function unfitness(pod: Pod, node: Node, pods: readonly Pod[]): string[] {
  const why: string[] = [];
  if (node.spec.unschedulable) why.push('node(s) were unschedulable');
  if (!matchesNode(pod, node)) why.push("node(s) didn't match Pod's node affinity/selector");
  const taint = (node.spec.taints ?? []).find(
    ({ key, value, effect }) =>
      (effect === 'NoSchedule' || effect === 'NoExecute') &&
      !(pod.spec.tolerations ?? []).some(
        (toleration) =>
          (toleration.effect === undefined || toleration.effect === '' || toleration.effect === effect) &&
          (toleration.key === undefined || toleration.key === '' || toleration.key === key) &&
          (toleration.operator === 'Exists' || (toleration.value ?? '') === (value ?? '')),
      ),
  );
  if (taint) why.push(`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`);
  const placed = pods.filter(
    ({ spec, status }) =>
      spec.nodeName === node.metadata.name && status?.phase !== 'Succeeded' && status?.phase !== 'Failed',
  );
  for (const [resource, reason] of [
    ['cpu', 'Insufficient cpu'],
    ['memory', 'Insufficient memory'],
  ] as const) {
    const used = placed.reduce((sum, one) => sum + requested(one, resource), 0);
    const wanted = requested(pod, resource);
    if (wanted > 0 && used + wanted > amount(node.status?.allocatable?.[resource])) why.push(reason);
  }
  if (placed.length >= amount(node.status?.allocatable?.['pods'])) why.push('Too many pods');
  return why;
}

function requested(pod: Pod, resource: string): number {
  const of = (container: Pod['spec']['containers'][number]): number =>
    amount(container.resources?.requests?.[resource]);
  const running = pod.spec.containers.reduce((sum, container) => sum + of(container), 0);
  return Math.max(running, ...(pod.spec.initContainers ?? []).map(of));
}

function matchesNode(pod: Pod, node: Node): boolean {
  const labels = node.metadata.labels ?? {};
  if (!hasLabels(pod.spec.nodeSelector ?? {}, labels)) return false;
  const terms =
    pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  if (!terms) return true;
  return terms.some((term) =>
    (term.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === 'In') return value !== undefined && values.includes(value);
      if (operator === 'NotIn') return value === undefined || !values.includes(value);
      return (operator === 'Exists') === (value !== undefined);
    }),
  );
}

function refuse({ api, events, now }: ControllerContext, pod: Pod, message: string): void {
  const known = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (known?.message === message) return;
  events.record(pod, 'Warning', 'FailedScheduling', message, { component: 'default-scheduler' });
  api.changeStatus(
    PODS,
    pod,
    (draft) => {
      draft.status = {
        ...draft.status,
        conditions: withCondition(
          draft.status?.conditions as Condition[] | undefined,
          { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message },
          timestamp(now),
        ),
      };
    },
    'kube-scheduler',
  );
}

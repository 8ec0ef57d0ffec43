/**
 * Where pods can run at all. A node that has just gone may be on its way back from an upgrade, so it counts as gone
 * only after a while. https://kubernetes.io/docs/reference/node/node-status/#condition
 */
import { z } from 'zod';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { clusterOf, isOlderThan } from './cluster.ts';

const AWAY_MINUTES = 2;

const nodeSchema = z.object({
  metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()).default({}) }),
  spec: z
    .object({
      unschedulable: z.boolean().default(false),
      taints: z
        .array(z.object({ key: z.string(), value: z.string().default(''), effect: z.string() }))
        .default([]),
    })
    .prefault({}),
  status: z
    .object({
      conditions: z
        .array(z.object({ type: z.string(), status: z.string(), lastTransitionTime: z.string().nullish() }))
        .default([]),
    })
    .prefault({}),
});
type Node = z.output<typeof nodeSchema>;

/** What the kubelet says when it runs out of something, and begins to evict pods for it. */
const pressures = ['MemoryPressure', 'DiskPressure', 'PIDPressure'] as const;

const resource = 'azure/cluster' as const;
const names = (nodes: readonly Node[]): string => nodes.map(({ metadata }) => metadata.name).join(', ');
const conditionOf = ({ status }: Node, wanted: string) =>
  status.conditions.find(({ type }) => type === wanted);
const isUp = (node: Node): boolean => conditionOf(node, 'Ready')?.status === 'True';

/** Whether the workloads may run there, by node selector and taints. */
function admitsWorkloads({ metadata, spec }: Node, { cluster }: CheckScope['spec']): boolean {
  const isSelected = Object.entries(cluster.nodeSelector).every(
    ([label, value]) => metadata.labels[label] === value,
  );
  // A cordon is a taint, too; it is judged by itself.
  const binding = spec.taints.filter(
    ({ key, effect }) => effect !== 'PreferNoSchedule' && !key.startsWith('node.kubernetes.io/'),
  );
  return (
    isSelected &&
    binding.every((taint) =>
      cluster.tolerations.some(
        ({ key, operator, value = '', effect }) =>
          key === taint.key &&
          (operator === 'Exists' || value === taint.value) &&
          (effect === undefined || effect === taint.effect),
      ),
    )
  );
}

export const nodesCarry: Check = {
  id: 'nodes-carry-pods',
  system: 'nodes',
  title: 'Nodes are ready, and the workloads may run on them',
  async run(scope) {
    const api = await clusterOf(scope);
    const nodes = (await api.list({ apiVersion: 'v1', kind: 'Node' })).map((node) => nodeSchema.parse(node));
    const up = nodes.filter(isUp);
    if (up.length === 0) {
      return [
        {
          id: 'no-node-ready',
          resource,
          severity: 'error',
          what: nodes.length === 0 ? 'The cluster has no node.' : 'None of the nodes is ready.',
          evidence: nodes.length === 0 ? 'kubectl get nodes lists none' : `not ready: ${names(nodes)}`,
          breaks: 'Nothing runs: no pod can be started, and those that ran are lost.',
          remedy:
            'See `kubectl describe nodes`; start or scale the node pools: az aks nodepool list, az aks nodepool scale.',
        },
      ];
    }
    const usable = up.filter((node) => admitsWorkloads(node, scope.spec));
    const open = usable.filter(({ spec }) => !spec.unschedulable);
    return [
      ...noPlace(usable, open),
      ...away(nodes, scope.now),
      ...pressures.flatMap((pressure) => underPressure(pressure, up)),
    ];
  },
};

function noPlace(usable: readonly Node[], open: readonly Node[]): readonly CheckFinding[] {
  if (open.length > 0) return [];
  const breaks = 'No pod of this deployment can be started any more; those that run go on until they end.';
  return usable.length === 0
    ? [
        {
          id: 'no-node-admits-workloads',
          resource,
          severity: 'error',
          what: 'No ready node has the labels and taints that this deployment asks for.',
          evidence:
            'every ready node lacks a label of cluster.nodeSelector, or has a taint that is not tolerated',
          breaks,
          remedy:
            'Compare `kubectl get nodes --show-labels` and their taints with cluster.nodeSelector and cluster.tolerations of the spec, and change the node pool or the spec.',
        },
      ]
    : [
        {
          id: 'all-nodes-cordoned',
          resource,
          severity: 'error',
          what: 'Every node that this deployment may run on is cordoned.',
          evidence: `unschedulable: ${names(usable)}`,
          breaks,
          remedy: 'Let pods onto them again: kubectl uncordon <node>.',
        },
      ];
}

function away(nodes: readonly Node[], now: Date): readonly CheckFinding[] {
  const gone = nodes.filter(
    (node) => !isUp(node) && isOlderThan(conditionOf(node, 'Ready')?.lastTransitionTime, AWAY_MINUTES, now),
  );
  if (gone.length === 0) return [];
  return [
    {
      id: 'node-not-ready',
      resource,
      severity: 'warning',
      what: 'A node is not ready.',
      evidence: `not ready: ${names(gone)}`,
      breaks: 'Its pods are moved to other nodes, as far as there is room.',
      remedy:
        'See `kubectl describe node <node>`; restart its instance: az vmss restart --instance-ids <n>, in the node resource group.',
    },
  ];
}

function underPressure(
  pressure: (typeof pressures)[number],
  nodes: readonly Node[],
): readonly CheckFinding[] {
  const pressed = nodes.filter((node) => conditionOf(node, pressure)?.status === 'True');
  if (pressed.length === 0) return [];
  const what = { MemoryPressure: 'memory', DiskPressure: 'disk space', PIDPressure: 'process ids' }[pressure];
  return [
    {
      id: pressure.replace('Pressure', '-pressure').toLowerCase(),
      resource,
      severity: 'warning',
      what: `A node runs out of ${what}.`,
      evidence: `${pressure}: ${names(pressed)}`,
      breaks: 'Its kubelet evicts pods and takes no new ones.',
      remedy: 'See what uses it with `kubectl top pods -A`; use larger machines or more nodes.',
    },
  ];
}

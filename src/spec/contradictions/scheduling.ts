/** Whether the workloads can run anywhere: pools, taints, tolerations and node selector taken together. */
import type { Rule } from '../contradictions.ts';
import { problem } from '../problem.ts';
import type { DeploymentSpec } from '../spec.ts';

type Pool = DeploymentSpec['cluster']['nodePools'][number];
type Toleration = DeploymentSpec['cluster']['tolerations'][number];

const hasSystemPool: Rule = ({ spec }) =>
  spec.cluster.nodePools.some(({ mode }) => mode === 'System')
    ? []
    : [problem('cluster.nodePools', 'must have at least one pool of mode System')];

const poolsNamedApart: Rule = ({ spec }) =>
  spec.cluster.nodePools.flatMap(({ name }, index, pools) =>
    pools.findIndex((other) => other.name === name) < index
      ? [problem(`cluster.nodePools[${index}].name`, 'must differ from the names of the other pools')]
      : [],
  );

/** AKS refuses any other taint on a system pool (Azure/AKS issue 2578). */
const systemPoolTaints: Rule = ({ spec }) =>
  spec.cluster.nodePools.flatMap(({ mode, taints }, pool) =>
    mode !== 'System'
      ? []
      : taints.flatMap((taint, index) =>
          taint.startsWith('CriticalAddonsOnly=true:')
            ? []
            : [
                problem(
                  `cluster.nodePools[${pool}].taints[${index}]`,
                  'must be CriticalAddonsOnly=true:NoSchedule: AKS allows no other taint on a System pool',
                ),
              ],
        ),
  );

/** Kubernetes itself refuses a value with Exists; an Equal without one matches only an empty value, surely a slip. */
const tolerationValues: Rule = ({ spec }) =>
  spec.cluster.tolerations.flatMap(({ operator, value }, index) => {
    const field = `cluster.tolerations[${index}].value`;
    if (operator === 'Equal' && value === undefined) return [problem(field, 'is missing: Equal compares it')];
    if (operator === 'Exists' && value !== undefined)
      return [problem(field, 'must be left out: Exists compares none')];
    return [];
  });

/** https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/ */
function tolerates(toleration: Toleration, taint: string): boolean {
  const [, key, value, effect] = /^(.*?)=(.*):(\w+)$/.exec(taint) ?? [];
  return (
    toleration.key === key &&
    (toleration.effect === undefined || toleration.effect === effect) &&
    (toleration.operator === 'Exists' || toleration.value === value)
  );
}

const isOpenTo = (pool: Pool, tolerations: readonly Toleration[]): boolean =>
  pool.taints
    .filter((taint) => !taint.endsWith(':PreferNoSchedule'))
    .every((taint) => tolerations.some((toleration) => tolerates(toleration, taint)));

/** Labels AKS and Kubernetes set themselves are only partly known here; those that are not, are taken as met. */
function isSelected(pool: Pool, selector: Readonly<Record<string, string>>): boolean {
  const known: Readonly<Record<string, string>> = {
    ...pool.labels,
    agentpool: pool.name,
    'kubernetes.azure.com/agentpool': pool.name,
    'kubernetes.azure.com/mode': pool.mode.toLowerCase(),
  };
  return Object.entries(selector).every(([key, value]) =>
    Object.hasOwn(known, key) ? known[key] === value : /(^|\.)kubernetes\.(io|azure\.com)\//.test(key),
  );
}

const canRunSomewhere: Rule = ({ spec }) => {
  const { nodePools, nodeSelector, tolerations } = spec.cluster;
  const selected = nodePools.filter((pool) => isSelected(pool, nodeSelector));
  if (selected.length === 0) {
    return [
      problem('cluster.nodeSelector', 'must match the labels of a node pool; now the workloads run nowhere'),
    ];
  }
  if (selected.some((pool) => isOpenTo(pool, tolerations))) return [];
  const which = selected.length < nodePools.length ? 'a pool the node selector matches' : 'a node pool';
  return [problem('cluster.tolerations', `must meet all taints of ${which}; now the workloads run nowhere`)];
};

export const schedulingRules: readonly Rule[] = [
  hasSystemPool,
  poolsNamedApart,
  systemPoolTaints,
  tolerationValues,
  canRunSomewhere,
];

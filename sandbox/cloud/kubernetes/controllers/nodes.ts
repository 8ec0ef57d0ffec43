/** Nodes: one object for each instance of the node pools' scale sets, gone with the instance and with it its pods. */
import type { Cluster, NodePool } from '../../neighbours.ts';
import { NODES, PODS } from '../api/kinds.ts';
import { type Node, type Pod, timestamp, withCondition } from '../object.ts';
import type { Controller } from './controller.ts';

/** `aks-pool-12345678-vmss` + the instance number in base 36, six digits. */
export function nodeNamesOf(pool: NodePool): string[] {
  return Array.from(
    { length: pool.count },
    (_, index) => pool.vmssName + index.toString(36).padStart(6, '0'),
  );
}

export function poolOfNode(cluster: Cluster, node: string | undefined): NodePool | undefined {
  return cluster.nodePools.find((pool) => nodeNamesOf(pool).includes(node ?? ''));
}

/** vCPUs and memory in GiB of a VM size, by the naming convention of Azure's families. */
export function sizeOf(vmSize: string): { readonly cpu: number; readonly memoryGiB: number } {
  const burstable: Readonly<Record<string, number>> = {
    B1s: 1,
    B1ms: 2,
    B2s: 4,
    B2ms: 8,
    B4ms: 16,
    B8ms: 32,
  };
  const name = vmSize.replace(/^Standard_/i, '');
  const memory = burstable[name];
  const cpu = Number(/\d+/.exec(name)?.[0] ?? 2);
  if (memory !== undefined) return { cpu, memoryGiB: memory };
  const family = /^[A-Z]+/.exec(name)?.[0] ?? 'D';
  const perCore = family.startsWith('E') ? 8 : family.startsWith('F') ? 2 : family.startsWith('DS') ? 3.5 : 4;
  return { cpu, memoryGiB: cpu * perCore };
}

export const nodes: Controller = ({ api, cluster, now }) => {
  const wanted = new Map(
    cluster.nodePools.flatMap((pool) =>
      nodeNamesOf(pool).map((name, index) => [name, { pool, index }] as const),
    ),
  );
  for (const node of api.list<Node>(NODES)) {
    if (wanted.has(node.metadata.name)) continue;
    api.removeNow(NODES, node);
  }
  for (const pod of api.list<Pod>(PODS)) {
    // The pod garbage collector: pods of nodes that are no more.
    if (pod.spec.nodeName !== undefined && !wanted.has(pod.spec.nodeName)) api.removeNow(PODS, pod);
  }
  let number = 0;
  for (const [name, { pool, index }] of wanted) {
    number += 1;
    const labels = labelsOf(cluster, pool, name, index);
    const taints = pool.taints.flatMap((text) => {
      const match = /^([^=:]+)(?:=([^:]*))?:(\w+)$/.exec(text);
      if (!match) return [];
      const [, key = '', value, effect = ''] = match;
      return [{ key, ...(value === undefined ? {} : { value }), effect }];
    });
    const found = api.find<Node>(NODES, '', name);
    const node =
      found ??
      api.create<Node>(
        NODES,
        '',
        { metadata: { name, labels }, spec: { providerID: `azure://${pool.vmssName}/${index}` } },
        { manager: 'kubelet' },
      );
    api.change(NODES, node, (draft) => {
      draft.metadata.labels = { ...draft.metadata.labels, ...labels };
      const cordon = (draft.spec.taints ?? []).filter(({ key }) => key.startsWith('node.kubernetes.io/'));
      const all = [...taints, ...cordon];
      if (all.length > 0) draft.spec.taints = all;
      else delete draft.spec.taints;
    });
    api.changeStatus(
      NODES,
      node,
      (draft) => (draft.status = statusOf(draft, cluster, pool, number, now)),
      'kubelet',
    );
  }
};

function labelsOf(cluster: Cluster, pool: NodePool, name: string, index: number): Record<string, string> {
  return {
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': 'amd64',
    'kubernetes.azure.com/agentpool': pool.name,
    'kubernetes.azure.com/mode': pool.mode.toLowerCase(),
    'kubernetes.azure.com/cluster': cluster.name,
    'kubernetes.azure.com/role': 'agent',
    agentpool: pool.name,
    'node.kubernetes.io/instance-type': pool.vmSize,
    'topology.kubernetes.io/region': cluster.location,
    'topology.kubernetes.io/zone': String(index),
    'topology.disk.csi.azure.com/zone': '',
    ...pool.labels,
  };
}

function statusOf(
  node: Node,
  cluster: Cluster,
  pool: NodePool,
  number: number,
  now: number,
): NonNullable<Node['status']> {
  const { cpu, memoryGiB } = sizeOf(pool.vmSize);
  // AKS reserves 60-180m of CPU and 25 % of the first 4 GiB, 20 % of the next 4, 10 % above
  // (learn.microsoft.com/azure/aks/node-resource-reservations).
  const reserved =
    Math.min(memoryGiB, 4) * 0.25 +
    Math.min(Math.max(memoryGiB - 4, 0), 4) * 0.2 +
    Math.max(memoryGiB - 8, 0) * 0.1;
  const cpuReserved = cpu <= 1 ? 60 : cpu <= 2 ? 100 : cpu <= 4 ? 140 : 180;
  const shared = {
    'ephemeral-storage': '129886128Ki',
    'hugepages-1Gi': '0',
    'hugepages-2Mi': '0',
    pods: '110',
  };
  let conditions = node.status?.conditions;
  const stamp = timestamp(now);
  for (const [type, status, reason, message] of [
    ['MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'],
    ['DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'],
    ['PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'],
    ['Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'],
  ] as const) {
    conditions = withCondition<{ type: string; status: 'True' | 'False' }>(
      conditions as { type: string; status: 'True' | 'False' }[] | undefined,
      { type, status, ...{ reason, message } },
      stamp,
    );
  }
  return {
    ...node.status,
    capacity: { cpu: String(cpu), memory: `${memoryGiB * 1024 * 1024}Ki`, ...shared },
    allocatable: {
      cpu: `${cpu * 1000 - cpuReserved}m`,
      memory: `${Math.floor((memoryGiB - reserved) * 1024 * 1024)}Ki`,
      ...shared,
    },
    addresses: [
      { type: 'InternalIP', address: `10.224.0.${3 + number}` },
      { type: 'Hostname', address: node.metadata.name },
    ],
    conditions: conditions ?? [],
    nodeInfo: {
      architecture: 'amd64',
      bootID: node.metadata.uid,
      containerRuntimeVersion: 'containerd://2.0.0-1',
      kernelVersion: '6.8.0-1034-azure',
      kubeProxyVersion: '',
      kubeletVersion: `v${cluster.kubernetesVersion}`,
      machineID: node.metadata.uid.replaceAll('-', ''),
      operatingSystem: 'linux',
      osImage: 'Ubuntu 24.04.3 LTS',
      systemUUID: node.metadata.uid,
    },
  };
}

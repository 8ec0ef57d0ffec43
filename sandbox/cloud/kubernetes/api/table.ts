/**
 * The `Table` form in which the server prints objects for `kubectl get`: columns and cells of
 * pkg/printers/internalversion/printers.go, and for custom kinds the printer columns of the CRD. One table of columns for
 * all kinds, hence its length.
 */
import {
  at,
  type Container,
  type Deployment,
  type EndpointSlice,
  type Endpoints,
  type KubeObject,
  type Node,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
  type PodDisruptionBudget,
  type ReplicaSet,
  type Service,
  type StorageClass,
} from '../object.ts';
import type { Kind } from './kinds.ts';
import type { LabelSelector } from './selectors.ts';

interface Column {
  readonly name: string;
  readonly type?: string;
  readonly priority?: number;
  readonly cell: (object: KubeObject, now: number) => unknown;
}

const NAME: Column = { name: 'Name', cell: (object) => object.metadata.name };
const AGE: Column = { name: 'Age', cell: (object, now) => ageOf(object.metadata.creationTimestamp, now) };
const NONE = '<none>';

function column<T extends KubeObject>(
  name: string,
  cell: (object: T, now: number) => unknown,
  priority = 0,
  type = 'string',
): Column {
  return { name, type, priority, cell: (object, now) => cell(object as T, now) };
}

const CONTAINERS = [
  column<Deployment>(
    'Containers',
    (one) =>
      podTemplate(one)
        .map(({ name }) => name)
        .join(','),
    1,
  ),
  column<Deployment>(
    'Images',
    (one) =>
      podTemplate(one)
        .map(({ image }) => image)
        .join(','),
    1,
  ),
  column<Deployment>('Selector', (one) => printSelector(one.spec.selector), 1),
];

function podTemplate(workload: Deployment | ReplicaSet): readonly Container[] {
  return workload.spec.template?.spec?.containers ?? [];
}

const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  Pod: [
    NAME,
    column<Pod>('Ready', (pod) => {
      const statuses = pod.status?.containerStatuses ?? [];
      return `${statuses.filter(({ ready }) => ready).length}/${pod.spec.containers.length}`;
    }),
    column<Pod>('Status', printPodStatus),
    column<Pod>('Restarts', printRestarts),
    AGE,
    column<Pod>('IP', (pod) => pod.status?.podIP ?? NONE, 1),
    column<Pod>('Node', (pod) => pod.spec.nodeName ?? NONE, 1),
    column<Pod>('Nominated Node', () => NONE, 1),
    column<Pod>('Readiness Gates', () => NONE, 1),
  ],
  Deployment: [
    NAME,
    column<Deployment>('Ready', (one) => `${one.status?.readyReplicas ?? 0}/${one.spec.replicas ?? 0}`),
    column<Deployment>('Up-to-date', (one) => one.status?.updatedReplicas ?? 0, 0, 'integer'),
    column<Deployment>('Available', (one) => one.status?.availableReplicas ?? 0, 0, 'integer'),
    AGE,
    ...CONTAINERS,
  ],
  ReplicaSet: [
    NAME,
    column<ReplicaSet>('Desired', (one) => one.spec.replicas ?? 0, 0, 'integer'),
    column<ReplicaSet>('Current', (one) => one.status?.replicas ?? 0, 0, 'integer'),
    column<ReplicaSet>('Ready', (one) => one.status?.readyReplicas ?? 0, 0, 'integer'),
    AGE,
    ...CONTAINERS,
  ],
  Service: [
    NAME,
    column<Service>('Type', (one) => one.spec.type),
    column<Service>('Cluster-IP', (one) => one.spec.clusterIP ?? NONE),
    column<Service>('External-IP', (one) =>
      one.spec.type === 'LoadBalancer' ? '<pending>' : (one.spec.externalName ?? NONE),
    ),
    column<Service>('Port(s)', (one) =>
      one.spec.ports?.length
        ? one.spec.ports.map((port) => `${port.port}/${port.protocol ?? 'TCP'}`).join(',')
        : NONE,
    ),
    AGE,
    column<Service>('Selector', (one) => printLabels(one.spec.selector), 1),
  ],
  Endpoints: [
    NAME,
    column<Endpoints>('Endpoints', (one) => {
      const all = (one.subsets ?? []).flatMap((subset) =>
        (subset.ports ?? []).flatMap((port) =>
          (subset.addresses ?? []).map(({ ip }) => `${ip}:${port.port}`),
        ),
      );
      if (all.length === 0) return NONE;
      return all.length > 3 ? `${all.slice(0, 3).join(',')} + ${all.length - 3} more...` : all.join(',');
    }),
    AGE,
  ],
  EndpointSlice: [
    NAME,
    column<EndpointSlice>('AddressType', (one) => one.addressType),
    column<EndpointSlice>('Ports', (one) => one.ports?.map(({ port }) => port).join(',') || '<unset>'),
    column<EndpointSlice>(
      'Endpoints',
      (one) => (one.endpoints ?? []).flatMap(({ addresses }) => addresses).join(',') || '<unset>',
    ),
    AGE,
  ],
  Namespace: [NAME, column('Status', (one) => at(one, 'status', 'phase')), AGE],
  ConfigMap: [
    NAME,
    column('Data', (one) => sizeOf(at(one, 'data')) + sizeOf(at(one, 'binaryData')), 0, 'integer'),
    AGE,
  ],
  Secret: [
    NAME,
    column('Type', (one) => at(one, 'type')),
    column('Data', (one) => sizeOf(at(one, 'data')), 0, 'integer'),
    AGE,
  ],
  ServiceAccount: [NAME, column('Secrets', (one) => sizeOf(at(one, 'secrets')), 0, 'integer'), AGE],
  PersistentVolume: [
    NAME,
    column<PersistentVolume>('Capacity', (one) => one.spec.capacity?.['storage']),
    column<PersistentVolume>('Access Modes', (one) => printModes(one.spec.accessModes)),
    column<PersistentVolume>('Reclaim Policy', (one) => one.spec.persistentVolumeReclaimPolicy),
    column<PersistentVolume>('Status', (one) => phaseOf(one)),
    column<PersistentVolume>('Claim', (one) =>
      one.spec.claimRef ? `${one.spec.claimRef.namespace}/${one.spec.claimRef.name}` : '',
    ),
    column<PersistentVolume>('StorageClass', (one) => one.spec.storageClassName ?? ''),
    column<PersistentVolume>('VolumeAttributesClass', () => '<unset>'),
    column<PersistentVolume>('Reason', () => ''),
    AGE,
    column<PersistentVolume>('VolumeMode', (one) => one.spec.volumeMode, 1),
  ],
  PersistentVolumeClaim: [
    NAME,
    column<PersistentVolumeClaim>('Status', (one) => phaseOf(one)),
    column<PersistentVolumeClaim>('Volume', (one) => one.spec.volumeName ?? ''),
    column<PersistentVolumeClaim>('Capacity', (one) => one.status?.capacity?.['storage'] ?? ''),
    column<PersistentVolumeClaim>('Access Modes', (one) => printModes(one.status?.accessModes)),
    column<PersistentVolumeClaim>('StorageClass', (one) => one.spec.storageClassName ?? ''),
    column<PersistentVolumeClaim>('VolumeAttributesClass', () => '<unset>'),
    AGE,
    column<PersistentVolumeClaim>('VolumeMode', (one) => one.spec.volumeMode, 1),
  ],
  Node: [
    NAME,
    column<Node>('Status', (node) => {
      const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
      return `${ready ? 'Ready' : 'NotReady'}${node.spec.unschedulable ? ',SchedulingDisabled' : ''}`;
    }),
    column<Node>('Roles', () => NONE),
    AGE,
    column<Node>('Version', (node) => node.status?.nodeInfo?.kubeletVersion),
    column<Node>(
      'Internal-IP',
      (node) => node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? NONE,
      1,
    ),
    column<Node>('External-IP', () => NONE, 1),
    column<Node>('OS-Image', (node) => node.status?.nodeInfo?.osImage, 1),
    column<Node>('Kernel-Version', (node) => node.status?.nodeInfo?.kernelVersion, 1),
    column<Node>('Container-Runtime', (node) => node.status?.nodeInfo?.containerRuntimeVersion, 1),
  ],
  StorageClass: [
    { name: 'Name', cell: printClassName },
    column<StorageClass>('Provisioner', (one) => one.provisioner),
    column<StorageClass>('ReclaimPolicy', (one) => one.reclaimPolicy),
    column<StorageClass>('VolumeBindingMode', (one) => one.volumeBindingMode),
    column('AllowVolumeExpansion', (one) => at(one, 'allowVolumeExpansion') === true),
    AGE,
  ],
  PodDisruptionBudget: [
    NAME,
    column<PodDisruptionBudget>('Min Available', (one) => String(one.spec.minAvailable ?? 'N/A')),
    column<PodDisruptionBudget>('Max Unavailable', (one) => String(one.spec.maxUnavailable ?? 'N/A')),
    column<PodDisruptionBudget>(
      'Allowed Disruptions',
      (one) => one.status?.disruptionsAllowed ?? 0,
      0,
      'integer',
    ),
    AGE,
  ],
  NetworkPolicy: [
    NAME,
    column('Pod-Selector', (one) =>
      printSelector(at(one, 'spec', 'podSelector') as LabelSelector | undefined),
    ),
    AGE,
  ],
  CustomResourceDefinition: [NAME, column('Created At', (one) => one.metadata.creationTimestamp)],
  Event: [
    column('Last Seen', (one, now) =>
      ageOf(String(at(one, 'lastTimestamp') ?? one.metadata.creationTimestamp), now),
    ),
    column('Type', (one) => at(one, 'type')),
    column('Reason', (one) => at(one, 'reason')),
    column(
      'Object',
      (one) =>
        `${String(at(one, 'involvedObject', 'kind')).toLowerCase()}/${String(at(one, 'involvedObject', 'name'))}`,
    ),
    column('Subobject', (one) => at(one, 'involvedObject', 'fieldPath') ?? '', 1),
    column('Source', (one) => at(one, 'source', 'component') ?? '', 1),
    column('Message', (one) => at(one, 'message')),
    column(
      'First Seen',
      (one, now) => ageOf(String(at(one, 'firstTimestamp') ?? one.metadata.creationTimestamp), now),
      1,
    ),
    column('Count', (one) => at(one, 'count') ?? 1, 1, 'integer'),
    { ...NAME, priority: 1 },
  ],
};

/** The objects as a `meta.k8s.io/v1` Table; `include` says what of each object goes with its row. */
export function tableOf(
  kind: Kind,
  objects: readonly KubeObject[],
  now: number,
  include: string,
  metadata: object,
  withHeader = true,
): object {
  const columns = columnsOf(kind);
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: withHeader
      ? columns.map(({ name, type, priority }) => ({
          name,
          type: type ?? 'string',
          format: name === 'Name' ? 'name' : '',
          description: '',
          priority: priority ?? 0,
        }))
      : [],
    rows: objects.map((object) => ({
      cells: columns.map((one) => one.cell(object, now) ?? NONE),
      ...(include === 'None' ? {} : { object: include === 'Object' ? object : { ...metadataOnly(object) } }),
    })),
  };
}

export function metadataOnly(object: KubeObject): object {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

/** The table as kubectl prints it to a terminal. */
export function printTable(
  kind: Kind,
  objects: readonly KubeObject[],
  now: number,
  options: { readonly wide: boolean; readonly withNamespace: boolean },
): string {
  const columns = columnsOf(kind).filter(({ priority }) => options.wide || (priority ?? 0) === 0);
  const header = [
    ...(options.withNamespace ? ['NAMESPACE'] : []),
    ...columns.map(({ name }) => name.toUpperCase()),
  ];
  const rows = objects.map((object) => [
    ...(options.withNamespace ? [object.metadata.namespace ?? ''] : []),
    ...columns.map((one) => String(one.cell(object, now) ?? NONE)),
  ]);
  return alignColumns([header, ...rows]);
}

export function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => (row[index] ?? '').length)));
  return rows
    .map(
      (row) =>
        `${row.map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index] ?? 0))).join('   ')}\n`,
    )
    .join('');
}

function columnsOf(kind: Kind): readonly Column[] {
  if (!kind.columns)
    return (
      COLUMNS[kind.kind] ?? [
        NAME,
        { ...AGE, name: 'Created At', cell: (one) => one.metadata.creationTimestamp },
      ]
    );
  if (kind.columns.length === 0) return [NAME, AGE];
  return [
    NAME,
    ...kind.columns.map(({ name, type, jsonPath, priority }) => ({
      name,
      type: type === 'date' ? 'date' : type,
      priority,
      cell: (object: KubeObject, now: number): unknown => {
        const value = valueAtJsonPath(object, jsonPath);
        return type === 'date' && value !== undefined ? ageOf(String(value), now) : (value ?? '');
      },
    })),
  ];
}

/** The two forms CRDs use: `.a.b` and `.status.conditions[?(@.type=="Ready")].status`. */
function valueAtJsonPath(object: unknown, path: string): unknown {
  const condition = /^(.*)\[\?\(@\.(\w+)=="([^"]+)"\)\]\.(\w+)$/.exec(path);
  if (!condition) return at(object, ...path.split('.').filter((part) => part !== ''));
  const [, list = '', key = '', wanted, field = ''] = condition;
  const items = at(object, ...list.split('.').filter((part) => part !== ''));
  return at(Array.isArray(items) ? items.find((item) => at(item, key) === wanted) : undefined, field);
}

function sizeOf(value: unknown): number {
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
}

function phaseOf(object: PersistentVolume | PersistentVolumeClaim): string {
  return object.metadata.deletionTimestamp === undefined
    ? (object.status?.phase ?? 'Pending')
    : 'Terminating';
}

function printModes(modes: readonly string[] | undefined): string {
  const short: Readonly<Record<string, string>> = {
    ReadWriteOnce: 'RWO',
    ReadOnlyMany: 'ROX',
    ReadWriteMany: 'RWX',
    ReadWriteOncePod: 'RWOP',
  };
  return (modes ?? []).map((mode) => short[mode] ?? mode).join(',');
}

function printClassName(one: KubeObject): string {
  const isDefault = one.metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true';
  return isDefault ? `${one.metadata.name} (default)` : one.metadata.name;
}

function printLabels(labels: Readonly<Record<string, string>> | undefined): string {
  const entries = Object.entries(labels ?? {});
  return entries.length === 0 ? NONE : entries.map(([key, value]) => `${key}=${value}`).join(',');
}

function printSelector(selector: LabelSelector | undefined): string {
  return printLabels(selector?.matchLabels);
}

export function printPodStatus(pod: Pod): string {
  let reason = pod.status?.reason ?? pod.status?.phase ?? 'Pending';
  const initial = pod.status?.initContainerStatuses ?? [];
  const waiting = initial.findIndex((status) => status.state?.terminated?.exitCode !== 0);
  if (waiting >= 0) {
    const state = initial[waiting]?.state;
    if (state?.terminated)
      return `Init:${state.terminated.reason ?? `ExitCode:${state.terminated.exitCode}`}`;
    if (state?.waiting?.reason && state.waiting.reason !== 'PodInitializing')
      return `Init:${state.waiting.reason}`;
    return `Init:${waiting}/${initial.length}`;
  }
  for (const { state } of pod.status?.containerStatuses ?? []) {
    if (state?.waiting?.reason) reason = state.waiting.reason;
    else if (state?.terminated) reason = state.terminated.reason ?? `ExitCode:${state.terminated.exitCode}`;
  }
  return pod.metadata.deletionTimestamp === undefined ? reason : 'Terminating';
}

function printRestarts(pod: Pod, now: number): string {
  const statuses = pod.status?.containerStatuses ?? [];
  const count = statuses.reduce((sum, status) => sum + status.restartCount, 0);
  const last = statuses
    .map(({ lastState }) => lastState?.terminated?.finishedAt ?? '')
    .sort()
    .at(-1);
  return count > 0 && last ? `${count} (${ageOf(last, now)} ago)` : String(count);
}

/** apimachinery/pkg/util/duration HumanDuration. */
export function ageOf(since: string, now: number): string {
  const seconds = Math.floor((now - Date.parse(since)) / 1000);
  if (Number.isNaN(seconds)) return '<unknown>';
  if (seconds < 0) return '0s';
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (hours < 192) return hours % 24 === 0 ? `${days}d` : `${days}d${hours % 24}h`;
  if (days < 730) return `${days}d`;
  return `${Math.floor(days / 365)}y`;
}

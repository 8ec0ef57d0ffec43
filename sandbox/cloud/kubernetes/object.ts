/** Kubernetes objects as they are on the wire: the client library's models with dates as strings. */
import type {
  V1CustomResourceDefinition,
  V1Deployment,
  V1EndpointSlice,
  V1Endpoints,
  V1Namespace,
  V1Node,
  V1PersistentVolume,
  V1PersistentVolumeClaim,
  V1Pod,
  V1PodDisruptionBudget,
  V1ReplicaSet,
  V1Secret,
  V1Service,
  V1StorageClass,
} from '@kubernetes/client-node';

export type Fields = Record<string, unknown>;

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ManagedFieldsEntry {
  manager: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  time?: string;
  fieldsType: 'FieldsV1';
  fieldsV1: Fields;
  subresource?: string;
}

export interface ObjectMeta {
  name: string;
  generateName?: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
  managedFields?: ManagedFieldsEntry[];
}

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
}

/** A model of the client library as JSON: dates are strings. */
export type Wire<T> = T extends Date
  ? string
  : T extends (infer Item)[]
    ? Wire<Item>[]
    : T extends object
      ? { [Key in keyof T]: Wire<T[Key]> }
      : T;

type Part<Model, Key extends keyof Model> = Wire<NonNullable<Model[Key]>>;

interface WithSpec<Model extends { spec?: unknown }> extends KubeObject {
  spec: Part<Model, 'spec'>;
}
interface WithStatus<Model extends { spec?: unknown; status?: unknown }> extends WithSpec<Model> {
  status?: Part<Model, 'status'>;
}

export type Pod = WithStatus<V1Pod>;
export type PodSpec = Pod['spec'];
export type Container = PodSpec['containers'][number];
export type ContainerStatus = NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number];
export type Probe = NonNullable<Container['readinessProbe']>;
export type Deployment = WithStatus<V1Deployment>;
export type ReplicaSet = WithStatus<V1ReplicaSet>;
export type Service = WithStatus<V1Service>;
export type Node = WithStatus<V1Node>;
export type Namespace = WithStatus<V1Namespace>;
export type PersistentVolume = WithStatus<V1PersistentVolume>;
export type PersistentVolumeClaim = WithStatus<V1PersistentVolumeClaim>;
export type PodDisruptionBudget = WithStatus<V1PodDisruptionBudget>;
export type CustomResourceDefinition = WithStatus<V1CustomResourceDefinition>;
export type Endpoints = KubeObject & Pick<Wire<V1Endpoints>, 'subsets'>;
export type EndpointSlice = KubeObject & Pick<Wire<V1EndpointSlice>, 'addressType' | 'endpoints' | 'ports'>;
export type Secret = KubeObject & Pick<Wire<V1Secret>, 'data' | 'type' | 'immutable'>;
export type ConfigMap = KubeObject & { data?: Record<string, string>; binaryData?: Record<string, string> };
export type StorageClass = KubeObject &
  Pick<Wire<V1StorageClass>, 'provisioner' | 'parameters' | 'reclaimPolicy' | 'volumeBindingMode'>;

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
  /** Deployments only: when the condition was last said, changed or not. */
  lastUpdateTime?: string;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value at a path of field names, or undefined. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let here = value;
  for (const field of path) {
    if (!isFields(here)) return undefined;
    here = here[field];
  }
  return here;
}

/** A deep copy of plain data; controllers make thousands a second, for which `structuredClone` is too general. */
export function copyOf<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copyOf) as T;
  const copy: Fields = {};
  for (const [name, inner] of Object.entries(value)) copy[name] = copyOf(inner);
  return copy as T;
}

export function isSame(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((item, index) => isSame(item, right[index]));
  }
  if (isFields(left) && isFields(right)) {
    const names = Object.keys(left);
    return (
      names.length === Object.keys(right).length &&
      names.every((name) => name in right && isSame(left[name], right[name]))
    );
  }
  return false;
}

/**
 * The conditions with this one put in place; its transition time moves only when its status does, as in every
 * Kubernetes controller.
 */
export function withCondition<C extends Condition>(
  conditions: readonly C[] | undefined,
  condition: C,
  now: string,
): C[] {
  const old = conditions?.find((entry) => entry.type === condition.type);
  const lastTransitionTime = old && old.status === condition.status ? (old.lastTransitionTime ?? now) : now;
  const put = { ...condition, lastTransitionTime };
  if (!old) return [...(conditions ?? []), put];
  return (conditions ?? []).map((entry) => (entry.type === condition.type ? put : entry));
}

/** RFC 3339 in whole seconds, as Kubernetes writes times. */
export function timestamp(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

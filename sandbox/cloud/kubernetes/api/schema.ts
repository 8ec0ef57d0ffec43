/**
 * What fields a kind has, and how lists and maps in it merge. Built-in kinds take their fields from the models of
 * @kubernetes/client-node; what those leave out (list keys, atomic parts, quantities) is stated here, as in
 * `x-kubernetes-list-map-keys` and `x-kubernetes-map-type` of the published OpenAPI. Custom kinds take theirs from
 * their CRD.
 */
import * as models from '@kubernetes/client-node';
import { type Fields, isFields } from '../object.ts';

export type ScalarType = 'string' | 'integer' | 'number' | 'boolean' | 'int-or-string' | 'quantity' | 'date';

export type Schema =
  | { readonly type: ScalarType; readonly rules?: ValueRules }
  | { readonly type: 'any' }
  | {
      readonly type: 'object';
      readonly name: string;
      readonly fields: ReadonlyMap<string, Schema>;
      readonly required: readonly string[];
      /** A struct that merges as a whole. */
      readonly atomic: boolean;
      readonly keepsUnknown: boolean;
      readonly oneOf?: number;
    }
  | { readonly type: 'map'; readonly values: Schema; readonly atomic: boolean }
  | {
      readonly type: 'list';
      readonly items: Schema;
      /** Field names that identify an item; empty for lists that merge as a whole. */
      readonly keys: readonly string[];
      readonly isSet: boolean;
    };

export interface ValueRules {
  readonly allowed?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly default?: unknown;
}

interface Attribute {
  readonly name: string;
  readonly baseName: string;
  readonly type: string;
  readonly format: string;
}

/** `Model.field` → keys of its items. */
const LIST_KEYS: Readonly<Record<string, readonly string[]>> = {
  'V1PodSpec.containers': ['name'],
  'V1PodSpec.initContainers': ['name'],
  'V1PodSpec.ephemeralContainers': ['name'],
  'V1PodSpec.volumes': ['name'],
  'V1PodSpec.imagePullSecrets': ['name'],
  'V1PodSpec.hostAliases': ['ip'],
  'V1PodSpec.topologySpreadConstraints': ['topologyKey', 'whenUnsatisfiable'],
  'V1PodSpec.schedulingGates': ['name'],
  'V1PodSpec.resourceClaims': ['name'],
  'V1Container.env': ['name'],
  'V1Container.ports': ['containerPort', 'protocol'],
  'V1Container.volumeMounts': ['mountPath'],
  'V1Container.volumeDevices': ['devicePath'],
  'V1ResourceRequirements.claims': ['name'],
  'V1ServiceSpec.ports': ['port', 'protocol'],
  'V1ServiceAccount.secrets': ['name'],
  'V1ObjectMeta.ownerReferences': ['uid'],
  'V1NodeStatus.addresses': ['type'],
  'V1PodStatus.podIPs': ['ip'],
};

/** Keys that have a default value take part in an item's identity with it. */
export const KEY_DEFAULTS: Readonly<Record<string, unknown>> = { protocol: 'TCP' };

/** Patch keys of strategic merge that are not the first list key. */
export const STRATEGIC_KEYS: Readonly<Record<string, string>> = { 'port,protocol': 'port' };

const SETS: ReadonlySet<string> = new Set(['V1ObjectMeta.finalizers', 'V1NodeSpec.podCIDRs']);

const ATOMIC_MODELS: ReadonlySet<string> = new Set([
  'V1LabelSelector',
  'V1LocalObjectReference',
  'V1SecretKeySelector',
  'V1ConfigMapKeySelector',
  'V1ObjectFieldSelector',
  'V1ResourceFieldSelector',
  'V1NodeSelector',
  'V1NodeSelectorTerm',
  'V1ObjectReference',
  'V1SecretReference',
  'V1TypedLocalObjectReference',
  'V1TopologySelectorTerm',
]);

const ATOMIC_MAPS: ReadonlySet<string> = new Set(['V1PodSpec.nodeSelector', 'V1ServiceSpec.selector']);

const QUANTITY_MAPS: ReadonlySet<string> = new Set([
  'V1ResourceRequirements.limits',
  'V1ResourceRequirements.requests',
  'V1VolumeResourceRequirements.limits',
  'V1VolumeResourceRequirements.requests',
  'V1PersistentVolumeSpec.capacity',
  'V1PersistentVolumeClaimStatus.capacity',
  'V1PersistentVolumeClaimStatus.allocatedResources',
  'V1NodeStatus.capacity',
  'V1NodeStatus.allocatable',
  'V1PodSpec.overhead',
]);

const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  V1Container: ['name'],
  V1ContainerPort: ['containerPort'],
  V1EnvVar: ['name'],
  V1VolumeMount: ['name', 'mountPath'],
  V1Volume: ['name'],
  V1ServicePort: ['port'],
  V1PodSpec: ['containers'],
  V1DeploymentSpec: ['selector', 'template'],
  V1ReplicaSetSpec: ['selector'],
  V1SecretKeySelector: ['key'],
  V1ConfigMapKeySelector: ['key'],
  V1HTTPGetAction: ['port'],
  V1TCPSocketAction: ['port'],
  V1CSIPersistentVolumeSource: ['driver', 'volumeHandle'],
  V1PersistentVolumeClaimVolumeSource: ['claimName'],
  V1StorageClass: ['provisioner'],
  V1CustomResourceDefinitionSpec: ['group', 'names', 'scope', 'versions'],
  V1OwnerReference: ['apiVersion', 'kind', 'name', 'uid'],
};

const known = new Map<string, Schema>();

/** The schema of a model class of the client library (`V1PodSpec`). */
export function schemaOfModel(name: string): Schema {
  const found = known.get(name);
  if (found) return found;
  const attributes = attributesOf(name);
  if (!attributes) throw new Error(`@kubernetes/client-node has no model ${name}`);
  const fields = new Map<string, Schema>();
  const schema: Schema = {
    type: 'object',
    name,
    fields,
    required: REQUIRED[name] ?? [],
    atomic: ATOMIC_MODELS.has(name),
    keepsUnknown: false,
  };
  known.set(name, schema);
  for (const attribute of attributes) {
    fields.set(
      attribute.baseName,
      schemaOfType(attribute.type, attribute.format, `${name}.${attribute.baseName}`),
    );
  }
  return schema;
}

function attributesOf(name: string): readonly Attribute[] | undefined {
  const model: unknown = (models as Record<string, unknown>)[name];
  if (typeof model !== 'function') return undefined;
  return (model as unknown as { attributeTypeMap?: readonly Attribute[] }).attributeTypeMap;
}

function schemaOfType(type: string, format: string, path: string): Schema {
  const list = /^Array<(.+)>$/.exec(type)?.[1];
  if (list !== undefined) {
    const keys = LIST_KEYS[path] ?? (path.endsWith('Status.conditions') ? ['type'] : []);
    return { type: 'list', items: schemaOfType(list, format, ''), keys, isSet: SETS.has(path) };
  }
  const map = /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];
  if (map !== undefined) {
    const values: Schema = QUANTITY_MAPS.has(path) ? { type: 'quantity' } : schemaOfType(map, format, '');
    return { type: 'map', values, atomic: ATOMIC_MAPS.has(path) };
  }
  if (path === 'V1ManagedFieldsEntry.fieldsV1') return { type: 'any' };
  switch (type) {
    case 'string':
      return { type: path === 'V1EmptyDirVolumeSource.sizeLimit' ? 'quantity' : 'string' };
    case 'number':
      return { type: format === 'double' ? 'number' : 'integer' };
    case 'boolean':
      return { type: 'boolean' };
    case 'IntOrString':
      return { type: 'int-or-string' };
    case 'Date':
    case 'V1MicroTime':
      return { type: 'date' };
    case 'any':
      return { type: 'any' };
    default:
      return schemaOfModel(type);
  }
}

/** The schema of a custom kind: the `openAPIV3Schema` of one version of its CRD. */
export function schemaOfCustomKind(name: string, openApi: unknown): Schema {
  const own = schemaOfOpenApi(name, openApi);
  if (own.type !== 'object') return { type: 'any' };
  const fields = new Map(own.fields);
  fields.set('apiVersion', { type: 'string' });
  fields.set('kind', { type: 'string' });
  fields.set('metadata', schemaOfModel('V1ObjectMeta'));
  return { ...own, fields };
}

function schemaOfOpenApi(name: string, source: unknown): Schema {
  if (!isFields(source)) return { type: 'any' };
  if (source['x-kubernetes-int-or-string'] === true) return { type: 'int-or-string' };
  const keepsUnknown = source['x-kubernetes-preserve-unknown-fields'] === true;
  switch (source['type']) {
    case 'array': {
      const keys = source['x-kubernetes-list-map-keys'];
      return {
        type: 'list',
        items: schemaOfOpenApi(`${name}[]`, source['items']),
        keys: Array.isArray(keys) ? keys.map(String) : [],
        isSet: source['x-kubernetes-list-type'] === 'set',
      };
    }
    case 'object': {
      const properties = source['properties'];
      if (!isFields(properties)) {
        if (keepsUnknown) return { type: 'any' };
        return {
          type: 'map',
          values: schemaOfOpenApi(`${name}{}`, source['additionalProperties']),
          atomic: source['x-kubernetes-map-type'] === 'atomic',
        };
      }
      const required = source['required'];
      return {
        type: 'object',
        name,
        fields: new Map(
          Object.entries(properties).map(([field, inner]) => [
            field,
            schemaOfOpenApi(`${name}.${field}`, inner),
          ]),
        ),
        required: Array.isArray(required) ? required.map(String) : [],
        atomic: source['x-kubernetes-map-type'] === 'atomic',
        keepsUnknown,
        ...(source['maxProperties'] === 1 && source['minProperties'] === 1 ? { oneOf: 1 } : {}),
      };
    }
    case 'string':
    case 'integer':
    case 'number':
    case 'boolean':
      return { type: source['type'], rules: rulesOf(source) };
    default:
      return { type: 'any' };
  }
}

function rulesOf(source: Fields): ValueRules {
  const allowed = source['enum'];
  return {
    ...(Array.isArray(allowed) ? { allowed: allowed.map(String) } : {}),
    ...(typeof source['pattern'] === 'string' ? { pattern: source['pattern'] } : {}),
    ...(typeof source['minLength'] === 'number' ? { minLength: source['minLength'] } : {}),
    ...(typeof source['maxLength'] === 'number' ? { maxLength: source['maxLength'] } : {}),
    ...('default' in source ? { default: source['default'] } : {}),
  };
}

/** The schema one step down, for a field name or, in lists, for an item. */
export function childSchema(schema: Schema, field?: string): Schema {
  switch (schema.type) {
    case 'object':
      return (field === undefined ? undefined : schema.fields.get(field)) ?? { type: 'any' };
    case 'map':
      return schema.values;
    case 'list':
      return schema.items;
    default:
      return { type: 'any' };
  }
}

/** Whether a value under this schema is merged and owned as a whole. */
export function isLeaf(schema: Schema, value: unknown): boolean {
  if (Array.isArray(value)) return schema.type !== 'list' || (schema.keys.length === 0 && !schema.isSet);
  if (!isFields(value)) return true;
  // What no schema describes merges field by field, as custom resources with unknown fields do.
  return (schema.type === 'object' || schema.type === 'map') && schema.atomic;
}

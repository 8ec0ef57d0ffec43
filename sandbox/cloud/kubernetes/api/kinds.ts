/** The kinds the API server of an AKS cluster serves from the start, and those that CRDs add. */
import type { CustomResourceDefinition } from '../object.ts';
import { type Schema, schemaOfCustomKind, schemaOfModel } from './schema.ts';

export type Subresource = 'status' | 'scale';

export interface PrinterColumn {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly priority: number;
}

export interface Kind {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: readonly Subresource[];
  readonly schema: Schema;
  /** Whether `metadata.generation` counts changes of the spec. */
  readonly hasGeneration: boolean;
  /** Set for kinds that a CRD declares. */
  readonly columns?: readonly PrinterColumn[];
}

interface Options {
  readonly short?: readonly string[];
  readonly categories?: readonly string[];
  readonly subresources?: readonly Subresource[];
  readonly cluster?: boolean;
  readonly generation?: boolean;
  readonly model?: string;
  readonly version?: string;
}

function builtIn(group: string, kind: string, plural: string, options: Options = {}): Kind {
  return {
    group,
    version: options.version ?? 'v1',
    kind,
    plural,
    singular: kind.toLowerCase(),
    namespaced: options.cluster !== true,
    shortNames: options.short ?? [],
    categories: options.categories ?? [],
    subresources: options.subresources ?? [],
    schema: schemaOfModel(options.model ?? `V1${kind}`),
    hasGeneration: options.generation ?? false,
  };
}

export const NAMESPACES = builtIn('', 'Namespace', 'namespaces', {
  short: ['ns'],
  cluster: true,
  subresources: ['status'],
});
export const PODS = builtIn('', 'Pod', 'pods', {
  short: ['po'],
  categories: ['all'],
  subresources: ['status'],
  generation: true,
});
export const SERVICES = builtIn('', 'Service', 'services', {
  short: ['svc'],
  categories: ['all'],
  subresources: ['status'],
});
export const ENDPOINTS = builtIn('', 'Endpoints', 'endpoints', { short: ['ep'] });
export const CONFIG_MAPS = builtIn('', 'ConfigMap', 'configmaps', { short: ['cm'] });
export const SECRETS = builtIn('', 'Secret', 'secrets');
export const PERSISTENT_VOLUMES = builtIn('', 'PersistentVolume', 'persistentvolumes', {
  short: ['pv'],
  cluster: true,
  subresources: ['status'],
});
export const PERSISTENT_VOLUME_CLAIMS = builtIn('', 'PersistentVolumeClaim', 'persistentvolumeclaims', {
  short: ['pvc'],
  subresources: ['status'],
});
export const NODES = builtIn('', 'Node', 'nodes', { short: ['no'], cluster: true, subresources: ['status'] });
export const EVENTS = builtIn('', 'Event', 'events', { short: ['ev'], model: 'CoreV1Event' });
export const SERVICE_ACCOUNTS = builtIn('', 'ServiceAccount', 'serviceaccounts', { short: ['sa'] });
export const DEPLOYMENTS = builtIn('apps', 'Deployment', 'deployments', {
  short: ['deploy'],
  categories: ['all'],
  subresources: ['status', 'scale'],
  generation: true,
});
export const REPLICA_SETS = builtIn('apps', 'ReplicaSet', 'replicasets', {
  short: ['rs'],
  categories: ['all'],
  subresources: ['status', 'scale'],
  generation: true,
});
export const NETWORK_POLICIES = builtIn('networking.k8s.io', 'NetworkPolicy', 'networkpolicies', {
  short: ['netpol'],
  generation: true,
});
export const DISRUPTION_BUDGETS = builtIn('policy', 'PodDisruptionBudget', 'poddisruptionbudgets', {
  short: ['pdb'],
  subresources: ['status'],
  generation: true,
});
/** Kept and served; what it would set is set by a test. */
export const AUTOSCALERS = builtIn('autoscaling', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers', {
  short: ['hpa'],
  categories: ['all'],
  subresources: ['status'],
  version: 'v2',
  model: 'V2HorizontalPodAutoscaler',
});
export const STORAGE_CLASSES = builtIn('storage.k8s.io', 'StorageClass', 'storageclasses', {
  short: ['sc'],
  cluster: true,
});
export const ENDPOINT_SLICES = builtIn('discovery.k8s.io', 'EndpointSlice', 'endpointslices', {
  generation: true,
});
export const CUSTOM_RESOURCE_DEFINITIONS = builtIn(
  'apiextensions.k8s.io',
  'CustomResourceDefinition',
  'customresourcedefinitions',
  {
    short: ['crd', 'crds'],
    cluster: true,
    subresources: ['status'],
    generation: true,
    categories: ['api-extensions'],
  },
);
export const WEBHOOK_CONFIGURATIONS = builtIn(
  'admissionregistration.k8s.io',
  'ValidatingWebhookConfiguration',
  'validatingwebhookconfigurations',
  { cluster: true, generation: true, categories: ['api-extensions'] },
);
export const CLUSTER_ROLES = builtIn('rbac.authorization.k8s.io', 'ClusterRole', 'clusterroles', {
  cluster: true,
});
export const CLUSTER_ROLE_BINDINGS = builtIn(
  'rbac.authorization.k8s.io',
  'ClusterRoleBinding',
  'clusterrolebindings',
  { cluster: true },
);

export const BUILT_IN_KINDS: readonly Kind[] = [
  NAMESPACES,
  PODS,
  SERVICES,
  ENDPOINTS,
  CONFIG_MAPS,
  SECRETS,
  PERSISTENT_VOLUMES,
  PERSISTENT_VOLUME_CLAIMS,
  NODES,
  EVENTS,
  SERVICE_ACCOUNTS,
  DEPLOYMENTS,
  REPLICA_SETS,
  NETWORK_POLICIES,
  DISRUPTION_BUDGETS,
  AUTOSCALERS,
  STORAGE_CLASSES,
  ENDPOINT_SLICES,
  CUSTOM_RESOURCE_DEFINITIONS,
  WEBHOOK_CONFIGURATIONS,
  CLUSTER_ROLES,
  CLUSTER_ROLE_BINDINGS,
];

/** The kinds a CRD declares: one for each version that is served. */
export function kindsOf(definition: CustomResourceDefinition): Kind[] {
  const { group, names, scope, versions } = definition.spec;
  return versions
    .filter((version) => version.served)
    .map((version) => ({
      group,
      version: version.name,
      kind: names.kind,
      plural: names.plural,
      singular: names.singular ?? names.kind.toLowerCase(),
      namespaced: scope === 'Namespaced',
      shortNames: names.shortNames ?? [],
      categories: names.categories ?? [],
      subresources: version.subresources?.status === undefined ? [] : ['status' as const],
      schema: schemaOfCustomKind(names.kind, version.schema?.openAPIV3Schema),
      hasGeneration: true,
      columns: (version.additionalPrinterColumns ?? []).map((column) => ({
        name: column.name,
        type: column.type,
        jsonPath: column.jsonPath,
        priority: column.priority ?? 0,
      })),
    }));
}

export function apiVersionOf(kind: Pick<Kind, 'group' | 'version'>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** Names a kind in storage whatever its version: `deployments.apps`. */
export function resourceKey(kind: Pick<Kind, 'group' | 'plural'>): string {
  return kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`;
}

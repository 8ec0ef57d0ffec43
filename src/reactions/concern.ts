/**
 * Where an event says to look in a deployment, and nothing else: what is to be done is decided by looking. So an event
 * that is forged, late or repeated can at worst cause a look.
 */
import type { ResourceKey } from '../graph/resource.ts';
import type { Names } from '../naming.ts';
import type { DeploymentSpec } from '../spec/spec.ts';
import type { IncomingEvent } from './event.ts';

export interface ConcernedDeployment {
  readonly name: string;
  readonly spec: DeploymentSpec;
  readonly names: Names;
  /** Where AKS keeps the nodes; AKS's own name for it when it is not known yet. */
  readonly nodeResourceGroup?: string;
}

export interface Concern {
  /** One sentence for people: `the secret webui-secret-key has a new version`. */
  readonly what: string;
  /** Empty: of this deployment, but there is nothing to look at. */
  readonly look: readonly ResourceKey[];
  /** Why there is nothing to look at. */
  readonly why?: string;
}

/** What the stack's own secrets are kept by. Secrets change in bursts, so one event has all of them looked at. */
export const secretKeepers: readonly ResourceKey[] = [
  'azure/webui-secret-key',
  'azure/storage-credentials',
  'azure/postgres-password',
  'azure/postgres-connection-string',
  'entra/client-secret',
  'cloudflare/tunnel-token',
];
export const stackSecrets = [
  'webui-secret-key',
  'storage-account-name',
  'storage-account-key',
  'postgres-admin-password',
  'postgres-connection-string',
  'openwebui-client-secret',
  'cf-tunnel-token',
] as const;
export const referenceSecretNames = [
  'cf-tunnel-id',
  'openwebui-client-id',
  'tenant-id',
  'postgres-server-fqdn',
] as const;

/** ARM changes the case of ids, and blanks have been seen around them. */
const fold = (text: string): string => text.replaceAll(/\s/g, '').replace(/\/+$/, '').toLowerCase();
const isSame = (left: string, right: string): boolean => fold(left) === fold(right);
const isIn = (id: string, outer: string): boolean => `${fold(id)}/`.startsWith(`${fold(outer)}/`);

/** A name out of an event, for a sentence: nothing but what Azure's names are made of, and not for long. */
const shown = (name: string): string =>
  name.replaceAll(/[^\w.:/@-]/g, '').slice(0, 150) || '(without a name)';

const nothing = (what: string, why: string): Concern => ({ what, look: [], why });

/** Undefined when the event has nothing to do with this deployment. Never throws. */
export function concernOf(event: IncomingEvent, deployment: ConcernedDeployment): Concern | undefined {
  const { names, spec } = deployment;
  const group = `/subscriptions/${spec.subscriptionId}/resourceGroups/${names.resourceGroup}`;
  const cluster = `${group}/providers/Microsoft.ContainerService/managedClusters/${names.cluster}`;
  const type = fold(event.type);
  // The Resource Manager's events come from the subscription; where something happened is their subject.
  if (type.startsWith('microsoft.resources.')) return ofResource(event, type, deployment, group, cluster);
  if (isSame(event.source, `${group}/providers/Microsoft.KeyVault/vaults/${names.vault}`)) {
    return ofVault(event, type);
  }
  if (isSame(event.source, `${group}/providers/Microsoft.ContainerRegistry/registries/${names.registry}`)) {
    return ofRegistry(event, type, spec);
  }
  return isSame(event.source, cluster) ? ofCluster(event, type) : undefined;
}

const secretChanges: Readonly<Record<string, string>> = {
  'microsoft.keyvault.secretnewversioncreated': 'has a new version',
  'microsoft.keyvault.secretnearexpiry': 'expires within 30 days',
  'microsoft.keyvault.secretexpired': 'has expired',
};

function ofVault(event: IncomingEvent, type: string): Concern {
  const change = secretChanges[type];
  if (change === undefined) {
    return nothing(`the key vault reports ${shown(event.type)}`, 'only its secrets are followed');
  }
  const name = event.data.objectName ?? event.subject;
  const what = `the secret ${shown(name)} ${change}`;
  if (stackSecrets.some((known) => isSame(known, name))) return { what, look: secretKeepers };
  if (referenceSecretNames.some((known) => isSame(known, name))) {
    return { what, look: ['azure/reference-secrets'] };
  }
  return nothing(what, 'the stack keeps no secret of that name');
}

function ofRegistry(event: IncomingEvent, type: string, spec: DeploymentSpec): Concern {
  const { repository = '', tag = '', action = 'push' } = event.data;
  const image = `${repository}${tag && `:${tag}`}` || event.subject;
  if (type !== 'microsoft.containerregistry.imagepushed') {
    return nothing(
      `the registry reports ${shown(event.type)} of ${shown(image)}`,
      'only pushed images are followed',
    );
  }
  const what = `the image ${shown(image)} was pushed`;
  if (!isSame(action, 'push')) return nothing(what, `its action is ${shown(action)}, not push`);
  const isOfStack = Object.values(spec.registry.images).some((wanted) =>
    isSame(wanted.repository, repository),
  );
  if (!isOfStack) return nothing(what, 'the stack runs no image of that repository');
  // Manifests of one architecture, and pushes by digest, come without a tag: nobody has named them yet.
  if (tag === '') return nothing(what, 'it has no tag');
  return { what, look: ['azure/images'] };
}

const clusterNews: Readonly<Record<string, string>> = {
  'microsoft.containerservice.newkubernetesversionavailable':
    'a new Kubernetes version is offered to the cluster',
  'microsoft.containerservice.clustersupportending': "support of the cluster's Kubernetes version ends soon",
  'microsoft.containerservice.clustersupportended': "support of the cluster's Kubernetes version has ended",
};
const rolling: Readonly<Record<string, string>> = {
  'microsoft.containerservice.nodepoolrollingstarted': 'has begun to be rolled',
  'microsoft.containerservice.nodepoolrollingsucceeded': 'has been rolled',
  'microsoft.containerservice.nodepoolrollingfailed': 'could not be rolled',
};

function ofCluster(event: IncomingEvent, type: string): Concern {
  const news = clusterNews[type];
  if (news !== undefined) return { what: news, look: ['azure/cluster-version'] };
  const roll = rolling[type];
  if (roll !== undefined) {
    return {
      what: `the node pool ${shown(event.data.nodePoolName ?? '')} ${roll}`,
      look: ['azure/node-identity'],
    };
  }
  return nothing(`the cluster reports ${shown(event.type)}`, 'events of that type are not followed');
}

const changes: Readonly<Record<string, string>> = {
  'microsoft.resources.resourcewritesuccess': 'was written',
  'microsoft.resources.resourcedeletesuccess': 'was deleted',
  'microsoft.resources.resourceactionsuccess': 'was acted upon',
};

function ofResource(
  event: IncomingEvent,
  type: string,
  { names, spec, nodeResourceGroup }: ConcernedDeployment,
  group: string,
  cluster: string,
): Concern | undefined {
  const nodeGroup = `/subscriptions/${spec.subscriptionId}/resourceGroups/${
    nodeResourceGroup ?? `MC_${names.resourceGroup}_${names.cluster}_${spec.location}`
  }`;
  const isOfNodes = isIn(event.subject, nodeGroup);
  if (!isOfNodes && !isIn(event.subject, group)) return undefined;
  const operation = fold(event.data.operationName ?? '');
  const last = event.subject.split('/').at(-1) ?? '';
  const change = changes[type];
  const what = `${shown(last)} ${change ?? `reports ${shown(event.type)}`}${operation && ` (${shown(operation)})`}`;
  if (change === undefined) return nothing(what, 'only changes that succeeded are followed');
  const isScaleSet = isOfNodes && operation.startsWith('microsoft.compute/virtualmachinescalesets/');
  const isPool =
    isIn(event.subject, cluster) &&
    /^microsoft\.containerservice\/managedclusters(\/agentpools)?\/(write|delete)$/.test(operation);
  return isScaleSet || isPool
    ? { what, look: ['azure/cluster', 'azure/node-identity'] }
    : nothing(what, 'only changes of the cluster, its pools and their scale sets are followed');
}

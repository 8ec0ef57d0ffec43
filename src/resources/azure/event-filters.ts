/** Which events of which Azure resources a deployment wants: what src/reactions/concern.ts can make something of. */
import type { Scope } from '../scope.ts';

const CLUSTERS = 'Microsoft.ContainerService/managedClusters';
const SCALE_SETS = 'Microsoft.Compute/virtualMachineScaleSets';
const writesAndDeletes = (...types: readonly string[]): string[] =>
  types.flatMap((type) => [`${type}/write`, `${type}/delete`]);

interface Filter {
  readonly types: readonly string[];
  readonly subjectBeginsWith?: string;
  readonly operations?: readonly string[];
}

export interface Wish extends Filter {
  readonly name: string;
  /** ARM id of what the events are about. */
  readonly on: string;
}

type Known = {
  readonly vault?: { readonly id: string };
  readonly registry?: { readonly id: string };
  readonly cluster?: { readonly id: string; readonly nodeResourceGroup: string };
  readonly group?: { readonly id: string };
};

const resourceChanges = [
  'Microsoft.Resources.ResourceWriteSuccess',
  'Microsoft.Resources.ResourceDeleteSuccess',
];

/** One per thing that is known; the names tell people, and whoever receives, which is which. */
export function wishesOf({ spec, names }: Pick<Scope, 'spec' | 'names'>, known: Known): readonly Wish[] {
  const wish = (what: string, on: string | undefined, filter: Filter): Wish[] =>
    on === undefined ? [] : [{ name: `open-webui-${names.deployment}-${what}`, on, ...filter }];
  const clusterId = known.cluster?.id;
  const nodeGroup =
    known.cluster &&
    `/subscriptions/${spec.subscriptionId}/resourceGroups/${known.cluster.nodeResourceGroup}`;
  return [
    ...wish('secrets', known.vault?.id, {
      types: ['SecretNewVersionCreated', 'SecretNearExpiry', 'SecretExpired'].map(
        (type) => `Microsoft.KeyVault.${type}`,
      ),
    }),
    ...wish('images', known.registry?.id, { types: ['Microsoft.ContainerRegistry.ImagePushed'] }),
    ...wish('cluster', clusterId, {
      types: [
        'NewKubernetesVersionAvailable',
        'ClusterSupportEnding',
        'ClusterSupportEnded',
        'NodePoolRollingStarted',
        'NodePoolRollingSucceeded',
        'NodePoolRollingFailed',
      ].map((type) => `Microsoft.ContainerService.${type}`),
    }),
    ...wish('nodes', nodeGroup, {
      types: resourceChanges,
      subjectBeginsWith: `${nodeGroup}/providers/${SCALE_SETS}/`,
      operations: writesAndDeletes(SCALE_SETS),
    }),
    ...wish('pools', clusterId && known.group?.id, {
      types: resourceChanges,
      subjectBeginsWith: clusterId ?? '',
      operations: writesAndDeletes(CLUSTERS, `${CLUSTERS}/agentPools`),
    }),
  ];
}

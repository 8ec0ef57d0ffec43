/**
 * News of AKS: another version, or the end of one. The offer of each region with clusters changes, and every cluster
 * concerned gets its event. https://learn.microsoft.com/azure/event-grid/event-schema-aks
 */
import { CLUSTERS, type ClusterBody, type ClusterHidden, type ClusterResource } from './cluster-model.ts';
import type { Frame } from './frame/frame.ts';
import {
  changeOffer,
  minorOf,
  minorsOf,
  type Offer,
  offerIn,
  withNewPatches,
  withoutOlderThan,
} from './kubernetes-versions.ts';

export const announcements = ['new-kubernetes-version', 'support-ending', 'support-ended'] as const;
export type Announcement = (typeof announcements)[number];

const versionOf = ({ body }: ClusterResource): string => body.properties.currentKubernetesVersion;
const rankOf = (cluster: ClusterResource): number => Number(versionOf(cluster).split('.')[1]);

/** Ids of the clusters that were told. Throws RangeError when there is no cluster to tell. */
export function announce(frame: Frame, kind: Announcement): string[] {
  void frame.operations.settle();
  const clusters = frame.store
    .ofType<ClusterBody, ClusterHidden>(CLUSTERS)
    .filter(({ hidden }) => hidden.built);
  if (clusters.length === 0) throw new RangeError('there is no cluster that could be told');
  const locations = [...new Set(clusters.map(({ body }) => body.location))];
  const told = locations.flatMap((location) =>
    announceIn(
      frame,
      location,
      kind,
      clusters.filter(({ body }) => body.location === location),
    ),
  );
  frame.world.touch();
  return told;
}

function announceIn(
  frame: Frame,
  location: string,
  kind: Announcement,
  clusters: readonly ClusterResource[],
): string[] {
  const before = offerIn(frame.world, location);
  if (kind === 'new-kubernetes-version') {
    const offer = withNewPatches(before);
    changeOffer(frame.world, location, offer);
    for (const cluster of clusters) tell(frame, cluster, 'NewKubernetesVersionAvailable', newest(offer));
    return clusters.map(({ id }) => id);
  }
  const oldest = Math.min(...clusters.map(rankOf));
  const concerned = clusters.filter((cluster) => rankOf(cluster) === oldest);
  const minor = `1.${oldest}`;
  changeOffer(frame.world, location, withoutOlderThan(before, minor, kind === 'support-ended'));
  const event = kind === 'support-ended' ? 'ClusterSupportEnded' : 'ClusterSupportEnding';
  for (const cluster of concerned) {
    tell(frame, cluster, event, { kubernetesVersion: minorOf(versionOf(cluster)) });
  }
  return concerned.map(({ id }) => id);
}

function newest(offer: Offer): Readonly<Record<string, string | null>> {
  const minors = minorsOf(offer);
  const last = (minor: string | undefined): string | null => offer[minor ?? '']?.at(-1) ?? null;
  return {
    latestSupportedKubernetesVersion: last(minors.at(-1)),
    latestStableKubernetesVersion: last(minors.at(-2)),
    lowestMinorKubernetesVersion: last(minors[0]),
    latestPreviewKubernetesVersion: null,
  };
}

function tell(
  frame: Frame,
  cluster: ClusterResource,
  what: string,
  data: Readonly<Record<string, string | null>>,
): void {
  frame.world.emit({
    topic: cluster.id,
    subject: cluster.name,
    eventType: `Microsoft.ContainerService.${what}`,
    dataVersion: '1',
    data,
  });
}

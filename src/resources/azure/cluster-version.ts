/**
 * What AKS says about the cluster's Kubernetes version: whether a newer one is offered and how long this one is still
 * supported. It writes nothing: which version the cluster runs is the spec's to say, and upgrading it is a decision.
 * https://learn.microsoft.com/azure/aks/supported-kubernetes-versions
 */
import type { KubernetesVersion, ManagedCluster } from '@azure/arm-containerservice';
import type { Notice } from '../../graph/finding.ts';
import { defineResource, type Scope } from '../scope.ts';
import { cluster } from './cluster.ts';

const DEFAULT_PLAN = 'KubernetesOfficial';

const numbersOf = (version: string): readonly [minor: number, patch: number] => {
  const [, minor = 0, patch = 0] = version.split('.').map(Number);
  return [minor, patch];
};
const byVersion = (left: string, right: string): number => {
  const [minor, patch] = numbersOf(left);
  const [otherMinor, otherPatch] = numbersOf(right);
  return minor - otherMinor || patch - otherPatch;
};
const minorOf = (version: string): string => version.split('.').slice(0, 2).join('.');

export interface VersionFacts {
  /** Full version the cluster runs. */
  readonly version: string;
  /** `AKSLongTermSupport` keeps a version supported for longer. */
  readonly supportPlan?: string | undefined;
  /** Full versions the cluster can be upgraded to, previews left out. */
  readonly upgrades: readonly string[];
  /** What AKS lists for the region. */
  readonly listed: readonly KubernetesVersion[];
}

/** The same words as long as the same versions are offered. */
export function versionNotices({ version, supportPlan, upgrades, listed }: VersionFacts): readonly Notice[] {
  const plan = supportPlan ?? DEFAULT_PLAN;
  const minors = listed
    .filter(
      ({ isPreview, capabilities }) => !isPreview && (capabilities?.supportPlan?.includes(plan) ?? true),
    )
    .flatMap((one) => (one.version ? [minorOf(one.version)] : []))
    .sort(byVersion);
  const own = minorOf(version);
  const newest = [...upgrades].sort(byVersion).at(-1);
  const list = minors.join(', ') || 'none';
  const remedy = `Upgrade it: set cluster.kubernetesVersion${newest ? ` to "${minorOf(newest)}"` : ''}, one minor version at a time.`;
  const notices: Notice[] = [];
  if (minors.length > 0 && !minors.includes(own)) {
    notices.push({
      id: 'support-ended',
      severity: 'error',
      what: `AKS no longer supports Kubernetes ${own}, which the cluster runs.`,
      evidence: `The cluster runs ${version}; the region offers ${list}.`,
      breaks: 'No security fixes, no help from Microsoft; new node pools of this version are refused.',
      remedy,
    });
  } else if (minors[0] === own && minors.at(-1) !== own) {
    notices.push({
      id: 'support-ending',
      severity: 'warning',
      what: `Support of Kubernetes ${own}, which the cluster runs, ends with the next minor version.`,
      evidence: `The cluster runs ${version}; ${own} is the oldest the region offers (${list}).`,
      breaks: 'Nothing yet; once support has ended there are no security fixes any more.',
      remedy,
    });
  }
  if (newest !== undefined) {
    notices.push({
      id: 'new-version',
      severity: 'info',
      what: `Kubernetes ${newest} is available for the cluster.`,
      evidence: `The cluster runs ${version}; AKS offers ${[...upgrades].sort(byVersion).join(', ')}.`,
      breaks: 'Nothing.',
      remedy: `Set cluster.kubernetesVersion to "${newest}" when you want it.`,
    });
  }
  return notices;
}

/** Asks AKS about the version of a cluster as it was found. */
export async function lookAtVersion(
  { clients, names, spec }: Pick<Scope, 'clients' | 'names' | 'spec'>,
  found: ManagedCluster,
): Promise<{ readonly version: string; readonly notices: readonly Notice[] }> {
  const { managedClusters } = clients.clusters();
  const [profile, listed] = await Promise.all([
    managedClusters.getUpgradeProfile(names.resourceGroup, names.cluster),
    managedClusters.listKubernetesVersions(spec.location),
  ]);
  const version = found.currentKubernetesVersion ?? found.kubernetesVersion ?? '';
  const notices = versionNotices({
    version,
    supportPlan: found.supportPlan,
    upgrades: (profile.controlPlaneProfile.upgrades ?? []).flatMap(({ kubernetesVersion, isPreview }) =>
      kubernetesVersion && !isPreview ? [kubernetesVersion] : [],
    ),
    listed: listed.values ?? [],
  });
  return { version, notices };
}

export const clusterVersion = defineResource<
  { readonly cluster: typeof cluster },
  { readonly version: string }
>({
  key: 'azure/cluster-version',
  title: 'Kubernetes version',
  dependsOn: { cluster },

  async observe(scope, deps) {
    const { managedClusters } = scope.clients.clusters();
    const found = await managedClusters.get(scope.names.resourceGroup, deps.cluster.name);
    const { version, notices } = await lookAtVersion(scope, found);
    return { state: 'ready', outputs: { version }, notices };
  },

  /** Never called: what is looked at is always as asked. */
  async ensure() {},

  async remove() {},
});

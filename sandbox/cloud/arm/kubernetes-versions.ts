/** The Kubernetes versions AKS offers. https://learn.microsoft.com/azure/aks/supported-kubernetes-versions */
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';

/** Newest last; each minor with its patches, oldest first. */
export const offeredVersions: Readonly<Record<string, readonly string[]>> = {
  '1.32': ['1.32.9', '1.32.10'],
  '1.33': ['1.33.5', '1.33.6'],
  '1.34': ['1.34.2', '1.34.3'],
  '1.35': ['1.35.1'],
};
const DEFAULT_MINOR = '1.34';

/** The patch AKS chooses for what was asked: a full version, a minor, or nothing. */
export function chooseVersion(asked: string | undefined): string {
  const [major, minor, patch] = (asked ?? DEFAULT_MINOR).split('.');
  const patches = offeredVersions[`${major}.${minor}`];
  const chosen = patch === undefined ? patches?.at(-1) : patches?.find((version) => version === asked);
  if (chosen) return chosen;
  throw new Refusal(
    400,
    'K8sVersionNotSupported',
    `Managed cluster is on version ${asked} which is not supported in this region. Please use [az aks get-versions] ` +
      'command to get the supported version list in this region.',
  );
}

/** Refuses going back, and leaving out a minor version. */
export function requireUpgrade(from: string, to: string): void {
  const [, fromMinor = 0, fromPatch = 0] = from.split('.').map(Number);
  const [, toMinor = 0, toPatch = 0] = to.split('.').map(Number);
  const isBack = toMinor < fromMinor || (toMinor === fromMinor && toPatch < fromPatch);
  if (!isBack && toMinor - fromMinor <= 1) return;
  throw new Refusal(
    400,
    'OperationNotAllowed',
    `Upgrading Kubernetes version ${from} to ${to} is not allowed. Available upgrades: ` +
      `${upgradesFrom(from).join(', ') || 'none'}. Please see https://aka.ms/aks-supported-k8s-ver for version details.`,
  );
}

export function upgradesFrom(version: string): string[] {
  const [, minor = 0, patch = 0] = version.split('.').map(Number);
  return Object.values(offeredVersions)
    .flat()
    .filter((candidate) => {
      const [, itsMinor = 0, itsPatch = 0] = candidate.split('.').map(Number);
      return (itsMinor === minor && itsPatch > patch) || itsMinor === minor + 1;
    });
}

/** `GET …/locations/<location>/kubernetesVersions`. */
export function describeVersions(): Json {
  return {
    values: Object.entries(offeredVersions).map(([version, patches]) => ({
      version,
      isDefault: version === DEFAULT_MINOR,
      capabilities: { supportPlan: ['KubernetesOfficial', 'AKSLongTermSupport'] },
      patchVersions: Object.fromEntries(patches.map((patch) => [patch, { upgrades: upgradesFrom(patch) }])),
    })),
  };
}

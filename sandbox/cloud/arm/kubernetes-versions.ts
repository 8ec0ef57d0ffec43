/**
 * The Kubernetes versions AKS offers in a region, and how the offer changes: new patches come, old minors go.
 * https://learn.microsoft.com/azure/aks/supported-kubernetes-versions
 */
import type { Table, World } from '../world.ts';
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';

/** By minor version; patches oldest first. */
export type Offer = Readonly<Record<string, readonly string[]>>;

/** What a new world begins with, everywhere. */
const firstOffer: Offer = {
  '1.32': ['1.32.9', '1.32.10'],
  '1.33': ['1.33.5', '1.33.6'],
  '1.34': ['1.34.2', '1.34.3'],
  '1.35': ['1.35.1'],
};
const DEFAULT_MINOR = '1.34';

const table = (world: World): Table<Offer> => world.table('arm/kubernetes-versions');

export function offerIn(world: World, location: string): Offer {
  return table(world).get(location) ?? firstOffer;
}

export const changeOffer = (world: World, location: string, offer: Offer): void =>
  table(world).set(location, offer);

const minorNumber = (minor: string): number => Number(minor.split('.')[1]);
/** Oldest first. */
export const minorsOf = (offer: Offer): string[] =>
  Object.keys(offer).sort((a, b) => minorNumber(a) - minorNumber(b));
export const minorOf = (version: string): string => version.split('.').slice(0, 2).join('.');

/** Another patch of each minor version. */
export function withNewPatches(offer: Offer): Offer {
  return Object.fromEntries(
    minorsOf(offer).map((minor) => {
      const patches = offer[minor] ?? [];
      const last = Number(patches.at(-1)?.split('.')[2] ?? 0);
      return [minor, [...patches, `${minor}.${last + 1}`]];
    }),
  );
}

/** Nothing older than this minor version, with or without itself; there is always a newer one. */
export function withoutOlderThan(offer: Offer, minor: string, includingItself: boolean): Offer {
  const least = minorNumber(minor) + (includingItself ? 1 : 0);
  const kept = minorsOf(offer).filter((one) => minorNumber(one) >= least);
  const next = `1.${minorNumber(minor) + 1}`;
  const all = kept.some((one) => minorNumber(one) > minorNumber(minor)) ? kept : [...kept, next];
  return Object.fromEntries(all.map((one) => [one, offer[one] ?? [`${one}.0`]]));
}

/** The default minor is the one AKS recommends, or the oldest once that is gone. */
function defaultMinorOf(offer: Offer): string {
  return offer[DEFAULT_MINOR] ? DEFAULT_MINOR : (minorsOf(offer)[0] ?? DEFAULT_MINOR);
}

/** The patch AKS chooses for what was asked: a full version, a minor, or nothing. */
export function chooseVersion(offer: Offer, asked: string | undefined): string {
  const [major, minor, patch] = (asked ?? defaultMinorOf(offer)).split('.');
  const patches = offer[`${major}.${minor}`];
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
export function requireUpgrade(offer: Offer, from: string, to: string): void {
  const [, fromMinor = 0, fromPatch = 0] = from.split('.').map(Number);
  const [, toMinor = 0, toPatch = 0] = to.split('.').map(Number);
  const isBack = toMinor < fromMinor || (toMinor === fromMinor && toPatch < fromPatch);
  if (!isBack && toMinor - fromMinor <= 1) return;
  throw new Refusal(
    400,
    'OperationNotAllowed',
    `Upgrading Kubernetes version ${from} to ${to} is not allowed. Available upgrades: ` +
      `${upgradesFrom(offer, from).join(', ') || 'none'}. Please see https://aka.ms/aks-supported-k8s-ver for version details.`,
  );
}

export function upgradesFrom(offer: Offer, version: string): string[] {
  const [, minor = 0, patch = 0] = version.split('.').map(Number);
  return Object.values(offer)
    .flat()
    .filter((candidate) => {
      const [, itsMinor = 0, itsPatch = 0] = candidate.split('.').map(Number);
      return (itsMinor === minor && itsPatch > patch) || itsMinor === minor + 1;
    });
}

/** `GET …/locations/<location>/kubernetesVersions`. */
export function describeVersions(offer: Offer): Json {
  return {
    values: minorsOf(offer).map((version) => ({
      version,
      isDefault: version === defaultMinorOf(offer),
      capabilities: { supportPlan: ['KubernetesOfficial', 'AKSLongTermSupport'] },
      patchVersions: Object.fromEntries(
        (offer[version] ?? []).map((patch) => [patch, { upgrades: upgradesFrom(offer, patch) }]),
      ),
    })),
  };
}

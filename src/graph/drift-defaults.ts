/**
 * What is only told about where neither a rule nor a person says more, because putting it right could hurt. Declarative;
 * everything else is put right.
 *
 * The key vault is not in here: making it anew brings the deleted one back with all that was in it. Neither are volumes of
 * the cluster: that of the share only names it, and models can be pulled again.
 */
import type { Difference, Json, ResourceKey } from './resource.ts';

/** What holds people's data, and what is gone together with it. */
const holders: Readonly<Partial<Record<ResourceKey, readonly ResourceKey[]>>> = {
  'azure/postgres-server': ['azure/postgres-server', 'azure/postgres-database'],
  'azure/postgres-database': ['azure/postgres-database'],
  'azure/storage-account': ['azure/storage-account', 'azure/file-share'],
  'azure/file-share': ['azure/file-share'],
};

interface Ratchet {
  readonly resource: ResourceKey;
  readonly path: RegExp;
  readonly why: string;
  /** Whoever asks for less is refused, and all else that is asked for with it. */
  readonly hasNoWayBack?: true;
}

/** What is left when it has grown beyond what is asked for. */
const ratchets: readonly Ratchet[] = [
  {
    resource: 'azure/file-share',
    path: /^shareQuota$/,
    why: 'it has grown, and a smaller quota could be less than what is stored',
  },
  {
    resource: 'azure/cluster',
    path: /^(kubernetesVersion|agentPoolProfiles\.[^.]+\.orchestratorVersion)$/,
    why: 'it is newer than asked for, and Azure does not go back to an older version',
    hasNoWayBack: true,
  },
  {
    resource: 'azure/postgres-server',
    path: /^version$/,
    why: 'it is newer than asked for, and Azure does not go back to an older version',
    hasNoWayBack: true,
  },
];

/** Whether people's data goes with it. */
export const holdsData = (key: ResourceKey): boolean => lostWith(key) !== undefined;

/** What would have to be made anew together with what is gone; undefined when nothing is lost by making it anew. */
export const lostWith = (key: ResourceKey): readonly ResourceKey[] | undefined => holders[key];

/** Why a difference that somebody else made is only told about by default; undefined when it is put right. */
export function whyOnlyReported(key: ResourceKey, difference: Difference): string | undefined {
  if (difference.path === '' && holdsData(key)) {
    return 'an empty one in its place would hide the loss of what was in it';
  }
  return ratchetOf(key, difference)?.why;
}

/** Whether no cloud would put it right, whoever asks: it is not to be sent. */
export const hasNoWayBack = (key: ResourceKey, difference: Difference): boolean =>
  ratchetOf(key, difference)?.hasNoWayBack ?? false;

const ratchetOf = (key: ResourceKey, { path, wanted, found }: Difference): Ratchet | undefined =>
  ratchets.find((ratchet) => ratchet.resource === key && ratchet.path.test(path) && isHigher(found, wanted));

/** Of amounts, and of versions part by part: `1.10` is higher than `1.9`, and no 1.33 is higher than `1.33`. */
export function isHigher(found: Json, wanted: Json): boolean {
  const [left, right] = [partsOf(found), partsOf(wanted)];
  const differing = right.findIndex((part, index) => left[index] !== part);
  return differing >= 0 && (left[differing] ?? 0) > (right[differing] ?? 0);
}

const partsOf = (value: Json): readonly number[] =>
  String(value ?? '')
    .split('.')
    .map(Number);

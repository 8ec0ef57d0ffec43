/**
 * What is only told about where neither a rule nor a person says more, because putting it right could hurt. Declarative;
 * everything else is put right.
 *
 * The key vault is not in here: making it anew brings the deleted one back with all that was in it. Neither are volumes of
 * the cluster: that of the share only names it, and models can be pulled again.
 */
import type { Difference, Json, ResourceKey } from './resource.ts';

interface Holder {
  /** What is gone together with it, itself among it. */
  readonly lost: readonly ResourceKey[];
  /** Why another in its place is no help. */
  readonly why: string;
  /** Minutes for which its cloud may not show what is there: it answers from copies that lag. */
  readonly mayBeHidden?: number;
}

const empty = 'an empty one in its place would hide the loss of what was in it';

/** What holds people's data, or who they are: Open WebUI knows its users by a number that is another for each application. */
const holders: Readonly<Partial<Record<ResourceKey, Holder>>> = {
  'azure/postgres-server': { lost: ['azure/postgres-server', 'azure/postgres-database'], why: empty },
  'azure/postgres-database': { lost: ['azure/postgres-database'], why: empty },
  'azure/storage-account': { lost: ['azure/storage-account', 'azure/file-share'], why: empty },
  'azure/file-share': { lost: ['azure/file-share'], why: empty },
  'entra/application': {
    lost: ['entra/application'],
    why: 'with another in its place nobody who has signed in so far would get back to their account',
    mayBeHidden: 5,
  },
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

/** What interrupts everybody, in either direction. */
const interruptions: readonly {
  readonly resource: ResourceKey;
  readonly path: RegExp;
  readonly why: string;
}[] = [
  { resource: 'azure/postgres-server', path: /^sku\./, why: 'the server restarts when it gets another size' },
];

/** Whether people's data goes with it. */
export const holdsData = (key: ResourceKey): boolean => lostWith(key) !== undefined;

/** What would have to be made anew together with what is gone; undefined when nothing is lost by making it anew. */
export const lostWith = (key: ResourceKey): readonly ResourceKey[] | undefined => holders[key]?.lost;

/** Whether it may still be there although it has not been shown since then. */
export const mayBeHidden = (key: ResourceKey, since: Date, now: Date): boolean =>
  now.getTime() - since.getTime() < (holders[key]?.mayBeHidden ?? 0) * 60_000;

export const whyNotAnew = (key: ResourceKey): string | undefined => holders[key]?.why;

/** Why a difference that somebody else made is only told about by default; undefined when it is put right. */
export function whyOnlyReported(key: ResourceKey, difference: Difference): string | undefined {
  if (difference.path === '') return whyNotAnew(key);
  const interruption = interruptions.find(
    ({ resource, path }) => resource === key && path.test(difference.path),
  );
  return ratchetOf(key, difference)?.why ?? interruption?.why;
}

/** Whether it is beyond what is asked for now, and stays so whatever is asked for, until a person wants it back. */
export const hasGrown = (key: ResourceKey, difference: Difference): boolean =>
  ratchetOf(key, difference) !== undefined;

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

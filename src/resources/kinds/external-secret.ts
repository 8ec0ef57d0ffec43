/**
 * One ExternalSecret and the Secret that External Secrets makes of it. Every key is pinned to a version in the vault
 * (docs/decisions/0007-versions-are-pinned.md), and has arrived when the Secret's data is what the vault holds under
 * exactly that version; a condition that says "Ready" proves neither.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import { fieldManager } from '../../naming.ts';
import { SECRET_STORE } from '../kubernetes/secret-store.ts';
import type { Scope, SecretReference } from '../scope.ts';
import { ignoredByReloader, marksOf, type Once } from './kubernetes-object.ts';

/** Keys of a Secret, and the version in the vault behind each. */
export type SecretKeys = Readonly<Record<string, SecretReference>>;

/**
 * External Secrets looks into the vault at once when an ExternalSecret's generation or annotations change
 * (https://external-secrets.io/latest/api/externalsecret/), so applying other versions is the request to look.
 * What the template says about the Secret's metadata leaves its data as it is
 * (https://external-secrets.io/latest/guides/templating/).
 */
export const pinnedSecret = (
  scope: Pick<Scope, 'names'>,
  name: string,
  keys: SecretKeys,
): Readonly<Record<string, unknown>> => {
  const { labels, annotations } = marksOf(name, scope);
  return {
    spec: {
      refreshInterval: '1h',
      secretStoreRef: { kind: 'SecretStore', name: SECRET_STORE },
      target: {
        name,
        creationPolicy: 'Owner',
        template: { metadata: { labels, annotations: { ...annotations, ...ignoredByReloader } } },
      },
      data: Object.entries(keys).map(([secretKey, { name: key, version }]) => ({
        secretKey,
        remoteRef: { key, version },
      })),
    },
  };
};

/** What people set by hand for the same; its value only has to be another one. https://external-secrets.io/latest/introduction/faq/ */
const FORCE_SYNC = 'force-sync';

/** The vault read once more: whatever else has had it read since is as good. */
export const syncOnce = (after: string): Once => ({
  after,
  ask(object, found) {
    const asked = String(Date.parse(after));
    const refreshedAt = found && Date.parse(statusSchema.parse(found).status.refreshTime ?? '');
    const last = found?.metadata.annotations?.[FORCE_SYNC];
    const isDone = last === asked || (refreshedAt !== undefined && refreshedAt > Date.parse(after));
    const value = isDone ? last : asked;
    if (value === undefined) return object;
    const annotations = { ...object.metadata.annotations, [FORCE_SYNC]: value };
    return { ...object, metadata: { ...object.metadata, annotations } };
  },
});

const pinsSchema = z.object({
  spec: z.object({
    data: z
      .array(
        z.object({
          secretKey: z.string(),
          remoteRef: z.object({ key: z.string(), version: z.string().optional() }),
        }),
      )
      .default([]),
  }),
});

/** The version that each key of an ExternalSecret is pinned to; keys that are not pinned are left out. */
export function pinsOf(externalSecret: KubernetesObject | undefined): ReadonlyMap<string, string> {
  if (!externalSecret) return new Map();
  const { data } = pinsSchema.parse(externalSecret).spec;
  return new Map(
    data.flatMap(({ secretKey, remoteRef: { key, version } }) =>
      version === undefined ? [] : [[secretKey, `${key}/${version}`] as const],
    ),
  );
}

/** As `pinsOf` gives it. */
export const pinOf = ({ name, version }: SecretReference): string => `${name}/${version}`;

const statusSchema = z.object({
  metadata: z.object({
    name: z.string(),
    generation: z.number().default(0),
    managedFields: z
      .array(
        z.object({
          manager: z.string().optional(),
          subresource: z.string().optional(),
          time: z.string().optional(),
        }),
      )
      .default([]),
  }),
  status: z
    .object({
      refreshTime: z.string().nullish(),
      syncedResourceVersion: z.string().default(''),
      conditions: z
        .array(z.object({ type: z.string(), status: z.string(), message: z.string().default('') }))
        .default([]),
    })
    .prefault({}),
});

/** Why a Secret may not hold what its ExternalSecret says; `undefined` when it was synced after our last word on it. */
export function unsynced(externalSecret: KubernetesObject): string | undefined {
  const { metadata, status } = statusSchema.parse(externalSecret);
  const ready = status.conditions.find(({ type }) => type === 'Ready');
  if (ready?.status === 'False') return `${metadata.name}: ${ready.message || 'could not be synced'}`;
  const asked = metadata.managedFields.find(
    ({ manager, subresource }) => manager === fieldManager && !subresource,
  )?.time;
  const isSynced =
    ready?.status === 'True' &&
    // `<generation>-<hash of labels and annotations>` of what was synced.
    status.syncedResourceVersion.startsWith(`${metadata.generation}-`) &&
    Date.parse(status.refreshTime ?? '') >= Date.parse(asked ?? '');
  return isSynced ? undefined : `${metadata.name} has not been synced yet`;
}

const secretSchema = z.object({ data: z.record(z.string(), z.string()).default({}) });

export type Arrival =
  | { readonly missing: string }
  | {
      readonly resourceVersion: string;
      /** Changes with the content and with nothing else. */
      readonly mark: string;
    };

/**
 * Compares a Secret key by key with the vault, one read for each; values stay in this call's memory, and what is told
 * names keys only. Throws what the vault says when it refuses.
 */
export async function arrivalOf(
  scope: Pick<Scope, 'names' | 'clients'>,
  api: KubernetesApi,
  name: string,
  keys: SecretKeys,
): Promise<Arrival> {
  const { namespace } = scope.names;
  const secret = await api.find({ apiVersion: 'v1', kind: 'Secret', namespace, name });
  if (!secret) return { missing: `the Secret ${name} is not there yet` };
  const { data } = secretSchema.parse(secret);
  const extra = Object.keys(data).find((key) => keys[key] === undefined);
  if (extra !== undefined)
    return { missing: `the Secret ${name} holds a key ${extra} that nobody asked for` };
  const wrong = await Promise.all(
    Object.entries(keys).map(async ([key, { vaultUrl, name: secretName, version }]) => {
      const { value = '' } = await scope.clients.secrets(vaultUrl).getSecret(secretName, { version });
      const found = data[key];
      return found !== undefined && isSame(Buffer.from(found, 'base64'), Buffer.from(value)) ? [] : [key];
    }),
  );
  const [first] = wrong.flat();
  if (first !== undefined) {
    return {
      missing: `the key ${first} of the Secret ${name} is not what the vault holds under its version`,
    };
  }
  return { resourceVersion: secret.metadata.resourceVersion ?? '', mark: contentMark(name, data) };
}

const digest = (content: Buffer): Buffer => createHash('sha256').update(content).digest();
const isSame = (one: Buffer, other: Buffer): boolean => timingSafeEqual(digest(one), digest(other));

/**
 * Nobody can guess back from this: every Secret of ours holds at least one value of 32 random bytes or more, and the
 * hash is of the whole.
 */
function contentMark(name: string, data: Readonly<Record<string, string>>): string {
  const sorted = Object.entries(data).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([name, sorted]))
    .digest('hex')
    .slice(0, 16);
}

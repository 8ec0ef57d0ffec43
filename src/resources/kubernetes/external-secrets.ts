/**
 * What of the vault becomes a Kubernetes Secret: one ExternalSecret for each user of secrets, since one missing key
 * fails a whole ExternalSecret, and since a change restarts whoever uses the Secret. External Secrets never picks up a
 * new version by itself: a whole set is moved by one apply, so that no pod sees half of it.
 */
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { DependencyOutputs } from '../../graph/resource.ts';
import { postgresConnectionString } from '../azure/postgres-connection-string.ts';
import { postgresPassword } from '../azure/postgres-password.ts';
import { storageCredentials } from '../azure/storage-credentials.ts';
import { webuiSecretKey } from '../azure/webui-secret-key.ts';
import { tunnelToken } from '../cloudflare/tunnel-token.ts';
import { clientSecret } from '../entra/client-secret.ts';
import {
  arrivalOf,
  pinnedSecret,
  pinOf,
  pinsOf,
  type SecretKeys,
  syncOnce,
  unsynced,
} from '../kinds/external-secret.ts';
import { kubernetesObjects, type Look, type Unready } from '../kinds/kubernetes-object.ts';
import { satisfies } from '../kinds/rotation.ts';
import { findSecret } from '../kinds/vault-secret.ts';
import { defineResource, type Rotation, type Scope, type SecretReference } from '../scope.ts';
import { addons, EXTERNAL_SECRETS_API } from './addons.ts';
import { databaseLogin, removeProof, WEBUI_SECRET } from './database-login.ts';
import { secretStore } from './secret-store.ts';

export { WEBUI_SECRET } from './database-login.ts';
export const TUNNEL_SECRET = 'cloudflared-token';
export const STORAGE_SECRET = 'open-webui-storage';

const dependsOn = {
  addons,
  secretStore,
  webuiSecretKey,
  clientSecret,
  tunnelToken,
  postgresPassword,
  postgresConnectionString,
  storageCredentials,
  databaseLogin,
} as const;
type Deps = DependencyOutputs<typeof dependsOn>;

/** The table: Secret, its keys, and the vault's secret for each. */
const table: Readonly<Record<string, (deps: Deps) => SecretKeys>> = {
  [WEBUI_SECRET]: (deps) => ({
    WEBUI_SECRET_KEY: deps.webuiSecretKey.secret,
    MICROSOFT_CLIENT_SECRET: deps.clientSecret.secret,
    POSTGRES_PASSWORD: deps.postgresPassword.secret,
    DATABASE_URL: deps.postgresConnectionString.secret,
  }),
  [TUNNEL_SECRET]: (deps) => ({ TUNNEL_TOKEN: deps.tunnelToken.secret }),
  // Names the Azure Files driver asks for: https://github.com/kubernetes-sigs/azurefile-csi-driver
  [STORAGE_SECRET]: (deps) => ({
    azurestorageaccountname: deps.storageCredentials.accountName,
    azurestorageaccountkey: deps.storageCredentials.accountKey,
  }),
};
const keysOf = (name: string, deps: Deps): SecretKeys => table[name]?.(deps) ?? {};

/** A secret as a receipt names it. */
type Synced = {
  readonly resourceVersion: string;
  readonly keys: Readonly<Record<string, { readonly secret: string; readonly version: string }>>;
};
type SecretsOutputs = {
  /** By Secret, what changes with its content and only then: for the pod templates of its users. */
  readonly versions: Readonly<Record<string, string>>;
  /** By Secret, what has been proven to be in it. */
  readonly synced: Readonly<Record<string, Synced>>;
};

const objects = kubernetesObjects<typeof dependsOn, SecretsOutputs>({
  key: 'kubernetes/external-secrets',
  title: 'Secrets in the cluster',
  dependsOn,
  objects: (scope, known) =>
    Object.entries(table).map(([name, keys]) => ({
      apiVersion: known.addons?.externalSecretsApi ?? EXTERNAL_SECRETS_API,
      kind: 'ExternalSecret',
      name,
      body: (deps) => pinnedSecret(scope, name, keys(deps)),
      ...(scope.wishes?.syncAfter === undefined ? {} : { once: syncOnce(scope.wishes.syncAfter) }),
    })),
  hold: ({ scope, deps, looks }) => unsettled(scope, deps, looks),
  async readiness({ scope, api, deps, found }) {
    const reasons = found.flatMap((secret) => unsynced(secret) ?? []);
    if (reasons.length > 0) return { state: 'changing', reason: reasons.join('; ') };
    return proven(scope, api, deps, found);
  },
  outputs: () => ({ versions: {}, synced: {} }),
});

export const externalSecrets = {
  objects: objects.objects,
  ...defineResource<typeof dependsOn, SecretsOutputs>({
    ...objects,
    async ensure(scope, deps, seen) {
      await objects.ensure(scope, deps, seen);
      // What proved the login has done its work once the connection string is handed out.
      await removeProof(scope, deps.addons.externalSecretsApi);
    },
  }),
};

/** Compares every Secret with the vault. */
async function proven(
  scope: Scope,
  api: KubernetesApi,
  deps: Deps,
  found: readonly KubernetesObject[],
): Promise<Unready | { readonly state: 'ready'; readonly outputs: SecretsOutputs }> {
  const versions: Record<string, string> = {};
  const synced: Record<string, Synced> = {};
  for (const { metadata } of found) {
    const keys = keysOf(metadata.name, deps);
    const arrival = await arrivalOf(scope, api, metadata.name, keys);
    if ('missing' in arrival) return { state: 'changing', reason: arrival.missing };
    versions[metadata.name] = arrival.mark;
    synced[metadata.name] = {
      resourceVersion: arrival.resourceVersion,
      keys: Object.fromEntries(
        Object.entries(keys).map(([key, { name, version }]) => [key, { secret: name, version }]),
      ),
    };
  }
  return { state: 'ready', outputs: { versions, synced } };
}

/** Whoever changes several secrets does so within this time; the vault tells times in whole seconds. */
const SETTLE_SECONDS = 2;
/** By when an event about a version that this run has not seen is expected; after that the next sweep brings it. */
const EVENT_SECONDS = 60;

/** What of the vault is replaced when somebody asks for it. */
const asked: Readonly<Record<Rotation, (deps: Deps) => SecretReference>> = {
  'webui-secret-key': (deps) => deps.webuiSecretKey.secret,
  'client-secret': (deps) => deps.clientSecret.secret,
  'postgres-password': (deps) => deps.postgresPassword.secret,
  'storage-key': (deps) => deps.storageCredentials.accountKey,
  'tunnel-token': (deps) => deps.tunnelToken.secret,
};

/**
 * A burst of new secrets is taken as a whole: while one of them is very young, or younger than what this run has looked
 * at, or asked for and not made yet, others may be on their way. All of them count, since two of the Secrets have the
 * same user. Asked only when versions are about to change.
 */
async function unsettled(scope: Scope, deps: Deps, looks: readonly Look[]): Promise<Unready> {
  const sets = looks.map(({ wanted, found }) => {
    const pins = pinsOf(found);
    const keys = Object.entries(keysOf(wanted.metadata.name, deps));
    const isMoving =
      found !== undefined && keys.some(([key, reference]) => pins.get(key) !== pinOf(reference));
    return { isMoving, references: keys.map(([, reference]) => reference) };
  });
  if (!sets.some(({ isMoving }) => isMoving)) return undefined;
  const newest = await Promise.all(
    sets
      .flatMap(({ references }) => references)
      .map(async (reference) => {
        const { vaultUrl, name, version } = reference;
        const properties = (await findSecret(scope, vaultUrl, name))?.properties;
        const createdAt = properties?.createdOn?.getTime() ?? 0;
        return {
          name,
          seconds: (scope.now.getTime() - createdAt) / 1000,
          isSeen: properties?.version === version,
          isOwed:
            properties !== undefined &&
            wishesFor(scope, deps, reference).some((wish) => !satisfies(properties, wish)),
        };
      }),
  );
  const youngest = Math.min(...newest.map(({ seconds }) => seconds));
  if (youngest < SETTLE_SECONDS) {
    const left = Math.ceil(SETTLE_SECONDS - youngest);
    return {
      state: 'changing',
      reason: 'waiting for a burst of new secrets to settle',
      retryAfterSeconds: Math.min(left, SETTLE_SECONDS),
    };
  }
  const owed = newest.find(({ isOwed }) => isOwed);
  if (owed) {
    return {
      state: 'changing',
      reason: `another ${owed.name} has just been asked for: all are handed out together`,
      retryAfterSeconds: 1,
    };
  }
  const unseen = newest.find(({ isSeen, seconds }) => !isSeen && seconds < EVENT_SECONDS);
  return (
    unseen && {
      state: 'changing',
      reason: `the vault holds a newer ${unseen.name} than was looked at: waiting for the event that tells so`,
      retryAfterSeconds: 5,
    }
  );
}

/** Somebody's recent wishes for another value of this; older ones have been granted or have to wait for something else. */
const wishesFor = (scope: Scope, deps: Deps, { name }: SecretReference): readonly Date[] =>
  Object.entries(scope.rotateAfter).flatMap(([rotation, wish]) =>
    asked[rotation as Rotation](deps).name === name &&
    scope.now.getTime() - wish.getTime() < EVENT_SECONDS * 1000
      ? [wish]
      : [],
  );

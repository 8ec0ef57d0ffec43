/**
 * What of the vault becomes a Kubernetes Secret: one ExternalSecret for each user of secrets, since one missing key
 * fails a whole ExternalSecret, and since a change restarts whoever uses the Secret.
 *
 * External Secrets looks into the vault once an hour, and at once when an ExternalSecret's annotations change
 * (https://external-secrets.io/latest/api/externalsecret/). So the versions that should have arrived stand in an
 * annotation: a rotated secret makes it another, and applying that is the request to look.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { DependencyOutputs } from '../../graph/resource.ts';
import { fieldManager, managedBy } from '../../naming.ts';
import { postgresConnectionString } from '../azure/postgres-connection-string.ts';
import { postgresPassword } from '../azure/postgres-password.ts';
import { storageCredentials } from '../azure/storage-credentials.ts';
import { webuiSecretKey } from '../azure/webui-secret-key.ts';
import { tunnelToken } from '../cloudflare/tunnel-token.ts';
import { clientSecret } from '../entra/client-secret.ts';
import { kubernetesObjects } from '../kinds/kubernetes-object.ts';
import type { SecretReference } from '../scope.ts';
import { addons, EXTERNAL_SECRETS_API } from './addons.ts';
import { SECRET_STORE, secretStore } from './secret-store.ts';

export const WEBUI_SECRET = 'open-webui-secrets';
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
} as const;
type Deps = DependencyOutputs<typeof dependsOn>;

type Keys = Readonly<Record<string, SecretReference>>;

/** The table: Secret, its keys, and the vault's secret for each. */
const table: Readonly<Record<string, (deps: Deps) => Keys>> = {
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

/** Which versions a Secret's keys have; nothing of their values. */
const versionsOf = (keys: Keys): string =>
  createHash('sha256')
    .update(JSON.stringify(Object.entries(keys).map(([key, { name, version }]) => [key, name, version])))
    .digest('hex')
    .slice(0, 16);

export const externalSecrets = kubernetesObjects({
  key: 'kubernetes/external-secrets',
  title: 'Secrets in the cluster',
  dependsOn,
  objects: (_scope, known) =>
    Object.entries(table).map(([name, keysOf]) => ({
      apiVersion: known.addons?.externalSecretsApi ?? EXTERNAL_SECRETS_API,
      kind: 'ExternalSecret',
      name,
      body: (deps) => ({
        annotations: { [`${managedBy}/vault-versions`]: versionsOf(keysOf(deps)) },
        spec: {
          refreshInterval: '1h',
          secretStoreRef: { kind: 'SecretStore', name: SECRET_STORE },
          target: { name, creationPolicy: 'Owner' },
          data: Object.entries(keysOf(deps)).map(([secretKey, secret]) => ({
            secretKey,
            remoteRef: { key: secret.name },
          })),
        },
      }),
    })),
  readiness: ({ found }) => {
    const reasons = found.flatMap((secret) => unsynced(secret) ?? []);
    return reasons.length === 0 ? undefined : { state: 'changing', reason: reasons.join('; ') };
  },
  /** By Secret, what changes with its content: for workloads that have to be restarted without Reloader. */
  outputs: (_scope, deps) => ({
    versions: Object.fromEntries(
      Object.entries(table).map(([name, keysOf]) => [name, versionsOf(keysOf(deps))]),
    ),
  }),
});

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

/** Why a Secret may not hold what the vault holds; `undefined` when it was synced after our last word on it. */
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

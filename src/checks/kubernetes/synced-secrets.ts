/**
 * Secrets in the cluster: asked for, brought over lately, complete, and what the vault holds now. Values are compared in
 * memory; what is told names keys and secrets only.
 */
import { z } from 'zod';
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { ResourceKey } from '../../graph/resource.ts';
import { arrivalOf, type SecretKeys } from '../../resources/kinds/external-secret.ts';
import { findServed } from '../../resources/kinds/kubernetes-object.ts';
import { findSecret } from '../../resources/kinds/vault-secret.ts';
import { EXTERNAL_SECRETS_API, servedApi } from '../../resources/kubernetes/addons.ts';
import { STORAGE_SECRET, TUNNEL_SECRET, WEBUI_SECRET } from '../../resources/kubernetes/external-secrets.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { clusterOf, isOlderThan, quoted } from './cluster.ts';
import { vaultTroubleIn } from './vault-trouble.ts';

const resource = 'kubernetes/external-secrets' as const;

/** By Secret and key, who puts the value into the vault. */
const makers: Readonly<Record<string, Readonly<Record<string, ResourceKey>>>> = {
  [WEBUI_SECRET]: {
    WEBUI_SECRET_KEY: 'azure/webui-secret-key',
    MICROSOFT_CLIENT_SECRET: 'entra/client-secret',
    POSTGRES_PASSWORD: 'azure/postgres-password',
    DATABASE_URL: 'azure/postgres-connection-string',
  },
  [TUNNEL_SECRET]: { TUNNEL_TOKEN: 'cloudflare/tunnel-token' },
  [STORAGE_SECRET]: {
    azurestorageaccountname: 'azure/storage-credentials',
    azurestorageaccountkey: 'azure/storage-credentials',
  },
};

const users: Readonly<Record<string, string>> = {
  [WEBUI_SECRET]: 'Open WebUI',
  [TUNNEL_SECRET]: 'cloudflared',
  [STORAGE_SECRET]: 'whoever mounts the share',
};

/** A new version is handed out together with others that come with it, after it has been proven. */
const HAND_OUT_MINUTES = 15;

const externalSecretSchema = z.object({
  metadata: z.object({ creationTimestamp: z.string().nullish() }),
  spec: z.object({
    refreshInterval: z.string().default('1h'),
    data: z
      .array(
        z.object({
          secretKey: z.string(),
          remoteRef: z.object({ key: z.string(), version: z.string().default('') }),
        }),
      )
      .default([]),
  }),
  status: z
    .object({
      refreshTime: z.string().nullish(),
      conditions: z
        .array(z.object({ type: z.string(), status: z.string(), message: z.string().default('') }))
        .default([]),
    })
    .prefault({}),
});
type ExternalSecret = z.output<typeof externalSecretSchema>;

export const secretsSynced: Check = {
  id: 'secrets-synced',
  system: 'secrets',
  title: 'Every secret has reached the cluster, as the vault holds it now',
  async run(scope) {
    const api = await clusterOf(scope);
    const apiVersion = (await servedApi(api)) ?? EXTERNAL_SECRETS_API;
    const findings = await Promise.all(
      Object.keys(makers).map(async (name) => {
        const { namespace } = scope.names;
        const found = await findServed(api, { apiVersion, kind: 'ExternalSecret', namespace, name });
        return found ? troublesOf(scope, api, name, found) : [missing(scope, name)];
      }),
    );
    return findings.flat();
  },
};

const common = (scope: CheckScope, name: string) =>
  ({
    severity: 'error',
    breaks: `${users[name]} cannot be started with the secrets it needs, and new ones do not reach it.`,
    repair: repairOf(scope),
  }) as const;

const missing = (scope: CheckScope, name: string): CheckFinding => ({
  ...common(scope, name),
  id: `${name}-missing`,
  resource,
  what: `There is no ExternalSecret ${name}.`,
  evidence: `kubectl get externalsecret ${name} -n ${scope.names.namespace} finds nothing`,
  remedy: 'Have the control plane make it again.',
});

async function troublesOf(
  scope: CheckScope,
  api: KubernetesApi,
  name: string,
  object: KubernetesObject,
): Promise<readonly CheckFinding[]> {
  const found = externalSecretSchema.parse(object);
  const refused = refusal(scope, name, found);
  if (refused) return [refused];
  const unasked = Object.keys(makers[name] ?? {}).filter(
    (key) => !found.spec.data.some(({ secretKey }) => secretKey === key),
  );
  if (unasked.length > 0) {
    return [
      {
        ...common(scope, name),
        id: `${name}-lacks-keys`,
        resource,
        what: `The ExternalSecret ${name} does not ask for every key.`,
        evidence: `not asked for: ${unasked.join(', ')}`,
        remedy: 'Have the control plane apply it again.',
      },
    ];
  }
  const older = await olderThanVault(scope, name, found);
  // What it was pinned to may be gone from the vault together with the pin's being right.
  if (older.length > 0) return older;
  return [...stale(scope, name, found), ...(await contentTrouble(scope, api, name, found))];
}

/** What External Secrets itself says. */
function refusal(
  scope: CheckScope,
  name: string,
  { spec, status }: ExternalSecret,
): CheckFinding | undefined {
  const ready = status.conditions.find(({ type }) => type === 'Ready');
  if (ready?.status !== 'False') return undefined;
  const { message } = ready;
  const { repair, ...unrepaired } = common(scope, name);
  // What is wrong with the store is told by whoever looks at it, and knows which identity and vault it should name.
  const trouble = /SecretStore "[^"]*" is not ready/.test(message) ? undefined : vaultTroubleIn(message);
  if (trouble) {
    return {
      ...unrepaired,
      id: trouble.id,
      resource: trouble.resource,
      what: trouble.what,
      evidence: `ExternalSecret ${name}: ${quoted(message)}`,
      remedy: trouble.remedy,
      ...(trouble.canRepair ? { repair } : {}),
    };
  }
  const [, key] = /\(key: ([^)]+)\)/.exec(message) ?? [];
  const wanted = spec.data.find(({ remoteRef }) => remoteRef.key === key);
  const maker = wanted && makers[name]?.[wanted.secretKey];
  if (maker && /does not exist|SecretNotFound|was not found|SecretDisabled|disabled secret/i.test(message)) {
    return unusable(scope, name, key ?? '', maker, `ExternalSecret ${name}: ${quoted(message)}`);
  }
  return {
    ...unrepaired,
    id: `${name}-not-synced`,
    resource: /SecretStore .*not (found|ready)/i.test(message) ? 'kubernetes/secret-store' : resource,
    what: `External Secrets cannot bring the Secret ${name} over.`,
    evidence: quoted(message),
    remedy: `kubectl describe externalsecret ${name} -n ${scope.names.namespace}`,
  };
}

/** Pins that the vault has moved on from, and secrets that it does not hold any more. */
async function olderThanVault(
  scope: CheckScope,
  name: string,
  { spec }: ExternalSecret,
): Promise<readonly CheckFinding[]> {
  const looks = await Promise.all(
    spec.data.map(async ({ secretKey, remoteRef: { key, version } }) => {
      const current = await findSecret(scope, vaultOf(scope), key);
      const made = current?.properties.createdOn;
      const isNew = made !== undefined && !isOlderThan(made.toISOString(), HAND_OUT_MINUTES, scope.now);
      const isCurrent = current?.properties.version === version;
      return { secretKey, key, state: !current ? 'gone' : isCurrent || isNew ? 'current' : 'older' };
    }),
  );
  const gone = looks
    .filter(({ state }) => state === 'gone')
    .map(({ secretKey, key }) =>
      unusable(scope, name, key, makers[name]?.[secretKey] ?? resource, 'the vault does not find it'),
    );
  const keys = looks.filter(({ state }) => state === 'older').map(({ secretKey }) => secretKey);
  if (gone.length > 0 || keys.length === 0) return gone;
  return [
    {
      ...common(scope, name),
      id: `${name}-older-than-vault`,
      resource,
      severity: 'warning',
      what: `The Secret ${name} is older than the vault.`,
      evidence: `the vault has a newer version of: ${keys.join(', ')}`,
      breaks: `${users[name]} uses an earlier value, which may have been withdrawn already.`,
      remedy: 'Have the control plane hand out the current versions.',
    },
  ];
}

const unusable = (
  scope: CheckScope,
  name: string,
  key: string,
  maker: ResourceKey,
  evidence: string,
): CheckFinding => ({
  ...common(scope, name),
  id: `${key}-unusable`,
  resource: maker,
  what: `The secret ${key} that the cluster needs is not in the vault, or is disabled there.`,
  evidence,
  remedy: `az keyvault secret recover --vault-name ${scope.names.vault} --name ${key}, or az keyvault secret set-attributes --enabled true; or have the control plane make it again.`,
});

const units: Readonly<Record<string, number>> = { s: 1 / 60, m: 1, h: 60 };
/** `1h0m0s`, as Go writes durations. */
const minutesOf = (duration: string): number =>
  [...duration.matchAll(/(\d+(?:\.\d+)?)([smh])/g)].reduce(
    (sum, [, count, unit = '']) => sum + Number(count) * (units[unit] ?? 0),
    0,
  );

/** Whether anybody looks into the vault at all. */
function stale(
  scope: CheckScope,
  name: string,
  { metadata, spec, status }: ExternalSecret,
): readonly CheckFinding[] {
  const interval = minutesOf(spec.refreshInterval);
  const since = status.refreshTime ?? metadata.creationTimestamp;
  if (interval === 0 || !isOlderThan(since, 2 * interval, scope.now)) return [];
  return [
    {
      ...common(scope, name),
      id: `${name}-not-refreshed`,
      resource: 'kubernetes/addons',
      severity: 'warning',
      what: `External Secrets has not looked after the Secret ${name} for more than two of its intervals.`,
      evidence: `its refreshTime is older than twice its refreshInterval of ${spec.refreshInterval}`,
      remedy:
        'See whether the operator runs: kubectl get pods -n external-secrets; kubectl logs -n external-secrets deployment/external-secrets',
    },
  ];
}

async function contentTrouble(
  scope: CheckScope,
  api: KubernetesApi,
  name: string,
  { spec }: ExternalSecret,
): Promise<readonly CheckFinding[]> {
  const vaultUrl = vaultOf(scope);
  const keys: SecretKeys = Object.fromEntries(
    spec.data.map(({ secretKey, remoteRef: { key, version } }) => [
      secretKey,
      { vaultUrl, name: key, version },
    ]),
  );
  const arrival = await arrivalOf(scope, api, name, keys);
  if (!('missing' in arrival)) return [];
  return [
    {
      ...common(scope, name),
      id: `${name}-differs`,
      resource,
      what: `The Secret ${name} does not hold what the vault holds.`,
      evidence: arrival.missing,
      remedy: `kubectl annotate externalsecret ${name} -n ${scope.names.namespace} force-sync=$(date +%s) --overwrite`,
    },
  ];
}

function vaultOf({ known, names }: CheckScope): string {
  const url = known['azure/key-vault']?.outputs['url'];
  return typeof url === 'string' ? url : `https://${names.vault}.vault.azure.net/`;
}

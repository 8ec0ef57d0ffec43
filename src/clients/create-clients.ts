import { AuthorizationManagementClient } from '@azure/arm-authorization';
import { ComputeManagementClient } from '@azure/arm-compute';
import { ContainerRegistryManagementClient } from '@azure/arm-containerregistry';
import { ContainerServiceClient } from '@azure/arm-containerservice';
import { EventGridManagementClient } from '@azure/arm-eventgrid';
import { KeyVaultManagementClient } from '@azure/arm-keyvault';
import { MonitorClient } from '@azure/arm-monitor';
import { ManagedServiceIdentityClient } from '@azure/arm-msi';
import { NetworkManagementClient } from '@azure/arm-network';
import { PostgreSQLManagementFlexibleServerClient } from '@azure/arm-postgresql-flexible';
import { PrivateDnsManagementClient } from '@azure/arm-privatedns';
import { ResourceManagementClient } from '@azure/arm-resources';
import { StorageManagementClient } from '@azure/arm-storage';
import { ContainerRegistryClient } from '@azure/container-registry';
import type { TokenCredential } from '@azure/identity';
import { SecretClient } from '@azure/keyvault-secrets';
import type { Config } from '../config.ts';
import { fatal, retryable } from '../graph/failure.ts';
import { createActivityLog } from './activity-log.ts';
import type { Clients, EventDelivery } from './clients.ts';
import { createCloudflare } from './cloudflare.ts';
import { createCloudflareAudit } from './cloudflare-audit.ts';
import { inDatabase } from './database.ts';
import { createDirectoryAudit } from './directory-audit.ts';
import { requestLogin } from './entra-token.ts';
import { rememberErrorBody } from './error-body.ts';
import { createGraph } from './graph.ts';
import { connectKubernetes } from './kubernetes-client.ts';
import { createSharedLimits, type SharedLimits } from './shared-limits.ts';
import { requestSite } from './site.ts';

/** A cluster made anew under the same name has another certificate, and a Cloudflare token may be exchanged. */
const CONNECTION_LIFETIME_MS = 300_000;

/** The clients of one subscription; each is made on first use and kept. All of a process are to share their limits. */
export function createClients(
  config: Config,
  credential: TokenCredential,
  subscriptionId: string,
  limits: SharedLimits = createSharedLimits(),
): Clients {
  const { cloud } = config;
  const scope = `${cloud.resourceManagerAudience}/.default`;
  const pipeline = {
    retryOptions: { maxRetries: 0 },
    userAgentOptions: { userAgentPrefix: 'open-webui-control-plane' },
    additionalPolicies: [{ policy: rememberErrorBody, position: 'perCall' as const }],
  };
  const arm = {
    ...pipeline,
    endpoint: cloud.resourceManager,
    additionalPolicies: [
      ...pipeline.additionalPolicies,
      // In this order: what the snapshot answers costs nothing.
      { policy: limits.snapshot.policy, position: 'perRetry' as const },
      { policy: limits.arm.policy, position: 'perRetry' as const },
    ],
  };
  /** The two generations of the ARM SDKs take the token's scope under different names. */
  const older = { ...arm, credentialScopes: scope };
  const newer = { ...arm, credentials: { scopes: [scope] } };

  const token = async (audience: string): Promise<string> => {
    const found = await credential.getToken(audience);
    if (!found) throw retryable('NoToken', `the control plane got no token for ${audience}`);
    return found.token;
  };
  const secrets = keyed((vaultUrl) => new SecretClient(vaultUrl, credential, pipeline));
  const clusters = once(() => new ContainerServiceClient(credential, subscriptionId, newer));
  const cloudflare = renewed(() =>
    createCloudflare(() => readSecret(secrets, config.cloudflareTokenSecret), limits.cloudflare),
  );
  const graph = once(() => createGraph(cloud, credential));
  const ownNames = async (): Promise<readonly string[]> => namesOf(await token(scope));
  const storageOf = keyed((subscription) => new StorageManagementClient(credential, subscription, newer));
  const connections = keyed((address) => {
    const [resourceGroup = '', cluster = ''] = address.split('/');
    return renewed(() =>
      connectKubernetes({
        clusters: clusters(),
        resourceGroup,
        cluster,
        token,
        httpsProxy: config.httpsProxy,
      }),
    );
  });

  return {
    resources: once(() => new ResourceManagementClient(credential, subscriptionId, older)),
    network: once(() => new NetworkManagementClient(credential, subscriptionId, older)),
    privateDns: once(() => new PrivateDnsManagementClient(credential, subscriptionId, older)),
    identities: once(() => new ManagedServiceIdentityClient(credential, subscriptionId, older)),
    vaults: once(() => new KeyVaultManagementClient(credential, subscriptionId, newer)),
    authorization: once(() => new AuthorizationManagementClient(credential, subscriptionId, older)),
    storage: () => storageOf(subscriptionId),
    postgres: once(() => new PostgreSQLManagementFlexibleServerClient(credential, subscriptionId, older)),
    clusters,
    compute: once(() => new ComputeManagementClient(credential, subscriptionId, newer)),
    registries: once(() => new ContainerRegistryManagementClient(credential, subscriptionId, newer)),
    eventGrid: once(() => new EventGridManagementClient(credential, subscriptionId, older)),
    activityLog: once(() =>
      createActivityLog(new MonitorClient(credential, subscriptionId, newer), ownNames),
    ),
    directoryAudit: once(() => createDirectoryAudit(graph(), ownNames)),
    cloudflareAudit: keyed((accountId) => createCloudflareAudit(cloudflare, accountId)),
    eventDelivery: once(() => eventDelivery(config, secrets, storageOf)),
    secrets,
    registryContent: keyed(
      (loginServer) =>
        new ContainerRegistryClient(`https://${loginServer}`, credential, {
          ...pipeline,
          audience: cloud.registryAudience,
        }),
    ),
    graph,
    login: (as) => requestLogin(cloud, as),
    cloudflare,
    kubernetes: (resourceGroup, cluster) => connections(`${resourceGroup}/${cluster}`)(),
    database: (login, work) => inDatabase(login, config.httpsProxy, work),
    site: requestSite,
    token,
    ownPrincipalId: async () => objectIdOf(await token(scope)),
    ownNames,
  };
}

/** Entra object id of whom an access token was given to: its `oid` claim. Throws when there is none. */
export function objectIdOf(accessToken: string): string {
  const { oid } = claimsOf(accessToken);
  if (typeof oid !== 'string' || oid === '') {
    throw fatal('TokenWithoutObjectId', 'the token of the control plane does not say whose it is');
  }
  return oid;
}

/** A person's token names an application, too: the one it was asked for with, which is everybody's. */
function namesOf(accessToken: string): readonly string[] {
  const { upn, appid } = claimsOf(accessToken);
  const name = upn ?? appid;
  return [objectIdOf(accessToken), ...(typeof name === 'string' ? [name] : [])];
}

function claimsOf(accessToken: string): Readonly<Record<string, unknown>> {
  const claims: unknown = JSON.parse(
    Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString() || 'null',
  );
  return typeof claims === 'object' && claims !== null ? { ...claims } : {};
}

function eventDelivery(
  { eventTarget, deadLetterStorageId }: Config,
  secrets: Clients['secrets'],
  storageOf: (subscriptionId: string) => StorageManagementClient,
): EventDelivery | undefined {
  if (!eventTarget) return undefined;
  const [, , subscription = ''] = deadLetterStorageId?.split('/') ?? [];
  return {
    target:
      eventTarget.kind === 'function'
        ? eventTarget
        : {
            kind: 'webhook',
            audience: eventTarget.audience,
            tenantId: eventTarget.tenantId,
            url: () => readSecret(secrets, eventTarget.urlSecret),
          },
    ...(deadLetterStorageId === undefined
      ? {}
      : { deadLetters: { storageId: deadLetterStorageId, storage: () => storageOf(subscription) } }),
  };
}

async function readSecret(secrets: Clients['secrets'], address: string): Promise<string> {
  const url = new URL(address);
  const name = url.pathname.split('/')[2] ?? '';
  const { value } = await secrets(`${url.origin}/`).getSecret(name);
  if (!value) throw fatal('SecretEmpty', `the vault secret ${name} has no value`);
  return value;
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function keyed<T>(make: (key: string) => T): (key: string) => T {
  const made = new Map<string, T>();
  return (key) => {
    const known = made.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    made.set(key, value);
    return value;
  };
}

/** Makes again what failed to be made, and what has been kept for too long. */
function renewed<T>(make: () => Promise<T>): () => Promise<T> {
  let made: { readonly value: Promise<T>; readonly at: number } | undefined;
  return async () => {
    if (made && Date.now() - made.at < CONNECTION_LIFETIME_MS) return made.value;
    const current = { value: make(), at: Date.now() };
    made = current;
    try {
      return await current.value;
    } catch (error) {
      if (made === current) made = undefined;
      throw error;
    }
  };
}

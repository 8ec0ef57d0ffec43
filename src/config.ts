/** The only reader of the environment. Throws on start when a setting is missing or makes no sense, naming it. */
import { z } from 'zod';

export interface Cloud {
  readonly name: 'public' | 'us-government' | 'china';
  readonly resourceManager: string;
  readonly resourceManagerAudience: string;
  readonly authority: string;
  readonly graph: string;
  readonly vaultSuffix: string;
  readonly registrySuffix: string;
  readonly registryAudience: string;
}

const clouds: readonly Cloud[] = [
  {
    name: 'public',
    resourceManager: 'https://management.azure.com',
    resourceManagerAudience: 'https://management.azure.com',
    authority: 'https://login.microsoftonline.com',
    graph: 'https://graph.microsoft.com',
    vaultSuffix: 'vault.azure.net',
    registrySuffix: 'azurecr.io',
    registryAudience: 'https://containerregistry.azure.net',
  },
  {
    name: 'us-government',
    resourceManager: 'https://management.usgovcloudapi.net',
    resourceManagerAudience: 'https://management.usgovcloudapi.net',
    authority: 'https://login.microsoftonline.us',
    graph: 'https://graph.microsoft.us',
    vaultSuffix: 'vault.usgovcloudapi.net',
    registrySuffix: 'azurecr.us',
    registryAudience: 'https://management.usgovcloudapi.net',
  },
  {
    name: 'china',
    resourceManager: 'https://management.chinacloudapi.cn',
    resourceManagerAudience: 'https://management.chinacloudapi.cn',
    authority: 'https://login.chinacloudapi.cn',
    graph: 'https://microsoftgraph.chinacloudapi.cn',
    vaultSuffix: 'vault.azure.cn',
    registrySuffix: 'azurecr.cn',
    registryAudience: 'https://management.chinacloudapi.cn',
  },
];

/** Where the control plane's own tables live: a connection string (Azurite, Core Tools) or the app's identity. */
export type StoreConnection =
  | { readonly kind: 'connection-string'; readonly connectionString: string }
  | { readonly kind: 'identity'; readonly tableEndpoint: string };

/** Where Event Grid delivers: straight to the app's function, or to its webhook where the app is behind Entra. */
export type EventTarget =
  | { readonly kind: 'function' /** ARM id of the app's site. */; readonly functionAppId: string }
  | {
      readonly kind: 'webhook';
      /** `https://<vault>/secrets/<name>`: its value is the whole URL, with its key. */
      readonly urlSecret: string;
      /** Client id of the Entra application that Event Grid signs in to, and the tenant it is in. */
      readonly audience: string;
      readonly tenantId: string;
    };

export interface Config {
  readonly cloud: Cloud;
  /** Client id of the user-assigned identity the app runs as; absent for a developer's own sign-in. */
  readonly managedIdentityClientId: string | undefined;
  readonly store: StoreConnection;
  /** `https://<vault>/secrets/<name>`: where the Cloudflare API token is kept. */
  readonly cloudflareTokenSecret: string;
  /** A forward proxy for outgoing HTTPS. SDKs find it themselves; the Kubernetes client has to be told. */
  readonly httpsProxy: string | undefined;
  /** When everything is looked at without a reason: NCRONTAB, with seconds. */
  readonly sweepSchedule: string;
  /** When the health of every deployment is looked at: NCRONTAB, with seconds. */
  readonly checkSchedule: string;
  /** Undefined: nothing tells us what happens, and only the sweep looks. */
  readonly eventTarget: EventTarget | undefined;
  /** ARM id of the storage account for events that could not be delivered. */
  readonly deadLetterStorageId: string | undefined;
  /** Where it is told that a finding has appeared or gone. */
  readonly notifications: {
    readonly webhook:
      | {
          /** `https://<vault>/secrets/<name>`: its value is the URL to call. */
          readonly urlSecret: string;
          /** The same for the key that what is sent is signed with. */
          readonly signingSecret: string;
        }
      | undefined;
    /** Of an Event Grid topic. */
    readonly topicEndpoint: string | undefined;
  };
}

const secretAddress = z
  .string()
  .regex(
    /^https:\/\/[^/]+\/secrets\/[0-9a-zA-Z-]+$/,
    'must look like https://<vault>.vault.azure.net/secrets/<name>',
  );
const armId = (type: string) =>
  z
    .string()
    .regex(
      new RegExp(`^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/${type}/[^/]+$`, 'i'),
      `must be an ARM id: /subscriptions/<id>/resourceGroups/<group>/providers/${type}/<name>`,
    );

const environment = z.object({
  AZURE_CLOUD: z.enum(['public', 'us-government', 'china']).default('public'),
  AZURE_CLIENT_ID: z.guid('must be the client id (GUID) of the identity the app runs as').optional(),
  AzureWebJobsStorage: z.string().min(1).optional(),
  AzureWebJobsStorage__accountName: z.string().min(1).optional(),
  AzureWebJobsStorage__tableServiceUri: z.url().optional(),
  CLOUDFLARE_TOKEN_SECRET: secretAddress,
  HTTPS_PROXY: z.url().optional(),
  SWEEP_SCHEDULE: z
    .string()
    .regex(/^\S+( \S+){5}$/, 'must be an NCRONTAB expression of six fields, such as 0 */30 * * * *')
    .default('0 */30 * * * *'),
  CHECK_SCHEDULE: z
    .string()
    .regex(/^\S+( \S+){5}$/, 'must be an NCRONTAB expression of six fields, such as 0 */5 * * * *')
    .default('0 */5 * * * *'),
  FUNCTION_APP_ID: armId('Microsoft.Web/sites').optional(),
  EVENT_DEAD_LETTER_STORAGE_ID: armId('Microsoft.Storage/storageAccounts').optional(),
  EVENT_WEBHOOK_SECRET: secretAddress.optional(),
  EVENT_WEBHOOK_AUDIENCE: z
    .guid('must be the client id (GUID) of the Entra application Event Grid signs in to')
    .optional(),
  EVENT_WEBHOOK_TENANT_ID: z.guid('must be the tenant id (GUID) of that application').optional(),
  NOTIFICATION_WEBHOOK_SECRET: secretAddress.optional(),
  NOTIFICATION_SIGNING_SECRET: secretAddress.optional(),
  NOTIFICATION_TOPIC_ENDPOINT: z
    .url({ protocol: /^https$/, error: 'must be the https:// endpoint of an Event Grid topic' })
    .optional(),
});

export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  // Settings files list what may be left empty.
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(set);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new Error(`the app's settings are not usable: ${problems.join('; ')}`);
  }
  const settings = parsed.data;
  const cloud = clouds.find((candidate) => candidate.name === settings.AZURE_CLOUD);
  if (!cloud) throw new Error(`AZURE_CLOUD: unknown cloud ${settings.AZURE_CLOUD}`);
  return {
    cloud,
    managedIdentityClientId: settings.AZURE_CLIENT_ID,
    store: storeConnection(settings),
    cloudflareTokenSecret: settings.CLOUDFLARE_TOKEN_SECRET,
    httpsProxy: settings.HTTPS_PROXY,
    sweepSchedule: settings.SWEEP_SCHEDULE,
    checkSchedule: settings.CHECK_SCHEDULE,
    eventTarget: eventTarget(settings),
    deadLetterStorageId: settings.EVENT_DEAD_LETTER_STORAGE_ID,
    notifications: notifications(settings),
  };
}

/** The webhook where it is set: Entra would turn away what Event Grid sends to the function itself. */
function eventTarget(settings: z.output<typeof environment>): EventTarget | undefined {
  const {
    FUNCTION_APP_ID: functionAppId,
    EVENT_WEBHOOK_SECRET: urlSecret,
    EVENT_WEBHOOK_AUDIENCE: audience,
    EVENT_WEBHOOK_TENANT_ID: tenantId,
  } = settings;
  if (urlSecret && audience && tenantId) return { kind: 'webhook', urlSecret, audience, tenantId };
  const missing = Object.entries({
    EVENT_WEBHOOK_SECRET: urlSecret,
    EVENT_WEBHOOK_AUDIENCE: audience,
    EVENT_WEBHOOK_TENANT_ID: tenantId,
  }).flatMap(([name, value]) => (value === undefined ? [name] : []));
  if (missing.length < 3) {
    throw new Error(`${missing.join(', ')}: missing; the three EVENT_WEBHOOK settings are needed together`);
  }
  return functionAppId === undefined ? undefined : { kind: 'function', functionAppId };
}

/** A webhook that cannot know who calls it would believe anybody. */
function notifications(settings: z.output<typeof environment>): Config['notifications'] {
  const {
    NOTIFICATION_WEBHOOK_SECRET: urlSecret,
    NOTIFICATION_SIGNING_SECRET: signingSecret,
    NOTIFICATION_TOPIC_ENDPOINT: topicEndpoint,
  } = settings;
  if (urlSecret !== undefined && signingSecret !== undefined)
    return { webhook: { urlSecret, signingSecret }, topicEndpoint };
  if (urlSecret !== signingSecret) {
    const missing = urlSecret === undefined ? 'NOTIFICATION_WEBHOOK_SECRET' : 'NOTIFICATION_SIGNING_SECRET';
    throw new Error(`${missing}: missing; a webhook's URL and its signing key are needed together`);
  }
  return { webhook: undefined, topicEndpoint };
}

function storeConnection(settings: z.output<typeof environment>): StoreConnection {
  if (settings.AzureWebJobsStorage__tableServiceUri) {
    return { kind: 'identity', tableEndpoint: settings.AzureWebJobsStorage__tableServiceUri };
  }
  if (settings.AzureWebJobsStorage__accountName) {
    return {
      kind: 'identity',
      tableEndpoint: `https://${settings.AzureWebJobsStorage__accountName}.table.core.windows.net`,
    };
  }
  if (settings.AzureWebJobsStorage) {
    return { kind: 'connection-string', connectionString: settings.AzureWebJobsStorage };
  }
  throw new Error(
    'AzureWebJobsStorage: set it, or AzureWebJobsStorage__accountName for identity-based access',
  );
}

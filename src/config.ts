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

export interface Config {
  readonly cloud: Cloud;
  /** Client id of the user-assigned identity the app runs as; absent for a developer's own sign-in. */
  readonly managedIdentityClientId: string | undefined;
  readonly store: StoreConnection;
  /** `https://<vault>/secrets/<name>`: where the Cloudflare API token is kept. */
  readonly cloudflareTokenSecret: string;
  /** A forward proxy for outgoing HTTPS. SDKs find it themselves; the Kubernetes client has to be told. */
  readonly httpsProxy: string | undefined;
}

const environment = z.object({
  AZURE_CLOUD: z.enum(['public', 'us-government', 'china']).default('public'),
  AZURE_CLIENT_ID: z.guid('must be the client id (GUID) of the identity the app runs as').optional(),
  AzureWebJobsStorage: z.string().min(1).optional(),
  AzureWebJobsStorage__accountName: z.string().min(1).optional(),
  AzureWebJobsStorage__tableServiceUri: z.url().optional(),
  CLOUDFLARE_TOKEN_SECRET: z
    .string()
    .regex(
      /^https:\/\/[^/]+\/secrets\/[0-9a-zA-Z-]+$/,
      'must look like https://<vault>.vault.azure.net/secrets/<name>',
    ),
  HTTPS_PROXY: z.url().optional(),
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
  };
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

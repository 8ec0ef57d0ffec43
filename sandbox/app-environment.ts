/** The settings that the app would have on Azure, with the simulated cloud behind them. */
import {
  CLOUDFLARE_TOKEN_SECRET,
  NOTIFICATION_SECRETS,
  NOTIFICATION_TOPIC,
  settings,
} from './cloud/bootstrap.ts';

export interface CloudAddresses {
  readonly proxy: string;
  readonly ca: string;
  readonly identity: { readonly endpoint: string; readonly header: string };
}

/** ARM id of something of the control plane's own. */
function ownId(type: string, name: string): string {
  const { subscriptionId, controlPlane } = settings;
  return `/subscriptions/${subscriptionId}/resourceGroups/${controlPlane.resourceGroup}/providers/${type}/${name}`;
}

export function appEnvironment(cloud: CloudAddresses, storage: string): Readonly<Record<string, string>> {
  const { clientId, vaultName, functionAppName, storageAccountName } = settings.controlPlane;
  return {
    FUNCTIONS_WORKER_RUNTIME: 'node',
    AzureWebJobsStorage: storage,
    AZURE_CLOUD: 'public',
    AZURE_CLIENT_ID: clientId,
    CLOUDFLARE_TOKEN_SECRET: `https://${vaultName}.vault.azure.net/secrets/${CLOUDFLARE_TOKEN_SECRET}`,
    FUNCTION_APP_ID: ownId('Microsoft.Web/sites', functionAppName),
    EVENT_DEAD_LETTER_STORAGE_ID: ownId('Microsoft.Storage/storageAccounts', storageAccountName),
    NOTIFICATION_WEBHOOK_SECRET: `https://${vaultName}.vault.azure.net/secrets/${NOTIFICATION_SECRETS.url}`,
    NOTIFICATION_SIGNING_SECRET: `https://${vaultName}.vault.azure.net/secrets/${NOTIFICATION_SECRETS.signingKey}`,
    NOTIFICATION_TOPIC_ENDPOINT: `https://${NOTIFICATION_TOPIC.host}/api/events`,
    IDENTITY_ENDPOINT: cloud.identity.endpoint,
    IDENTITY_HEADER: cloud.identity.header,
    HTTPS_PROXY: cloud.proxy,
    NO_PROXY: '127.0.0.1,localhost',
    NODE_USE_ENV_PROXY: '1',
    NODE_EXTRA_CA_CERTS: cloud.ca,
  };
}

import type { SecretReference } from '../../../src/resources/scope.ts';

export const secret = (name: string, version = '1'): SecretReference => ({
  vaultUrl: 'https://kv-demo.vault.azure.net/',
  name,
  version,
});

/** What the resources before these put out. */
export const known = {
  addons: { externalSecretsApi: 'external-secrets.io/v1' },
  application: { clientId: 'the-client-id', objectId: 'the-object-id' },
  config: { version: 'config-1' },
  dataVolume: { claim: 'open-webui-data' },
  externalSecrets: { versions: { 'open-webui-secrets': 'secrets-1', 'cloudflared-token': 'token-1' } },
  fileShare: { name: 'openwebui-data' },
  identity: { id: 'x', clientId: 'identity-client-id', principalId: 'y' },
  images: {
    openWebui: 'demoregistry.azurecr.io/open-webui@sha256:1',
    ollama: 'demoregistry.azurecr.io/ollama@sha256:2',
    cloudflared: 'demoregistry.azurecr.io/cloudflared@sha256:3',
    redis: 'demoregistry.azurecr.io/valkey@sha256:4',
  },
  keyVault: { id: 'x', name: 'kv-demo', url: 'https://kv-demo.vault.azure.net/' },
  resourceGroup: { id: 'x', name: 'rg-chat' },
  storageAccount: { id: 'x', name: 'stdemo' },
  webuiSecretKey: { secret: secret('webui-secret-key') },
  clientSecret: { secret: secret('openwebui-client-secret'), keyId: 'k', expiresAt: '' },
  tunnelToken: { secret: secret('cf-tunnel-token') },
  postgresPassword: { secret: secret('postgres-admin-password') },
  postgresConnectionString: { secret: secret('postgres-connection-string') },
  storageCredentials: {
    accountName: secret('storage-account-name'),
    accountKey: secret('storage-account-key'),
    keyName: 'key1',
  },
};

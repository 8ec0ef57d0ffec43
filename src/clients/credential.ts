import type { TokenCredential } from '@azure/identity';
import { DefaultAzureCredential } from '@azure/identity';
import type { Config } from '../config.ts';

/**
 * Who the control plane is: in Azure the app's user-assigned identity, on a developer's machine whoever signed in with
 * the Azure CLI. Its own retries are off, as all are: the orchestration waits.
 */
export function createCredential(config: Config): TokenCredential {
  const options = { authorityHost: config.cloud.authority, retryOptions: { maxRetries: 0 } };
  return config.managedIdentityClientId === undefined
    ? new DefaultAzureCredential(options)
    : new DefaultAzureCredential({ ...options, managedIdentityClientId: config.managedIdentityClientId });
}

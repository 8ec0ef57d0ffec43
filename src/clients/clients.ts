/**
 * What resources talk through: the vendors' own SDK clients for one subscription, made lazily and kept. No client
 * retries by itself: a failed call is classified (cloud-failure.ts) and the orchestration looks again on a durable timer,
 * so there is one place that waits and one that counts.
 */

import type { AuthorizationManagementClient } from '@azure/arm-authorization';
import type { ComputeManagementClient } from '@azure/arm-compute';
import type { ContainerRegistryManagementClient } from '@azure/arm-containerregistry';
import type { ContainerServiceClient } from '@azure/arm-containerservice';
import type { EventGridManagementClient } from '@azure/arm-eventgrid';
import type { KeyVaultManagementClient } from '@azure/arm-keyvault';
import type { ManagedServiceIdentityClient } from '@azure/arm-msi';
import type { NetworkManagementClient } from '@azure/arm-network';
import type { PostgreSQLManagementFlexibleServerClient } from '@azure/arm-postgresql-flexible';
import type { PrivateDnsManagementClient } from '@azure/arm-privatedns';
import type { ResourceManagementClient } from '@azure/arm-resources';
import type { StorageManagementClient } from '@azure/arm-storage';
import type { ContainerRegistryClient } from '@azure/container-registry';
import type { SecretClient } from '@azure/keyvault-secrets';
import type { Client as RestClient } from '@azure-rest/core-client';
import type Cloudflare from 'cloudflare';
import type { ChangeLog } from './change-log.ts';
import type { DatabaseLogin, Query } from './database.ts';
import type { ClientLogin, LoginAnswer } from './entra-token.ts';
import type { KubernetesApi } from './kubernetes-api.ts';
import type { SiteAnswer } from './site.ts';

/** Where Event Grid is to deliver to, as far as the app's settings say. */
export interface EventDelivery {
  readonly target:
    | { readonly kind: 'function' /** ARM id of the app's site. */; readonly functionAppId: string }
    | {
        readonly kind: 'webhook';
        readonly audience: string;
        readonly tenantId: string;
        /** Read from the vault each time. It carries a key: it is sent, and never kept or shown. */
        url(): Promise<string>;
      };
  readonly deadLetters?: {
    /** ARM id of the storage account. */
    readonly storageId: string;
    /** For the account's own subscription, which need not be that of the other clients. */
    storage(): StorageManagementClient;
  };
}

export interface Clients {
  resources(): ResourceManagementClient;
  network(): NetworkManagementClient;
  privateDns(): PrivateDnsManagementClient;
  identities(): ManagedServiceIdentityClient;
  vaults(): KeyVaultManagementClient;
  authorization(): AuthorizationManagementClient;
  storage(): StorageManagementClient;
  postgres(): PostgreSQLManagementFlexibleServerClient;
  clusters(): ContainerServiceClient;
  compute(): ComputeManagementClient;
  registries(): ContainerRegistryManagementClient;
  eventGrid(): EventGridManagementClient;
  /** Who wrote to what in the subscription, some minutes late. */
  activityLog(): ChangeLog;
  /** Who wrote to what in the directory. */
  directoryAudit(): ChangeLog;
  /** Who wrote to what in a Cloudflare account. */
  cloudflareAudit(accountId: string): ChangeLog;
  /** Undefined where nothing is set up to receive events. */
  eventDelivery(): EventDelivery | undefined;
  /** `vaultUrl` as ARM reports it, `https://<name>.vault.azure.net/`. */
  secrets(vaultUrl: string): SecretClient;
  /** Manifests and tags of a registry, by its login server. */
  registryContent(loginServer: string): ContainerRegistryClient;
  /** Microsoft Graph v1.0. */
  graph(): RestClient;
  /** Whether Microsoft Entra lets an application in with this secret. */
  login(as: ClientLogin): Promise<LoginAnswer>;
  /** Its API token is read from the control plane's own vault on first use. */
  cloudflare(): Promise<Cloudflare>;
  /** The API server of an AKS cluster, by resource group and name; credentials are fetched on first use. */
  kubernetes(resourceGroup: string, cluster: string): Promise<KubernetesApi>;
  /** Opens a read-only session of a PostgreSQL database, has it used, and closes it. */
  database<T>(login: DatabaseLogin, work: (query: Query) => Promise<T>): Promise<T>;
  /** What the first page of the public site answers, by its host name. */
  site(hostName: string): Promise<SiteAnswer>;
  /** A bearer token of the app's own identity for an audience, for the few protocols that take it by hand. */
  token(scope: string): Promise<string>;
  /** Entra object id of the identity this app runs as, from its own token. */
  ownPrincipalId(): Promise<string>;
  /** The names by which clouds tell of what this app did: that id, and its client id or a developer's principal name. */
  ownNames(): Promise<readonly string[]>;
}

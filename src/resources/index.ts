/** All resources of a stack, kept by hand in reading order: the table of contents of a deployment. */
import type { Dependencies, Outputs, Resource } from '../graph/resource.ts';
import { cluster } from './azure/cluster.ts';
import { clusterAccess } from './azure/cluster-access.ts';
import { clusterSubnetRole } from './azure/cluster-subnet-role.ts';
import { clusterVersion } from './azure/cluster-version.ts';
import { eventSubscriptions } from './azure/event-subscriptions.ts';
import { fileShare } from './azure/file-share.ts';
import { identity } from './azure/identity.ts';
import { images } from './azure/images.ts';
import { keyVault } from './azure/key-vault.ts';
import { network } from './azure/network.ts';
import { nodeIdentity } from './azure/node-identity.ts';
import { postgresConnectionString } from './azure/postgres-connection-string.ts';
import { postgresDatabase } from './azure/postgres-database.ts';
import { postgresEndpoint } from './azure/postgres-endpoint.ts';
import { postgresParameters } from './azure/postgres-parameters.ts';
import { postgresPassword } from './azure/postgres-password.ts';
import { postgresServer } from './azure/postgres-server.ts';
import { privateDnsZones } from './azure/private-dns-zones.ts';
import { referenceSecrets } from './azure/reference-secrets.ts';
import { registry } from './azure/registry.ts';
import { registryPull } from './azure/registry-pull.ts';
import { resourceGroup } from './azure/resource-group.ts';
import { resourceProviders } from './azure/resource-providers.ts';
import { retiredStorageKey } from './azure/retired-storage-key.ts';
import { storageAccount } from './azure/storage-account.ts';
import { storageCredentials } from './azure/storage-credentials.ts';
import { storageEndpoint } from './azure/storage-endpoint.ts';
import { vaultRoles } from './azure/vault-roles.ts';
import { webuiSecretKey } from './azure/webui-secret-key.ts';
import { dnsRecord } from './cloudflare/dns-record.ts';
import { ingress } from './cloudflare/ingress.ts';
import { tunnel } from './cloudflare/tunnel.ts';
import { tunnelToken } from './cloudflare/tunnel-token.ts';
import { adminConsent } from './entra/admin-consent.ts';
import { application } from './entra/application.ts';
import { clientSecret } from './entra/client-secret.ts';
import { servicePrincipal } from './entra/service-principal.ts';
import { addons } from './kubernetes/addons.ts';
import { cloudflared } from './kubernetes/cloudflared.ts';
import { config } from './kubernetes/config.ts';
import { dataVolume } from './kubernetes/data-volume.ts';
import { databaseLogin } from './kubernetes/database-login.ts';
import { debugPods } from './kubernetes/debug-pods.ts';
import { disruptionBudget } from './kubernetes/disruption-budget.ts';
import { externalSecrets } from './kubernetes/external-secrets.ts';
import { namespace } from './kubernetes/namespace.ts';
import { networkPolicy } from './kubernetes/network-policy.ts';
import { ollama } from './kubernetes/ollama.ts';
import { ollamaModels } from './kubernetes/ollama-models.ts';
import { ollamaService } from './kubernetes/ollama-service.ts';
import { ollamaVolume } from './kubernetes/ollama-volume.ts';
import { openWebui } from './kubernetes/open-webui.ts';
import { openWebuiService } from './kubernetes/open-webui-service.ts';
import { redis } from './kubernetes/redis.ts';
import { secretStore } from './kubernetes/secret-store.ts';
import { shareWrite } from './kubernetes/share-write.ts';
import type { Scope } from './scope.ts';

export type StackResource = Resource<Scope, Dependencies, Outputs>;

/** Those that a spec asks for. */
export const wantedResources = (scope: Pick<Scope, 'spec' | 'names'>): readonly StackResource[] =>
  stack.filter((resource) => resource.isWanted?.(scope) ?? true);

export const stack: readonly StackResource[] = [
  resourceProviders,
  resourceGroup,
  network,
  privateDnsZones,
  identity,
  keyVault,
  vaultRoles,
  webuiSecretKey,
  storageAccount,
  fileShare,
  storageEndpoint,
  storageCredentials,
  postgresPassword,
  postgresServer,
  postgresEndpoint,
  postgresParameters,
  postgresDatabase,
  postgresConnectionString,
  cluster,
  clusterSubnetRole,
  clusterAccess,
  clusterVersion,
  registry,
  registryPull,
  images,
  nodeIdentity,
  eventSubscriptions,
  application,
  servicePrincipal,
  adminConsent,
  clientSecret,
  tunnel,
  tunnelToken,
  ingress,
  dnsRecord,
  referenceSecrets,
  addons,
  namespace,
  secretStore,
  databaseLogin,
  externalSecrets,
  dataVolume,
  shareWrite,
  ollamaVolume,
  config,
  redis,
  ollama,
  ollamaService,
  ollamaModels,
  openWebui,
  retiredStorageKey,
  openWebuiService,
  cloudflared,
  disruptionBudget,
  networkPolicy,
  debugPods,
];

/**
 * The parts of a stack in Azure as checks find them, by their names: what was known about them before may be outdated.
 * Undefined is proven absence; whatever else keeps from looking is thrown.
 */
import type { ManagedCluster } from '@azure/arm-containerservice';
import type { Vault } from '@azure/arm-keyvault';
import type { Identity } from '@azure/arm-msi';
import type { Server } from '@azure/arm-postgresql-flexible';
import type { StorageAccount } from '@azure/arm-storage';
import type { SecretProperties } from '@azure/keyvault-secrets';
import { orAbsent } from '../../clients/cloud-failure.ts';
import { fatal } from '../../graph/failure.ts';
import { lookAtZone, type ZoneLook } from '../../resources/azure/private-dns-zones.ts';
import type { CheckScope } from '../check.ts';
import { needed } from '../repair.ts';
import { oncePerRound } from '../round.ts';

export const findCluster = (scope: CheckScope): Promise<ManagedCluster | undefined> =>
  oncePerRound(scope, 'cluster', () =>
    orAbsent(scope.clients.clusters().managedClusters.get(scope.names.resourceGroup, scope.names.cluster)),
  );

export const findVault = (scope: CheckScope): Promise<Vault | undefined> =>
  oncePerRound(scope, 'vault', () =>
    orAbsent(scope.clients.vaults().vaults.get(scope.names.resourceGroup, scope.names.vault)),
  );

/** Of all secrets in the vault, by their names; values are not told. Throws while the vault does not let us in. */
export const listSecrets = (
  scope: CheckScope,
  vaultUrl: string,
): Promise<ReadonlyMap<string, SecretProperties>> =>
  oncePerRound(scope, 'secrets', async () => {
    const found = new Map<string, SecretProperties>();
    for await (const properties of scope.clients.secrets(vaultUrl).listPropertiesOfSecrets()) {
      found.set(properties.name, properties);
    }
    return found;
  });

export const findIdentity = (scope: CheckScope): Promise<Identity | undefined> =>
  oncePerRound(scope, 'identity', () =>
    orAbsent(
      scope.clients.identities().userAssignedIdentities.get(scope.names.resourceGroup, scope.names.identity),
    ),
  );

export const findAccount = (scope: CheckScope): Promise<StorageAccount | undefined> =>
  oncePerRound(scope, 'storage account', () =>
    orAbsent(
      scope.clients
        .storage()
        .storageAccounts.getProperties(scope.names.resourceGroup, scope.names.storageAccount),
    ),
  );

export const findServer = (scope: CheckScope): Promise<Server | undefined> =>
  oncePerRound(scope, 'database server', () =>
    orAbsent(scope.clients.postgres().servers.get(scope.names.resourceGroup, scope.names.postgresServer)),
  );

export const findZone = (scope: CheckScope, zoneName: string): Promise<ZoneLook> =>
  oncePerRound(scope, `zone ${zoneName}`, () => lookAtZone(scope, zoneName));

export const neededCluster = async (scope: CheckScope): Promise<ManagedCluster> =>
  needed(await findCluster(scope), `the AKS cluster ${scope.names.cluster}`);

export const neededIdentity = async (scope: CheckScope): Promise<Identity> =>
  needed(await findIdentity(scope), `the identity ${scope.names.identity}`);

export const neededVault = async (
  scope: CheckScope,
): Promise<{ readonly id: string; readonly url: string }> => {
  const { id, properties } = needed(await findVault(scope), `the key vault ${scope.names.vault}`);
  return { id: told(id, 'id of the vault'), url: told(properties.vaultUri, 'address of the vault') };
};

/** A server that is stopped does not tell its parameters and databases. */
export const neededServer = async (scope: CheckScope): Promise<Server> => {
  const server = needed(await findServer(scope), `the PostgreSQL server ${scope.names.postgresServer}`);
  if (server.state === 'Ready' || server.state === 'Updating') return server;
  throw fatal('ServerNotReady', `the PostgreSQL server ${scope.names.postgresServer} is ${server.state}`);
};

/** What ARM tells about everything that it has made. */
export function told<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw fatal('NotTold', `Azure does not tell the ${what}`);
  return value;
}

export const idIn = ({ spec, names }: Pick<CheckScope, 'spec' | 'names'>, path: string): string =>
  `/subscriptions/${spec.subscriptionId}/resourceGroups/${names.resourceGroup}/providers/${path}`;

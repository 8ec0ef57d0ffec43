/** All checks of Azure, in the order in which one would go through them: what a thing rests on before the thing. */
import type { Check } from '../check.ts';
import { apiServer } from './api-server.ts';
import { clusterExists, nodePools } from './cluster.ts';
import { clusterSupport } from './cluster-version.ts';
import {
  database,
  databaseEndpoint,
  databaseRecord,
  databaseZone,
  parameters,
  serverReady,
} from './database.ts';
import { databaseSecrets } from './database-secrets.ts';
import { databaseVersion } from './database-version.ts';
import { identityOnScaleSets } from './node-identity.ts';
import { poolVersions } from './pool-version.ts';
import { resourceGroupCheck } from './resource-group.ts';
import { clusterJoinsSubnet, nodesPullImages, rolesOnVault } from './roles.ts';
import {
  fileShareCheck,
  smb,
  storageAccountCheck,
  storageEndpointCheck,
  storageZone,
  storedKey,
} from './storage.ts';
import { vaultExists } from './vault.ts';
import { vaultSecrets } from './vault-secrets.ts';

export const azureChecks: readonly Check[] = [
  resourceGroupCheck,
  clusterExists,
  apiServer,
  clusterSupport,
  nodePools,
  poolVersions,
  identityOnScaleSets,
  rolesOnVault,
  nodesPullImages,
  clusterJoinsSubnet,
  vaultExists,
  vaultSecrets,
  storageAccountCheck,
  smb,
  storageZone,
  storageEndpointCheck,
  fileShareCheck,
  storedKey,
  serverReady,
  databaseVersion,
  databaseZone,
  databaseEndpoint,
  databaseRecord,
  database,
  parameters,
  databaseSecrets,
];

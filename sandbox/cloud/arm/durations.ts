/**
 * How long things take, in virtual milliseconds. Azure documents none of them; these are the usual observed times
 * (facts marked as general knowledge), chosen so that no client can get away with assuming an instant answer.
 */
const SECOND = 1000;
const MINUTE = 60 * SECOND;

export const durations = {
  providerRegistration: 1 * MINUTE,
  resourceGroupDeletion: 30 * SECOND,
  /** "up to 10 minutes"; usually about two. https://learn.microsoft.com/azure/role-based-access-control/troubleshooting */
  roleAssignmentPropagation: 2 * MINUTE,
  /** A principal younger than this is not found by a role assignment without `principalType`. */
  principalReplication: 1 * MINUTE,
  virtualNetwork: 5 * SECOND,
  subnet: 5 * SECOND,
  privateEndpoint: 1 * MINUTE,
  privateEndpointDeletion: 30 * SECOND,
  privateDnsZoneGroup: 10 * SECOND,
  privateDnsZone: 20 * SECOND,
  virtualNetworkLink: 40 * SECOND,
  vaultPurge: 20 * SECOND,
  storageAccount: 25 * SECOND,
  /** The server alone, 5 to 10 minutes observed. */
  postgresServer: 6 * MINUTE,
  postgresUpdate: 1 * MINUTE,
  postgresPassword: 20 * SECOND,
  postgresDatabase: 15 * SECOND,
  postgresParameter: 10 * SECOND,
  postgresRestart: 40 * SECOND,
  postgresStart: 2 * MINUTE,
  postgresStop: 1 * MINUTE,
  postgresDeletion: 1 * MINUTE,
  /** 4 to 8 minutes typical. */
  cluster: 5 * MINUTE,
  clusterUpdate: 90 * SECOND,
  clusterUpgrade: 6 * MINUTE,
  clusterStart: 3 * MINUTE,
  clusterStop: 2 * MINUTE,
  clusterDeletion: 4 * MINUTE,
  agentPool: 150 * SECOND,
  agentPoolScale: 90 * SECOND,
  agentPoolUpgrade: 5 * MINUTE,
  agentPoolDeletion: 2 * MINUTE,
  runCommand: 20 * SECOND,
  scaleSetUpdate: 15 * SECOND,
  registry: 10 * SECOND,
  imageImport: 45 * SECOND,
  systemTopic: 10 * SECOND,
  eventSubscription: 10 * SECOND,
} as const;

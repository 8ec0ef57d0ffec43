/**
 * The Azure Resource Manager of the sandbox, `management.azure.com`, with all its providers, and what they mean for
 * the rest of the world: rights, clusters, name resolution, shares, databases.
 */
import { join } from 'node:path';
import { EventGrid } from '../event-grid.ts';
import type {
  Authorization,
  Clusters,
  Databases,
  Network,
  RegistryResources,
  StorageAccounts,
  VaultResources,
} from '../neighbours.ts';
import type { Service, World } from '../world.ts';
import { activityLogTypes } from './activity-log.ts';
import { agentPoolTypes } from './agent-pools.ts';
import { authorizationTypes } from './authorization.ts';
import { placeBootstrapResources } from './bootstrap-resources.ts';
import { type Announcement, announce } from './cluster-announcements.ts';
import { createClusters, lockNodeGroups } from './clusters.ts';
import { computeTypes } from './compute.ts';
import { containerRegistryTypes, registryResources } from './container-registry.ts';
import { containerServiceTypes } from './container-service.ts';
import { createDatabaseDial, createDatabases, type DatabaseDial } from './database-connections.ts';
import { allDials, type DialName, isOn, openDials, turnDials } from './dials.ts';
import { eventGridTypes } from './event-grid-subscriptions.ts';
import { Dispatcher } from './frame/dispatcher.ts';
import { type ArmNeighbours, Frame } from './frame/frame.ts';
import type { ResourceType } from './frame/resource-type.ts';
import { keyVaultTypes, VAULTS, vaultResources } from './key-vault.ts';
import { lockTypes } from './locks.ts';
import { managedIdentityTypes } from './managed-identity.ts';
import { createNetwork } from './name-resolution.ts';
import { networkTypes } from './network.ts';
import { postgresqlTypes } from './postgresql.ts';
import { PostgresEngine } from './postgresql-engine.ts';
import { privateDnsTypes } from './private-dns.ts';
import { privateEndpointTypes } from './private-endpoints.ts';
import { privateEndpointConnections } from './private-link.ts';
import { resourceTypes } from './resources.ts';
import { Rights } from './rights.ts';
import { createStorageAccounts, fillShare, storageTypes } from './storage.ts';
import { storageContainerTypes } from './storage-containers.ts';
import { type FunctionApp, FunctionApps, webTypes } from './web.ts';

const HOST = 'management.azure.com';

export interface Arm extends Service {
  readonly authorization: Authorization;
  readonly network: Network;
  readonly storageAccounts: StorageAccounts;
  readonly vaultResources: VaultResources;
  readonly registryResources: RegistryResources;
  readonly clusters: Clusters;
  readonly databases: Databases;
  /** Its control dials losses, repetitions and delays; its dead letters are what it gave up. */
  readonly eventGrid: EventGrid;
  /** Where the control plane's own sessions of databases begin. */
  readonly dialDatabase: DatabaseDial;
  /** Starts the real PostgreSQL behind all servers ahead of its first use; answers its address. */
  startPostgres(): Promise<string>;
  /** Habits of Azure as they are set, and turns one. */
  dials(): Record<DialName, boolean>;
  turn(dial: DialName, on: boolean): void;
  /** Turns several by name; throws ZodError on a dial that is not there. */
  turnDials(wanted: unknown): void;
  /** Says how much of a file share is in use; throws RangeError when there is no such share. */
  fillShare(wanted: unknown): void;
  /** News of AKS; ids of the clusters that were told. Throws RangeError when there is none. */
  announce(kind: Announcement): string[];
  /** Tells ARM where the control plane's functions answer; undefined when the host is down. */
  setFunctionApp(app: FunctionApp | undefined): Promise<void>;
  /** Stops alarms and the database engine. What is in flight goes on at the next start. */
  close(): Promise<void>;
}

/** Composes ARM; `neighbours` is read only when a call is answered. Restores what was in flight. */
export function createArm(world: World, neighbours: ArmNeighbours, directory: string): Arm {
  const frame = new Frame(world, neighbours, (itself) => new Rights(itself));
  const engine = new PostgresEngine(join(directory, 'postgres'), () => neighbours.certificates);
  const apps = new FunctionApps();
  const dials = openDials(world);
  const vaultApiVersions = keyVaultTypes[0].apiVersions;
  const types: readonly (readonly ResourceType[])[] = [
    resourceTypes,
    authorizationTypes,
    lockTypes,
    managedIdentityTypes,
    keyVaultTypes,
    [privateEndpointConnections(VAULTS, vaultApiVersions)],
    networkTypes,
    privateDnsTypes,
    privateEndpointTypes,
    storageTypes,
    storageContainerTypes,
    containerServiceTypes(dials),
    agentPoolTypes(dials),
    computeTypes,
    containerRegistryTypes,
    postgresqlTypes(engine),
    webTypes(apps),
    eventGridTypes(apps),
    activityLogTypes,
  ];
  for (const some of types) frame.catalogue.add(some);
  lockNodeGroups(frame);
  placeBootstrapResources(frame);
  const dispatcher = new Dispatcher(frame);
  const network = createNetwork(frame);
  const eventGrid = new EventGrid(frame, apps);
  frame.operations.resume();
  return {
    name: 'arm',
    matches: (host) => host === HOST,
    fetch: (request, call) => dispatcher.fetch(request, call),
    authorization: frame.rights,
    network,
    storageAccounts: createStorageAccounts(frame, network),
    vaultResources: vaultResources(frame),
    registryResources: registryResources(frame),
    clusters: createClusters(frame),
    databases: createDatabases(frame, network, engine),
    dialDatabase: createDatabaseDial(frame, network, engine, () =>
      isOn(dials, 'control-plane-outside-network'),
    ),
    eventGrid,
    startPostgres: () => engine.address(),
    dials: () => allDials(dials),
    turn: (dial, on) => dials.set(dial, on),
    turnDials: (wanted) => turnDials(dials, wanted),
    fillShare: (wanted) => fillShare(frame, wanted),
    announce: (kind) => announce(frame, kind),
    setFunctionApp: (app) => apps.set(app),
    close: async () => {
      frame.operations.close();
      await frame.operations.settle();
      await eventGrid.close();
      await engine.close();
    },
  };
}

/**
 * Microsoft.DBforPostgreSQL: flexible servers, their databases and parameters, over a real PostgreSQL. A server's way in
 * is chosen when it is made: a delegated subnet, or public access and private endpoints.
 * https://learn.microsoft.com/azure/postgresql/network/concepts-networking-private
 */
import { z } from 'zod';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import { type Json, mergePatch, objectAt } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers, inert, readOnly, tagsSchema, trackedMembers } from './frame/request-body.ts';
import type { Call, Change, ResourceType, Stored } from './frame/resource-type.ts';
import { lastName, parentIdOf, sameId } from './frame/target.ts';
import { freeAddress, isDelegatedTo, JOIN_SUBNET, requireSubnet } from './network.ts';
import type { PostgresEngine } from './postgresql-engine.ts';
import { initialParameter, PARAMETERS, type Parameter, parameterType } from './postgresql-parameters.ts';
import { loginRules, passwordRules, sizeRules } from './postgresql-rules.ts';
import { scramVerifier } from './postgresql-verifier.ts';
import { dropRecord, isReadyZone, writeRecord } from './private-dns.ts';
import { privateEndpointConnections, showConnections } from './private-link.ts';

const API_VERSIONS = ['2025-08-01', '2025-06-01-preview', '2024-08-01', '2023-12-01-preview'];
export const FLEXIBLE_SERVERS = 'Microsoft.DBforPostgreSQL/flexibleServers';
const DATABASES = `${FLEXIBLE_SERVERS}/databases`;
const PARAMETER_TYPE = `${FLEXIBLE_SERVERS}/configurations`;
/** Connections that Azure keeps for itself. */
const RESERVED_CONNECTIONS = 15;

const busy = {
  code: 'ServerIsBusy',
  message:
    "Cannot complete operation while server '{name}' is busy processing another operation. Try again later.",
  family: true,
};

const serverProperties = z.strictObject({
  administratorLogin: z.string().optional(),
  administratorLoginPassword: z.string().optional(),
  version: z.enum(['18', '17', '16', '15', '14', '13', '12', '11']).optional(),
  storage: z
    .strictObject({
      storageSizeGB: z.int().optional(),
      tier: z.string().optional(),
      autoGrow: z.enum(['Enabled', 'Disabled']).optional(),
      type: z.enum(['Premium_LRS', 'PremiumV2_LRS', 'UltraSSD_LRS']).optional(),
      ...inert('iops', 'throughput'),
    })
    .optional(),
  backup: z
    .strictObject({
      backupRetentionDays: z.int().min(7).max(35).optional(),
      geoRedundantBackup: z.enum(['Enabled', 'Disabled']).optional(),
      ...readOnly('earliestRestoreDate'),
    })
    .optional(),
  network: z
    .strictObject({
      publicNetworkAccess: z.enum(['Enabled', 'Disabled']).optional(),
      delegatedSubnetResourceId: z.string().optional(),
      privateDnsZoneArmResourceId: z.string().optional(),
    })
    .optional(),
  highAvailability: z
    .strictObject({
      mode: z.enum(['Disabled', 'ZoneRedundant', 'SameZone']).optional(),
      standbyAvailabilityZone: z.string().optional(),
      ...readOnly('state'),
    })
    .optional(),
  maintenanceWindow: z
    .strictObject({
      customWindow: z.string().optional(),
      startHour: z.int().min(0).max(23).optional(),
      startMinute: z.int().min(0).max(59).optional(),
      dayOfWeek: z.int().min(0).max(6).optional(),
    })
    .optional(),
  authConfig: z
    .strictObject({
      activeDirectoryAuth: z.enum(['Enabled', 'Disabled']).optional(),
      passwordAuth: z.enum(['Enabled', 'Disabled']).optional(),
      tenantId: z.string().optional(),
    })
    .optional(),
  availabilityZone: z.string().optional(),
  createMode: z.enum(['Default', 'Create', 'Update']).optional(),
  ...inert('dataEncryption', 'replicationRole', 'replica', 'cluster'),
  ...readOnly(
    'state',
    'minorVersion',
    'fullyQualifiedDomainName',
    'replicaCapacity',
    'privateEndpointConnections',
  ),
});
const skuSchema = z.strictObject({
  name: z.string(),
  tier: z.enum(['Burstable', 'GeneralPurpose', 'MemoryOptimized']),
});
const serverBody = z.strictObject({
  ...trackedMembers,
  sku: skuSchema.optional(),
  properties: serverProperties.optional(),
  ...inert('identity'),
});
const serverPatch = z.strictObject({
  tags: tagsSchema.nullish(),
  sku: skuSchema.partial().optional(),
  properties: serverProperties.optional(),
  ...inert('identity'),
});
type ServerInput = z.infer<typeof serverBody>;
type Properties = z.infer<typeof serverProperties>;
type ServerBody = Omit<ServerInput, 'properties' | 'sku'> & {
  sku: z.infer<typeof skuSchema>;
  properties: Omit<Properties, 'administratorLoginPassword' | 'createMode'> & {
    fullyQualifiedDomainName: string;
  };
};
type ServerHidden = { verifier: string; address?: string };
export type Server = Stored<ServerBody, ServerHidden>;

const refusal = (code: string, message: string): Refusal => new Refusal(400, code, message);

function putServer(
  call: Call,
  input: ServerInput,
  before: Server | undefined,
): Change<ServerBody, ServerHidden> {
  if (before) return changeServer(call, input, before);
  const { administratorLoginPassword: password, createMode: _, ...given } = input.properties ?? {};
  const other = findServer(call.frame, call.name);
  if (other)
    throw refusal('ServerNameAlreadyExists', `Specified server name '${call.name}' is already used.`);
  if (!input.sku) throw refusal('InvalidParameterValue', "The parameter 'sku' of the server is missing.");
  if (!given.version) throw refusal('MissingParameter', "The parameter 'version' of the server is missing.");
  loginRules(given.administratorLogin);
  passwordRules(given.administratorLogin, password);
  sizeRules(input.sku, given.storage ?? {}, given.highAvailability?.mode);
  requireWayIn(call, given.network);
  const isInside = given.network?.delegatedSubnetResourceId !== undefined;
  const body: ServerBody = {
    ...input,
    sku: input.sku,
    properties: {
      ...given,
      storage: { autoGrow: 'Disabled', type: 'Premium_LRS', ...given.storage },
      backup: { backupRetentionDays: 7, geoRedundantBackup: 'Disabled', ...given.backup },
      highAvailability: { mode: 'Disabled', ...given.highAvailability },
      // Azure ignores the window at creation and chooses its own.
      maintenanceWindow: { customWindow: 'Disabled', dayOfWeek: 0, startHour: 0, startMinute: 0 },
      authConfig: { activeDirectoryAuth: 'Disabled', passwordAuth: 'Enabled', ...given.authConfig },
      network: isInside
        ? { ...given.network, publicNetworkAccess: 'Disabled' }
        : { publicNetworkAccess: 'Enabled', ...given.network },
      availabilityZone: given.availabilityZone ?? '1',
      fullyQualifiedDomainName: `${call.name.toLowerCase()}.postgres.database.azure.com`,
    },
  };
  return { body, hidden: { verifier: scramVerifier(password ?? '') }, takes: durations.postgresServer };
}

/** A delegated subnet with its zone, or neither: the two ways exclude each other. */
function requireWayIn(call: Call, network: Properties['network']): void {
  const {
    delegatedSubnetResourceId: subnetId,
    privateDnsZoneArmResourceId: zoneId,
    publicNetworkAccess,
  } = network ?? {};
  if (subnetId === undefined) {
    if (zoneId !== undefined)
      throw refusal('InvalidParameterValue', 'A private DNS zone needs a delegated subnet.');
    return;
  }
  if (publicNetworkAccess === 'Enabled') {
    throw refusal(
      'InvalidParameterValue',
      'Public network access cannot be enabled for a server in a delegated subnet.',
    );
  }
  const subnet = requireSubnet(call.frame, subnetId);
  call.requireLinked(JOIN_SUBNET, subnet.id);
  if (!isDelegatedTo(subnet, FLEXIBLE_SERVERS)) {
    throw refusal('SubnetNotDelegated', `The subnet ${subnet.id} is not delegated to ${FLEXIBLE_SERVERS}.`);
  }
  if (zoneId === undefined)
    throw refusal('MissingParameter', 'privateDnsZoneArmResourceId is required with a delegated subnet.');
  const zone = lastName(zoneId).toLowerCase();
  if (!isReadyZone(call.frame, zoneId))
    throw refusal('PrivateDnsZoneNotFound', `The private DNS zone ${zoneId} was not found.`);
  if (!zone.endsWith('.postgres.database.azure.com')) {
    throw refusal(
      'InvalidPrivateDnsZone',
      `The private DNS zone '${zone}' does not end with .postgres.database.azure.com.`,
    );
  }
  if (zone === `${call.name.toLowerCase()}.postgres.database.azure.com`) {
    throw refusal(
      'InvalidPrivateDnsZone',
      `The private DNS zone cannot have the name of the server '${call.name}'.`,
    );
  }
}

function changeServer(_call: Call, input: Json, before: Server): Change<ServerBody, ServerHidden> {
  const given = objectAt(input, 'properties') as Properties;
  const { administratorLoginPassword: password, createMode: _, ...properties } = given;
  const old = before.body.properties;
  if (before.body.properties && objectAt(before.body, 'properties')['state'] !== 'Ready') {
    throw new Refusal(
      409,
      'OperationNotAllowedOnNonReadyServer',
      `The server '${before.name}' is not in Ready state.`,
    );
  }
  if (properties.administratorLogin && properties.administratorLogin !== old.administratorLogin) {
    throw refusal('PropertyChangeNotAllowed', 'The administrator login cannot be changed.');
  }
  const changesWay = (['delegatedSubnetResourceId', 'privateDnsZoneArmResourceId'] as const).some((name) => {
    const wanted = properties.network?.[name];
    return wanted !== undefined && !sameId(wanted, old.network?.[name] ?? '');
  });
  if (changesWay)
    throw refusal(
      'PropertyChangeNotAllowed',
      'How a server is reached cannot be changed after it was created.',
    );
  if (
    properties.backup?.geoRedundantBackup &&
    properties.backup.geoRedundantBackup !== old.backup?.geoRedundantBackup
  ) {
    throw refusal(
      'PropertyChangeNotAllowed',
      'Geo-redundant backup can only be chosen when a server is created.',
    );
  }
  const size = properties.storage?.storageSizeGB;
  if (size !== undefined && size < (old.storage?.storageSizeGB ?? 0)) {
    throw refusal('StorageSizeDecreaseNotAllowed', 'The storage of a server cannot be made smaller.');
  }
  const { location: _location, ...changes } = input;
  const merged = mergePatch(before.body, { ...changes, properties }) as ServerBody;
  sizeRules(merged.sku, merged.properties.storage ?? {}, merged.properties.highAvailability?.mode);
  if (password !== undefined) passwordRules(old.administratorLogin, password);
  return {
    body: merged,
    hidden: password === undefined ? before.hidden : { ...before.hidden, verifier: scramVerifier(password) },
    takes: password === undefined ? durations.postgresUpdate : durations.postgresPassword,
  };
}

export function findServer(frame: Frame, name: string): Server | undefined {
  return frame.store
    .ofType<ServerBody, ServerHidden>(FLEXIBLE_SERVERS)
    .find((server) => server.name.toLowerCase() === name.toLowerCase());
}

export const parametersOf = (frame: Frame, server: { id: string }): Parameter[] =>
  frame.store.ofType(PARAMETER_TYPE, server.id) as Parameter[];

export const inForce = (frame: Frame, server: { id: string }, name: string): string =>
  parametersOf(frame, server).find((parameter) => parameter.name === name)?.hidden.inForce ??
  PARAMETERS[name]?.defaultValue ??
  '';

/** The server as the engine is to know it. */
export function engineServer(frame: Frame, server: Server): Parameters<PostgresEngine['match']>[0] {
  return {
    name: server.name.toLowerCase(),
    login: server.body.properties.administratorLogin ?? '',
    verifier: server.hidden.verifier,
    databases: [
      'postgres',
      ...frame.store
        .ofType(DATABASES, server.id)
        .filter((database) => database.name !== 'postgres' && database.operationId === undefined)
        .map(({ name }) => name),
    ],
    connectionLimit: Math.max(1, Number(inForce(frame, server, 'max_connections')) - RESERVED_CONNECTIONS),
    settings: Object.fromEntries(
      Object.entries(PARAMETERS).flatMap(([name, { perRole }]) =>
        perRole ? [[name, inForce(frame, server, name)]] : [],
      ),
    ),
  };
}

const databaseBody = z.strictObject({
  ...childMembers,
  properties: z.strictObject({ charset: z.string().optional(), collation: z.string().optional() }).optional(),
});

/** Server, databases, parameters and connections as ARM types, over an engine. */
export function postgresqlTypes(engine: PostgresEngine): readonly ResourceType[] {
  const match = async (frame: Frame, server: Server): Promise<void> =>
    engine.match(engineServer(frame, server));
  const serverOf = (frame: Frame, childId: string): Server | undefined =>
    frame.store.get<ServerBody, ServerHidden>(parentIdOf(childId));

  /** Lets the static parameters take effect. */
  const restarted = async (frame: Frame, server: Server): Promise<void> => {
    for (const parameter of parametersOf(frame, server)) {
      const { value } = parameter.body.properties;
      if (!parameter.body.properties.isConfigPendingRestart) continue;
      frame.store.put(parameter.id, parameter.type, {
        body: { properties: { ...parameter.body.properties, isConfigPendingRestart: false } },
        hidden: { inForce: value },
      });
    }
    await match(frame, server);
    await engine.disconnectAll(engineServer(frame, server));
  };

  const servers: ResourceType<ServerBody, ServerHidden, ServerInput> = {
    type: FLEXIBLE_SERVERS,
    apiVersions: API_VERSIONS,
    scope: 'resource-group',
    name: {
      pattern: /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
      code: 'InvalidServerName',
      message: "The server name '{name}' is invalid: 3 to 63 lower-case letters, digits and hyphens.",
    },
    tracked: true,
    state: {
      path: ['properties', 'state'],
      creating: 'Provisioning',
      updating: 'Updating',
      deleting: 'Dropping',
      succeeded: 'Ready',
      failed: 'Disabled',
    },
    operations: { style: 'azure-async-operation', retryAfterSeconds: 15, updateStatus: 202 },
    busy,
    body: serverBody,
    put: putServer,
    patchBody: serverPatch,
    patch: changeServer,
    remove: () => ({ takes: durations.postgresDeletion }),
    finish: async (frame, operation, server) => {
      if (operation.verb === 'stop') {
        await engine.disconnectAll(engineServer(frame, server));
        return { state: 'Stopped' };
      }
      if (operation.verb === 'restart') {
        await restarted(frame, server);
        return undefined;
      }
      const isNew = parametersOf(frame, server).length === 0;
      if (isNew) {
        for (const [name, facts] of Object.entries(PARAMETERS)) {
          frame.store.put(
            `${server.id}/configurations/${name}`,
            PARAMETER_TYPE,
            initialParameter(name, facts),
          );
        }
        for (const name of ['postgres', 'azure_maintenance', 'azure_sys']) {
          frame.store.put(`${server.id}/databases/${name}`, DATABASES, {
            body: { properties: { charset: 'UTF8', collation: 'en_US.utf8' } },
          });
        }
      }
      await match(frame, server);
      const { network } = server.body.properties;
      if (!network?.delegatedSubnetResourceId || !network.privateDnsZoneArmResourceId) return undefined;
      const address =
        server.hidden.address ?? freeAddress(frame, requireSubnet(frame, network.delegatedSubnetResourceId));
      writeRecord(frame, network.privateDnsZoneArmResourceId, server.name.toLowerCase(), address, server.id);
      return { hidden: { ...server.hidden, address } };
    },
    gone: async (frame, server) => {
      const { network } = server.body.properties;
      if (network?.privateDnsZoneArmResourceId && server.hidden.address) {
        dropRecord(
          frame,
          network.privateDnsZoneArmResourceId,
          server.name.toLowerCase(),
          server.hidden.address,
        );
      }
      await engine.dropServer(engineServer(frame, server));
    },
    show: (frame, stored) => {
      const properties: Json = { ...stored.body.properties, minorVersion: '1', replicaCapacity: 5 };
      return {
        ...stored.body,
        properties: { ...properties, privateEndpointConnections: showConnections(frame, stored) },
      };
    },
    actions: {
      restart: {
        body: z.strictObject({
          restartWithFailover: z.boolean().optional(),
          failoverMode: z.string().optional(),
        }),
        run: (_call, _input, stored) => {
          requireState(stored, 'Ready');
          return { takes: durations.postgresRestart, during: 'Restarting' };
        },
      },
      stop: {
        run: (_call, _input, stored) => {
          requireState(stored, 'Ready');
          return { takes: durations.postgresStop, during: 'Stopping' };
        },
      },
      start: {
        run: (_call, _input, stored) => {
          requireState(stored, 'Stopped');
          return { takes: durations.postgresStart, during: 'Starting' };
        },
      },
    },
  };

  const databases: ResourceType<
    { properties: { charset: string; collation: string } },
    Json,
    z.infer<typeof databaseBody>
  > = {
    type: DATABASES,
    apiVersions: API_VERSIONS,
    scope: 'resource-group',
    operations: { style: 'azure-async-operation', retryAfterSeconds: 5 },
    busy,
    name: {
      pattern: /^(?!(azure_maintenance|azure_sys|template0|template1)$)[A-Za-z_][A-Za-z0-9_-]{0,62}$/,
      code: 'InvalidDatabaseName',
      message: "The database name '{name}' is invalid or reserved.",
    },
    body: databaseBody,
    put: (call, input) => {
      requireState(call.frame.store.get(parentIdOf(call.id)), 'Ready');
      return {
        body: {
          properties: { charset: 'UTF8', collation: 'en_US.utf8', ...input.properties } as {
            charset: string;
            collation: string;
          },
        },
        takes: durations.postgresDatabase,
      };
    },
    remove: (call) => {
      if (call.name === 'postgres')
        throw refusal('OperationNotAllowed', "The database 'postgres' cannot be deleted.");
      return { takes: durations.postgresDatabase };
    },
    finish: async (frame, operation) => {
      const server = serverOf(frame, operation.resourceId);
      if (!server) return undefined;
      const known = engineServer(frame, server);
      const name = lastName(operation.resourceId);
      await engine.match({ ...known, databases: [...new Set([...known.databases, name])] });
      return undefined;
    },
    gone: async (frame, stored) => {
      const server = serverOf(frame, stored.id);
      if (server) await engine.dropDatabase(server.name.toLowerCase(), stored.name);
    },
  };

  const provider: ResourceType = {
    type: 'Microsoft.DBforPostgreSQL',
    apiVersions: API_VERSIONS,
    scope: 'subscription',
    actions: {
      checkNameAvailability: {
        permission: 'Microsoft.DBforPostgreSQL/checkNameAvailability/action',
        body: z.strictObject({ name: z.string(), type: z.string() }),
        run: ({ frame }, input) => {
          const name = String(input['name']);
          return {
            now: findServer(frame, name)
              ? {
                  nameAvailable: false,
                  name,
                  reason: 'AlreadyExists',
                  message: `Specified server name '${name}' is already used.`,
                }
              : { nameAvailable: true, name },
          };
        },
      },
    },
  };

  const parameters = parameterType(FLEXIBLE_SERVERS, API_VERSIONS, busy, async (frame, parameterId) => {
    const server = serverOf(frame, parameterId);
    if (server) await match(frame, server);
  });

  return [
    servers,
    databases,
    parameters,
    privateEndpointConnections(FLEXIBLE_SERVERS, API_VERSIONS),
    provider,
  ] as unknown as readonly ResourceType[];
}

function requireState(stored: Stored | undefined, state: string): void {
  const current = stored && objectAt(stored.body, 'properties')['state'];
  if (current === state) return;
  throw new Refusal(
    409,
    'OperationNotAllowedOnNonReadyServer',
    `The server '${stored?.name ?? ''}' is in state '${current}'; this needs '${state}'.`,
  );
}

/**
 * Microsoft.DBforPostgreSQL/flexibleServers over the real engine. What the engine does happens at the end of the
 * operation, when a client could first see it; until then only the password's verifier waits, in the operation. Slightly
 * long, since every action of a server ends in the same place.
 * Error codes and texts as users report them: https://github.com/Azure/azure-postgresql/issues/134 and
 * https://github.com/hashicorp/terraform-provider-azurerm/issues/29219
 */
import { z } from 'zod';
import { addressAt, parseBlock } from './cidr.ts';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import type { Operation } from './frame/operations.ts';
import { Refusal } from './frame/refusal.ts';
import type { ActionOutcome, Call, Change, Finish, ResourceType, Stored } from './frame/resource-type.ts';
import { lastName, parentIdOf } from './frame/target.ts';
import { attachIdentities, identityIdsOf } from './managed-identity.ts';
import { isDelegatedTo, JOIN_SUBNET, requireSubnet, type SubnetBody, sizeOf } from './network.ts';
import {
  changedServer,
  isSameButTags,
  needsRestart,
  newServer,
  type ServerBody,
  type ServerInput,
  type ServerPatch,
  serverBody,
  serverPatch,
} from './postgresql-body.ts';
import { applyPending, placeConfigurations } from './postgresql-configurations.ts';
import type { PostgresEngine } from './postgresql-engine.ts';
import { requirePassword, scramVerifier } from './postgresql-password.ts';
import {
  DATABASES,
  FLEXIBLE_SERVERS,
  POSTGRESQL_API_VERSIONS,
  requireRunning,
  SERVER_SUFFIX,
  type Server,
  type ServerHidden,
  serverBusy,
  stateOf,
  stateWords,
} from './postgresql-state.ts';
import { dropRecord, isReadyZone, PRIVATE_DNS_ZONES, writeRecord } from './private-dns.ts';
import { showConnections } from './private-link.ts';

function requirePlace(call: Call, body: ServerBody): void {
  const { frame, name } = call;
  const { delegatedSubnetResourceId: subnetId, privateDnsZoneArmResourceId: zoneId } =
    body.properties.network;
  if (subnetId === undefined || zoneId === undefined) return;
  const subnet = requireSubnet(frame, subnetId);
  const { location } = frame.store.get(parentIdOf(subnet.id))?.body ?? {};
  if (location !== body.location) {
    throw new Refusal(
      400,
      'InvalidResourceLocation',
      `The subnet '${subnet.id}' is in '${location}', the server in '${body.location}': they must be in one region.`,
    );
  }
  if (!isDelegatedTo(subnet, FLEXIBLE_SERVERS)) {
    throw new Refusal(
      400,
      'InvalidSubnetDelegation',
      `The subnet '${subnet.id}' is not delegated to '${FLEXIBLE_SERVERS}'.`,
    );
  }
  if (sizeOf(subnet) < 16) {
    throw new Refusal(400, 'InvalidSubnetSize', `The subnet '${subnet.id}' is smaller than /28.`);
  }
  call.requireLinked(JOIN_SUBNET, subnet.id);
  const zone = lastName(zoneId).toLowerCase();
  if (!isReadyZone(frame, zoneId)) {
    throw new Refusal(400, 'PrivateDnsZoneNotFound', `The private DNS zone '${zoneId}' does not exist.`);
  }
  if (!zone.endsWith(SERVER_SUFFIX) || zone === `${name.toLowerCase()}${SERVER_SUFFIX}`) {
    throw new Refusal(
      400,
      'InvalidPrivateDnsZone',
      `The private DNS zone '${zone}' must end in '${SERVER_SUFFIX}' and may not be named like the server.`,
    );
  }
  call.requireLinked(`${PRIVATE_DNS_ZONES}/join/action`, zoneId);
}

export function isNameTaken(frame: Frame, name: string): boolean {
  return frame.store
    .ofType(FLEXIBLE_SERVERS)
    .some((server) => server.name.toLowerCase() === name.toLowerCase());
}

function verifierOf(body: ServerBody, password: string | undefined): string | undefined {
  const { administratorLogin: login } = body.properties;
  if (password === undefined) return undefined;
  requirePassword(password, login ?? '');
  return scramVerifier(password);
}

function withIdentities<Input extends ServerInput | ServerPatch>(
  call: Call,
  input: Input,
): { identity?: Json } {
  if (!input.identity) return {};
  const userAssignedIdentities = attachIdentities(call, identityIdsOf(input.identity));
  return { identity: { type: input.identity.type, userAssignedIdentities } };
}

function putServer(
  call: Call,
  input: ServerInput,
  before: Server | undefined,
): Change<ServerBody, ServerHidden> {
  const { frame, name } = call;
  const { createMode, administratorLoginPassword: password } = input.properties;
  if (before?.hidden.created) return changeServer(call, input, before);
  if (createMode === 'Update') {
    throw new Refusal(
      404,
      'ResourceNotFound',
      `The server '${name}' does not exist, so it cannot be updated.`,
    );
  }
  if (!before && isNameTaken(frame, name)) {
    throw new Refusal(409, 'ServerNameAlreadyExists', `Specified server name '${name}' is already used.`);
  }
  const body: ServerBody = { ...newServer(input), ...withIdentities(call, input) };
  if (body.properties.authConfig.passwordAuth === 'Enabled' && password === undefined) {
    throw new Refusal(
      400,
      'MissingRequiredParameter',
      "The required parameter 'administratorLoginPassword' is missing.",
    );
  }
  requirePlace(call, body);
  const verifier = verifierOf(body, password);
  return {
    body,
    hidden: { created: false },
    takes: durations.postgresServer,
    input: { creates: true, ...(verifier !== undefined && { verifier }) },
  };
}

/** A change is shown when it has happened, so that one that fails leaves the server as it was. */
function changeServer(
  call: Call,
  input: ServerInput | ServerPatch,
  before: Server,
): Change<ServerBody, ServerHidden> {
  const after: ServerBody = {
    ...changedServer(before.body, input, before.hidden.tierChangedAt, call.now),
    ...withIdentities(call, input),
  };
  const verifier = verifierOf(after, input.properties?.administratorLoginPassword);
  if (verifier === undefined && isSameButTags(before.body, after)) return { body: after };
  requireRunning(before, call.now);
  const isPasswordOnly = isSameButTags(before.body, after);
  return {
    body: before.body,
    takes: isPasswordOnly ? durations.postgresPassword : durations.postgresUpdate,
    input: { after, ...(verifier !== undefined && { verifier }) },
  };
}

async function finishServer(
  frame: Frame,
  engine: PostgresEngine,
  operation: Operation,
  stored: Server,
): Promise<Finish | undefined> {
  const now = frame.world.clock.now();
  const { stoppedAt: _stoppedAt, ...running } = stored.hidden;
  const verifier = typeof operation.input['verifier'] === 'string' ? operation.input['verifier'] : undefined;
  const login = stored.body.properties.administratorLogin;
  switch (operation.verb) {
    case 'stop':
      await engine.disconnectAll(stored.name);
      return { hidden: { ...stored.hidden, stoppedAt: now } };
    case 'start':
    case 'restart':
      await engine.disconnectAll(stored.name);
      await applyPending(frame, engine, stored);
      return { hidden: { ...running, readyAt: now } };
    default:
  }
  if (operation.input['creates'] === true) {
    return { hidden: { ...(await create(frame, engine, stored, verifier)), readyAt: now } };
  }
  const after = operation.input['after'] as ServerBody;
  if (verifier !== undefined && login !== undefined) await engine.setPassword(stored.name, login, verifier);
  const hasNewTier = after.properties.storage.tier !== stored.body.properties.storage.tier;
  if (needsRestart(stored.body, after)) {
    await engine.disconnectAll(stored.name);
    await applyPending(frame, engine, { ...stored, body: after });
  }
  return { body: after, hidden: { ...stored.hidden, ...(hasNewTier && { tierChangedAt: now }) } };
}

/** Repeatable: a killed sandbox does it again. */
async function create(
  frame: Frame,
  engine: PostgresEngine,
  server: Server,
  verifier: string | undefined,
): Promise<ServerHidden> {
  const { properties } = server.body;
  await engine.createServer(server.name, properties.administratorLogin, verifier);
  await engine.createDatabase(server.name, 'postgres');
  for (const name of ['azure_maintenance', 'azure_sys', 'postgres']) {
    frame.store.put(`${server.id}/databases/${name}`, DATABASES, {
      body: { properties: { charset: 'UTF8', collation: 'en_US.utf8' } },
    });
  }
  placeConfigurations(frame, server);
  await applyPending(frame, engine, server);
  const { delegatedSubnetResourceId: subnetId, privateDnsZoneArmResourceId: zoneId } = properties.network;
  if (subnetId === undefined || zoneId === undefined) return { created: true };
  const address = server.hidden.address ?? freeServerAddress(frame, requireSubnet(frame, subnetId));
  writeRecord(frame, zoneId, server.name, address, `created by server ${server.name}`);
  return { created: true, address };
}

/** Only servers live in a delegated subnet. */
function freeServerAddress(frame: Frame, subnet: Stored<SubnetBody>): string {
  const { addressPrefix, addressPrefixes } = subnet.body.properties;
  const block = parseBlock(addressPrefix ?? addressPrefixes?.[0] ?? '');
  const taken = frame.store
    .ofType<ServerBody, ServerHidden>(FLEXIBLE_SERVERS)
    .filter(
      ({ body }) =>
        body.properties.network.delegatedSubnetResourceId?.toLowerCase() === subnet.id.toLowerCase(),
    )
    .map(({ hidden }) => hidden.address);
  // The first four addresses and the last are Azure's.
  for (let index = 4; index < block.size - 1; index += 1) {
    const address = addressAt(block, index);
    if (!taken.includes(address)) return address;
  }
  throw new Refusal(400, 'SubnetIsFull', `The subnet '${subnet.id}' has no free address.`);
}

async function serverGone(
  frame: Frame,
  engine: PostgresEngine,
  { name, body, hidden }: Server,
): Promise<void> {
  const { privateDnsZoneArmResourceId: zoneId } = body.properties.network;
  if (zoneId !== undefined && hidden.address !== undefined) dropRecord(frame, zoneId, name, hidden.address);
  await engine.dropServer(name);
}

/** `start`, `stop` and `restart`: only from the state that they leave. */
function powerAction(
  during: string,
  from: 'Ready' | 'Stopped',
  takes: number,
): (call: Call, stored: Server) => ActionOutcome {
  return (call, stored) => {
    const state = stateOf(stored, call.now);
    if (stored.operationId === undefined && state !== from) {
      const allowed =
        from === 'Ready'
          ? 'Restart or Stop Server can only be performed on Started servers'
          : 'Start Server can only be performed on Stopped servers';
      throw new Refusal(
        400,
        'ServerIsNotReady',
        `${allowed}. Server Name = ${stored.name}, Current Server State = ${state}`,
      );
    }
    return { takes, during, style: 'azure-async-operation' };
  };
}

const power = {
  start: powerAction('Starting', 'Stopped', durations.postgresStart),
  stop: powerAction('Stopping', 'Ready', durations.postgresStop),
  restart: powerAction('Restarting', 'Ready', durations.postgresRestart),
};
const noBody = z.strictObject({});

export const serverName = {
  pattern: /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
  code: 'InvalidServerName',
  message:
    "The server name '{name}' is invalid: 3 to 63 lower-case letters, digits and '-', which is neither first nor last.",
};

export function flexibleServers(engine: PostgresEngine): ResourceType<ServerBody, ServerHidden, ServerInput> {
  return {
    type: FLEXIBLE_SERVERS,
    apiVersions: POSTGRESQL_API_VERSIONS,
    scope: 'resource-group',
    name: serverName,
    tracked: true,
    state: stateWords,
    operations: {
      style: 'azure-async-operation',
      retryAfterSeconds: 15,
      createStatus: 202,
      updateStatus: 202,
    },
    busy: serverBusy,
    body: serverBody,
    put: putServer,
    patchBody: serverPatch,
    patch: (call, input, before) => changeServer(call, input as ServerPatch, before),
    remove: () => ({ takes: durations.postgresDeletion }),
    finish: (frame, operation, stored) => finishServer(frame, engine, operation, stored),
    gone: (frame, stored) => serverGone(frame, engine, stored),
    show: (frame, stored) => {
      const state = stateOf(stored, frame.world.clock.now());
      return {
        ...stored.body,
        properties: {
          ...stored.body.properties,
          state,
          ...(stored.hidden.created && { fullyQualifiedDomainName: `${stored.name}${SERVER_SUFFIX}` }),
          replicationRole: 'Primary',
          replicaCapacity: 5,
          replica: { role: 'Primary', capacity: 5 },
          privateEndpointConnections: showConnections(frame, stored),
        },
      };
    },
    actions: {
      start: { body: noBody, run: (call, _input, stored) => power.start(call, stored as Server) },
      stop: { body: noBody, run: (call, _input, stored) => power.stop(call, stored as Server) },
      restart: {
        body: z.strictObject({
          restartWithFailover: z.literal(false).optional(),
          failoverMode: z.string().optional(),
        }),
        run: (call, _input, stored) => power.restart(call, stored as Server),
      },
    },
  };
}

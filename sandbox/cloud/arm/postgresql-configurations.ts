/**
 * Server parameters as resources. A dynamic one is in force when its operation has ended; a static one waits for the
 * next restart. Both show the new value at once and say whether it waits (isConfigPendingRestart).
 */
import { z } from 'zod';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers, readOnly } from './frame/request-body.ts';
import type { Call, Change, ResourceType, Stored } from './frame/resource-type.ts';
import { lastName, parentIdOf } from './frame/target.ts';
import type { PostgresEngine } from './postgresql-engine.ts';
import {
  findParameter,
  type Parameter,
  parameters,
  RESERVED_CONNECTIONS,
  requireValue,
} from './postgresql-parameters.ts';
import {
  FLEXIBLE_SERVERS,
  POSTGRESQL_API_VERSIONS,
  requireRunning,
  type Server,
  serverBusy,
  serverOf,
} from './postgresql-state.ts';

const CONFIGURATIONS = `${FLEXIBLE_SERVERS}/configurations`;

type ConfigurationBody = { properties: { value: string; source: string } };
type ConfigurationHidden = { inForce: string };
type Configuration = Stored<ConfigurationBody, ConfigurationHidden>;

const configurationBody = z.strictObject({
  ...childMembers,
  properties: z.strictObject({
    value: z.string().optional(),
    source: z.enum(['user-override', 'system-default']).optional(),
    ...readOnly(
      'description',
      'defaultValue',
      'dataType',
      'allowedValues',
      'isDynamicConfig',
      'isReadOnly',
      'isConfigPendingRestart',
      'unit',
      'documentationLink',
    ),
  }),
});
type ConfigurationInput = z.infer<typeof configurationBody>;

/** All parameters of a new server, with their defaults. */
export function placeConfigurations(frame: Frame, server: Server): void {
  for (const parameter of parameters) {
    const value = parameter.defaultFor(server.body.sku.name);
    frame.store.put(`${server.id}/configurations/${parameter.name}`, CONFIGURATIONS, {
      body: { properties: { value, source: 'system-default' } },
      hidden: { inForce: value },
    });
  }
}

function configurationOf(frame: Frame, server: Server, name: string): Configuration | undefined {
  return frame.store.get<ConfigurationBody, ConfigurationHidden>(`${server.id}/configurations/${name}`);
}

/** The value by which the server runs. */
export function valueInForce(frame: Frame, server: Server, name: string): string {
  return configurationOf(frame, server, name)?.hidden.inForce ?? '';
}

/** What a restart does: what waited comes into force, and defaults follow the compute size. */
export async function applyPending(frame: Frame, engine: PostgresEngine, server: Server): Promise<void> {
  for (const parameter of parameters) {
    const stored = configurationOf(frame, server, parameter.name);
    if (!stored) continue;
    const { source } = stored.body.properties;
    const value =
      source === 'system-default' ? parameter.defaultFor(server.body.sku.name) : stored.body.properties.value;
    if (value === stored.hidden.inForce && value === stored.body.properties.value) continue;
    frame.store.put(stored.id, stored.type, {
      body: { properties: { value, source } },
      hidden: { inForce: value },
    });
  }
  const { administratorLogin: login } = server.body.properties;
  if (login === undefined) return;
  const most = Number(valueInForce(frame, server, 'max_connections'));
  await engine.limitConnections(server.name, login, most - RESERVED_CONNECTIONS);
}

function changeConfiguration(
  call: Call,
  input: ConfigurationInput,
  before: Configuration | undefined,
): Change<ConfigurationBody, ConfigurationHidden> {
  const server = requireServer(call.frame, call.parentId);
  requireRunning(server, call.now);
  const parameter = findParameter(call.name);
  if (!before || !parameter) {
    throw new Refusal(
      400,
      'ConfigurationNotExists',
      `The configuration '${call.name}' does not exist for server version ${server.body.properties.version}.`,
    );
  }
  if (parameter.isReadOnly) {
    throw new Refusal(400, 'ReadOnlyConfiguration', `The configuration '${parameter.name}' is read-only.`);
  }
  const { value: given, source = 'user-override' } = input.properties;
  const value = source === 'system-default' ? parameter.defaultFor(server.body.sku.name) : given;
  if (value === undefined) {
    throw new Refusal(400, 'MissingRequiredParameter', "The required parameter 'value' is missing.");
  }
  requireValue(parameter, value);
  return { body: before.body, takes: durations.postgresParameter, input: { value, source } };
}

function requireServer(frame: Frame, id: string): Server {
  const server = serverOf(frame, id);
  if (!server) throw new Error(`a parameter without a server at ${id}`);
  return server;
}

/** Reading them needs a running server, too. */
function requireReadable({ frame, now }: Call, serverId: string): void {
  const server = serverOf(frame, serverId);
  if (server) requireStarted(server, now);
}

function requireStarted(server: Server, now: number): void {
  // A server that has only just come up can be read, though not yet written.
  requireRunning({ ...server, hidden: { ...server.hidden, readyAt: 0 } }, now);
}

function showConfiguration(parameter: Parameter, stored: Configuration, sku: string): Json {
  const { value, source } = stored.body.properties;
  return {
    properties: {
      value,
      source,
      description: `The server parameter ${parameter.name}.`,
      defaultValue: parameter.defaultFor(sku),
      dataType: parameter.dataType,
      allowedValues: parameter.allowedValues,
      isDynamicConfig: parameter.isDynamic,
      isReadOnly: parameter.isReadOnly,
      isConfigPendingRestart: value !== stored.hidden.inForce,
      ...(parameter.unit !== undefined && { unit: parameter.unit }),
      documentationLink: `https://www.postgresql.org/docs/current/runtime-config.html#GUC-${parameter.name.toUpperCase().replaceAll('_', '-')}`,
    },
  };
}

export function configurations(
  engine: PostgresEngine,
): ResourceType<ConfigurationBody, ConfigurationHidden, ConfigurationInput> {
  return {
    type: CONFIGURATIONS,
    apiVersions: POSTGRESQL_API_VERSIONS,
    scope: 'resource-group',
    operations: { style: 'azure-async-operation', retryAfterSeconds: 5, updateStatus: 202 },
    busy: serverBusy,
    body: configurationBody,
    put: changeConfiguration,
    patchBody: configurationBody,
    patch: (call, input, before) => changeConfiguration(call, input as ConfigurationInput, before),
    finish: async (frame, operation, stored) => {
      const server = requireServer(frame, parentIdOf(stored.id));
      const parameter = findParameter(lastName(stored.id));
      const value = String(operation.input['value']);
      const source = String(operation.input['source']);
      const { administratorLogin: login } = server.body.properties;
      if (parameter?.isOfSession && login !== undefined) {
        const own = source === 'system-default' ? undefined : value;
        await engine.setParameter(server.name, login, parameter.name, own);
      }
      return {
        body: { properties: { value, source } },
        ...(parameter?.isDynamic && { hidden: { inForce: value } }),
      };
    },
    get: (call) => {
      requireReadable(call, parentIdOf(call.id));
      const stored = call.frame.store.get(call.id);
      return stored && call.frame.show(stored);
    },
    list: (call) => {
      requireReadable(call, call.id);
      return call.frame.store.ofType(CONFIGURATIONS, call.id).map((stored) => call.frame.show(stored));
    },
    show: (frame, stored) => {
      const parameter = findParameter(stored.name);
      const server = serverOf(frame, parentIdOf(stored.id));
      return parameter && server ? showConfiguration(parameter, stored, server.body.sku.name) : stored.body;
    },
  };
}

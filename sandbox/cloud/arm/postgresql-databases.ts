/** Databases of a flexible server, really made in the engine; and its firewall. */
import { z } from 'zod';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers } from './frame/request-body.ts';
import type { Call, Change, ResourceType, Stored } from './frame/resource-type.ts';
import { lastName, parentIdOf } from './frame/target.ts';
import type { PostgresEngine } from './postgresql-engine.ts';
import {
  DATABASES,
  FLEXIBLE_SERVERS,
  POSTGRESQL_API_VERSIONS,
  requireRunning,
  type Server,
  serverBusy,
  serverOf,
} from './postgresql-state.ts';

const SYSTEM_DATABASES = ['azure_maintenance', 'azure_sys', 'postgres', 'template0', 'template1'];
const operations = {
  style: 'azure-async-operation',
  retryAfterSeconds: 5,
  createStatus: 202,
  updateStatus: 202,
} as const;

function requireServer(call: Call): Server {
  const server = serverOf(call.frame, call.parentId);
  if (!server) throw new Error(`a child without a server at ${call.parentId}`);
  requireRunning(server, call.now);
  return server;
}

const databaseBody = z.strictObject({
  ...childMembers,
  properties: z
    .strictObject({
      charset: z
        .string()
        .regex(/^utf-?8$/i, 'the character set is UTF8')
        .optional(),
      collation: z
        .string()
        .regex(/^(C|POSIX|[a-z]{2,3}_[A-Z]{2}\.utf-?8)$/i, 'the collation is not one of the server')
        .optional(),
    })
    .optional(),
});
type DatabaseInput = z.infer<typeof databaseBody>;
type DatabaseBody = { properties: { charset: string; collation: string } };

/** A database is not altered through ARM: asked for again it stays, asked for differently it is refused. */
function putDatabase(
  call: Call,
  input: DatabaseInput,
  before: Stored<DatabaseBody> | undefined,
): Change<DatabaseBody> {
  requireServer(call);
  const { charset = 'UTF8', collation = 'en_US.utf8' } = input.properties ?? {};
  if (before) {
    const old = before.body.properties;
    const isSame =
      old.charset.toLowerCase() === charset.toLowerCase() &&
      old.collation.toLowerCase() === collation.toLowerCase();
    if (isSame) return { body: before.body };
    throw new Refusal(
      400,
      'DatabaseUpdateNotSupported',
      `The character set and collation of the database '${call.name}' cannot be changed.`,
    );
  }
  return { body: { properties: { charset, collation } }, takes: durations.postgresDatabase };
}

export function databases(engine: PostgresEngine): ResourceType<DatabaseBody, Json, DatabaseInput> {
  return {
    type: DATABASES,
    apiVersions: POSTGRESQL_API_VERSIONS,
    scope: 'resource-group',
    name: {
      pattern: /^(?!template[01]$|azure_sys$|azure_maintenance$)[A-Za-z_][A-Za-z0-9_-]{0,62}$/,
      code: 'InvalidDatabaseName',
      message:
        "The database name '{name}' is invalid: 1 to 63 letters, digits, '_' and '-', the first a letter or '_', and not " +
        'a name of the system.',
    },
    operations,
    busy: serverBusy,
    body: databaseBody,
    put: putDatabase,
    remove: (call) => {
      requireServer(call);
      if (SYSTEM_DATABASES.includes(call.name)) {
        throw new Refusal(
          400,
          'OperationNotAllowed',
          `The system database '${call.name}' cannot be deleted.`,
        );
      }
      return { takes: durations.postgresDatabase };
    },
    finish: async (_frame, _operation, stored) => {
      await engine.createDatabase(lastName(parentIdOf(stored.id)), stored.name);
      return undefined;
    },
    gone: (_frame, stored) => engine.dropDatabase(lastName(parentIdOf(stored.id)), stored.name),
  };
}

const FIREWALL_RULES = `${FLEXIBLE_SERVERS}/firewallRules`;
type RuleBody = { properties: { startIpAddress: string; endIpAddress: string } };

export const firewallRules: ResourceType<RuleBody, Json, RuleBody> = {
  type: FIREWALL_RULES,
  apiVersions: POSTGRESQL_API_VERSIONS,
  scope: 'resource-group',
  name: {
    pattern: /^[A-Za-z0-9_-]{1,128}$/,
    code: 'InvalidFirewallRuleName',
    message: "The firewall rule name '{name}' is invalid: 1 to 128 letters, digits, '_' and '-'.",
  },
  operations,
  busy: serverBusy,
  body: z.strictObject({
    ...childMembers,
    properties: z.strictObject({ startIpAddress: z.ipv4(), endIpAddress: z.ipv4() }),
  }),
  put: (call, input) => {
    const server = requireServer(call);
    if (server.body.properties.network.delegatedSubnetResourceId !== undefined) {
      throw new Refusal(
        400,
        'OperationNotAllowed',
        `Firewall rules are not supported on the server '${server.name}', which has virtual network integration.`,
      );
    }
    return { body: { properties: input.properties }, takes: durations.postgresParameter };
  },
  remove: (call) => {
    requireServer(call);
    return { takes: durations.postgresParameter };
  },
};

/**
 * Whether a client that comes from Azure by the public way is let in. Which public address a cluster has is not
 * simulated, so only the rule for all of Azure (0.0.0.0) or for everybody counts.
 */
export function admitsAzure(rules: readonly Stored<RuleBody>[]): boolean {
  return rules.some(
    ({ body: { properties } }) =>
      properties.startIpAddress === '0.0.0.0' &&
      /^(0\.0\.0\.0|255\.255\.255\.255)$/.test(properties.endIpAddress),
  );
}

export function firewallRulesOf(frame: Frame, server: Server): Stored<RuleBody>[] {
  return frame.store.ofType<RuleBody>(FIREWALL_RULES, server.id);
}

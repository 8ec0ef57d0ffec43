/**
 * Microsoft.DBforPostgreSQL: flexible servers over one real PostgreSQL. The parts: postgresql-body (what a server is),
 * -servers, -databases, -configurations (the resources), -engine (PostgreSQL), database-connections (a client's way in).
 */
import { z } from 'zod';
import type { Json } from './frame/json.ts';
import type { Action, ResourceType } from './frame/resource-type.ts';
import { configurations } from './postgresql-configurations.ts';
import { databases, firewallRules } from './postgresql-databases.ts';
import type { PostgresEngine } from './postgresql-engine.ts';
import { flexibleServers, isNameTaken, serverName } from './postgresql-servers.ts';
import { FLEXIBLE_SERVERS, POSTGRESQL_API_VERSIONS, serverOf } from './postgresql-state.ts';
import { privateEndpointConnections } from './private-link.ts';

const checkNameAvailability: Action = {
  permission: 'Microsoft.DBforPostgreSQL/checkNameAvailability/action',
  body: z.strictObject({
    name: z.string(),
    type: z.string().regex(/^Microsoft\.DBforPostgreSQL\/flexibleServers$/i),
  }),
  run: ({ frame }, input) => {
    const name = String(input['name']);
    const refused = (reason: string, message: string): { now: Json } => ({
      now: { name, type: FLEXIBLE_SERVERS, nameAvailable: false, reason, message },
    });
    if (!serverName.pattern.test(name)) return refused('Invalid', serverName.message.replace('{name}', name));
    if (isNameTaken(frame, name)) return refused('AlreadyExists', 'Specified server name is already used.');
    return { now: { name, type: FLEXIBLE_SERVERS, nameAvailable: true } };
  },
};

const GROUP_ID = 'postgresqlServer';
const linkResource = (serverId: string): Json => ({
  id: `${serverId}/privateLinkResources/${GROUP_ID}`,
  name: GROUP_ID,
  type: `${FLEXIBLE_SERVERS}/privateLinkResources`,
  properties: {
    groupId: GROUP_ID,
    requiredMembers: [GROUP_ID],
    requiredZoneNames: ['privatelink.postgres.database.azure.com'],
  },
});

const privateLinkResources: ResourceType = {
  type: `${FLEXIBLE_SERVERS}/privateLinkResources`,
  apiVersions: POSTGRESQL_API_VERSIONS,
  scope: 'resource-group',
  get: ({ frame, parentId, name }) =>
    name === GROUP_ID && serverOf(frame, parentId) ? linkResource(parentId) : undefined,
  list: ({ id }) => [linkResource(id)],
};

/** Server, databases, parameters, firewall and connections as ARM types, over an engine. */
export function postgresqlTypes(engine: PostgresEngine): readonly ResourceType[] {
  const subscriptionWide = {
    apiVersions: POSTGRESQL_API_VERSIONS,
    scope: 'subscription',
    actions: { checkNameAvailability },
  } as const;
  return [
    { type: 'Microsoft.DBforPostgreSQL', ...subscriptionWide },
    { type: 'Microsoft.DBforPostgreSQL/locations', ...subscriptionWide },
    flexibleServers(engine),
    databases(engine),
    configurations(engine),
    firewallRules,
    privateLinkResources,
    privateEndpointConnections(FLEXIBLE_SERVERS, POSTGRESQL_API_VERSIONS),
  ] as unknown as readonly ResourceType[];
}

/**
 * What private endpoints can lead to, and their connections as seen from there: approved, rejected and removed on the
 * target. https://learn.microsoft.com/azure/private-link/private-endpoint-overview#private-link-resource
 */
import { z } from 'zod';
import type { Frame } from './frame/frame.ts';
import { type Json, mergePatch, objectAt } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers, readOnly } from './frame/request-body.ts';
import { provisioningState, type ResourceType, type Stored } from './frame/resource-type.ts';
import { lastName } from './frame/target.ts';

/** By type and group id (sub-resource): public suffix of the host and the zone for it. */
export const SERVICES: Readonly<Record<string, Readonly<Record<string, { suffix: string; zone: string }>>>> =
  {
    'microsoft.storage/storageaccounts': {
      file: { suffix: 'file.core.windows.net', zone: 'privatelink.file.core.windows.net' },
      blob: { suffix: 'blob.core.windows.net', zone: 'privatelink.blob.core.windows.net' },
      queue: { suffix: 'queue.core.windows.net', zone: 'privatelink.queue.core.windows.net' },
      table: { suffix: 'table.core.windows.net', zone: 'privatelink.table.core.windows.net' },
    },
    'microsoft.dbforpostgresql/flexibleservers': {
      postgresqlServer: {
        suffix: 'postgres.database.azure.com',
        zone: 'privatelink.postgres.database.azure.com',
      },
    },
    'microsoft.keyvault/vaults': {
      vault: { suffix: 'vault.azure.net', zone: 'privatelink.vaultcore.azure.net' },
    },
    'microsoft.containerregistry/registries': {
      registry: { suffix: 'azurecr.io', zone: 'privatelink.azurecr.io' },
    },
  };

export type ConnectionBody = {
  properties: {
    privateEndpoint: { id: string };
    groupIds: string[];
    privateLinkServiceConnectionState: { status: string; description?: string; actionsRequired?: string };
    provisioningState: string;
  };
};

const connectionBody = z.strictObject({
  ...childMembers,
  properties: z.strictObject({
    privateLinkServiceConnectionState: z.strictObject({
      status: z.enum(['Pending', 'Approved', 'Rejected', 'Disconnected']),
      description: z.string().nullish(),
      actionsRequired: z.string().nullish(),
    }),
    ...readOnly('privateEndpoint', 'groupIds', 'provisioningState'),
  }),
});

/** The connections as a child type of what they lead to: approved, rejected and removed there. */
export function privateEndpointConnections(
  parentType: string,
  apiVersions: readonly string[],
): ResourceType<ConnectionBody> {
  return {
    type: `${parentType}/privateEndpointConnections`,
    apiVersions,
    scope: 'resource-group',
    state: provisioningState,
    body: connectionBody,
    put: (call, input, before) => {
      if (!before) {
        throw new Refusal(
          404,
          'PrivateEndpointConnectionNotFound',
          `There is no private endpoint connection '${call.name}'.`,
        );
      }
      return { body: mergePatch(before.body, input) as ConnectionBody };
    },
    remove: () => ({}),
  };
}

export function connectionsOf(frame: Frame, target: { id: string; type: string }): Stored<ConnectionBody>[] {
  return frame.store.ofType<ConnectionBody>(`${target.type}/privateEndpointConnections`, target.id);
}

/** How a resource shows its connections. */
export function showConnections(frame: Frame, target: { id: string; type: string }): Json[] {
  return connectionsOf(frame, target).map((connection) => frame.show(connection));
}

/** The private zone of a server that is inside a network; such a server has no public address. */
export function integratedZone(target: Stored): string | undefined {
  const network = objectAt(objectAt(target.body, 'properties'), 'network');
  const zoneId = network['privateDnsZoneArmResourceId'];
  return network['delegatedSubnetResourceId'] && typeof zoneId === 'string' ? lastName(zoneId) : undefined;
}

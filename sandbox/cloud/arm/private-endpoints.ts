/**
 * Private endpoints and their DNS zone groups: an interface with an address in a subnet, a connection on what it leads
 * to, and the records that make its name private. Over 300 lines because the two live and die together.
 */

import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Answer } from '../neighbours.ts';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { inert, readOnly, trackedMembers } from './frame/request-body.ts';
import { type Call, provisioningState, type ResourceType, type Stored } from './frame/resource-type.ts';
import { groupIdOf, parentIdOf, sameId } from './frame/target.ts';
import {
  addressOfInterface,
  freeAddress,
  isInNetwork,
  JOIN_SUBNET,
  NETWORK_API_VERSIONS,
  NETWORK_INTERFACES,
  networkBusy,
  requireSubnet,
} from './network.ts';
import { dropRecord, isReadyZone, PRIVATE_DNS_ZONES, writeRecord } from './private-dns.ts';
import { type ConnectionBody, connectionsOf, integratedZone, SERVICES } from './private-link.ts';

export const PRIVATE_ENDPOINTS = 'Microsoft.Network/privateEndpoints';
const ZONE_GROUPS = `${PRIVATE_ENDPOINTS}/privateDnsZoneGroups`;

const connectionSchema = z.strictObject({
  ...readOnly('id', 'type', 'etag'),
  name: z.string().min(1),
  properties: z.strictObject({
    privateLinkServiceId: z.string().startsWith('/'),
    groupIds: z.array(z.string()).default([]),
    requestMessage: z.string().max(140).optional(),
    ...readOnly('privateLinkServiceConnectionState', 'provisioningState'),
  }),
});

const endpointBody = z.strictObject({
  ...trackedMembers,
  properties: z.strictObject({
    subnet: z.looseObject({ id: z.string() }),
    privateLinkServiceConnections: z.array(connectionSchema).optional(),
    manualPrivateLinkServiceConnections: z.array(connectionSchema).optional(),
    customNetworkInterfaceName: z.string().optional(),
    ...inert('applicationSecurityGroups', 'ipConfigurations', 'ipVersionType'),
    ...readOnly('networkInterfaces', 'provisioningState', 'customDnsConfigs', 'resourceGuid'),
  }),
  ...inert('extendedLocation'),
});
type EndpointInput = z.infer<typeof endpointBody>;
type EndpointHidden = { interfaceId?: string; connectionId?: string; guid: string };

function wantedConnection(input: EndpointInput): {
  connection: z.infer<typeof connectionSchema>;
  manual: boolean;
} {
  const automatic = input.properties.privateLinkServiceConnections ?? [];
  const manual = input.properties.manualPrivateLinkServiceConnections ?? [];
  const [connection, ...others] = [...automatic, ...manual];
  if (!connection || others.length > 0) {
    throw new Refusal(
      400,
      'InvalidRequestFormat',
      'A private endpoint needs exactly one private link service connection.',
    );
  }
  return { connection, manual: automatic.length === 0 };
}

function putEndpoint(
  call: Call,
  input: EndpointInput,
  before: Stored<EndpointInput, EndpointHidden> | undefined,
): { body: EndpointInput; hidden: EndpointHidden; takes: number; input: Json } {
  const { frame } = call;
  const subnet = requireSubnet(frame, input.properties.subnet.id);
  call.requireLinked(JOIN_SUBNET, subnet.id);
  const { connection, manual } = wantedConnection(input);
  const { privateLinkServiceId, groupIds } = connection.properties;
  const target = frame.store.get(privateLinkServiceId);
  const services = target && SERVICES[target.type.toLowerCase()];
  if (!target || !services) {
    throw new Refusal(
      400,
      'PrivateLinkServiceNotFound',
      `Private link service ${privateLinkServiceId} referenced by the private endpoint was not found.`,
    );
  }
  if (groupIds.length !== 1 || !services[groupIds[0] ?? '']) {
    throw new Refusal(
      400,
      'PrivateEndpointInvalidGroupIds',
      `Private link service connection group ids ${JSON.stringify(groupIds)} are not among those of ` +
        `${target.type}: ${Object.keys(services).join(', ')}.`,
    );
  }
  if (integratedZone(target) !== undefined) {
    throw new Refusal(
      400,
      'PrivateEndpointNotSupported',
      `Private endpoints are not supported on the server '${target.name}', which was created with virtual network integration.`,
    );
  }
  if (!frame.isReady(target)) {
    throw new Refusal(
      409,
      'PrivateEndpointCreationNotAllowedAsProvisioningStateIsNotSucceeded',
      `Cannot create the private endpoint: ${target.id} is not in Succeeded state.`,
    );
  }
  if (!manual) call.requireLinked(`${target.type}/PrivateEndpointConnectionsApproval/action`, target.id);
  return {
    body: input,
    hidden: before?.hidden ?? { guid: randomUUID() },
    takes: before ? durations.privateDnsZoneGroup : durations.privateEndpoint,
    input: { manual },
  };
}

/** Interface and connection come into being at the end. */
function finishEndpoint(
  frame: Frame,
  stored: Stored<EndpointInput, EndpointHidden>,
  manual: boolean,
): EndpointHidden {
  if (stored.hidden.interfaceId !== undefined) return stored.hidden;
  const { connection } = wantedConnection(stored.body);
  const { privateLinkServiceId, requestMessage } = connection.properties;
  const subnet = requireSubnet(frame, stored.body.properties.subnet.id);
  const group = groupIdOf(stored.id) ?? '';
  const name =
    stored.body.properties.customNetworkInterfaceName ?? `${stored.name}.nic.${stored.hidden.guid}`;
  const interfaceId = `${group}/providers/${NETWORK_INTERFACES}/${name}`;
  frame.store.put(interfaceId, NETWORK_INTERFACES, {
    body: {
      location: stored.body.location,
      properties: {
        provisioningState: 'Succeeded',
        ipConfigurations: [
          {
            name: 'privateEndpointIpConfig',
            id: `${interfaceId}/ipConfigurations/privateEndpointIpConfig`,
            properties: {
              provisioningState: 'Succeeded',
              privateIPAddress: freeAddress(frame, subnet),
              privateIPAllocationMethod: 'Dynamic',
              privateIPAddressVersion: 'IPv4',
              primary: true,
              subnet: { id: subnet.id },
            },
          },
        ],
        privateEndpoint: { id: stored.id },
        nicType: 'Standard',
      },
    },
  });
  const target = frame.store.get(privateLinkServiceId);
  if (!target) throw new Refusal(400, 'PrivateLinkServiceNotFound', `${privateLinkServiceId} is gone.`);
  const connectionId = `${target.id}/privateEndpointConnections/${stored.name}.${stored.hidden.guid}`;
  frame.store.put(connectionId, `${target.type}/privateEndpointConnections`, {
    body: {
      properties: {
        privateEndpoint: { id: stored.id },
        groupIds: connection.properties.groupIds,
        privateLinkServiceConnectionState: manual
          ? { status: 'Pending', description: requestMessage ?? '', actionsRequired: 'None' }
          : { status: 'Approved', description: 'Auto-Approved', actionsRequired: 'None' },
        provisioningState: 'Succeeded',
      },
    },
  });
  return { ...stored.hidden, interfaceId, connectionId };
}

function stateOfConnection(frame: Frame, hidden: EndpointHidden): Json {
  const connection = hidden.connectionId && frame.store.get<ConnectionBody>(hidden.connectionId);
  return connection
    ? connection.body.properties.privateLinkServiceConnectionState
    : hidden.connectionId
      ? { status: 'Disconnected', description: 'The connection was removed.', actionsRequired: 'None' }
      : { status: 'Pending', description: 'Awaiting provisioning', actionsRequired: 'None' };
}

function showEndpoint(frame: Frame, stored: Stored<EndpointInput, EndpointHidden>): Json {
  const { properties } = stored.body;
  const state = stateOfConnection(frame, stored.hidden);
  const withState = (kind: string, list: readonly z.infer<typeof connectionSchema>[] | undefined): Json[] =>
    (list ?? []).map((connection) => ({
      ...connection,
      id: `${stored.id}/${kind}/${connection.name}`,
      type: `${PRIVATE_ENDPOINTS}/${kind}`,
      properties: {
        ...connection.properties,
        provisioningState: 'Succeeded',
        privateLinkServiceConnectionState: state,
      },
    }));
  const target = frame.store.get(wantedConnection(stored.body).connection.properties.privateLinkServiceId);
  const service = serviceOf(stored);
  const address = addressOf(frame, stored);
  return {
    ...stored.body,
    properties: {
      ...properties,
      privateLinkServiceConnections: withState(
        'privateLinkServiceConnections',
        properties.privateLinkServiceConnections,
      ),
      manualPrivateLinkServiceConnections: withState(
        'manualPrivateLinkServiceConnections',
        properties.manualPrivateLinkServiceConnections,
      ),
      networkInterfaces: stored.hidden.interfaceId ? [{ id: stored.hidden.interfaceId }] : [],
      customDnsConfigs:
        address && target && service && zoneGroupsOf(frame, stored.id).length === 0
          ? [{ fqdn: `${target.name}.${service.suffix}`, ipAddresses: [address] }]
          : [],
    },
  };
}

function serviceOf(
  stored: Stored<EndpointInput, EndpointHidden>,
): { suffix: string; zone: string } | undefined {
  const { privateLinkServiceId, groupIds } = wantedConnection(stored.body).connection.properties;
  const type = /\/providers\/([^/]+\/[^/]+)\//i.exec(privateLinkServiceId)?.[1]?.toLowerCase() ?? '';
  return SERVICES[type]?.[groupIds[0] ?? ''];
}

function addressOf(frame: Frame, stored: Stored<EndpointInput, EndpointHidden>): string | undefined {
  const { interfaceId } = stored.hidden;
  const found = interfaceId === undefined ? undefined : frame.store.get(interfaceId);
  return found && addressOfInterface(found.body);
}

const privateEndpoints: ResourceType<EndpointInput, EndpointHidden, EndpointInput> = {
  type: PRIVATE_ENDPOINTS,
  apiVersions: NETWORK_API_VERSIONS,
  scope: 'resource-group',
  tracked: true,
  etag: true,
  state: provisioningState,
  operations: { style: 'azure-async-operation', retryAfterSeconds: 10 },
  busy: networkBusy,
  body: endpointBody,
  put: putEndpoint,
  finish: (frame, operation, stored) => ({
    hidden: finishEndpoint(frame, stored, operation.input['manual'] === true),
  }),
  remove: () => ({ takes: durations.privateEndpointDeletion }),
  gone: (frame, stored) => {
    const { interfaceId, connectionId } = stored.hidden;
    if (interfaceId !== undefined) frame.store.delete(interfaceId);
    if (connectionId !== undefined) frame.store.delete(connectionId);
  },
  show: showEndpoint,
};

const zoneGroupBody = z.strictObject({
  ...readOnly('id', 'etag', 'type'),
  name: z.string().optional(),
  properties: z.strictObject({
    privateDnsZoneConfigs: z
      .array(
        z.strictObject({
          name: z.string().min(1),
          properties: z.strictObject({
            privateDnsZoneId: z.string().startsWith('/'),
            ...readOnly('recordSets'),
          }),
        }),
      )
      .min(1),
    ...readOnly('provisioningState'),
  }),
});
type ZoneGroup = z.infer<typeof zoneGroupBody>;
type ZoneGroupHidden = { written?: { zoneId: string; name: string; address: string }[] };

function zoneGroupsOf(frame: Frame, endpointId: string): Stored<ZoneGroup, ZoneGroupHidden>[] {
  return frame.store.ofType<ZoneGroup, ZoneGroupHidden>(ZONE_GROUPS, endpointId);
}

const zoneGroups: ResourceType<ZoneGroup, ZoneGroupHidden, ZoneGroup> = {
  type: ZONE_GROUPS,
  apiVersions: NETWORK_API_VERSIONS,
  scope: 'resource-group',
  etag: true,
  state: provisioningState,
  operations: { style: 'azure-async-operation', retryAfterSeconds: 5 },
  busy: networkBusy,
  body: zoneGroupBody,
  put: (call, input) => {
    const { frame, parentId } = call;
    if (zoneGroupsOf(frame, parentId).some(({ id }) => !sameId(id, call.id))) {
      throw new Refusal(
        400,
        'MorePrivateDnsZoneGroupsPerPrivateEndpointNotAllowed',
        'Call to add one more private dns zone group to a private endpoint failed: there can be only one.',
      );
    }
    for (const { properties } of input.properties.privateDnsZoneConfigs) {
      if (!isReadyZone(frame, properties.privateDnsZoneId)) {
        throw new Refusal(
          400,
          'InvalidResourceReference',
          `Resource ${properties.privateDnsZoneId} referenced by resource ${call.id} was not found.`,
        );
      }
      call.requireLinked(`${PRIVATE_DNS_ZONES}/join/action`, properties.privateDnsZoneId);
    }
    const { name: _name, ...body } = input;
    return { body, takes: durations.privateDnsZoneGroup };
  },
  finish: (frame, _operation, stored) => ({ hidden: { written: writeRecords(frame, stored) } }),
  remove: () => ({ takes: durations.privateDnsZoneGroup }),
  gone: (frame, stored) => {
    for (const { zoneId, name, address } of stored.hidden.written ?? [])
      dropRecord(frame, zoneId, name, address);
  },
  show: (frame, stored) => ({
    ...stored.body,
    properties: {
      ...stored.body.properties,
      privateDnsZoneConfigs: stored.body.properties.privateDnsZoneConfigs.map((config) => ({
        ...config,
        properties: {
          ...config.properties,
          recordSets: (stored.hidden.written ?? [])
            .filter(({ zoneId }) => sameId(zoneId, config.properties.privateDnsZoneId))
            .map(({ zoneId, name, address }) => ({
              recordType: 'A',
              recordSetName: name,
              fqdn: `${name}.${zoneId.split('/').at(-1)}`,
              ttl: 10,
              ipAddresses: [address],
              provisioningState: frame.isReady(stored) ? 'Succeeded' : 'Updating',
            })),
        },
      })),
    },
  }),
};

/** Only the zone that belongs to the endpoint's service gets a record. */
function writeRecords(
  frame: Frame,
  stored: Stored<ZoneGroup, ZoneGroupHidden>,
): { zoneId: string; name: string; address: string }[] {
  for (const { zoneId, name, address } of stored.hidden.written ?? [])
    dropRecord(frame, zoneId, name, address);
  const endpoint = frame.store.get<EndpointInput, EndpointHidden>(parentIdOf(stored.id));
  const service = endpoint && serviceOf(endpoint);
  const address = endpoint && addressOf(frame, endpoint);
  if (!endpoint || !service || address === undefined) return [];
  const name =
    wantedConnection(endpoint.body).connection.properties.privateLinkServiceId.split('/').at(-1) ?? '';
  return stored.body.properties.privateDnsZoneConfigs
    .map(({ properties }) => properties.privateDnsZoneId)
    .filter((zoneId) => zoneId.split('/').at(-1)?.toLowerCase() === service.zone)
    .map((zoneId) => {
      const creator = `created by private endpoint ${endpoint.name} with resource guid ${endpoint.hidden.guid}`;
      writeRecord(frame, zoneId, name, address, creator);
      return { zoneId, name, address };
    });
}

/** Whether this private address leads to the target from inside the network, and if not, why. */
export function isReachable(
  frame: Frame,
  target: { id: string; type: string },
  address: string,
  networkId: string,
): Answer<object> {
  const endpoint = connectionsOf(frame, target)
    .map((connection) => ({
      connection,
      endpoint: frame.store.get<EndpointInput, EndpointHidden>(connection.body.properties.privateEndpoint.id),
    }))
    .find((pair) => pair.endpoint && addressOf(frame, pair.endpoint) === address);
  if (!endpoint?.endpoint) {
    return {
      ok: false,
      code: 'NoPrivateEndpoint',
      reason: `no private endpoint of ${target.id} has the address ${address}`,
    };
  }
  const { status } = endpoint.connection.body.properties.privateLinkServiceConnectionState;
  if (status !== 'Approved') {
    return {
      ok: false,
      code: 'ConnectionNotApproved',
      reason: `the private endpoint connection is ${status}`,
    };
  }
  if (!isInNetwork(endpoint.endpoint.body.properties.subnet.id, networkId)) {
    return {
      ok: false,
      code: 'OtherNetwork',
      reason: `the private endpoint ${endpoint.endpoint.name} is in another network`,
    };
  }
  return { ok: true };
}

export const privateEndpointTypes = [privateEndpoints, zoneGroups] as const;

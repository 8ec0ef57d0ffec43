/**
 * Microsoft.Network: virtual networks, subnets, network interfaces, network security groups. Subnets are kept one by
 * one and shown inside their network; a PUT of the network that leaves one out deletes it, unless it is in use.
 * Over 300 lines because networks and subnets check each other.
 */
import { z } from 'zod';
import { addressAt, contains, overlaps, parseBlock } from './cidr.ts';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import { isJson, type Json, memberAt, objectAt } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import {
  childMembers,
  inert,
  readOnly,
  reference,
  tagsSchema,
  trackedMembers,
} from './frame/request-body.ts';
import { type Call, provisioningState, type ResourceType, type Stored } from './frame/resource-type.ts';
import { isWithin, lastName, parentIdOf, sameId } from './frame/target.ts';

export const NETWORK_API_VERSIONS = [
  '2025-05-01',
  '2025-03-01',
  '2025-01-01',
  '2024-10-01',
  '2024-07-01',
  '2024-05-01',
  '2024-01-01',
  '2023-11-01',
];
export const VIRTUAL_NETWORKS = 'Microsoft.Network/virtualNetworks';
export const SUBNETS = 'Microsoft.Network/virtualNetworks/subnets';
export const NETWORK_INTERFACES = 'Microsoft.Network/networkInterfaces';
export const JOIN_SUBNET = 'Microsoft.Network/virtualNetworks/subnets/join/action';
/** Azure keeps the first four addresses of a subnet and the last. */
const RESERVED_ADDRESSES = 4;

export const networkBusy = {
  code: 'RetryableErrorDueToAnotherOperation',
  status: 429,
  message: "Operation was canceled due to another operation on '{name}' in progress. Retry the request.",
  family: true,
};

const NAME = {
  pattern: /^[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?$/,
  code: 'InvalidResourceName',
  message:
    'Resource name {name} is invalid. The name can be up to 80 characters long. It must begin with a word character, ' +
    "and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'.",
};

const subnetProperties = z.strictObject({
  addressPrefix: z.string().optional(),
  addressPrefixes: z.array(z.string()).optional(),
  delegations: z
    .array(
      z.strictObject({
        ...readOnly('id', 'etag', 'type'),
        name: z.string(),
        properties: z.strictObject({
          serviceName: z.string(),
          ...readOnly('actions', 'provisioningState'),
        }),
      }),
    )
    .optional(),
  serviceEndpoints: z
    .array(
      z.strictObject({
        service: z.string(),
        locations: z.array(z.string()).optional(),
        networkIdentifier: reference.optional(),
        ...readOnly('provisioningState'),
      }),
    )
    .optional(),
  networkSecurityGroup: reference.nullish(),
  routeTable: reference.nullish(),
  natGateway: reference.nullish(),
  privateEndpointNetworkPolicies: z
    .enum(['Enabled', 'Disabled', 'NetworkSecurityGroupEnabled', 'RouteTableEnabled'])
    .optional(),
  privateLinkServiceNetworkPolicies: z.enum(['Enabled', 'Disabled']).optional(),
  defaultOutboundAccess: z.boolean().optional(),
  ...inert('serviceEndpointPolicies', 'ipAllocations', 'sharingScope', 'applicationGatewayIPConfigurations'),
  ...readOnly(
    'provisioningState',
    'privateEndpoints',
    'ipConfigurations',
    'ipConfigurationProfiles',
    'resourceNavigationLinks',
    'serviceAssociationLinks',
    'purpose',
  ),
});
const subnetBody = z.strictObject({ ...childMembers, properties: subnetProperties });
type SubnetInput = z.infer<typeof subnetBody>;
export type SubnetBody = { properties: z.infer<typeof subnetProperties> };

const networkBody = z.strictObject({
  ...trackedMembers,
  properties: z.strictObject({
    addressSpace: z.strictObject({
      addressPrefixes: z.array(z.string()).min(1),
      ...inert('ipamPoolPrefixAllocations'),
    }),
    subnets: z
      .array(
        z.strictObject({ name: z.string(), ...readOnly('id', 'etag', 'type'), properties: subnetProperties }),
      )
      .optional(),
    ...inert(
      'dhcpOptions',
      'flowTimeoutInMinutes',
      'enableDdosProtection',
      'enableVmProtection',
      'ddosProtectionPlan',
      'bgpCommunities',
      'encryption',
      'ipAllocations',
      'privateEndpointVNetPolicies',
    ),
    virtualNetworkPeerings: z.array(z.unknown()).max(0).optional(),
    ...readOnly('resourceGuid', 'provisioningState', 'flowLogs', 'defaultPublicNatGateway'),
  }),
  ...inert('extendedLocation'),
});
type NetworkInput = z.infer<typeof networkBody>;
export type NetworkBody = Omit<NetworkInput, 'properties'> & {
  properties: Omit<NetworkInput['properties'], 'subnets'>;
};

function prefixesOf(subnet: SubnetBody): string[] {
  const { addressPrefix, addressPrefixes } = subnet.properties;
  return addressPrefix === undefined ? (addressPrefixes ?? []) : [addressPrefix];
}

/** Every subnet inside the address space and none over another. */
function requireRoom(space: readonly string[], subnets: readonly { name: string; body: SubnetBody }[]): void {
  const spaces = space.map(parseBlock);
  const placed: { name: string; block: ReturnType<typeof parseBlock> }[] = [];
  for (const { name, body } of subnets) {
    if (prefixesOf(body).length === 0) {
      throw new Refusal(400, 'MissingAddressPrefix', `Subnet '${name}' has no address prefix.`);
    }
    for (const block of prefixesOf(body).map(parseBlock)) {
      if (!spaces.some((outer) => contains(outer, block))) {
        throw new Refusal(
          400,
          'NetcfgInvalidSubnet',
          `Subnet '${name}' is not valid because its IP address range is outside the IP address range of virtual network.`,
        );
      }
      const other = placed.find((earlier) => overlaps(earlier.block, block));
      if (other) {
        throw new Refusal(
          400,
          'NetcfgSubnetRangesOverlap',
          `Subnet '${name}' is not valid because its IP address range overlaps with that of an existing subnet '${other.name}'.`,
        );
      }
      placed.push({ name, block });
    }
  }
}

export function subnetsOf(frame: Frame, networkId: string): Stored<SubnetBody>[] {
  return frame.store.ofType<SubnetBody>(SUBNETS, networkId);
}

/** Ids of what uses a subnet: interfaces, servers delegated to, node pools. */
function usersOf(frame: Frame, subnetId: string): string[] {
  const isHere = (value: unknown): boolean => typeof value === 'string' && sameId(value, subnetId);
  return frame.store
    .within(frame.subscriptionScope)
    .filter(
      ({ body }) =>
        interfaceSubnets(body).some(isHere) ||
        isHere(memberAt(body, ['properties', 'network', 'delegatedSubnetResourceId'])) ||
        isHere(memberAt(body, ['properties', 'vnetSubnetID'])) ||
        (Array.isArray(memberAt(body, ['properties', 'agentPoolProfiles'])) &&
          (memberAt(body, ['properties', 'agentPoolProfiles']) as Json[]).some((pool) =>
            isHere(pool['vnetSubnetID']),
          )),
    )
    .map(({ id }) => id);
}

function interfaceSubnets(body: Json): unknown[] {
  const configurations = memberAt(body, ['properties', 'ipConfigurations']);
  if (!Array.isArray(configurations)) return [];
  return configurations.map((one: unknown) =>
    isJson(one) ? memberAt(one, ['properties', 'subnet', 'id']) : '',
  );
}

function requireUnused(frame: Frame, subnet: Stored): void {
  const [user] = usersOf(frame, subnet.id);
  if (user === undefined) return;
  throw new Refusal(
    400,
    'InUseSubnetCannotBeDeleted',
    `Subnet ${subnet.name} is in use by ${user} and cannot be deleted. In order to delete the subnet, delete all the ` +
      'resources within the subnet. See aka.ms/deletesubnet.',
  );
}

function requireSameDelegation(frame: Frame, before: Stored<SubnetBody>, after: SubnetBody): void {
  const names = (body: SubnetBody): string =>
    (body.properties.delegations ?? [])
      .map(({ properties }) => properties.serviceName)
      .sort()
      .join();
  const [user] = usersOf(frame, before.id);
  if (user === undefined || names(before.body) === names(after)) return;
  throw new Refusal(
    400,
    'SubnetMissingRequiredDelegation',
    `Subnet ${before.id} requires its delegations unchanged while it is in use by ${user}.`,
  );
}

function subnetAsStored(properties: SubnetBody['properties']): Json {
  const delegations = properties.delegations?.map((delegation) => ({
    ...delegation,
    properties: {
      ...delegation.properties,
      provisioningState: 'Succeeded',
      actions: ['Microsoft.Network/virtualNetworks/subnets/join/action'],
    },
  }));
  return {
    properties: {
      privateEndpointNetworkPolicies: 'Disabled',
      privateLinkServiceNetworkPolicies: 'Enabled',
      ...properties,
      delegations: delegations ?? [],
      provisioningState: 'Succeeded',
    },
  };
}

const virtualNetworks: ResourceType<NetworkBody, Json, NetworkInput> = {
  type: VIRTUAL_NETWORKS,
  apiVersions: NETWORK_API_VERSIONS,
  scope: 'resource-group',
  name: NAME,
  tracked: true,
  etag: true,
  state: provisioningState,
  operations: { style: 'azure-async-operation', retryAfterSeconds: 5 },
  busy: networkBusy,
  body: networkBody,
  put: (call, input) => {
    const { subnets = [], ...properties } = input.properties;
    requireRoom(
      properties.addressSpace.addressPrefixes,
      subnets.map(({ name, properties: its }) => ({ name, body: { properties: its } })),
    );
    const { frame, id } = call;
    const kept = subnetsOf(frame, id);
    for (const subnet of kept) {
      const wanted = subnets.find(({ name }) => name.toLowerCase() === subnet.name.toLowerCase());
      if (!wanted) requireUnused(frame, subnet);
      else requireSameDelegation(frame, subnet, wanted);
    }
    for (const subnet of kept) {
      const isWanted = subnets.some(({ name }) => name.toLowerCase() === subnet.name.toLowerCase());
      if (!isWanted) frame.store.delete(subnet.id);
    }
    for (const subnet of subnets) {
      frame.store.put(`${id}/subnets/${subnet.name}`, SUBNETS, { body: subnetAsStored(subnet.properties) });
    }
    return { body: { ...input, properties }, takes: durations.virtualNetwork };
  },
  patchBody: z.strictObject({ tags: tagsSchema.nullish() }),
  patch: (_call, input, before) => ({ body: { ...before.body, ...input } }),
  remove: (call) => {
    for (const subnet of subnetsOf(call.frame, call.id)) requireUnused(call.frame, subnet);
    return { takes: durations.virtualNetwork };
  },
  show: (frame, stored) => ({
    ...stored.body,
    properties: {
      virtualNetworkPeerings: [],
      enableDdosProtection: false,
      ...stored.body.properties,
      subnets: subnetsOf(frame, stored.id).map((subnet) => frame.show(subnet)),
    },
  }),
};

const subnets: ResourceType<SubnetBody, Json, SubnetInput> = {
  type: SUBNETS,
  apiVersions: NETWORK_API_VERSIONS,
  scope: 'resource-group',
  name: NAME,
  etag: true,
  state: provisioningState,
  operations: { style: 'azure-async-operation', retryAfterSeconds: 3 },
  busy: networkBusy,
  body: subnetBody,
  put: (call, input, before) => {
    const network = networkOf(call);
    const others = subnetsOf(call.frame, network.id).filter(({ id }) => !sameId(id, call.id));
    requireRoom(network.body.properties.addressSpace.addressPrefixes, [
      ...others,
      { name: call.name, body: input },
    ]);
    if (before) requireSameDelegation(call.frame, before, input);
    return { body: subnetAsStored(input.properties) as SubnetBody, takes: durations.subnet };
  },
  remove: (call, before) => {
    requireUnused(call.frame, before);
    return { takes: durations.subnet };
  },
  show: (frame, stored) => ({
    ...stored.body,
    properties: {
      ...stored.body.properties,
      ...usage(frame, stored.id),
    },
  }),
};

function usage(frame: Frame, subnetId: string): Json {
  const users = usersOf(frame, subnetId);
  const interfaces = users.filter((id) => isJson(frame.store.get(id)) && /networkInterfaces/i.test(id));
  return interfaces.length === 0
    ? {}
    : { ipConfigurations: interfaces.map((id) => ({ id: `${id}/ipConfigurations/ipconfig1` })) };
}

function networkOf({ frame, parentId }: Call): Stored<NetworkBody> {
  const network = frame.store.get<NetworkBody>(parentId);
  if (!network) throw new Error(`a subnet without a network at ${parentId}`);
  return network;
}

const networkInterfaces: ResourceType = {
  type: NETWORK_INTERFACES,
  apiVersions: NETWORK_API_VERSIONS,
  scope: 'resource-group',
  tracked: true,
  etag: true,
  state: provisioningState,
  remove: (_call, before) => {
    throw new Refusal(
      400,
      'CannotDeleteNetworkInterface',
      `Network interface ${before.id} is owned by a private endpoint and cannot be deleted on its own.`,
    );
  },
};

const networkSecurityGroups: ResourceType = {
  type: 'Microsoft.Network/networkSecurityGroups',
  apiVersions: NETWORK_API_VERSIONS,
  scope: 'resource-group',
  name: NAME,
  tracked: true,
  etag: true,
  state: provisioningState,
  body: z.strictObject({
    ...trackedMembers,
    properties: z
      .strictObject({
        securityRules: z.array(z.unknown()).optional(),
        flushConnection: z.boolean().optional(),
        ...readOnly(
          'defaultSecurityRules',
          'networkInterfaces',
          'subnets',
          'flowLogs',
          'resourceGuid',
          'provisioningState',
        ),
      })
      .optional(),
  }),
  put: (_call, input) => ({
    body: { ...input, properties: { securityRules: [], ...objectAt(input, 'properties') } },
    takes: durations.subnet,
  }),
  remove: () => ({ takes: durations.subnet }),
};

/** The subnet, or the refusal that providers give for a reference to one that is not there. */
export function requireSubnet(frame: Frame, id: string): Stored<SubnetBody> {
  const subnet = frame.store.get<SubnetBody>(id);
  if (subnet?.type === SUBNETS && frame.store.get(parentIdOf(id))) return subnet;
  throw new Refusal(
    400,
    'InvalidResourceReference',
    `Resource ${id} referenced by the resource was not found. Please make sure that the referenced resource exists, ` +
      'and that both resources are in the same region.',
  );
}

export function isDelegatedTo(subnet: Stored<SubnetBody>, service: string): boolean {
  return (subnet.body.properties.delegations ?? []).some(
    ({ properties }) => properties.serviceName.toLowerCase() === service.toLowerCase(),
  );
}

/** The first free address of a subnet. */
export function freeAddress(frame: Frame, subnet: Stored<SubnetBody>): string {
  const [prefix] = prefixesOf(subnet.body);
  const block = parseBlock(prefix ?? '0.0.0.0/32');
  const taken = new Set(
    frame.store
      .ofType(NETWORK_INTERFACES)
      .filter(({ body }) => interfaceSubnets(body).some((id) => sameId(String(id), subnet.id)))
      .map(({ body }) => addressOfInterface(body)),
  );
  for (let index = RESERVED_ADDRESSES; index < block.size - 1; index += 1) {
    const address = addressAt(block, index);
    if (!taken.has(address)) return address;
  }
  throw new Refusal(
    400,
    'SubnetIsFull',
    `Subnet ${lastName(subnet.id)} with address prefix ${prefix} does not have enough capacity for 1 IP addresses.`,
  );
}

export function addressOfInterface(body: Json): string {
  const configurations = memberAt(body, ['properties', 'ipConfigurations']);
  const first: unknown = Array.isArray(configurations) ? configurations[0] : undefined;
  return isJson(first) ? String(memberAt(first, ['properties', 'privateIPAddress'])) : '';
}

/** Usable addresses of a subnet. */
export function sizeOf(subnet: Stored<SubnetBody>): number {
  return prefixesOf(subnet.body).reduce((sum, prefix) => sum + parseBlock(prefix).size, 0);
}

export function networkIdOf(subnetId: string): string {
  return parentIdOf(subnetId);
}

export function isInNetwork(subnetId: string, networkId: string): boolean {
  return isWithin(subnetId, networkId);
}

export const networkTypes = [virtualNetworks, subnets, networkInterfaces, networkSecurityGroups] as const;

/** Microsoft.Network/privateDnsZones, and what a resolver inside a virtual network answers. */
import { z } from 'zod';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import { type Json, memberAt, mergePatch } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers, inert, readOnly, tagsSchema, trackedMembers } from './frame/request-body.ts';
import { type Call, provisioningState, type ResourceType, type Stored } from './frame/resource-type.ts';
import { parentIdOf, sameId } from './frame/target.ts';
import { VIRTUAL_NETWORKS } from './network.ts';

const API_VERSIONS = ['2024-06-01', '2020-06-01', '2020-01-01', '2018-09-01'];
export const PRIVATE_DNS_ZONES = 'Microsoft.Network/privateDnsZones';
const LINKS = `${PRIVATE_DNS_ZONES}/virtualNetworkLinks`;
const A_RECORDS = `${PRIVATE_DNS_ZONES}/A`;

const globalTracked = { ...trackedMembers, location: z.literal('global') };

type Zone = { location: 'global'; tags?: Record<string, string> | null | undefined; properties: Json };

const zones: ResourceType<Zone> = {
  type: PRIVATE_DNS_ZONES,
  apiVersions: API_VERSIONS,
  scope: 'resource-group',
  name: {
    pattern: /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}$/i,
    code: 'BadRequest',
    message: "The domain name '{name}' is invalid: it needs 2 to 34 labels of letters, digits, '-' and '_'.",
  },
  tracked: true,
  etag: true,
  state: provisioningState,
  operations: { style: 'azure-async-operation', retryAfterSeconds: 5, updateStatus: 202 },
  body: z.strictObject({
    ...globalTracked,
    properties: z
      .strictObject(
        readOnly(
          'maxNumberOfRecordSets',
          'numberOfRecordSets',
          'maxNumberOfVirtualNetworkLinks',
          'numberOfVirtualNetworkLinks',
          'maxNumberOfVirtualNetworkLinksWithRegistration',
          'numberOfVirtualNetworkLinksWithRegistration',
          'provisioningState',
          'internalId',
        ),
      )
      .optional(),
  }),
  put: (_call, input, before) => ({
    body: { ...input, location: 'global', properties: {} },
    // An update of what exists is done at once.
    ...(before ? {} : { takes: durations.privateDnsZone }),
  }),
  patchBody: z.strictObject({ tags: tagsSchema.nullish(), ...readOnly('location', 'properties', 'etag') }),
  patch: (_call, input, before) => ({ body: { ...before.body, ...input } }),
  remove: (call) => {
    if (linksOf(call.frame, call.id).length > 0) {
      throw new Refusal(409, 'CannotDeleteResource', 'Cannot delete resource while nested resources exist.');
    }
    return { takes: durations.privateDnsZone };
  },
  show: (frame, stored) => ({
    ...stored.body,
    properties: {
      maxNumberOfRecordSets: 25_000,
      maxNumberOfVirtualNetworkLinks: 1000,
      maxNumberOfVirtualNetworkLinksWithRegistration: 100,
      numberOfRecordSets: recordsOf(frame, stored.id).length + 1,
      numberOfVirtualNetworkLinks: linksOf(frame, stored.id).length,
      numberOfVirtualNetworkLinksWithRegistration: 0,
      ...stored.body.properties,
    },
  }),
};

const linkBody = z.strictObject({
  ...globalTracked,
  properties: z.strictObject({
    virtualNetwork: z.strictObject({ id: z.string() }),
    registrationEnabled: z.boolean(),
    resolutionPolicy: z.enum(['Default', 'NxDomainRedirect']).optional(),
    ...readOnly('virtualNetworkLinkState', 'provisioningState'),
  }),
});
type Link = z.infer<typeof linkBody>;

function linksOf(frame: Frame, zoneId: string): Stored<Link>[] {
  return frame.store.ofType<Link>(LINKS, zoneId);
}

const links: ResourceType<Link, Json, Link> = {
  type: LINKS,
  apiVersions: API_VERSIONS,
  scope: 'resource-group',
  tracked: true,
  etag: true,
  state: provisioningState,
  operations: { style: 'azure-async-operation', retryAfterSeconds: 5, updateStatus: 202 },
  body: linkBody,
  put: (call, input, before) => {
    const { frame } = call;
    const networkId = input.properties.virtualNetwork.id;
    if (frame.store.get(networkId)?.type !== VIRTUAL_NETWORKS) {
      throw new Refusal(
        404,
        'ParentResourceNotFound',
        `Virtual network resource not found for '${networkId}'`,
      );
    }
    call.requireLinked('Microsoft.Network/virtualNetworks/join/action', networkId);
    if (before && !sameId(before.body.properties.virtualNetwork.id, networkId)) {
      throw new Refusal(409, 'Conflict', 'The virtual network of a virtual network link cannot be changed.');
    }
    const zone = zoneNameOf(parentIdOf(call.id));
    const twin = frame.store
      .ofType<Link>(LINKS)
      .find(
        ({ id, body }) =>
          !sameId(id, call.id) &&
          sameId(body.properties.virtualNetwork.id, networkId) &&
          zoneNameOf(parentIdOf(id)) === zone,
      );
    if (twin) {
      throw new Refusal(
        400,
        'BadRequest',
        `A virtual network cannot be linked to multiple zones with overlapping namespaces. You tried to link virtual ` +
          `network with '${zone}' and '${zone}' zones.`,
      );
    }
    return {
      body: input,
      ...(before ? {} : { takes: durations.virtualNetworkLink }),
    };
  },
  patchBody: z.strictObject({
    tags: tagsSchema.nullish(),
    properties: z
      .strictObject({ registrationEnabled: z.boolean().optional(), ...inert('resolutionPolicy') })
      .optional(),
  }),
  patch: (_call, input, before) => ({ body: mergePatch(before.body, input) as Link }),
  remove: () => ({ takes: durations.virtualNetworkLink }),
  show: (_frame, stored) => ({
    ...stored.body,
    properties: {
      ...stored.body.properties,
      virtualNetworkLinkState: stored.operationId === undefined ? 'Completed' : 'InProgress',
    },
  }),
};

const recordBody = z.strictObject({
  ...childMembers,
  properties: z.strictObject({
    ttl: z.int().min(1),
    aRecords: z.array(z.strictObject({ ipv4Address: z.ipv4() })),
    metadata: z.record(z.string(), z.string()).optional(),
    ...readOnly('fqdn', 'isAutoRegistered'),
  }),
});
type ARecord = z.infer<typeof recordBody>;

function recordsOf(frame: Frame, zoneId: string): Stored<ARecord>[] {
  return frame.store.ofType<ARecord>(A_RECORDS, zoneId);
}

const aRecords: ResourceType<ARecord, Json, ARecord> = {
  type: A_RECORDS,
  apiVersions: API_VERSIONS,
  scope: 'resource-group',
  etag: true,
  body: recordBody,
  put: (_call, input) => ({ body: input }),
  remove: () => ({}),
  show: (_frame, stored) => ({
    ...stored.body,
    properties: {
      ...stored.body.properties,
      fqdn: `${stored.name}.${zoneNameOf(parentIdOf(stored.id))}.`,
      isAutoRegistered: false,
    },
  }),
};

const allRecords: ResourceType = {
  type: `${PRIVATE_DNS_ZONES}/ALL`,
  apiVersions: API_VERSIONS,
  scope: 'resource-group',
  list: (call: Call) => recordsOf(call.frame, call.id).map((record) => call.frame.show(record)),
};

const zoneNameOf = (id: string): string => (/privateDnsZones\/([^/]+)/i.exec(id)?.[1] ?? '').toLowerCase();

/** What a private endpoint's DNS zone group does. */
export function writeRecord(
  frame: Frame,
  zoneId: string,
  name: string,
  address: string,
  creator: string,
): void {
  frame.store.put(`${zoneId}/A/${name}`, A_RECORDS, {
    body: {
      properties: { ttl: 10, aRecords: [{ ipv4Address: address }], metadata: { creator } },
    },
  });
}

export function dropRecord(frame: Frame, zoneId: string, name: string, address: string): void {
  const record = frame.store.get<ARecord>(`${zoneId}/A/${name}`);
  if (record?.body.properties.aRecords.some(({ ipv4Address }) => ipv4Address === address)) {
    frame.store.delete(record.id);
  }
}

/**
 * What a zone linked to the network answers for `<name>.<zone>`: undefined when no such zone is linked (public DNS then
 * goes on), null when the zone is linked and has no such record (the resolver stops there).
 */
export function lookUp(
  frame: Frame,
  networkId: string,
  zone: string,
  name: string,
): string | null | undefined {
  const link = frame.store
    .ofType<Link>(LINKS)
    .find(
      ({ id, body, operationId }) =>
        operationId === undefined &&
        sameId(body.properties.virtualNetwork.id, networkId) &&
        zoneNameOf(parentIdOf(id)) === zone.toLowerCase(),
    );
  if (!link) return undefined;
  const record = frame.store.get<ARecord>(`${parentIdOf(link.id)}/A/${name}`);
  const address = record?.body.properties.aRecords[0]?.ipv4Address;
  if (address !== undefined) return address;
  return link.body.properties.resolutionPolicy === 'NxDomainRedirect' ? undefined : null;
}

export function isReadyZone(frame: Frame, zoneId: string): boolean {
  const zone = frame.store.get(zoneId);
  return (
    zone?.type === PRIVATE_DNS_ZONES &&
    memberAt(zone.body, ['properties', 'provisioningState']) === 'Succeeded'
  );
}

export const privateDnsTypes = [zones, links, aRecords, allRecords] as const;

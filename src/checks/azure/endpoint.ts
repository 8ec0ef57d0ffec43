/**
 * A private endpoint from end to end: there, approved by what it leads to, in its DNS zone by its zone group, and the
 * record is that of its network card.
 */
import { orAbsent } from '../../clients/cloud-failure.ts';
import type { ResourceKey } from '../../graph/resource.ts';
import { ZONE_GROUP } from '../../resources/kinds/private-endpoint.ts';
import type { Check, CheckFinding, CheckScope, System } from '../check.ts';
import { repairOf } from '../repair.ts';
import { findZone } from './parts.ts';

interface Use {
  readonly id: string;
  readonly system: System;
  readonly title: string;
  readonly resource: ResourceKey;
  isWanted?(scope: Pick<CheckScope, 'spec' | 'names'>): boolean;
  readonly parts: (scope: Pick<CheckScope, 'names'>) => {
    readonly endpoint: string;
    readonly zone: string;
    /** Name of what it leads to, and so of the record. */
    readonly target: string;
  };
  readonly breaks: string;
}

export const endpointCheck = (use: Use): Check => ({
  id: use.id,
  system: use.system,
  title: use.title,
  ...(use.isWanted ? { isWanted: use.isWanted } : {}),

  async run(scope) {
    const { endpoint: name, target } = use.parts(scope);
    const { resourceGroup: group } = scope.names;
    const endpoint = await orAbsent(scope.clients.network().privateEndpoints.get(group, name));
    const common = {
      resource: use.resource,
      severity: 'error',
      breaks: use.breaks,
      repair: repairOf(scope),
    } as const;
    if (!endpoint) {
      return [
        {
          ...common,
          id: `${use.id}-missing`,
          what: `The private endpoint ${name} does not exist.`,
          evidence: `Azure answers 404 for it in the resource group ${group}.`,
          remedy: 'Have it made anew.',
        },
      ];
    }
    const connection = endpoint.privateLinkServiceConnections?.[0];
    const status = connection?.privateLinkServiceConnectionState?.status ?? 'Pending';
    if (status !== 'Approved') {
      const { repair, ...unrepaired } = common;
      return [
        {
          ...unrepaired,
          id: `${use.id}-not-approved`,
          what: `The connection of the private endpoint ${name} is not approved.`,
          evidence: `privateLinkServiceConnectionState.status is ${status}.`,
          remedy:
            status === 'Pending'
              ? `Approve it: az network private-endpoint-connection approve --id <id>, listed by az network private-endpoint-connection list --id ${connection?.privateLinkServiceId ?? target}`
              : `Find out who rejected it on ${target}. Such an endpoint never carries traffic again; have it made anew.`,
          ...(status === 'Pending' ? {} : { repair }),
        },
      ];
    }
    if (endpoint.provisioningState === 'Failed') {
      return [
        {
          ...common,
          id: `${use.id}-failed`,
          what: `The last change of the private endpoint ${name} failed.`,
          evidence: `provisioningState is ${endpoint.provisioningState}.`,
          remedy: `See why in its activity log: az network private-endpoint show -g ${group} -n ${name}`,
        },
      ];
    }
    return recordFindings(scope, use, common);
  },
});

async function recordFindings(
  scope: CheckScope,
  use: Use,
  common: Pick<CheckFinding, 'resource' | 'severity' | 'breaks' | 'repair'>,
): Promise<readonly CheckFinding[]> {
  const { endpoint: name, zone: zoneName, target } = use.parts(scope);
  const { resourceGroup: group } = scope.names;
  // Without its zone nothing can be said about what is in it, and that it is gone is told elsewhere.
  const { zone } = await findZone(scope, zoneName);
  if (!zone) return [];
  const zoneGroup = await orAbsent(scope.clients.network().privateDnsZoneGroups.get(group, name, ZONE_GROUP));
  const config = zoneGroup?.privateDnsZoneConfigs?.find(
    ({ privateDnsZoneId }) => privateDnsZoneId?.toLowerCase() === zone.id?.toLowerCase(),
  );
  if (!config) {
    return [
      {
        ...common,
        id: `${use.id}-not-in-zone`,
        what: `The private endpoint ${name} writes no record into the zone ${zoneName}.`,
        evidence: zoneGroup
          ? `Its DNS zone group ${ZONE_GROUP} does not name that zone.`
          : `It has no DNS zone group ${ZONE_GROUP}.`,
        remedy: `az network private-endpoint dns-zone-group create -g ${group} --endpoint-name ${name} -n ${ZONE_GROUP} --private-dns-zone ${zoneName} --zone-name ${zoneName.replaceAll('.', '-')}`,
      },
    ];
  }
  const written = (config.recordSets ?? []).flatMap(({ ipAddresses }) => ipAddresses ?? []);
  const record = await orAbsent(scope.clients.privateDns().recordSets.get(group, zoneName, 'A', target));
  const found = (record?.aRecords ?? []).flatMap(({ ipv4Address }) => ipv4Address ?? []);
  if (
    written.length > 0 &&
    written.every((address) => found.includes(address)) &&
    found.length === written.length
  ) {
    return [];
  }
  // The zone group thinks that it has written it, so a reconcile sees nothing to push.
  const { repair: _, ...unrepaired } = common;
  return [
    {
      ...unrepaired,
      id: `${use.id}-${record ? 'record-wrong' : 'record-missing'}`,
      what: record
        ? `The record of ${target} in the zone ${zoneName} is not the address of its private endpoint.`
        : `The zone ${zoneName} has no record of ${target}.`,
      evidence: `A record ${target}: ${found.join(', ') || 'none'}; ${name} has ${written.join(', ') || 'none'}.`,
      remedy: `Delete its DNS zone group and have it made anew, which writes the record: az network private-endpoint dns-zone-group delete -g ${group} --endpoint-name ${name} -n ${ZONE_GROUP}; then ${repairOf(scope)}`,
    },
  ];
}

/**
 * A private endpoint with its DNS zone group. The group, not us, keeps the address record in step with the endpoint's
 * network card (https://learn.microsoft.com/azure/private-link/private-endpoint-dns); the endpoint carries traffic only
 * once the other side has approved the connection.
 */
import type { PrivateEndpoint } from '@azure/arm-network';
import { orAbsent } from '../../clients/cloud-failure.ts';
import type { Observed, ResourceKey } from '../../graph/resource.ts';
import type { Scope } from '../scope.ts';
import {
  bodyDifferences,
  isRemovable,
  judge,
  missing,
  refuseToReplace,
  seenDifferences,
  submitFor,
  withOurTags,
} from './arm-resource.ts';

export interface EndpointWish {
  readonly key: ResourceKey;
  readonly name: string;
  readonly subnetId: string;
  /** ARM id of what is reached through it. */
  readonly targetId: string;
  /** Sub-resource: `file`, `postgresqlServer`. */
  readonly group: string;
  readonly zoneName: string;
  readonly zoneId: string;
}

const LOOK_AGAIN_SECONDS = 5;
export const ZONE_GROUP = 'default';
/** Rejected or disconnected by the other side. */
const CONNECTION_REFUSED = 'ConnectionNotApproved';

/** The body that creates it. */
export const endpointBody = (
  scope: Pick<Scope, 'spec' | 'names'>,
  wish: EndpointWish,
  tags: Record<string, string>,
): PrivateEndpoint => ({
  location: scope.spec.location,
  tags,
  subnet: { id: wish.subnetId },
  privateLinkServiceConnections: [
    { name: wish.name, privateLinkServiceId: wish.targetId, groupIds: [wish.group] },
  ],
});

export async function observeEndpoint(
  scope: Scope,
  wish: EndpointWish,
): Promise<Observed<{ readonly id: string }>> {
  const network = scope.clients.network();
  const found = await orAbsent(network.privateEndpoints.get(scope.names.resourceGroup, wish.name));
  if (!found) return missing(scope, wish.key, LOOK_AGAIN_SECONDS);
  const zones = await orAbsent(
    network.privateDnsZoneGroups.get(scope.names.resourceGroup, wish.name, ZONE_GROUP),
  );
  const connection = found.privateLinkServiceConnections?.[0];
  const seen = await judge(scope, {
    key: wish.key,
    what: `the private endpoint ${wish.name}`,
    tags: { found: found.tags },
    provisioningState: moving(found.provisioningState, zones?.provisioningState),
    retryAfterSeconds: LOOK_AGAIN_SECONDS,
    outputs: found.id ? { id: found.id } : undefined,
    differences: bodyDifferences(
      { subnet: { id: wish.subnetId }, target: { id: wish.targetId }, zone: { id: wish.zoneId } },
      {
        subnet: { id: found.subnet?.id },
        target: { id: connection?.privateLinkServiceId },
        zone: { id: zones?.privateDnsZoneConfigs?.[0]?.privateDnsZoneId },
      },
    ),
  });
  if (seen.state !== 'ready') return seen;
  const status = connection?.privateLinkServiceConnectionState?.status ?? 'Pending';
  if (status === 'Approved') return seen;
  const reason = `the connection of ${wish.name} is ${status}`;
  return status === 'Pending'
    ? { state: 'changing', reason, retryAfterSeconds: LOOK_AGAIN_SECONDS }
    : { state: 'failed', outputs: seen.outputs, code: CONNECTION_REFUSED, message: reason };
}

const moving = (endpoint: string | undefined, zones: string | undefined): string | undefined =>
  endpoint !== undefined && endpoint !== 'Succeeded' ? endpoint : zones;

export async function ensureEndpoint(
  scope: Scope,
  wish: EndpointWish,
  seen: Observed<{ readonly id: string }>,
): Promise<void> {
  refuseToReplace(`the private endpoint ${wish.name}`, seen, ['subnet.id', 'target.id']);
  const network = scope.clients.network();
  const group = scope.names.resourceGroup;
  // Such an endpoint never carries traffic again, whatever is sent to it: it is deleted, and the next look finds none.
  // https://learn.microsoft.com/azure/private-link/manage-private-endpoint#manage-private-endpoint-connections-on-a-customer-or-partner-owned-private-link-service
  if (seen.state === 'failed' && seen.code === CONNECTION_REFUSED) {
    await submitFor(scope, wish.key, network.privateEndpoints.beginDelete(group, wish.name));
    return;
  }
  const lacksOnlyZone =
    seen.state === 'drifted' && seenDifferences(seen).every(({ path }) => path === 'zone.id');
  if (lacksOnlyZone) {
    const privateDnsZoneConfigs = [
      { name: wish.zoneName.replaceAll('.', '-'), privateDnsZoneId: wish.zoneId },
    ];
    await submitFor(
      scope,
      wish.key,
      network.privateDnsZoneGroups.beginCreateOrUpdate(group, wish.name, ZONE_GROUP, {
        privateDnsZoneConfigs,
      }),
    );
    return;
  }
  const found = await orAbsent(network.privateEndpoints.get(group, wish.name));
  await submitFor(
    scope,
    wish.key,
    network.privateEndpoints.beginCreateOrUpdate(
      group,
      wish.name,
      endpointBody(scope, wish, withOurTags(scope.names, found?.tags)),
    ),
  );
}

export async function removeEndpoint(
  scope: Scope,
  name: string,
  seen: Observed<{ readonly id: string }>,
): Promise<void> {
  if (isRemovable(seen)) {
    await orAbsent(scope.clients.network().privateEndpoints.beginDelete(scope.names.resourceGroup, name));
  }
}

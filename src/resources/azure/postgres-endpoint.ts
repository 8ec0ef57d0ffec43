import {
  type EndpointWish,
  ensureEndpoint,
  observeEndpoint,
  removeEndpoint,
} from '../kinds/private-endpoint.ts';
import { defineResource, type Scope } from '../scope.ts';
import { network } from './network.ts';
import { postgresServer } from './postgres-server.ts';
import { privateDnsZones } from './private-dns-zones.ts';

const key = 'azure/postgres-endpoint';

const wish = (
  { names }: Pick<Scope, 'names'>,
  deps: {
    readonly network: { readonly privateEndpointSubnetId: string };
    readonly zones: { readonly postgresZoneId: string };
    readonly server: { readonly id: string };
  },
): EndpointWish => ({
  key,
  name: names.postgresEndpoint,
  subnetId: deps.network.privateEndpointSubnetId,
  targetId: deps.server.id,
  group: 'postgresqlServer',
  zoneName: names.postgresZone,
  zoneId: deps.zones.postgresZoneId,
});

/** Only for servers that are not in a delegated subnet: those take no private endpoint. */
export const postgresEndpoint = defineResource<
  {
    readonly network: typeof network;
    readonly zones: typeof privateDnsZones;
    readonly server: typeof postgresServer;
  },
  { readonly id: string }
>({
  key,
  title: 'Private endpoint of PostgreSQL',
  dependsOn: { network, zones: privateDnsZones, server: postgresServer },
  isWanted: ({ spec }) => spec.postgres.privateAccess === 'private-endpoint',
  observe: (scope, deps) => observeEndpoint(scope, wish(scope, deps)),
  ensure: (scope, deps, seen) => ensureEndpoint(scope, wish(scope, deps), seen),
  remove: (scope, _deps, seen) => removeEndpoint(scope, scope.names.postgresEndpoint, seen),
});

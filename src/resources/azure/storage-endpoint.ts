import {
  type EndpointWish,
  ensureEndpoint,
  observeEndpoint,
  removeEndpoint,
} from '../kinds/private-endpoint.ts';
import { defineResource, type Scope } from '../scope.ts';
import { network } from './network.ts';
import { privateDnsZones } from './private-dns-zones.ts';
import { storageAccount } from './storage-account.ts';

const key = 'azure/storage-endpoint';

const wish = (
  { names }: Pick<Scope, 'names'>,
  deps: {
    readonly network: { readonly privateEndpointSubnetId: string };
    readonly zones: { readonly fileZoneId: string };
    readonly account: { readonly id: string };
  },
): EndpointWish => ({
  key,
  name: names.storageEndpoint,
  subnetId: deps.network.privateEndpointSubnetId,
  targetId: deps.account.id,
  group: 'file',
  zoneName: names.fileZone,
  zoneId: deps.zones.fileZoneId,
});

/** The only way to the share: through it the nodes mount it over SMB. */
export const storageEndpoint = defineResource<
  {
    readonly network: typeof network;
    readonly zones: typeof privateDnsZones;
    readonly account: typeof storageAccount;
  },
  { readonly id: string }
>({
  key,
  title: 'Private endpoint of the storage account',
  dependsOn: { network, zones: privateDnsZones, account: storageAccount },
  observe: (scope, deps) => observeEndpoint(scope, wish(scope, deps)),
  ensure: (scope, deps, seen) => ensureEndpoint(scope, wish(scope, deps), seen),
  remove: (scope, _deps, seen) => removeEndpoint(scope, scope.names.storageEndpoint, seen),
});

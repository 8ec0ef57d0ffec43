/**
 * The virtual network and its three subnets. A PUT of the network without a subnet deletes that subnet, so only the
 * first one carries them all; afterwards each subnet is put by itself, on top of what is there, and one at a time, for
 * the network provider locks the whole network while it works.
 */
import type { Subnet, VirtualNetwork } from '@azure/arm-network';
import { orAbsent } from '../../clients/cloud-failure.ts';
import type { Difference } from '../../graph/resource.ts';
import type { DeploymentSpec } from '../../spec/spec.ts';
import {
  isRemovable,
  judge,
  missing,
  seenDifferences,
  submitFor,
  withOurTags,
} from '../kinds/arm-resource.ts';
import { defineResource } from '../scope.ts';
import { resourceGroup } from './resource-group.ts';

const key = 'azure/network';
const POSTGRES_DELEGATION = 'Microsoft.DBforPostgreSQL/flexibleServers';

/** A delegated subnet takes PostgreSQL servers only, and needs Storage for their write-ahead logs. */
export function wantedSubnets(spec: DeploymentSpec): Subnet[] {
  const { aks, privateEndpoints, postgres } = spec.network.subnets;
  const isDelegated = spec.postgres.privateAccess === 'delegated-subnet';
  return [
    { name: aks.name, addressPrefix: aks.prefix },
    { name: privateEndpoints.name, addressPrefix: privateEndpoints.prefix },
    {
      name: postgres.name,
      addressPrefix: postgres.prefix,
      ...(isDelegated
        ? {
            delegations: [{ name: 'postgres', serviceName: POSTGRES_DELEGATION }],
            serviceEndpoints: [{ service: 'Microsoft.Storage' }],
          }
        : {}),
    },
  ];
}

const prefixOf = (subnet: Subnet): string | undefined => subnet.addressPrefix ?? subnet.addressPrefixes?.[0];
const namedLike = (wanted: Subnet) => (subnet: Subnet) =>
  subnet.name?.toLowerCase() === wanted.name?.toLowerCase();

/** Paths begin with `addressSpace` or with `subnets.<name>`; what others added stays unmentioned. */
export function networkDifferences(spec: DeploymentSpec, found: VirtualNetwork): Difference[] {
  const prefixes = found.addressSpace?.addressPrefixes ?? [];
  const result: Difference[] = prefixes.includes(spec.network.addressSpace)
    ? []
    : [{ path: 'addressSpace.addressPrefixes', wanted: spec.network.addressSpace, found: prefixes }];
  for (const wanted of wantedSubnets(spec)) {
    const path = `subnets.${wanted.name}`;
    const subnet = found.subnets?.find(namedLike(wanted));
    if (!subnet) {
      result.push({ path, wanted: wanted.addressPrefix ?? null, found: null });
      continue;
    }
    if (prefixOf(subnet) !== wanted.addressPrefix) {
      result.push({
        path: `${path}.addressPrefix`,
        wanted: wanted.addressPrefix ?? null,
        found: prefixOf(subnet) ?? null,
      });
    }
    const delegations = subnet.delegations?.map(({ serviceName }) => serviceName ?? '') ?? [];
    const wantedDelegation = wanted.delegations?.[0]?.serviceName;
    if (wantedDelegation && !delegations.includes(wantedDelegation)) {
      result.push({ path: `${path}.delegations`, wanted: wantedDelegation, found: delegations });
    }
    const services = subnet.serviceEndpoints?.map(({ service }) => service ?? '') ?? [];
    const wantedService = wanted.serviceEndpoints?.[0]?.service;
    if (wantedService && !services.includes(wantedService)) {
      result.push({ path: `${path}.serviceEndpoints`, wanted: wantedService, found: services });
    }
  }
  return result;
}

/** What is there with ours on top; others' service endpoints, route tables and security groups stay. */
export function mergedSubnet(wanted: Subnet, found: Subnet | undefined): Subnet {
  const others = (found?.serviceEndpoints ?? []).filter(
    ({ service }) => !wanted.serviceEndpoints?.some((endpoint) => endpoint.service === service),
  );
  const serviceEndpoints = [...others, ...(wanted.serviceEndpoints ?? [])];
  const { addressPrefixes: _, ...kept } = found ?? {};
  return { ...kept, ...wanted, ...(serviceEndpoints.length > 0 ? { serviceEndpoints } : {}) };
}

export const network = defineResource<
  { readonly group: typeof resourceGroup },
  {
    readonly vnetId: string;
    readonly aksSubnetId: string;
    readonly privateEndpointSubnetId: string;
    readonly postgresSubnetId: string;
  }
>({
  key,
  title: 'Virtual network',
  dependsOn: { group: resourceGroup },

  async observe(scope) {
    const { spec, names } = scope;
    const name = spec.network.vnet;
    const found = await orAbsent(scope.clients.network().virtualNetworks.get(names.resourceGroup, name));
    if (!found) return missing(scope, key, 5);
    const { id } = found;
    const { aks, privateEndpoints, postgres } = spec.network.subnets;
    const busy = found.subnets?.find(
      ({ provisioningState }) => provisioningState === 'Updating' || provisioningState === 'Deleting',
    );
    return judge(scope, {
      key,
      what: `the virtual network ${name}`,
      tags: { found: found.tags },
      provisioningState: busy?.provisioningState ?? found.provisioningState,
      retryAfterSeconds: 5,
      outputs: id
        ? {
            vnetId: id,
            aksSubnetId: `${id}/subnets/${aks.name}`,
            privateEndpointSubnetId: `${id}/subnets/${privateEndpoints.name}`,
            postgresSubnetId: `${id}/subnets/${postgres.name}`,
          }
        : undefined,
      differences: networkDifferences(spec, found),
    });
  },

  async ensure(scope, _deps, seen) {
    const { spec, names, clients } = scope;
    const { resourceGroup: group } = names;
    const { virtualNetworks, subnets } = clients.network();
    const name = spec.network.vnet;
    const found = await orAbsent(virtualNetworks.get(group, name));
    if (!found || seen.state === 'failed') {
      const body = {
        ...found,
        location: spec.location,
        tags: withOurTags(names, found?.tags),
        addressSpace: found?.addressSpace ?? { addressPrefixes: [spec.network.addressSpace] },
        subnets: found?.subnets ?? wantedSubnets(spec),
      };
      await submitFor(scope, key, virtualNetworks.beginCreateOrUpdate(group, name, body));
      return;
    }
    const first = seenDifferences(seen)[0]?.path ?? '';
    if (first.startsWith('tags.')) {
      await virtualNetworks.updateTags(group, name, { tags: withOurTags(names, found.tags) });
    } else if (first.startsWith('addressSpace')) {
      const addressPrefixes = [...(found.addressSpace?.addressPrefixes ?? []), spec.network.addressSpace];
      await submitFor(
        scope,
        key,
        virtualNetworks.beginCreateOrUpdate(group, name, { ...found, addressSpace: { addressPrefixes } }),
      );
    } else {
      const wanted = wantedSubnets(spec).find((subnet) => `${first}.`.startsWith(`subnets.${subnet.name}.`));
      if (!wanted?.name) return;
      const body = mergedSubnet(wanted, found.subnets?.find(namedLike(wanted)));
      await submitFor(scope, key, subnets.beginCreateOrUpdate(group, name, wanted.name, body));
    }
  },

  async remove(scope, _deps, seen) {
    if (!isRemovable(seen)) return;
    const { resourceGroup: group } = scope.names;
    await orAbsent(
      submitFor(
        scope,
        key,
        scope.clients.network().virtualNetworks.beginDelete(group, scope.spec.network.vnet),
      ),
    );
  },
});

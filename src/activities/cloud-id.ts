/** By which id the log of a cloud knows what a difference is about, as far as the looks tell; the narrowest there is. */
import type { Outputs, ResourceKey } from '../graph/resource.ts';

type Known = Readonly<Partial<Record<ResourceKey, Outputs>>>;

interface Where {
  readonly path: string;
  /** What the resource told when it was last as asked. */
  readonly outputs: Outputs;
  readonly dependencies: Known;
  readonly subscriptionId: string;
}

const text = (outputs: Outputs | undefined, field: string): string | undefined => {
  const value = outputs?.[field];
  return typeof value === 'string' && value !== '' ? value : undefined;
};

/** Of a thing below one that another resource keeps. */
const below =
  (key: ResourceKey, field: string, tail: (where: Where) => string | undefined) =>
  (where: Where): string | undefined => {
    const [outer, inner] = [text(where.dependencies[key], field), tail(where)];
    return outer === undefined || inner === undefined ? undefined : `${outer}/${inner}`;
  };

/** Role assignments lie below what they are about. */
const roles = (): string => 'providers/Microsoft.Authorization/roleAssignments';

/** An id that another resource told. */
const of =
  (key: ResourceKey, field: string, tail = '') =>
  ({ dependencies }: Where): string | undefined => {
    const id = text(dependencies[key], field);
    return id && id + tail;
  };

/** For those whose outputs hold no `id`. */
const others: Readonly<Partial<Record<ResourceKey, (where: Where) => string | undefined>>> = {
  'azure/network': ({ outputs }) => text(outputs, 'vnetId'),
  'azure/private-dns-zones': ({ path, outputs }) =>
    ['fileZoneId', 'postgresZoneId']
      .flatMap((field) => text(outputs, field) ?? [])
      .find((id) => path.startsWith(id.slice(id.lastIndexOf('/') + 1))),
  'azure/file-share': below('azure/storage-account', 'id', ({ outputs }) => {
    const name = text(outputs, 'name');
    return name && `fileServices/default/shares/${name}`;
  }),
  'azure/postgres-database': below('azure/postgres-server', 'id', ({ outputs }) => {
    const name = text(outputs, 'name');
    return name && `databases/${name}`;
  }),
  'azure/postgres-parameters': below('azure/postgres-server', 'id', ({ path }) => `configurations/${path}`),
  'azure/vault-roles': below('azure/key-vault', 'id', roles),
  'azure/cluster-access': below('azure/cluster', 'id', roles),
  'azure/registry-pull': below('azure/registry', 'id', roles),
  'azure/cluster-subnet-role': below('azure/network', 'aksSubnetId', roles),
  'azure/node-identity': ({ path, dependencies, subscriptionId }) => {
    const group = text(dependencies['azure/cluster'], 'nodeResourceGroup');
    const [scaleSet = ''] = path.split('.');
    return group === undefined || scaleSet === ''
      ? undefined
      : `/subscriptions/${subscriptionId}/resourceGroups/${group}/providers/Microsoft.Compute/virtualMachineScaleSets/${scaleSet}`;
  },
  'entra/application': ({ outputs }) => text(outputs, 'objectId'),
  'entra/client-secret': (where) =>
    where.path === 'passwordCredentials' ? of('entra/application', 'objectId')(where) : undefined,
  'entra/admin-consent': of('entra/service-principal', 'id'),
  'cloudflare/ingress': of('cloudflare/tunnel', 'id', '/configurations'),
  'cloudflare/tunnel-token': (where) =>
    where.path.endsWith('.value') ? of('cloudflare/tunnel', 'id')(where) : undefined,
};

/** In Azure that of ARM, in the directory an object's, at Cloudflare how its path ends; what is in a cluster has none. */
export function cloudIdOf(key: ResourceKey, where: Where): string | undefined {
  if (key.startsWith('kubernetes/')) return undefined;
  const id = text(where.outputs, 'id') ?? others[key]?.(where);
  return key.startsWith('azure/') && !id?.startsWith('/subscriptions/') ? undefined : id;
}

/** What the server says it serves: `/api`, `/apis` (plain and aggregated) and the resource list of each version. */
import { apiVersionOf, type Kind } from './kinds.ts';

const READ_WRITE = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** Group versions in the order of their groups; the core group is `v1`. */
export function groupVersionsOf(kinds: readonly Kind[]): ReadonlyMap<string, readonly Kind[]> {
  const groups = new Map<string, Kind[]>();
  for (const kind of kinds) {
    const name = apiVersionOf(kind);
    groups.set(name, [...(groups.get(name) ?? []), kind]);
  }
  if (!groups.has('authorization.k8s.io/v1')) groups.set('authorization.k8s.io/v1', []);
  return groups;
}

function groupsOf(kinds: readonly Kind[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const groupVersion of groupVersionsOf(kinds).keys()) {
    const [group = '', version] = groupVersion.split('/');
    if (version !== undefined) groups.set(group, [...(groups.get(group) ?? []), version]);
  }
  return groups;
}

export function apiVersions(host: string): object {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: `${host}:443` }],
  };
}

export function apiGroupList(kinds: readonly Kind[]): object {
  return {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: [...groupsOf(kinds)].map(([name, versions]) => apiGroup(name, versions)),
  };
}

export function findApiGroup(kinds: readonly Kind[], name: string): object | undefined {
  const versions = groupsOf(kinds).get(name);
  return versions && { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(name, versions) };
}

function apiGroup(name: string, versions: readonly string[]): object {
  const listed = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: listed, preferredVersion: listed[0] };
}

/** `APIResourceList` of one group version, or undefined when it is not served. */
export function findResourceList(kinds: readonly Kind[], groupVersion: string): object | undefined {
  const served = groupVersionsOf(kinds).get(groupVersion);
  if (!served) return undefined;
  const resources = served.flatMap((kind) => [
    {
      name: kind.plural,
      singularName: kind.singular,
      namespaced: kind.namespaced,
      kind: kind.kind,
      verbs: READ_WRITE,
      ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
      ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
    },
    ...subresourcesOf(kind).map(({ name, verbs, responseKind }) => ({
      name: `${kind.plural}/${name}`,
      singularName: '',
      namespaced: kind.namespaced,
      kind: responseKind.kind,
      ...(name === 'scale' ? { group: 'autoscaling', version: 'v1' } : {}),
      verbs,
    })),
  ]);
  const reviews =
    groupVersion === 'authorization.k8s.io/v1'
      ? ['SelfSubjectAccessReview', 'SelfSubjectRulesReview'].map((kind) => ({
          name: `${kind.toLowerCase()}s`,
          singularName: kind.toLowerCase(),
          namespaced: false,
          kind,
          verbs: ['create'],
        }))
      : [];
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: [...resources, ...reviews] };
}

interface SubresourceEntry {
  readonly name: string;
  readonly verbs: readonly string[];
  readonly responseKind: { readonly group: string; readonly version: string; readonly kind: string };
}

function subresourcesOf(kind: Kind): SubresourceEntry[] {
  const own = { group: kind.group, version: kind.version, kind: kind.kind };
  const entries: SubresourceEntry[] = kind.subresources.map((name) => ({
    name,
    verbs: ['get', 'patch', 'update'],
    responseKind: name === 'scale' ? { group: 'autoscaling', version: 'v1', kind: 'Scale' } : own,
  }));
  if (kind.kind === 'Pod') entries.push({ name: 'log', verbs: ['get'], responseKind: own });
  if (kind.kind === 'Pod' || kind.kind === 'Service') {
    const verbs = ['create', 'delete', 'get', 'patch', 'update'];
    entries.push({ name: 'proxy', verbs, responseKind: { ...own, kind: `${kind.kind}ProxyOptions` } });
  }
  return entries;
}

/** `apidiscovery.k8s.io/v2`: everything below `/api` or `/apis` in one answer. */
export function aggregatedDiscovery(kinds: readonly Kind[], isCore: boolean, version: string): object {
  const entries = [...groupVersionsOf(kinds)].filter(([name]) => name.includes('/') !== isCore);
  const names = [...new Set(entries.map(([name]) => (name.includes('/') ? (name.split('/')[0] ?? '') : '')))];
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: names.map((group) => ({
      metadata: group === '' ? { creationTimestamp: null } : { name: group, creationTimestamp: null },
      versions: entries
        .filter(([name]) => (isCore ? true : name.startsWith(`${group}/`)))
        .map(([name, served]) => ({
          version: isCore ? name : name.split('/')[1],
          freshness: 'Current',
          resources: served.map((kind) => ({
            resource: kind.plural,
            responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
            scope: kind.namespaced ? 'Namespaced' : 'Cluster',
            singularResource: kind.singular,
            verbs: READ_WRITE,
            ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
            ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
            subresources: subresourcesOf(kind).map((entry) => ({
              subresource: entry.name,
              responseKind: entry.responseKind,
              verbs: entry.verbs,
            })),
          })),
        })),
    })),
  };
}

/**
 * What a path of the Resource Manager points at. Ids are a scope (nothing, a subscription, a resource group, another
 * resource) followed by `/providers/<namespace>/<type>/<name>…`; the last such part counts, so that extension
 * resources (role assignments, event subscriptions) hang on anything. An odd last segment is a collection for GET
 * and an action for POST.
 * https://learn.microsoft.com/azure/azure-resource-manager/management/resource-providers-and-types
 */

export interface Target {
  /** What the last provider part hangs on: '' for the tenant, else an id. */
  readonly scope: string;
  /** `Microsoft.KeyVault/vaults`, with the caller's casing. A namespace alone for actions on a provider. */
  readonly type: string;
  readonly names: readonly string[];
  readonly kind: 'resource' | 'collection' | 'action';
  /** Present when kind is `action`. */
  readonly action?: string;
}

/** Types of ids without a provider part. */
const SUBSCRIPTIONS = 'Microsoft.Resources/subscriptions';
const RESOURCE_GROUPS = 'Microsoft.Resources/subscriptions/resourceGroups';

/** Undefined when the path follows no known form. */
export function parseTarget(path: string, method: string): Target | undefined {
  const segments = path.split('/').filter(Boolean).map(decodeURIComponent);
  const at = segments.findLastIndex((segment) => segment.toLowerCase() === 'providers');
  if (at < 0) return parseScopeTarget(segments, method);
  const scope = at === 0 ? '' : `/${segments.slice(0, at).join('/')}`;
  const [namespace, ...rest] = segments.slice(at + 1);
  if (namespace === undefined || (rest.length === 0 && method === 'GET')) {
    const names = namespace === undefined ? [] : [namespace];
    return {
      scope,
      type: 'Microsoft.Resources/providers',
      names,
      kind: names.length ? 'resource' : 'collection',
    };
  }
  if (method === 'POST' && rest.length === 1 && /^(un)?register$/i.test(rest[0] ?? '')) {
    return {
      scope,
      type: 'Microsoft.Resources/providers',
      names: [namespace],
      kind: 'action',
      action: rest[0] ?? '',
    };
  }
  const last = rest.length % 2 === 1 ? rest.at(-1) : undefined;
  if (last !== undefined && method === 'POST') {
    return { scope, ...pairs(namespace, rest.slice(0, -1)), kind: 'action', action: last };
  }
  return { scope, ...pairs(namespace, rest), kind: last === undefined ? 'resource' : 'collection' };
}

function pairs(namespace: string, rest: readonly string[]): { type: string; names: string[] } {
  return {
    type: [namespace, ...rest.filter((_, index) => index % 2 === 0)].join('/'),
    names: rest.filter((_, index) => index % 2 === 1),
  };
}

function parseScopeTarget(segments: readonly string[], method: string): Target | undefined {
  const [subscriptions, subscription, what, name, more, ...rest] = segments;
  if (subscriptions?.toLowerCase() !== 'subscriptions' || rest.length > 0) return undefined;
  if (subscription === undefined) return { scope: '', type: SUBSCRIPTIONS, names: [], kind: 'collection' };
  const scope = `/subscriptions/${subscription}`;
  if (what === undefined) return { scope: '', type: SUBSCRIPTIONS, names: [subscription], kind: 'resource' };
  const word = what.toLowerCase();
  if (word === 'resources' && name === undefined) {
    return { scope, type: 'Microsoft.Resources/resources', names: [], kind: 'collection' };
  }
  if (word === 'operationresults' && name !== undefined && more === undefined) {
    return {
      scope,
      type: 'Microsoft.Resources/locations/operationResults',
      names: ['', name],
      kind: 'resource',
    };
  }
  if (word !== 'resourcegroups') return undefined;
  if (name === undefined) return { scope, type: RESOURCE_GROUPS, names: [], kind: 'collection' };
  if (more === undefined) return { scope, type: RESOURCE_GROUPS, names: [name], kind: 'resource' };
  const group = `${scope}/resourceGroups/${name}`;
  if (more.toLowerCase() === 'resources' && method === 'GET') {
    return { scope: group, type: 'Microsoft.Resources/resources', names: [], kind: 'collection' };
  }
  return method === 'POST'
    ? { scope, type: RESOURCE_GROUPS, names: [name], kind: 'action', action: more }
    : undefined;
}

/** The id of a type and names at a scope, with the casing given. */
export function idOf(scope: string, type: string, names: readonly string[]): string {
  if (type.toLowerCase() === SUBSCRIPTIONS.toLowerCase()) return `/subscriptions/${names[0] ?? ''}`;
  if (type.toLowerCase() === RESOURCE_GROUPS.toLowerCase())
    return `${scope}/resourceGroups/${names[0] ?? ''}`;
  const [namespace, ...types] = type.split('/');
  const path = types.map((segment, index) => `/${segment}/${names[index] ?? ''}`).join('');
  return `${scope}/providers/${namespace}${path}`;
}

/** Id of the resource group an id lies in, with the casing given; undefined outside of one. */
export function groupIdOf(id: string): string | undefined {
  return /^\/subscriptions\/[^/]+\/resourcegroups\/[^/]+/i.exec(id)?.[0];
}

export function lastName(id: string): string {
  return id.slice(id.lastIndexOf('/') + 1);
}

/** The id without its last type and name: parent resource, or the scope. */
export function parentIdOf(id: string): string {
  const parent = id.split('/').slice(0, -2).join('/');
  return /\/providers\/[^/]+$/i.test(parent) ? parent.replace(/\/providers\/[^/]+$/i, '') : parent;
}

export function isWithin(id: string, scope: string): boolean {
  const inner = id.toLowerCase();
  const outer = scope.toLowerCase().replace(/\/$/, '');
  return inner === outer || inner.startsWith(`${outer}/`);
}

export function sameId(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** From a target to the type that answers it, the id it means and the right it takes. */
import type { Frame } from './frame.ts';
import { Refusal } from './refusal.ts';
import type { Action, ResourceType } from './resource-type.ts';
import { groupIdOf, idOf, parentIdOf, type Target } from './target.ts';

export const RESOURCE_GROUPS = 'Microsoft.Resources/subscriptions/resourceGroups';

/** The type a target is of and its action, with their own spelling; refuses what nobody has, and names in the wrong place. */
export function routeOf(
  frame: Frame,
  target: Target,
): { type: ResourceType; target: Target; action: Action | undefined } {
  const namespace = target.type.split('/')[0] ?? '';
  frame.catalogue.namespaceOf(namespace);
  const type = frame.catalogue.find(target.type);
  if (!type) {
    throw new Refusal(
      404,
      'InvalidResourceType',
      `The resource type '${target.type.slice(namespace.length + 1) || target.action}' could not be found in the ` +
        `namespace '${namespace}', or the sandbox does not have it.`,
    );
  }
  const isPlaced =
    type.scope === 'any' ||
    (type.scope === 'tenant' && target.scope === '') ||
    (type.scope === 'subscription' && isSubscription(target.scope)) ||
    (type.scope === 'resource-group' &&
      (isGroup(target.scope) || (target.kind === 'collection' && isSubscription(target.scope))));
  const depth = depthOf(type.type);
  const hasNames = target.names.length === (target.kind === 'collection' ? depth - 1 : depth);
  if (!isPlaced || !hasNames) throw noSuchPath(idOf(target.scope, target.type, target.names));
  const known = Object.entries(type.actions ?? {}).find(
    ([name]) => name.toLowerCase() === target.action?.toLowerCase(),
  );
  if (target.kind === 'action' && !known) throw noSuchPath(`${type.type}/${target.action}`);
  const [actionName, action] = known ?? [];
  return {
    type,
    target: { ...target, type: type.type, ...(actionName && { action: actionName }) },
    action,
  };
}

/** The id with the casing of what exists already. */
export function canonicalId(frame: Frame, target: Target): string {
  const { subscriptionId } = frame.world.settings;
  if (target.names.length === 0 && target.scope === '') return '';
  const scope = target.scope.replace(/^\/subscriptions\/[^/]+/i, `/subscriptions/${subscriptionId}`);
  const existingScope = frame.store.get(scope)?.id;
  const group = groupIdOf(scope);
  const storedGroup = group && frame.store.get(group)?.id;
  const spelled = existingScope ?? (group && storedGroup ? storedGroup + scope.slice(group.length) : scope);
  if (target.names.length === 0) return spelled;
  const id = idOf(spelled, target.type, target.names);
  const existing = frame.store.get(id)?.id;
  if (existing) return existing;
  const parent = frame.store.get(parentIdOf(id));
  return parent && target.names.length > 1 ? parent.id + id.slice(parent.id.length) : id;
}

export function permissionOf(
  type: ResourceType,
  target: Target,
  action: Action | undefined,
  method: string,
): string {
  if (target.kind === 'action') {
    return (
      action?.permission?.replace('{name}', target.names.at(-1) ?? '') ??
      `${type.type}/${target.action}/action`
    );
  }
  if (method === 'PUT' || method === 'PATCH') return `${type.type}/write`;
  return `${type.type}/${method === 'DELETE' ? 'delete' : 'read'}`;
}

/** What a collection hangs on. */
export function parentOf(target: Target): Target {
  return { ...target, type: target.type.split('/').slice(0, -1).join('/') };
}

/** How many names an id of the type has. */
function depthOf(type: string): number {
  return type === RESOURCE_GROUPS ? 1 : type.split('/').length - 1;
}

export const isSubscription = (scope: string): boolean => /^\/subscriptions\/[^/]+$/i.test(scope);
export const isGroup = (scope: string): boolean =>
  /^\/subscriptions\/[^/]+\/resourcegroups\/[^/]+$/i.test(scope);

export function noSuchPath(path: string): Refusal {
  return new Refusal(404, 'InvalidResourceType', `Nothing answers at '${path}'.`);
}

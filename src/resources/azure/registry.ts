import { orAbsent } from '../../clients/cloud-failure.ts';
import {
  bodyDifferences,
  isRemovable,
  judge,
  missing,
  refuseToReplace,
  submitFor,
  withOurTags,
} from '../kinds/arm-resource.ts';
import { defineResource } from '../scope.ts';
import { resourceGroup } from './resource-group.ts';

const key = 'azure/registry';

/** Nodes pull with their identity, so nobody needs the registry's own administrator. */
export const registry = defineResource<
  { readonly group: typeof resourceGroup },
  { readonly id: string; readonly name: string; readonly loginServer: string }
>({
  key,
  title: 'Container registry',
  dependsOn: { group: resourceGroup },

  async observe(scope) {
    const { resourceGroup: group, registry: name } = scope.names;
    const found = await orAbsent(scope.clients.registries().registries.get(group, name));
    if (!found) return missing(scope, key, 5);
    const { id, loginServer } = found;
    return judge(scope, {
      key,
      what: `the container registry ${name}`,
      tags: { found: found.tags },
      provisioningState: found.provisioningState,
      retryAfterSeconds: 5,
      outputs: id && loginServer ? { id, name, loginServer } : undefined,
      differences: bodyDifferences(
        { location: scope.spec.location, sku: { name: scope.spec.registry.sku }, adminUserEnabled: false },
        { ...found, adminUserEnabled: found.adminUserEnabled ?? false },
      ),
    });
  },

  async ensure(scope, _deps, seen) {
    const { resourceGroup: group, registry: name } = scope.names;
    refuseToReplace(`the container registry ${name}`, seen, ['location']);
    const { registries } = scope.clients.registries();
    const found = await orAbsent(registries.get(group, name));
    const tags = withOurTags(scope.names, found?.tags);
    const sku = { name: scope.spec.registry.sku };
    await submitFor(
      scope,
      key,
      found && seen.state === 'drifted'
        ? registries.update(group, name, { tags, sku, adminUserEnabled: false })
        : registries.create(group, name, {
            location: scope.spec.location,
            tags,
            sku,
            adminUserEnabled: false,
          }),
    );
  },

  async remove(scope, _deps, seen) {
    const { resourceGroup: group, registry: name } = scope.names;
    if (isRemovable(seen)) {
      await orAbsent(submitFor(scope, key, scope.clients.registries().registries.delete(group, name)));
    }
  },
});

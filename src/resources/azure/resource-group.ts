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
import { resourceProviders } from './resource-providers.ts';

const key = 'azure/resource-group';

export const resourceGroup = defineResource<
  { readonly providers: typeof resourceProviders },
  { readonly id: string; readonly name: string }
>({
  key,
  title: 'Resource group',
  dependsOn: { providers: resourceProviders },

  async observe(scope) {
    const name = scope.names.resourceGroup;
    const found = await orAbsent(scope.clients.resources().resourceGroups.get(name));
    if (!found) return missing(scope, key, 10);
    return judge(scope, {
      key,
      what: `the resource group ${name}`,
      tags: { found: found.tags },
      provisioningState: found.properties?.provisioningState,
      retryAfterSeconds: 10,
      outputs: found.id ? { id: found.id, name } : undefined,
      differences: bodyDifferences({ location: scope.spec.location }, { location: found.location }),
    });
  },

  async ensure(scope, _deps, seen) {
    const name = scope.names.resourceGroup;
    refuseToReplace(`the resource group ${name}`, seen, ['location']);
    const groups = scope.clients.resources().resourceGroups;
    const found = await orAbsent(groups.get(name));
    await groups.createOrUpdate(name, {
      location: scope.spec.location,
      tags: withOurTags(scope.names, found?.tags),
    });
  },

  /** Takes everything in it along. */
  async remove(scope, _deps, seen) {
    if (!isRemovable(seen)) return;
    await orAbsent(
      submitFor(scope, key, scope.clients.resources().resourceGroups.beginDelete(scope.names.resourceGroup)),
    );
  },
});

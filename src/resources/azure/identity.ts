import { orAbsent } from '../../clients/cloud-failure.ts';
import { bodyDifferences, isRemovable, judge, refuseToReplace, withOurTags } from '../kinds/arm-resource.ts';
import { defineResource } from '../scope.ts';
import { resourceGroup } from './resource-group.ts';

const key = 'azure/identity';

/** The user-assigned identity that External Secrets signs in with from the cluster's nodes. */
export const identity = defineResource<
  { readonly group: typeof resourceGroup },
  { readonly id: string; readonly clientId: string; readonly principalId: string }
>({
  key,
  title: 'User-assigned identity',
  dependsOn: { group: resourceGroup },

  async observe(scope) {
    const { resourceGroup: group, identity: name } = scope.names;
    const found = await orAbsent(scope.clients.identities().userAssignedIdentities.get(group, name));
    if (!found) return { state: 'absent' };
    const { id, clientId, principalId } = found;
    return judge(scope, {
      key,
      what: `the identity ${name}`,
      tags: { found: found.tags },
      provisioningState: undefined,
      retryAfterSeconds: 5,
      outputs: id && clientId && principalId ? { id, clientId, principalId } : undefined,
      differences: bodyDifferences({ location: scope.spec.location }, { location: found.location }),
    });
  },

  async ensure(scope, _deps, seen) {
    const { resourceGroup: group, identity: name } = scope.names;
    refuseToReplace(`the identity ${name}`, seen, ['location']);
    const identities = scope.clients.identities().userAssignedIdentities;
    const found = await orAbsent(identities.get(group, name));
    await identities.createOrUpdate(group, name, {
      location: scope.spec.location,
      tags: withOurTags(scope.names, found?.tags),
    });
  },

  async remove(scope, _deps, seen) {
    const { resourceGroup: group, identity: name } = scope.names;
    if (isRemovable(seen)) {
      await orAbsent(scope.clients.identities().userAssignedIdentities.delete(group, name));
    }
  },
});

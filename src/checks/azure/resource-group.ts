import { orAbsent } from '../../clients/cloud-failure.ts';
import type { Check } from '../check.ts';
import { repairOf } from '../repair.ts';

/** Everything else in Azure is in it. */
export const resourceGroupCheck: Check = {
  id: 'resource-group-exists',
  system: 'cluster',
  title: 'The resource group exists',

  async run(scope) {
    const name = scope.names.resourceGroup;
    if (await orAbsent(scope.clients.resources().resourceGroups.get(name))) return [];
    return [
      {
        id: 'resource-group-missing',
        resource: 'azure/resource-group',
        severity: 'error',
        what: `The resource group ${name} is gone, and with it everything of this deployment in Azure.`,
        evidence: `Azure answers 404 for the resource group ${name}.`,
        breaks: 'Open WebUI is down. Files, chats and secrets that cannot be recovered are lost.',
        remedy:
          'Look in the activity log for who deleted it. Recover the vault (az keyvault recover) and the database from its last backup before anything else is made anew.',
        repair: repairOf(scope),
      },
    ];
  },
};

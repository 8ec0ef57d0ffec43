/** Puts in place what stood in the subscription before the sandbox began: see ../bootstrap.ts. */
import { createHash } from 'node:crypto';
import { bootstrapAssignments, CONTROL_PLANE_LOCATION } from '../bootstrap.ts';
import type { Frame } from './frame/frame.ts';
import { RESOURCE_GROUPS } from './frame/route.ts';
import { VAULTS, vaultDefaults } from './key-vault.ts';
import { USER_ASSIGNED_IDENTITIES } from './managed-identity.ts';
import { placeAccount, STORAGE_ACCOUNTS } from './storage.ts';
import { SITES } from './web.ts';

/** Does nothing when it has been done before: what was deleted since stays deleted. */
export function placeBootstrapResources(frame: Frame): void {
  const done = frame.world.table<boolean>('arm/bootstrap');
  if (done.has('placed')) return;
  const { controlPlane, tenantId } = frame.world.settings;
  const group = `${frame.subscriptionScope}/resourceGroups/${controlPlane.resourceGroup}`;
  const location = CONTROL_PLANE_LOCATION;
  const inGroup = (type: string, name: string): string => `${group}/providers/${type}/${name}`;
  const properties = { provisioningState: 'Succeeded' };
  frame.store.put(group, RESOURCE_GROUPS, { body: { location, tags: {}, properties } });
  frame.store.put(inGroup(USER_ASSIGNED_IDENTITIES, controlPlane.identityName), USER_ASSIGNED_IDENTITIES, {
    body: {
      location,
      tags: {},
      properties: {
        tenantId,
        principalId: controlPlane.principalId,
        clientId: controlPlane.clientId,
      },
    },
  });
  frame.store.put(inGroup(VAULTS, controlPlane.vaultName), VAULTS, {
    body: {
      location,
      tags: {},
      properties: {
        ...vaultDefaults(controlPlane.vaultName),
        tenantId,
        sku: { family: 'A', name: 'standard' },
        enableRbacAuthorization: true,
        ...properties,
      },
    },
  });
  placeAccount(frame, inGroup(STORAGE_ACCOUNTS, controlPlane.storageAccountName), location);
  frame.store.put(inGroup(SITES, controlPlane.functionAppName), SITES, {
    body: {
      location,
      tags: {},
      kind: 'functionapp,linux',
      properties: {
        state: 'Running',
        enabled: true,
        defaultHostName: `${controlPlane.functionAppName}.azurewebsites.net`,
      },
    },
  });
  for (const { scope, roleDefinitionGuid, principalId, principalType } of bootstrapAssignments(
    frame.world.settings,
  )) {
    const hash = createHash('sha256').update(`${scope}|${roleDefinitionGuid}|${principalId}`).digest('hex');
    const name = hash.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
    frame.store.put(
      `${scope}/providers/Microsoft.Authorization/roleAssignments/${name}`,
      'Microsoft.Authorization/roleAssignments',
      {
        body: {
          properties: {
            roleDefinitionId: `${frame.subscriptionScope}/providers/Microsoft.Authorization/roleDefinitions/${roleDefinitionGuid}`,
            principalId,
            principalType,
            scope,
          },
        },
        hidden: { effectiveAt: 0 },
      },
    );
  }
  done.set('placed', true);
}

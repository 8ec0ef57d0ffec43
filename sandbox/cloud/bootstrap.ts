/**
 * What stands in the tenant before the sandbox begins: the ids, and what `infra/` would have made for the control plane
 * itself. Resources and role assignments are data here, because ARM owns them and puts them in place.
 */
import type { Settings } from './world.ts';

/** The same on every machine, so that walk-throughs can be copied. */
export const settings: Settings = {
  subscriptionId: '50b5c419-0000-4000-8000-000000000001',
  tenantId: '7e4a4700-0000-4000-8000-000000000001',
  controlPlane: {
    resourceGroup: 'rg-openwebui-ctl',
    identityName: 'id-openwebui-ctl',
    clientId: 'c11e4700-0000-4000-8000-000000000001',
    principalId: '0b7ec700-0000-4000-8000-000000000001',
    functionAppName: 'func-openwebui-ctl',
    vaultName: 'kv-openwebui-ctl',
    storageAccountName: 'stopenwebuictl',
  },
  operator: {
    principalId: '09e4a704-0000-4000-8000-000000000001',
    userPrincipalName: 'operator@yourdomain.com',
  },
  cloudflare: {
    accountId: 'acc00000000000000000000000000001',
    zoneId: '20e00000000000000000000000000001',
    zoneName: 'yourdomain.com',
  },
};

/** Name of the secret in the control plane's vault that holds its Cloudflare API token. */
export const CLOUDFLARE_TOKEN_SECRET = 'cloudflare-api-token';

/** Secrets there about who is told of findings: the webhook's URL, and the key that it knows us by. */
export const NOTIFICATION_SECRETS = {
  url: 'notification-webhook',
  signingKey: 'notification-signing-key',
} as const;

/** Host of somebody's webhook, reserved for examples: https://www.rfc-editor.org/rfc/rfc2606 */
export const NOTIFICATION_HOOK_HOST = 'hooks.example.com';

/** Application permissions of Microsoft Graph that an administrator granted to the control plane's identity. */
export const CONTROL_PLANE_GRAPH_PERMISSIONS = [
  'Application.ReadWrite.OwnedBy',
  'DelegatedPermissionGrant.ReadWrite.All',
  // To be told who changed something in the directory.
  'AuditLog.Read.All',
  'Directory.Read.All',
] as const;

/** Region of the control plane's own resources. */
export const CONTROL_PLANE_LOCATION = 'eastasia';

/** An Event Grid topic for CloudEvents. */
export const NOTIFICATION_TOPIC = {
  id: `/subscriptions/${settings.subscriptionId}/resourceGroups/${settings.controlPlane.resourceGroup}/providers/Microsoft.EventGrid/topics/evgt-openwebui-ctl`,
  host: `evgt-openwebui-ctl.${CONTROL_PLANE_LOCATION}-1.eventgrid.azure.net`,
} as const;

/** https://learn.microsoft.com/azure/role-based-access-control/built-in-roles */
const ROLES = {
  owner: '8e3af657-a8ff-443c-a75c-2fe8c4bcb635',
  contributor: 'b24988ac-6180-42a0-ab88-20f7382dd24c',
  roleBasedAccessControlAdministrator: 'f58310d9-a9f6-439a-9e8d-f62e7b41a168',
  keyVaultAdministrator: '00482a5a-887f-4fb3-b363-3b7fe8e74483',
  eventGridDataSender: 'd5a91429-5739-47e2-a06b-3470a27159e7',
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6',
  kubernetesServiceRbacClusterAdmin: 'b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b',
} as const;

export interface BootstrapAssignment {
  /** ARM id. */
  readonly scope: string;
  /** GUID of the built-in role. */
  readonly roleDefinitionGuid: string;
  readonly principalId: string;
  readonly principalType: 'ServicePrincipal' | 'User';
}

/** Role assignments that were made long ago and have propagated. */
export function bootstrapAssignments({
  subscriptionId,
  controlPlane,
  operator,
}: Settings): BootstrapAssignment[] {
  const subscription = `/subscriptions/${subscriptionId}`;
  const vault =
    `${subscription}/resourceGroups/${controlPlane.resourceGroup}` +
    `/providers/Microsoft.KeyVault/vaults/${controlPlane.vaultName}`;
  const ours = (scope: string, roleDefinitionGuid: string): BootstrapAssignment => ({
    scope,
    roleDefinitionGuid,
    principalId: controlPlane.principalId,
    principalType: 'ServicePrincipal',
  });
  const theirs = (roleDefinitionGuid: string): BootstrapAssignment => ({
    scope: subscription,
    roleDefinitionGuid,
    principalId: operator.principalId,
    principalType: 'User',
  });
  return [
    ours(subscription, ROLES.contributor),
    ours(subscription, ROLES.roleBasedAccessControlAdministrator),
    ours(vault, ROLES.keyVaultSecretsUser),
    ours(NOTIFICATION_TOPIC.id, ROLES.eventGridDataSender),
    theirs(ROLES.owner),
    // Owner has no data actions: reading a secret and kubectl need roles of their own.
    theirs(ROLES.keyVaultAdministrator),
    theirs(ROLES.kubernetesServiceRbacClusterAdmin),
  ];
}

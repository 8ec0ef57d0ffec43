/**
 * Built-in roles with what they allow, as far as the simulated providers go; over 300 lines because it is a list.
 * https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
 */

export interface Role {
  readonly guid: string;
  readonly name: string;
  readonly description: string;
  readonly actions: readonly string[];
  readonly notActions?: readonly string[];
  readonly dataActions?: readonly string[];
  readonly notDataActions?: readonly string[];
}

/** What many roles add: to see rights, deployments and resource groups. */
const USUAL = [
  'Microsoft.Authorization/*/read',
  'Microsoft.Insights/alertRules/*',
  'Microsoft.Resources/deployments/*',
  'Microsoft.Resources/subscriptions/resourceGroups/read',
  'Microsoft.Support/*',
];
/** What data-plane roles of Key Vault add. */
const VAULT_READ = [
  'Microsoft.KeyVault/checkNameAvailability/read',
  'Microsoft.KeyVault/deletedVaults/read',
  'Microsoft.KeyVault/locations/*/read',
  'Microsoft.KeyVault/vaults/*/read',
  'Microsoft.KeyVault/operations/read',
];

export const builtInRoles: readonly Role[] = [
  {
    guid: '8e3af657-a8ff-443c-a75c-2fe8c4bcb635',
    name: 'Owner',
    description: 'Grants full access to manage all resources, including the ability to assign roles.',
    actions: ['*'],
  },
  {
    guid: 'b24988ac-6180-42a0-ab88-20f7382dd24c',
    name: 'Contributor',
    description: 'Grants full access to manage all resources, but does not allow to assign roles.',
    actions: ['*'],
    notActions: [
      'Microsoft.Authorization/*/Delete',
      'Microsoft.Authorization/*/Write',
      'Microsoft.Authorization/elevateAccess/Action',
      'Microsoft.Blueprint/blueprintAssignments/write',
      'Microsoft.Blueprint/blueprintAssignments/delete',
      'Microsoft.Compute/galleries/share/action',
    ],
  },
  {
    guid: 'acdd72a7-3385-48ef-bd42-f606fba81ae7',
    name: 'Reader',
    description: 'View all resources, but does not allow to make any changes.',
    actions: ['*/read'],
  },
  {
    guid: '18d7d88d-d35e-4fb5-a5c3-7773c20a72d9',
    name: 'User Access Administrator',
    description: 'Manage user access to Azure resources.',
    actions: ['*/read', 'Microsoft.Authorization/*', 'Microsoft.Support/*'],
  },
  {
    guid: 'f58310d9-a9f6-439a-9e8d-f62e7b41a168',
    name: 'Role Based Access Control Administrator',
    description: 'Manage access to Azure resources by assigning roles using Azure RBAC.',
    actions: [
      'Microsoft.Authorization/roleAssignments/write',
      'Microsoft.Authorization/roleAssignments/delete',
      '*/read',
      'Microsoft.Support/*',
    ],
  },
  {
    guid: 'd5a91429-5739-47e2-a06b-3470a27159e7',
    name: 'EventGrid Data Sender',
    description: 'Allows send access to event grid events.',
    actions: [
      'Microsoft.Authorization/*/read',
      'Microsoft.EventGrid/topics/read',
      'Microsoft.EventGrid/domains/read',
      'Microsoft.EventGrid/partnerNamespaces/read',
      'Microsoft.Resources/subscriptions/resourceGroups/read',
    ],
    dataActions: ['Microsoft.EventGrid/events/send/action'],
  },
  {
    guid: 'f1a07417-d97a-45cb-824c-7a7467783830',
    name: 'Managed Identity Operator',
    description: 'Read and Assign User Assigned Identity.',
    actions: [
      'Microsoft.ManagedIdentity/userAssignedIdentities/*/read',
      'Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action',
      ...USUAL,
    ],
  },
  {
    guid: 'e40ec5ca-96e0-45a2-b4ff-59039f2c2b59',
    name: 'Managed Identity Contributor',
    description: 'Create, Read, Update, and Delete User Assigned Identity.',
    actions: [
      'Microsoft.ManagedIdentity/userAssignedIdentities/read',
      'Microsoft.ManagedIdentity/userAssignedIdentities/write',
      'Microsoft.ManagedIdentity/userAssignedIdentities/delete',
      'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/*',
      ...USUAL,
    ],
  },
  {
    guid: '00482a5a-887f-4fb3-b363-3b7fe8e74483',
    name: 'Key Vault Administrator',
    description: 'Perform all data plane operations on a key vault and all objects in it.',
    actions: [...USUAL, ...VAULT_READ],
    dataActions: ['Microsoft.KeyVault/vaults/*'],
  },
  {
    guid: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7',
    name: 'Key Vault Secrets Officer',
    description: 'Perform any action on the secrets of a key vault, except manage permissions.',
    actions: [...USUAL, ...VAULT_READ],
    dataActions: ['Microsoft.KeyVault/vaults/secrets/*'],
  },
  {
    guid: '4633458b-17de-408a-b874-0445c86b69e6',
    name: 'Key Vault Secrets User',
    description: 'Read secret contents.',
    actions: [],
    dataActions: [
      'Microsoft.KeyVault/vaults/secrets/getSecret/action',
      'Microsoft.KeyVault/vaults/secrets/readMetadata/action',
    ],
  },
  {
    guid: '21090545-7ca7-4776-b22c-e363652d74d2',
    name: 'Key Vault Reader',
    description: 'Read metadata of key vaults and its certificates, keys, and secrets.',
    actions: [...USUAL, ...VAULT_READ],
    dataActions: [
      'Microsoft.KeyVault/vaults/*/read',
      'Microsoft.KeyVault/vaults/secrets/readMetadata/action',
    ],
  },
  {
    guid: 'f25e0fa2-a7c8-4377-a976-54943a77a395',
    name: 'Key Vault Contributor',
    description: 'Manage key vaults, but does not allow you to assign roles or access secrets.',
    actions: [...USUAL, 'Microsoft.KeyVault/*'],
    notActions: [
      'Microsoft.KeyVault/locations/deletedVaults/purge/action',
      'Microsoft.KeyVault/hsmPools/*',
      'Microsoft.KeyVault/managedHsms/*',
    ],
  },
  {
    guid: '7f951dda-4ed3-4680-a7ca-43fe172d538d',
    name: 'AcrPull',
    description: 'acr pull',
    actions: ['Microsoft.ContainerRegistry/registries/pull/read'],
  },
  {
    guid: '8311e382-0749-4cb8-b61a-304f252e45ec',
    name: 'AcrPush',
    description: 'acr push',
    actions: [
      'Microsoft.ContainerRegistry/registries/pull/read',
      'Microsoft.ContainerRegistry/registries/push/write',
    ],
  },
  {
    guid: '577a9874-89fd-4f24-9dbd-b5034d0ad23a',
    name: 'Container Registry Data Importer and Data Reader',
    description: 'Provides the ability to import images into a registry and read them.',
    actions: [
      'Microsoft.ContainerRegistry/registries/importImage/action',
      'Microsoft.ContainerRegistry/registries/read',
      'Microsoft.ContainerRegistry/registries/pull/read',
    ],
  },
  {
    guid: '4d97b98b-1d4f-4787-a291-c67834d212e7',
    name: 'Network Contributor',
    description: 'Lets you manage networks, but not access to them.',
    actions: [...USUAL, 'Microsoft.Network/*'],
  },
  {
    guid: 'b12aa53e-6015-4669-85d0-8515ebb3ae7f',
    name: 'Private DNS Zone Contributor',
    description:
      'Lets you manage private DNS zone resources, but not the virtual networks they are linked to.',
    actions: [
      ...USUAL,
      'Microsoft.Network/privateDnsZones/*',
      'Microsoft.Network/privateDnsOperationResults/*',
      'Microsoft.Network/privateDnsOperationStatuses/*',
      'Microsoft.Network/virtualNetworks/read',
      'Microsoft.Network/virtualNetworks/join/action',
    ],
  },
  {
    guid: '9980e02c-c2be-4d73-94e8-173b1dc7cf3c',
    name: 'Virtual Machine Contributor',
    description: 'Create and manage virtual machines, but not access to them.',
    actions: [
      ...USUAL,
      'Microsoft.Compute/locations/*',
      'Microsoft.Compute/virtualMachines/*',
      'Microsoft.Compute/virtualMachineScaleSets/*',
      'Microsoft.Network/networkInterfaces/*',
      'Microsoft.Network/virtualNetworks/read',
      'Microsoft.Network/virtualNetworks/subnets/join/action',
    ],
  },
  {
    guid: '17d1049b-9a84-46fb-8f53-869881c3d3ab',
    name: 'Storage Account Contributor',
    description: 'Permits management of storage accounts.',
    actions: [
      ...USUAL,
      'Microsoft.Storage/storageAccounts/*',
      'Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action',
    ],
  },
  {
    guid: '81a9662b-bebf-436f-a333-f67b29880f12',
    name: 'Storage Account Key Operator Service Role',
    description: 'Storage Account Key Operators are allowed to list and regenerate keys on Storage Accounts.',
    actions: [
      'Microsoft.Storage/storageAccounts/listkeys/action',
      'Microsoft.Storage/storageAccounts/regeneratekey/action',
    ],
  },
  {
    guid: '4abbcc35-e782-43d8-92c5-2d3f1bd2253f',
    name: 'Azure Kubernetes Service Cluster User Role',
    description: 'List cluster user credential action.',
    actions: [
      'Microsoft.ContainerService/managedClusters/listClusterUserCredential/action',
      'Microsoft.ContainerService/managedClusters/read',
    ],
  },
  {
    guid: '0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8',
    name: 'Azure Kubernetes Service Cluster Admin Role',
    description: 'List cluster admin credential action.',
    actions: [
      'Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action',
      'Microsoft.ContainerService/managedClusters/accessProfiles/listCredential/action',
      'Microsoft.ContainerService/managedClusters/read',
      'Microsoft.ContainerService/managedClusters/runcommand/action',
    ],
  },
  {
    guid: 'ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8',
    name: 'Azure Kubernetes Service Contributor Role',
    description: 'Grants access to read and write Azure Kubernetes Service clusters.',
    actions: [
      ...USUAL,
      'Microsoft.ContainerService/locations/*',
      'Microsoft.ContainerService/managedClusters/*',
    ],
  },
  {
    guid: 'b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b',
    name: 'Azure Kubernetes Service RBAC Cluster Admin',
    description: 'Lets you manage all resources in the cluster.',
    actions: [...USUAL, 'Microsoft.ContainerService/managedClusters/listClusterUserCredential/action'],
    dataActions: ['Microsoft.ContainerService/managedClusters/*'],
  },
  {
    guid: '3498e952-d568-435e-9b2c-8d77e338d7f7',
    name: 'Azure Kubernetes Service RBAC Admin',
    description:
      'Lets you manage all resources under cluster/namespace, except update or delete quotas and namespaces.',
    actions: [...USUAL, 'Microsoft.ContainerService/managedClusters/listClusterUserCredential/action'],
    dataActions: ['Microsoft.ContainerService/managedClusters/*'],
    notDataActions: [
      'Microsoft.ContainerService/managedClusters/resourcequotas/write',
      'Microsoft.ContainerService/managedClusters/resourcequotas/delete',
      'Microsoft.ContainerService/managedClusters/namespaces/write',
      'Microsoft.ContainerService/managedClusters/namespaces/delete',
    ],
  },
  {
    guid: '1e241071-0855-49ea-94dc-649edcd759de',
    name: 'EventGrid Contributor',
    description: 'Lets you manage EventGrid operations.',
    actions: [...USUAL, 'Microsoft.EventGrid/*'],
  },
  {
    guid: '428e0ff0-5e57-4d9c-a221-2c70d0e0a443',
    name: 'EventGrid EventSubscription Contributor',
    description: 'Lets you manage EventGrid event subscription operations.',
    actions: [
      ...USUAL,
      'Microsoft.EventGrid/eventSubscriptions/*',
      'Microsoft.EventGrid/systemTopics/eventSubscriptions/*',
      'Microsoft.EventGrid/topicTypes/eventSubscriptions/read',
    ],
  },
  {
    guid: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b',
    name: 'Storage Blob Data Owner',
    description: 'Full access to Azure Storage blob containers and data.',
    actions: ['Microsoft.Storage/storageAccounts/blobServices/containers/*'],
    dataActions: ['Microsoft.Storage/storageAccounts/blobServices/containers/blobs/*'],
  },
  {
    guid: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe',
    name: 'Storage Blob Data Contributor',
    description: 'Read, write, and delete Azure Storage containers and blobs.',
    actions: ['Microsoft.Storage/storageAccounts/blobServices/containers/*'],
    dataActions: ['Microsoft.Storage/storageAccounts/blobServices/containers/blobs/*'],
  },
  {
    guid: '974c5e8b-45b9-4653-ba55-5f855dd0fb88',
    name: 'Storage Queue Data Contributor',
    description: 'Read, write, and delete Azure Storage queues and queue messages.',
    actions: ['Microsoft.Storage/storageAccounts/queueServices/queues/*'],
    dataActions: ['Microsoft.Storage/storageAccounts/queueServices/queues/messages/*'],
  },
  {
    guid: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3',
    name: 'Storage Table Data Contributor',
    description: 'Read, write, and delete Azure Storage tables and entities.',
    actions: ['Microsoft.Storage/storageAccounts/tableServices/tables/*'],
    dataActions: ['Microsoft.Storage/storageAccounts/tableServices/tables/entities/*'],
  },
];

const byGuid = new Map(builtInRoles.map((role) => [role.guid, role]));

/** By role definition id (any scope in front) or bare GUID. */
export function roleOf(roleDefinitionId: string): Role | undefined {
  return byGuid.get(roleDefinitionId.slice(roleDefinitionId.lastIndexOf('/') + 1).toLowerCase());
}

/** Whether an operation matches a pattern of a role: `*` stands for anything, case does not count. */
export function matchesPattern(pattern: string, operation: string): boolean {
  const expression = pattern
    .split('*')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
  return new RegExp(`^${expression}$`, 'i').test(operation);
}

export function allows(role: Role, permission: { action: string } | { dataAction: string }): boolean {
  const any = (patterns: readonly string[] | undefined, operation: string): boolean =>
    (patterns ?? []).some((pattern) => matchesPattern(pattern, operation));
  return 'action' in permission
    ? any(role.actions, permission.action) && !any(role.notActions, permission.action)
    : any(role.dataActions, permission.dataAction) && !any(role.notDataActions, permission.dataAction);
}

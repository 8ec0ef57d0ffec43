import { group, operatorName, type People, subscriptionId } from './people.ts';
import { at, type Seed } from './seed.ts';

const resources = `${group}/providers`;
const storage = `${resources}/Microsoft.Storage/storageAccounts/stopenwebui`;
const registry = `${resources}/Microsoft.ContainerRegistry/registries/yourorg`;
const vault = `${resources}/Microsoft.KeyVault/vaults/kv-openwebui`;
const server = `${resources}/Microsoft.DBforPostgreSQL/flexibleServers/psql-openwebui`;
const groupVersion = 'api-version=2025-04-01';
const storageVersion = 'api-version=2025-01-01';
const registryVersion = 'api-version=2025-04-01';
const vaultVersion = 'api-version=2024-11-01';
const serverVersion = 'api-version=2024-08-01';
const identityVersion = 'api-version=2023-01-31';
const computeVersion = 'api-version=2024-07-01';
const roleVersion = 'api-version=2022-04-01';

const writing = (path: string): RegExp =>
  new RegExp(`^(PUT|PATCH|POST) management\\.azure\\.com${path}([?/]|$)`, 'i');

/** Ten changes of things in Azure: six are put right, two adopted, two told. */
export async function armSeeds({ arm, pipeline, pipelineName }: People): Promise<readonly Seed[]> {
  const get = (path: string) => arm('GET', path);
  const identity = await get(
    `${resources}/Microsoft.ManagedIdentity/userAssignedIdentities/uai-openwebui?${identityVersion}`,
  );
  const [identityId, principalId] = [
    String(at(identity, 'id')),
    String(at(identity, 'properties', 'principalId')),
  ];
  const cluster = await get(
    `${resources}/Microsoft.ContainerService/managedClusters/aks-openwebui?api-version=2025-05-01`,
  );
  const nodeGroup = `/subscriptions/${subscriptionId}/resourceGroups/${at(cluster, 'properties', 'nodeResourceGroup')}`;
  const scaleSets = `${nodeGroup}/providers/Microsoft.Compute/virtualMachineScaleSets`;
  const sets = at(await get(`${scaleSets}?${computeVersion}`), 'value') as { name: string }[];
  const scaleSet = sets.find(({ name }) => name.includes('-openwebui-'))?.name ?? '';
  const assignments = `${vault}/providers/Microsoft.Authorization/roleAssignments`;
  const assignmentOf = async () => {
    const all = at(await get(`${assignments}?${roleVersion}&$filter=atScope()`), 'value') as {
      id: string;
      properties: { principalId: string };
    }[];
    return all.find(
      ({ id, properties }) => properties.principalId === principalId && id.includes('/vaults/'),
    );
  };
  const holdsIdentity = async (): Promise<string | null> => {
    const all = at(
      await get(`${scaleSets}/${scaleSet}?${computeVersion}`),
      'identity',
      'userAssignedIdentities',
    );
    const holds = Object.keys(all ?? {}).some((id) => id.toLowerCase() === identityId.toLowerCase());
    return holds ? identityId : null;
  };

  return [
    {
      what: 'the storage account takes old TLS',
      resource: 'azure/storage-account',
      path: 'minimumTlsVersion',
      ...{ wanted: 'TLS1_2', found: 'TLS1_0', policy: 'repair', actor: operatorName },
      make: () =>
        arm('PATCH', `${storage}?${storageVersion}`, { properties: { minimumTlsVersion: 'TLS1_0' } }),
      read: async () => at(await get(`${storage}?${storageVersion}`), 'properties', 'minimumTlsVersion'),
      writes: writing(storage),
    },
    {
      what: 'the pipeline switches on the administrator of the registry',
      resource: 'azure/registry',
      path: 'adminUserEnabled',
      ...{ wanted: false, found: true, policy: 'repair', actor: pipelineName },
      make: () =>
        pipeline('PATCH', `${registry}?${registryVersion}`, { properties: { adminUserEnabled: true } }),
      read: async () => at(await get(`${registry}?${registryVersion}`), 'properties', 'adminUserEnabled'),
      writes: writing(registry),
    },
    {
      what: 'a tag of the resource group is changed, and the pipeline makes something of its own in the group',
      resource: 'azure/resource-group',
      path: 'tags.Environment',
      ...{ wanted: 'Production', found: 'Staging', policy: 'repair', actor: operatorName },
      make: async () => {
        const { tags } = (await get(`${group}?${groupVersion}`)) as { tags: Record<string, string> };
        await arm('PATCH', `${group}?${groupVersion}`, { tags: { ...tags, Environment: 'Staging' } });
        await pipeline(
          'PUT',
          `${resources}/Microsoft.ManagedIdentity/userAssignedIdentities/uai-pipeline?${identityVersion}`,
          { location: 'eastasia' },
        );
      },
      read: async () => at(await get(`${group}?${groupVersion}`), 'tags', 'Environment'),
      writes: new RegExp(`^PUT management\\.azure\\.com${group}\\?`, 'i'),
    },
    {
      what: 'the identity is taken from the nodes of a pool',
      resource: 'azure/node-identity',
      path: `${scaleSet}.identity.userAssignedIdentities`,
      ...{ wanted: identityId, found: null, policy: 'repair', actor: operatorName },
      make: () =>
        arm('PATCH', `${scaleSets}/${scaleSet}?${computeVersion}`, {
          identity: { type: 'UserAssigned', userAssignedIdentities: { [identityId]: null } },
        }),
      read: holdsIdentity,
      writes: writing(`${scaleSets}/${scaleSet}`),
    },
    {
      what: "the identity's role on the vault is deleted",
      resource: 'azure/vault-roles',
      path: `roleAssignments.${principalId}`,
      ...{ wanted: 'Key Vault Secrets Officer', found: null, policy: 'repair', actor: operatorName },
      make: async () => arm('DELETE', `${(await assignmentOf())?.id}?${roleVersion}`),
      read: async () => ((await assignmentOf()) ? 'Key Vault Secrets Officer' : null),
      writes: writing(assignments),
    },
    {
      what: 'the pipeline moves the maintenance window of the database',
      resource: 'azure/postgres-server',
      path: 'maintenanceWindow.startHour',
      ...{ wanted: 1, found: 13, policy: 'repair', actor: pipelineName },
      make: () =>
        pipeline('PATCH', `${server}?${serverVersion}`, {
          properties: {
            maintenanceWindow: { customWindow: 'Enabled', dayOfWeek: 2, startHour: 13, startMinute: 0 },
          },
        }),
      read: async () =>
        at(await get(`${server}?${serverVersion}`), 'properties', 'maintenanceWindow', 'startHour'),
      writes: new RegExp(`^PATCH management\\.azure\\.com${server}\\?`, 'i'),
    },
    {
      what: 'the database keeps its backups for longer',
      resource: 'azure/postgres-server',
      path: 'backup.backupRetentionDays',
      ...{ wanted: 7, found: 14, policy: 'adopt', actor: operatorName },
      make: () =>
        arm('PATCH', `${server}?${serverVersion}`, { properties: { backup: { backupRetentionDays: 14 } } }),
      read: async () =>
        at(await get(`${server}?${serverVersion}`), 'properties', 'backup', 'backupRetentionDays'),
      field: ['postgres', 'backupRetentionDays'],
    },
    {
      what: 'the pipeline gives the database more memory to sort in',
      resource: 'azure/postgres-parameters',
      path: 'work_mem',
      ...{ wanted: '4096', found: '8192', policy: 'adopt', actor: pipelineName },
      make: () =>
        pipeline('PATCH', `${server}/configurations/work_mem?${serverVersion}`, {
          properties: { value: '8192', source: 'user-override' },
        }),
      read: async () =>
        at(await get(`${server}/configurations/work_mem?${serverVersion}`), 'properties', 'value'),
      field: ['postgres', 'parameters', 'work_mem'],
    },
    {
      what: 'the registry is made a premium one',
      resource: 'azure/registry',
      path: 'sku.name',
      ...{ wanted: 'Standard', found: 'Premium', policy: 'report', actor: operatorName },
      make: () => arm('PATCH', `${registry}?${registryVersion}`, { sku: { name: 'Premium' } }),
      read: async () => at(await get(`${registry}?${registryVersion}`), 'sku', 'name'),
    },
    {
      what: 'a tag of the vault is changed',
      resource: 'azure/key-vault',
      path: 'tags.CostType',
      ...{ wanted: 'Application', found: 'Platform', policy: 'report', actor: operatorName },
      make: async () => {
        const { tags } = (await get(`${vault}?${vaultVersion}`)) as { tags: Record<string, string> };
        await arm('PATCH', `${vault}?${vaultVersion}`, { tags: { ...tags, CostType: 'Platform' } });
      },
      read: async () => at(await get(`${vault}?${vaultVersion}`), 'tags', 'CostType'),
    },
  ];
}

import { randomUUID } from 'node:crypto';
import { ComputeManagementClient } from '@azure/arm-compute';
import { ContainerServiceClient, type ManagedCluster } from '@azure/arm-containerservice';
import { ManagedServiceIdentityClient } from '@azure/arm-msi';
import { beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { settings } from '../../../sandbox/cloud/bootstrap.ts';
import type { Cluster, KubernetesWorld } from '../../../sandbox/cloud/neighbours.ts';
import {
  givenGroup,
  location,
  MINUTE,
  openTenant,
  refusalOf,
  subscriptionId,
  type Tenant,
  tenantId,
  throughTime,
} from './tenant.ts';

let tenant: Tenant;
let client: ContainerServiceClient;
let compute: ComputeManagementClient;
let commands: string[];

beforeEach(async () => {
  commands = [];
  const kubernetes: KubernetesWorld = {
    runCommand: async (_cluster, command) => {
      commands.push(command);
      return { exitCode: 3, logs: 'said something' };
    },
    answer: () => ({ ok: false, code: 'none', reason: 'none' }),
    request: async () => ({ ok: false, code: 'none', reason: 'none' }),
    secretSets: () => [],
    links: async () => [],
    credentials: () => ({ certificateAuthority: 'PEM', token: 'static' }),
  };
  tenant = openTenant({ kubernetes });
  await givenGroup(tenant);
  client = new ContainerServiceClient(tenant.as(), subscriptionId, tenant.options);
  compute = new ComputeManagementClient(tenant.as(), subscriptionId, tenant.options);
});

const body = (more: Partial<ManagedCluster> = {}): ManagedCluster => ({
  location,
  identity: { type: 'SystemAssigned' },
  dnsPrefix: 'Chat',
  oidcIssuerProfile: { enabled: true },
  agentPoolProfiles: [
    { name: 'system', mode: 'System', count: 2, vmSize: 'Standard_D2s_v5', nodeLabels: { a: 'b' } },
  ],
  ...more,
});
const withEntra: Partial<ManagedCluster> = {
  aadProfile: { managed: true, enableAzureRbac: true, tenantID: tenantId },
  disableLocalAccounts: true,
};
const create = (more: Partial<ManagedCluster> = {}) =>
  throughTime(tenant, client.managedClusters.createOrUpdate('rg', 'aks', body(more)));
const nodeGroup = 'MC_rg_aks_eastasia';
const theCluster = (): Cluster => {
  const [cluster] = tenant.arm.clusters.list();
  if (!cluster) throw new Error('there is no cluster');
  return cluster;
};
const scaleSetName = (pool: string): string =>
  theCluster().nodePools.find(({ name }) => name === pool)?.vmssName ?? '';

async function givenIdentity(name = 'uai'): Promise<{ id: string; clientId: string }> {
  const identities = new ManagedServiceIdentityClient(tenant.as(), subscriptionId, tenant.options);
  const { id = '', clientId = '' } = await identities.userAssignedIdentities.createOrUpdate('rg', name, {
    location,
  });
  return { id, clientId };
}
const attach = (id: string, pool = 'system', type = 'UserAssigned') =>
  throughTime(
    tenant,
    compute.virtualMachineScaleSets.update(nodeGroup, scaleSetName(pool), {
      identity: { type, userAssignedIdentities: { [id]: {} } } as never,
    }),
  );
const clientIdsOn = (pool: string): readonly string[] =>
  theCluster().nodePools.find(({ name }) => name === pool)?.identityClientIds ?? [];

describe('a cluster', () => {
  test('has, once created, its node group, kubelet identity, host and issuer', async () => {
    const cluster = await create();
    expect(cluster).toMatchObject({
      provisioningState: 'Succeeded',
      powerState: { code: 'Running' },
      nodeResourceGroup: nodeGroup,
      fqdn: expect.stringMatching(/^chat-[0-9a-f]{8}\.hcp\.eastasia\.azmk8s\.io$/),
      oidcIssuerProfile: { issuerURL: expect.stringContaining(tenantId) },
    });
    expect(cluster.currentKubernetesVersion).toMatch(/^1\.\d+\.\d+$/);
    const kubelet = cluster.identityProfile?.['kubeletidentity'];
    expect(tenant.directory.findPrincipal(kubelet?.objectId ?? '')?.appId).toBe(kubelet?.clientId);
    expect(theCluster()).toMatchObject({
      fqdn: cluster.fqdn,
      isRunning: true,
      nodePools: [{ name: 'system', count: 2, labels: { a: 'b' }, identityClientIds: [kubelet?.clientId] }],
    });
    expect(scaleSetName('system')).toMatch(/^aks-system-\d{8}-vmss$/);
  });

  test("is nobody else's to see before it has been made, and busy meanwhile", async () => {
    await client.managedClusters.createOrUpdate('rg', 'aks', body()).submitted();
    expect(tenant.arm.clusters.list()).toEqual([]);
    const again = client.managedClusters.createOrUpdate('rg', 'aks', body()).submitted();
    expect(await refusalOf(again)).toEqual({ status: 409, code: 'OperationNotAllowed' });
    tenant.pass(6 * MINUTE);
    expect(tenant.arm.clusters.list()).toHaveLength(1);
  });

  test('takes its node group with it', async () => {
    await create();
    await throughTime(tenant, client.managedClusters.delete('rg', 'aks'));
    expect(tenant.arm.clusters.list()).toEqual([]);
    expect(
      (
        await tenant.call(
          'GET',
          `/subscriptions/${subscriptionId}/resourceGroups/${nodeGroup}?api-version=2025-04-01`,
        )
      ).status,
    ).toBe(404);
  });

  test('refuses bodies that AKS refuses', async () => {
    const codeFor = async (more: Partial<ManagedCluster>): Promise<string> =>
      (await refusalOf(client.managedClusters.createOrUpdate('rg', 'aks', body(more)).submitted())).code;
    expect(await codeFor({ kubernetesVersion: '1.19' })).toBe('K8sVersionNotSupported');
    expect(
      await codeFor({ agentPoolProfiles: [{ name: 'only', mode: 'User', count: 1, vmSize: 'x' }] }),
    ).toBe('InvalidParameter');
    expect(
      await codeFor({ agentPoolProfiles: [{ name: 'Bad-Name', mode: 'System', count: 1, vmSize: 'x' }] }),
    ).toBe('InvalidParameter');
    expect(await codeFor({ disableLocalAccounts: true })).toBe('BadRequest');
  });

  test('says why it failed', async () => {
    tenant.world.faults.replace([
      {
        id: 'x',
        path: 'managedClusters',
        times: 1,
        fault: { kind: 'operation-fails', code: 'QuotaExceeded', message: 'no cores' },
      },
    ]);
    await expect(create()).rejects.toThrow(/QuotaExceeded|no cores|failed/i);
    expect(await client.managedClusters.get('rg', 'aks')).toMatchObject({
      provisioningState: 'Failed',
      status: { provisioningError: { code: 'QuotaExceeded', message: 'no cores' } },
    });
    expect(tenant.arm.clusters.list()).toEqual([]);
    expect((await create()).provisioningState).toBe('Succeeded');
    expect(tenant.arm.clusters.list()).toHaveLength(1);
  });

  test('is stopped and started, and refuses pools while it is stopped', async () => {
    await create();
    await throughTime(tenant, client.managedClusters.stop('rg', 'aks'));
    expect(theCluster().isRunning).toBe(false);
    const pool = client.agentPools
      .createOrUpdate('rg', 'aks', 'extra', { count: 1, vmSize: 'x' })
      .submitted();
    expect(await refusalOf(pool)).toEqual({ status: 409, code: 'OperationNotAllowed' });
    await throughTime(tenant, client.managedClusters.start('rg', 'aks'));
    expect(theCluster().isRunning).toBe(true);
  });
});

describe('node pools', () => {
  test('made later are new scale sets without the identities of others', async () => {
    await create();
    const identity = await givenIdentity();
    await attach(identity.id);
    expect(clientIdsOn('system')).toContain(identity.clientId);
    await throughTime(
      tenant,
      client.agentPools.createOrUpdate('rg', 'aks', 'extra', {
        count: 1,
        vmSize: 'Standard_D2s_v5',
        mode: 'User',
      }),
    );
    expect(clientIdsOn('extra')).toHaveLength(1);
    expect(clientIdsOn('extra')).not.toContain(identity.clientId);
    const tags: (string | undefined)[] = [];
    for await (const scaleSet of compute.virtualMachineScaleSets.list(nodeGroup)) {
      tags.push(scaleSet.tags?.['aks-managed-poolName']);
    }
    expect(tags.sort()).toEqual(['extra', 'system']);
    const writes = tenant.events.filter(
      ({ subject, data }) =>
        subject.endsWith(scaleSetName('extra')) &&
        data['operationName'] === 'Microsoft.Compute/virtualMachineScaleSets/write',
    );
    expect(writes).toHaveLength(1);
  });

  test('keep foreign identities when scaled and lose them when upgraded, unless the dial says otherwise', async () => {
    await create({ kubernetesVersion: '1.34.2' });
    const identity = await givenIdentity();
    await attach(identity.id);
    const put = async (more: object) => {
      const found = await client.agentPools.get('rg', 'aks', 'system');
      return throughTime(
        tenant,
        client.agentPools.createOrUpdate('rg', 'aks', 'system', { ...found, ...more }),
      );
    };
    await put({ count: 3 });
    expect(clientIdsOn('system')).toContain(identity.clientId);
    await create({ kubernetesVersion: '1.34.3' });
    await put({ orchestratorVersion: '1.34.3' });
    expect(clientIdsOn('system')).not.toContain(identity.clientId);
    expect(tenant.events.map(({ eventType }) => eventType)).toContain(
      'Microsoft.ContainerService.NodePoolRollingSucceeded',
    );
    await attach(identity.id);
    tenant.arm.turn('upgrade-drops-foreign-identities', false);
    await throughTime(tenant, client.agentPools.upgradeNodeImageVersion('rg', 'aks', 'system'));
    expect(clientIdsOn('system')).toContain(identity.clientId);
  });

  test('cannot change their size of machine, nor leave the cluster without a system pool', async () => {
    await create();
    const found = await client.agentPools.get('rg', 'aks', 'system');
    const change = client.agentPools.createOrUpdate('rg', 'aks', 'system', {
      ...found,
      vmSize: 'Standard_D4s_v5',
    });
    expect(await refusalOf(change.submitted())).toEqual({ status: 400, code: 'PropertyChangeNotAllowed' });
    expect(await refusalOf(client.agentPools.delete('rg', 'aks', 'system').submitted())).toMatchObject({
      status: 400,
    });
  });

  test('of virtual machines have no scale set', async () => {
    await create();
    await throughTime(
      tenant,
      client.agentPools.createOrUpdate('rg', 'aks', 'vms', {
        count: 1,
        vmSize: 'Standard_D2s_v5',
        typePropertiesType: 'VirtualMachines',
      }),
    );
    expect(
      theCluster()
        .nodePools.map(({ name }) => name)
        .sort(),
    ).toEqual(['system', 'vms']);
    expect(
      await refusalOf(compute.virtualMachineScaleSets.get(nodeGroup, scaleSetName('vms'))),
    ).toMatchObject({ status: 404 });
  });
});

describe('the identity of a scale set', () => {
  const patch = (identity: object) =>
    throughTime(
      tenant,
      compute.virtualMachineScaleSets.update(nodeGroup, scaleSetName('system'), {
        identity: identity as never,
      }),
    );
  const ids = async (): Promise<string[]> =>
    Object.keys(
      (await compute.virtualMachineScaleSets.get(nodeGroup, scaleSetName('system'))).identity
        ?.userAssignedIdentities ?? {},
    );

  test('is a map that is merged: omitted ones stay, null removes', async () => {
    await create();
    const one = await givenIdentity('one');
    const two = await givenIdentity('two');
    await attach(one.id);
    await attach(two.id);
    expect(await ids()).toHaveLength(3);
    await patch({ type: 'UserAssigned', userAssignedIdentities: { [one.id]: null } });
    expect((await ids()).some((id) => id === one.id)).toBe(false);
    expect(await ids()).toHaveLength(2);
  });

  test('refuses values that were read before', async () => {
    await create();
    const { id } = await givenIdentity();
    // The SDK leaves such values out; other clients do not.
    const echoed = await tenant.call(
      'PATCH',
      `/subscriptions/${subscriptionId}/resourceGroups/${nodeGroup}/providers/Microsoft.Compute/virtualMachineScaleSets/` +
        `${scaleSetName('system')}?api-version=2024-07-01`,
      {
        identity: {
          type: 'UserAssigned',
          userAssignedIdentities: { [id]: { clientId: 'x', principalId: 'y' } },
        },
      },
    );
    expect(echoed.status).toBe(400);
    expect(await echoed.json()).toMatchObject({ error: { code: 'InvalidIdentityValues' } });
  });

  test('has a type that states all there is to keep', async () => {
    await create();
    const { id } = await givenIdentity();
    await attach(id, 'system', 'SystemAssigned, UserAssigned');
    const both = await compute.virtualMachineScaleSets.get(nodeGroup, scaleSetName('system'));
    expect(both.identity?.principalId).toBeDefined();
    await patch({ type: 'UserAssigned' });
    const user = await compute.virtualMachineScaleSets.get(nodeGroup, scaleSetName('system'));
    expect(user.identity).toMatchObject({ type: 'UserAssigned' });
    expect(user.identity?.principalId).toBeUndefined();
    await patch({ type: 'None' });
    expect(await ids()).toEqual([]);
  });

  test('needs the right to assign the identity', async () => {
    await create();
    const { id } = await givenIdentity();
    const { id: principalId } = tenant.directory.addManagedIdentity('vm-contributor');
    const scope = `/subscriptions/${subscriptionId}/resourceGroups/${nodeGroup}`;
    await tenant.call(
      'PUT',
      `${scope}/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}?api-version=2022-04-01`,
      {
        properties: {
          roleDefinitionId: `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/9980e02c-c2be-4d73-94e8-173b1dc7cf3c`,
          principalId,
          principalType: 'ServicePrincipal',
        },
      },
    );
    tenant.pass(3 * MINUTE);
    const theirs = new ComputeManagementClient(tenant.as(principalId), subscriptionId, tenant.options);
    const call = theirs.virtualMachineScaleSets.update(nodeGroup, scaleSetName('system'), {
      identity: { type: 'UserAssigned', userAssignedIdentities: { [id]: {} } },
    });
    expect(await refusalOf(call.submitted())).toEqual({ status: 403, code: 'LinkedAuthorizationFailed' });
  });

  test('is locked where AKS locks the node resource group', async () => {
    await create({ nodeResourceGroupProfile: { restrictionLevel: 'ReadOnly' } });
    const { id } = await givenIdentity();
    expect(await refusalOf(attach(id))).toEqual({ status: 403, code: 'DenyAssignmentAuthorizationFailed' });
  });
});

describe('credentials', () => {
  const kubeconfig = async (format?: 'azure' | 'exec') => {
    const { kubeconfigs } = await client.managedClusters.listClusterUserCredentials('rg', 'aks', {
      ...(format && { format }),
    });
    return parse(Buffer.from(kubeconfigs?.[0]?.value ?? []).toString('utf8'));
  };

  test('of a cluster with local accounts are static', async () => {
    const { fqdn } = await create();
    const config = await kubeconfig();
    expect(config.clusters[0].cluster.server).toBe(`https://${fqdn}:443`);
    expect(config.users[0].user.token).toBe('static');
    expect((await client.managedClusters.listClusterAdminCredentials('rg', 'aks')).kubeconfigs).toHaveLength(
      1,
    );
  });

  test('of a cluster with Entra ask for a sign-in, and there are none for administrators', async () => {
    await create(withEntra);
    expect((await kubeconfig()).users[0].user.exec.command).toBe('kubelogin');
    expect((await kubeconfig('azure')).users[0].user['auth-provider'].name).toBe('azure');
    expect(await refusalOf(client.managedClusters.listClusterAdminCredentials('rg', 'aks'))).toMatchObject({
      status: 400,
    });
  });
});

describe('run command', () => {
  test('runs in the cluster and tells exit code and output', async () => {
    await create();
    const result = await throughTime(
      tenant,
      client.managedClusters.runCommand('rg', 'aks', { command: 'helm list' }),
    );
    expect(result).toMatchObject({ provisioningState: 'Succeeded', exitCode: 3, logs: 'said something' });
    expect(commands).toEqual(['helm list']);
  });

  test('on a cluster with Entra needs a token of somebody with rights in it', async () => {
    await create(withEntra);
    const run = (clusterToken?: string) =>
      client.managedClusters.runCommand('rg', 'aks', { command: 'x', ...(clusterToken && { clusterToken }) });
    expect(await refusalOf(run().submitted())).toMatchObject({ status: 400 });
    const audience = '6dae42f8-4368-4678-94ff-3960e28e3630';
    const stranger = tenant.directory.addManagedIdentity('stranger').id;
    expect(
      await refusalOf(run(tenant.directory.issueToken(stranger, audience).accessToken).submitted()),
    ).toMatchObject({ status: 403 });
    const operator = tenant.directory.issueToken(settings.operator.principalId, audience).accessToken;
    expect((await throughTime(tenant, run(operator))).exitCode).toBe(3);
  });
});

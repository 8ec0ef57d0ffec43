import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toFailure } from '../../../src/clients/cloud-failure.ts';
import { cluster } from '../../../src/resources/azure/cluster.ts';
import { clusterSubnetRole } from '../../../src/resources/azure/cluster-subnet-role.ts';
import { fileShare } from '../../../src/resources/azure/file-share.ts';
import { identity } from '../../../src/resources/azure/identity.ts';
import { images } from '../../../src/resources/azure/images.ts';
import { keyVault } from '../../../src/resources/azure/key-vault.ts';
import { network } from '../../../src/resources/azure/network.ts';
import { nodeIdentity } from '../../../src/resources/azure/node-identity.ts';
import { postgresPassword } from '../../../src/resources/azure/postgres-password.ts';
import { privateDnsZones } from '../../../src/resources/azure/private-dns-zones.ts';
import { registry } from '../../../src/resources/azure/registry.ts';
import { registryPull } from '../../../src/resources/azure/registry-pull.ts';
import { resourceGroup } from '../../../src/resources/azure/resource-group.ts';
import { storageAccount } from '../../../src/resources/azure/storage-account.ts';
import { storageCredentials } from '../../../src/resources/azure/storage-credentials.ts';
import { storageEndpoint } from '../../../src/resources/azure/storage-endpoint.ts';
import { vaultRoles } from '../../../src/resources/azure/vault-roles.ts';
import { webuiSecretKey } from '../../../src/resources/azure/webui-secret-key.ts';
import type { StackResource } from '../../../src/resources/index.ts';
import { type SimulatedAzure, startSimulatedAzure } from './simulated-azure.ts';

const resources: readonly StackResource[] = [
  resourceGroup,
  network,
  privateDnsZones,
  identity,
  keyVault,
  vaultRoles,
  webuiSecretKey,
  postgresPassword,
  storageAccount,
  fileShare,
  storageEndpoint,
  storageCredentials,
  registry,
  images,
  cluster,
  clusterSubnetRole,
  registryPull,
  nodeIdentity,
];

let azure: SimulatedAzure;
beforeAll(async () => {
  azure = await startSimulatedAzure(200);
});
afterAll(() => azure.stop());

describe('in the simulated Azure', () => {
  test.each(resources.map((resource) => [resource.key, resource] as const))(
    '%s becomes ready from nothing',
    async (_, resource) => {
      await azure.settle(azure.scope(), resource);
    },
    60_000,
  );

  test('a second look at everything finds it ready and writes nothing', async () => {
    const mark = azure.mark();
    for (const resource of resources) {
      expect(await azure.look(azure.scope(), resource), resource.key).toMatchObject({ state: 'ready' });
    }
    expect(azure.writesSince(mark)).toEqual([]);
  });

  test('looking without being allowed to is never absence', async () => {
    const refused = { kind: 'answer', status: 403, code: 'AuthorizationFailed', message: 'not you' } as const;
    azure.cloud.world.faults.replace([{ id: 'refuse', fault: refused }]);
    try {
      for (const resource of resources) {
        const failure = await azure.look(azure.scope(), resource).then(
          (seen) => ({ kind: seen.state }),
          (error: unknown) => toFailure(error),
        );
        expect(failure, resource.key).toMatchObject({ kind: 'retryable' });
      }
    } finally {
      azure.cloud.world.faults.replace([]);
    }
  });

  test('what has no mark of ours is foreign and is not touched', async () => {
    const name = 'rg-theirs';
    await azure.operator
      .resources()
      .resourceGroups.createOrUpdate(name, { location: 'eastasia', tags: { Owner: 'them' } });
    const scope = azure.scope({ resourceGroup: name });
    const mark = azure.mark();
    await expect(azure.settle(scope, resourceGroup)).rejects.toThrow('rg-theirs exists');
    await resourceGroup.remove(scope, {}, (await azure.look(scope, resourceGroup)) as never);
    expect(azure.writesSince(mark)).toEqual([]);
    azure.unsettle();
  });

  test('tags somebody took away come back, those somebody added stay', async () => {
    const scope = azure.scope();
    const { identity: name, resourceGroup: group, tags } = scope.names;
    const { Application: _, ...left } = tags;
    const identities = azure.operator.identities().userAssignedIdentities;
    await identities.update(group, name, { tags: { ...left, costCentre: '7' } });
    expect(await azure.look(scope, identity)).toMatchObject({
      state: 'drifted',
      differences: [{ path: 'tags.Application' }],
    });
    await azure.settle(scope, identity);
    expect((await identities.get(group, name)).tags).toEqual({ ...tags, costCentre: '7' });
  });

  test('a subnet somebody emptied is mended, and what somebody put on it stays', async () => {
    const scope = azure.scope();
    const { vnet } = scope.spec.network;
    const { resourceGroup: group } = scope.names;
    const subnets = azure.operator.network().subnets;
    const found = await subnets.get(group, vnet, 'snet-postgresql');
    const emptied = { ...found, delegations: [], serviceEndpoints: [{ service: 'Microsoft.KeyVault' }] };
    await azure.finish(subnets.beginCreateOrUpdate(group, vnet, 'snet-postgresql', emptied));
    expect(await azure.look(scope, network)).toMatchObject({ state: 'drifted' });
    await azure.settle(scope, network);
    const mended = await subnets.get(group, vnet, 'snet-postgresql');
    expect(mended.serviceEndpoints?.map(({ service }) => service).sort()).toEqual([
      'Microsoft.KeyVault',
      'Microsoft.Storage',
    ]);
    expect(mended.delegations).toHaveLength(1);
  });

  test('a secret somebody deleted is brought back, not made anew', async () => {
    const scope = azure.scope();
    const { vaultUrl } = (await azure.settle(scope, vaultRoles)) as { vaultUrl: string };
    const secrets = scope.clients.secrets(vaultUrl);
    const before = await secrets.getSecret('webui-secret-key');
    await secrets.beginDeleteSecret('webui-secret-key');
    await azure.settle(scope, webuiSecretKey);
    expect((await secrets.getSecret('webui-secret-key')).value).toBe(before.value);
  });

  test('a vault somebody deleted is recovered with its secrets, and its roles are given again', async () => {
    const scope = azure.scope();
    const { url } = (await azure.settle(scope, keyVault)) as { url: string };
    const before = await scope.clients.secrets(url).getSecret('webui-secret-key');
    await azure.operator.vaults().vaults.delete(scope.names.resourceGroup, scope.names.vault);
    azure.unsettle();
    await azure.settle(scope, webuiSecretKey);
    expect((await scope.clients.secrets(url).getSecret('webui-secret-key')).value).toBe(before.value);
  });

  test('a stored account key that is neither of the account’s two is replaced', async () => {
    const scope = azure.scope();
    const { accountKey } = (await azure.settle(scope, storageCredentials)) as {
      accountKey: { vaultUrl: string };
    };
    const secrets = scope.clients.secrets(accountKey.vaultUrl);
    const stored = (await secrets.getSecret('storage-account-key')).value;
    const { storageAccounts } = azure.operator.storage();
    const { resourceGroup: group, storageAccount: account } = scope.names;
    const { keys = [] } = await storageAccounts.listKeys(group, account);
    const keyName = keys.find(({ value }) => value === stored)?.keyName ?? '';
    await storageAccounts.regenerateKey(group, account, { keyName });
    expect(await azure.look(scope, storageCredentials)).toMatchObject({ state: 'drifted' });
    await azure.settle(scope, storageCredentials);
    const renewed = (await secrets.getSecret('storage-account-key')).value;
    const now = (await storageAccounts.listKeys(group, account)).keys?.map(({ value }) => value);
    expect(now).toContain(renewed);
    expect(renewed).not.toBe(stored);
  });

  test('an operation that fails after it was accepted tells why, and the next attempt may succeed', async () => {
    const scope = azure.scope({ storage: { account: 'stanotherone' } });
    const fault = { kind: 'operation-fails', code: 'QuotaExceeded', message: 'Too many accounts.' } as const;
    azure.cloud.world.faults.replace([{ id: 'quota', method: 'PUT', path: 'stanotherone', times: 1, fault }]);
    const other = { ...storageAccount };
    azure.unsettle();
    const failure = await azure.settle(scope, other).then(() => undefined, toFailure);
    expect(failure).toMatchObject({ kind: 'fatal', code: 'QuotaExceeded' });
    await azure.settle(scope, other);
    azure.unsettle();
  });

  test('every image has been imported exactly once', () => {
    const imports = azure.writesSince(0).filter((call) => call.includes('/importImage'));
    expect(imports).toHaveLength(4);
  });

  test('an identity somebody took off a scale set is put back, beside the others', async () => {
    const scope = azure.scope();
    const { nodeResourceGroup } = (await azure.settle(scope, cluster)) as { nodeResourceGroup: string };
    const { scaleSets } = (await azure.settle(scope, nodeIdentity)) as { scaleSets: readonly string[] };
    const { id } = (await azure.settle(scope, identity)) as { id: string };
    const name = scaleSets[0] ?? '';
    const sets = azure.operator.compute().virtualMachineScaleSets;
    const idsOf = async () =>
      Object.keys((await sets.get(nodeResourceGroup, name)).identity?.userAssignedIdentities ?? {}).map(
        (one) => one.toLowerCase(),
      );
    const before = await idsOf();
    expect(before).toContain(id.toLowerCase());
    const without = { type: 'UserAssigned', userAssignedIdentities: { [id]: null } };
    // The API takes null for "remove", which the SDK's types do not know.
    await azure.finish(sets.update(nodeResourceGroup, name, { identity: without as never }));
    expect(await idsOf()).not.toContain(id.toLowerCase());
    // Of the only scale set there is, too: the activity log is asked by its name.
    expect(scaleSets).toHaveLength(1);
    expect(await azure.look(scope, nodeIdentity)).toMatchObject({
      state: 'drifted',
      differences: [{ path: `${name}.identity.userAssignedIdentities`, found: null }],
    });
    azure.unsettle();
    await azure.settle(scope, nodeIdentity);
    expect((await idsOf()).sort()).toEqual(before.sort());
  });

  test('a wished node pool is added, scaled back after somebody scaled it, and gets the identity', async () => {
    const nodePools = [
      { name: 'system', count: 3 },
      { name: 'extra', mode: 'User' as const, count: 1 },
    ];
    const scope = azure.scope({ cluster: { nodePools } });
    azure.unsettle();
    await azure.settle(scope, cluster);
    const { scaleSets } = (await azure.settle(scope, nodeIdentity)) as { scaleSets: readonly string[] };
    expect(scaleSets).toHaveLength(2);
    const { agentPools } = azure.operator.clusters();
    const { resourceGroup: group, cluster: name } = scope.names;
    const found = await agentPools.get(group, name, 'extra');
    await azure.finish(agentPools.createOrUpdate(group, name, 'extra', { ...found, count: 2 }));
    const mark = azure.mark();
    expect(await azure.look(scope, cluster)).toMatchObject({
      state: 'drifted',
      differences: [{ path: 'agentPoolProfiles.extra.count', wanted: 1, found: 2 }],
    });
    azure.unsettle();
    await azure.settle(scope, cluster);
    expect((await agentPools.get(group, name, 'extra')).count).toBe(1);
    expect(azure.writesSince(mark).filter((call) => call.includes('/managedClusters/'))).toHaveLength(1);
    azure.unsettle();
  });

  test('a cluster newer than asked for keeps its version, and takes what else is asked of it', async () => {
    const { managedClusters } = azure.operator.clusters();
    const { resourceGroup: group, cluster: name } = azure.scope().names;
    const { currentKubernetesVersion: version = '' } = await managedClusters.get(group, name);
    const [major, minor] = version.split('.').map(Number);
    const kubernetesVersion = `${major}.${(minor ?? 0) - 1}`;
    const nodePools = [{ name: 'system', count: 2 }];
    const scope = azure.scope({ cluster: { kubernetesVersion, tier: 'Premium', nodePools } });
    await expect(azure.settle(scope, cluster)).rejects.toThrow('Azure does not go back');
    const found = await managedClusters.get(group, name);
    expect(found).toMatchObject({ sku: { tier: 'Premium' }, currentKubernetesVersion: version });
    expect(found.agentPoolProfiles?.find((pool) => pool.name === 'system')).toMatchObject({
      count: 2,
      currentOrchestratorVersion: version,
    });
    azure.unsettle();
    await azure.settle(azure.scope(), cluster);
    azure.unsettle();
  });

  test('a stopped cluster is said to be stopped, and is left so', async () => {
    const scope = azure.scope();
    await azure.settle(scope, cluster);
    const { resourceGroup: group, cluster: name } = scope.names;
    const { managedClusters } = azure.operator.clusters();
    await azure.finish(managedClusters.stop(group, name));
    const mark = azure.mark();
    expect(await azure.look(scope, cluster)).toMatchObject({ state: 'failed', code: 'ClusterStopped' });
    azure.unsettle();
    await expect(azure.settle(scope, cluster)).rejects.toThrow('stopped by somebody');
    expect(azure.writesSince(mark)).toEqual([]);
    await azure.finish(managedClusters.start(group, name));
    azure.unsettle();
  });

  test('everything goes when it is removed, in the reverse order', async () => {
    const scope = azure.scope();
    for (const resource of resources) await azure.settle(scope, resource);
    const gone = [
      cluster,
      registry,
      storageEndpoint,
      fileShare,
      storageAccount,
      vaultRoles,
      keyVault,
      identity,
      privateDnsZones,
      network,
      resourceGroup,
    ];
    for (const resource of gone) await azure.clear(scope, resource);
    for await (const { name } of azure.operator.resources().resourceGroups.list()) {
      expect(name).not.toBe(scope.names.resourceGroup);
    }
  }, 60_000);
});

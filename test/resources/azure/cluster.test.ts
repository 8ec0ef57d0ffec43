import { describe, expect, test } from 'vitest';
import { clusterBody, clusterDifferences } from '../../../src/resources/azure/cluster.ts';
import { mergedPool } from '../../../src/resources/azure/node-pools.ts';
import { specOf } from '../spec.ts';

const subnet = '/net/subnets/aks';

describe('azure/cluster', () => {
  test('is made with an overlay on our subnet, an issuer, and Entra as the only way in', () => {
    const body = clusterBody(specOf(), subnet);
    expect(body).toMatchObject({
      identity: { type: 'SystemAssigned' },
      networkProfile: {
        networkPlugin: 'azure',
        networkPluginMode: 'overlay',
        networkPolicy: 'cilium',
        networkDataplane: 'cilium',
      },
      oidcIssuerProfile: { enabled: true },
      securityProfile: { workloadIdentity: { enabled: true } },
      aadProfile: { managed: true, enableAzureRbac: true },
      disableLocalAccounts: true,
      agentPoolProfiles: [
        { name: 'system', mode: 'System', count: 3, type: 'VirtualMachineScaleSets', vnetSubnetID: subnet },
      ],
    });
  });

  test('a body that Azure hands back does not differ from its spec', () => {
    const { spec, names } = specOf({ cluster: { kubernetesVersion: '1.33' } });
    const body = clusterBody({ spec, names }, subnet);
    const back = {
      ...body,
      location: 'East Asia',
      kubernetesVersion: '1.33.4',
      agentPoolProfiles:
        body.agentPoolProfiles?.map((pool) => ({ ...pool, orchestratorVersion: '1.33.4', maxPods: 250 })) ??
        [],
    };
    expect(clusterDifferences(spec, back)).toEqual([]);
  });

  test('AKS handing back no taints and no labels is as good as empty ones', () => {
    const { spec, names } = specOf();
    const body = clusterBody({ spec, names }, subnet);
    const bare = body.agentPoolProfiles?.map(({ nodeTaints: _t, nodeLabels: _l, ...pool }) => pool) ?? [];
    expect(clusterDifferences(spec, { ...body, agentPoolProfiles: bare })).toEqual([]);
  });

  test('the node count is ours until the autoscaler has it', () => {
    const { spec, names } = specOf();
    const body = clusterBody({ spec, names }, subnet);
    const counting = (fields: object) => ({
      ...body,
      agentPoolProfiles: body.agentPoolProfiles?.map((pool) => ({ ...pool, ...fields })) ?? [],
    });
    expect(clusterDifferences(spec, counting({ count: 5 })).map(({ path }) => path)).toEqual([
      'agentPoolProfiles.system.count',
    ]);
    expect(clusterDifferences(spec, counting({ count: 5, enableAutoScaling: true }))).toEqual([]);
  });

  test('pools of others are left alone, missing ones are not', () => {
    const { spec, names } = specOf({
      cluster: { nodePools: [{ name: 'system' }, { name: 'gpu', mode: 'User' }] },
    });
    const body = clusterBody({ spec, names }, subnet);
    const pools = [
      { name: 'theirs' },
      ...(body.agentPoolProfiles ?? []).filter(({ name }) => name !== 'gpu'),
    ];
    expect(clusterDifferences(spec, { ...body, agentPoolProfiles: pools }).map(({ path }) => path)).toEqual([
      'agentPoolProfiles.gpu',
    ]);
  });

  test('a changed pool is sent back with everything it had', () => {
    const { spec } = specOf({
      cluster: { nodePools: [{ name: 'system', labels: { tier: 'a' }, count: 4 }] },
    });
    const [pool] = spec.cluster.nodePools;
    expect(pool).toBeDefined();
    if (!pool) return;
    const found = {
      count: 2,
      vmSize: 'Standard_D4s_v5',
      maxPods: 250,
      nodeLabels: { theirs: 'x' },
      osDiskSizeGB: 128,
    };
    expect(mergedPool(spec, pool, found, subnet)).toEqual({
      ...found,
      count: 4,
      mode: 'System',
      nodeTaints: [],
      nodeLabels: { theirs: 'x', tier: 'a' },
    });
    expect(mergedPool(spec, pool, { ...found, enableAutoScaling: true }, subnet).count).toBe(2);
    expect(mergedPool(spec, pool, undefined, subnet)).toMatchObject({
      vnetSubnetID: subnet,
      typePropertiesType: 'VirtualMachineScaleSets',
    });
  });

  test('the host name of the API server can be made from any cluster name', () => {
    const { spec, names } = specOf({ cluster: { name: `a_${'b'.repeat(51)}__c` } });
    expect(clusterBody({ spec, names }, subnet).dnsPrefix).toMatch(
      /^[a-zA-Z0-9][a-zA-Z0-9-]{0,52}[a-zA-Z0-9]$/,
    );
  });
});

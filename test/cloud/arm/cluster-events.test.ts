import { ContainerServiceClient } from '@azure/arm-containerservice';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  givenGroup,
  location,
  openTenant,
  refusalOf,
  subscriptionId,
  type Tenant,
  throughTime,
} from './tenant.ts';

let tenant: Tenant;
let client: ContainerServiceClient;

const CLUSTER = `/subscriptions/${subscriptionId}/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks`;
/** As AKS spells it in its own calls. */
const NODES = `/subscriptions/${subscriptionId}/resourcegroups/MC_rg_aks_eastasia`;

beforeEach(async () => {
  tenant = openTenant();
  await givenGroup(tenant);
  client = new ContainerServiceClient(tenant.as(), subscriptionId, tenant.options);
});

const pool = { vmSize: 'Standard_D2s_v5', count: 1 };
const givenCluster = (name = 'aks', kubernetesVersion?: string) =>
  throughTime(
    tenant,
    client.managedClusters.createOrUpdate('rg', name, {
      location,
      identity: { type: 'SystemAssigned' },
      dnsPrefix: name,
      agentPoolProfiles: [{ name: 'system', mode: 'System', ...pool }],
      ...(kubernetesVersion === undefined ? {} : { kubernetesVersion }),
    }),
  );
const putPool = (name: string, more: object = {}) =>
  throughTime(tenant, client.agentPools.createOrUpdate('rg', 'aks', name, { ...pool, ...more }));

/** What happened while something was done: type, and what it was about. */
async function eventsOf(act: () => Promise<unknown>): Promise<string[]> {
  const before = tenant.events.length;
  await act();
  return tenant.events.slice(before).map(({ eventType, subject, data }) => {
    const about = data['nodePoolName'] ?? data['operationName'];
    return `${eventType.split('.').at(-1)} ${subject}${about === undefined ? '' : ` ${String(about)}`}`;
  });
}

const written = (scaleSet: string): string =>
  `ResourceWriteSuccess ${NODES}/providers/Microsoft.Compute/virtualMachineScaleSets/${scaleSet} ` +
  'Microsoft.Compute/virtualMachineScaleSets/write';
const poolWritten = `ResourceWriteSuccess ${CLUSTER}/agentPools/extra Microsoft.ContainerService/managedClusters/agentPools/write`;
const scaleSetOf = (name: string): string =>
  tenant.arm.clusters.list()[0]?.nodePools.find((one) => one.name === name)?.vmssName ?? '';

describe('a node pool tells', () => {
  test('that it is new, and of its scale set in the node resource group', async () => {
    await givenCluster();
    const events = await eventsOf(() => putPool('extra'));
    expect(events).toEqual([written(scaleSetOf('extra')), poolWritten]);
  });

  test('that it was scaled', async () => {
    await givenCluster();
    await putPool('extra');
    const events = await eventsOf(() => putPool('extra', { count: 2 }));
    expect(events).toEqual([written(scaleSetOf('extra')), poolWritten]);
  });

  test('that it is rolled, beginning and end', async () => {
    await givenCluster('aks', '1.34');
    await putPool('extra', { orchestratorVersion: '1.33' });
    const events = await eventsOf(() => putPool('extra', { orchestratorVersion: '1.34' }));
    expect(events).toEqual([
      'NodePoolRollingStarted aks extra',
      written(scaleSetOf('extra')),
      'NodePoolRollingSucceeded aks extra',
      poolWritten,
    ]);
    expect(tenant.events.find(({ eventType }) => eventType.endsWith('RollingStarted'))?.topic).toBe(CLUSTER);
  });

  test('that rolling it failed', async () => {
    await givenCluster('aks', '1.34');
    await putPool('extra', { orchestratorVersion: '1.33' });
    const fault = {
      kind: 'operation-fails',
      code: 'UpgradeFailed',
      message: 'A node did not drain.',
    } as const;
    tenant.world.faults.replace([{ id: 'stuck', method: 'PUT', path: 'agentPools/extra', fault }]);
    const events = await eventsOf(() =>
      putPool('extra', { orchestratorVersion: '1.34' }).catch(() => undefined),
    );
    expect(events).toEqual([
      'NodePoolRollingStarted aks extra',
      'NodePoolRollingFailed aks extra',
      poolWritten.replace('Success', 'Failure'),
    ]);
  });

  test('that it was rolled with its cluster', async () => {
    await givenCluster('aks', '1.33');
    const rolled = {
      location,
      identity: { type: 'SystemAssigned' as const },
      kubernetesVersion: '1.34',
      agentPoolProfiles: [
        {
          name: 'system',
          mode: 'System',
          ...pool,
          orchestratorVersion: '1.34',
          type: 'VirtualMachineScaleSets',
        },
      ],
    };
    const events = await eventsOf(() =>
      throughTime(tenant, client.managedClusters.createOrUpdate('rg', 'aks', rolled)),
    );
    expect(events).toEqual([
      'NodePoolRollingStarted aks system',
      written(scaleSetOf('system')),
      'NodePoolRollingSucceeded aks system',
      `ResourceWriteSuccess ${CLUSTER} Microsoft.ContainerService/managedClusters/write`,
    ]);
  });

  test('that it is gone, with its scale set', async () => {
    await givenCluster();
    await putPool('extra');
    const scaleSet = scaleSetOf('extra');
    const events = await eventsOf(() => throughTime(tenant, client.agentPools.delete('rg', 'aks', 'extra')));
    expect(events).toEqual([
      written(scaleSet).replaceAll('write', 'delete').replace('Write', 'Delete'),
      poolWritten.replaceAll('write', 'delete').replace('Write', 'Delete'),
    ]);
  });
});

describe('AKS announces', () => {
  const listed = async (): Promise<string[]> =>
    ((await client.managedClusters.listKubernetesVersions(location)).values ?? []).map(
      ({ version }) => version ?? '',
    );
  const upgrades = async (): Promise<(string | undefined)[]> =>
    ((await client.managedClusters.getUpgradeProfile('rg', 'aks')).controlPlaneProfile.upgrades ?? []).map(
      ({ kubernetesVersion }) => kubernetesVersion,
    );

  test('nothing while there is no cluster', () => {
    expect(() => tenant.arm.announce('support-ended')).toThrow(RangeError);
  });

  test('a new version, which it then offers to every cluster', async () => {
    await givenCluster();
    await givenCluster('other');
    expect(await upgrades()).toEqual(['1.35.1']);
    const events = await eventsOf(async () => tenant.arm.announce('new-kubernetes-version'));
    expect(events).toEqual(['NewKubernetesVersionAvailable aks', 'NewKubernetesVersionAvailable other']);
    expect(tenant.events.at(-2)).toMatchObject({
      topic: CLUSTER,
      data: {
        latestSupportedKubernetesVersion: '1.35.2',
        latestStableKubernetesVersion: '1.34.4',
        lowestMinorKubernetesVersion: '1.32.11',
      },
    });
    expect(await upgrades()).toEqual(['1.34.4', '1.35.1', '1.35.2']);
  });

  test('that support ends for the clusters of the oldest version, which is then the oldest it lists', async () => {
    await givenCluster('aks', '1.33');
    await givenCluster('other', '1.34');
    const events = await eventsOf(async () => tenant.arm.announce('support-ending'));
    expect(events).toEqual(['ClusterSupportEnding aks']);
    expect(tenant.events.at(-1)?.data).toEqual({ kubernetesVersion: '1.33' });
    expect(await listed()).toEqual(['1.33', '1.34', '1.35']);
  });

  test('that support has ended: that version is listed no more, and new pools of it are refused', async () => {
    await givenCluster('aks', '1.35');
    const events = await eventsOf(async () => tenant.arm.announce('support-ended'));
    expect(events).toEqual(['ClusterSupportEnded aks']);
    expect(await listed()).toEqual(['1.36']);
    const refused = client.agentPools.createOrUpdate('rg', 'aks', 'extra', pool).submitted();
    expect(await refusalOf(refused)).toEqual({ status: 400, code: 'K8sVersionNotSupported' });
    expect(await upgrades()).toEqual(['1.36.0']);
  });
});

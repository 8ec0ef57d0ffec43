/** Versions of node pools and of the database against what Azure supports. */
import type { ManagedCluster } from '@azure/arm-containerservice';
import { describe, expect, test } from 'vitest';
import { databaseVersion } from '../../../src/checks/azure/database-version.ts';
import { poolVersions } from '../../../src/checks/azure/pool-version.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import { aRound } from '../a-round.ts';

const clusters = (minors: readonly string[]): Clients['clusters'] =>
  (() => ({
    managedClusters: {
      listKubernetesVersions: async () => ({ values: minors.map((version) => ({ version })) }),
    },
  })) as unknown as Clients['clusters'];

const withPools = (
  controlPlane: string,
  pools: ManagedCluster['agentPoolProfiles'],
  minors = ['1.33', '1.34', '1.35', '1.36'],
) =>
  aRound({
    clients: { clusters: clusters(minors) },
    known: {
      cluster: { currentKubernetesVersion: controlPlane, agentPoolProfiles: pools, location: 'westeurope' },
    },
  });
const pool = (name: string, currentOrchestratorVersion: string) => ({ name, currentOrchestratorVersion });

describe('the Kubernetes version of a node pool', () => {
  test('may be that of the control plane, without anything being asked for', async () => {
    const cluster = { currentKubernetesVersion: '1.36.2', agentPoolProfiles: [pool('system', '1.36.1')] };
    expect(await poolVersions.run(aRound({ known: { cluster } }))).toEqual([]);
  });

  test('may lag two minor versions behind, and not three', async () => {
    expect(await poolVersions.run(withPools('1.36.2', [pool('system', '1.34.9')]))).toEqual([]);
    expect(
      await poolVersions.run(withPools('1.36.2', [pool('system', '1.36.2'), pool('work', '1.33.9')])),
    ).toMatchObject([{ id: 'node-pool-work-version-lags', resource: 'azure/cluster', severity: 'warning' }]);
  });

  test('is an error when AKS no longer supports it', async () => {
    const found = await poolVersions.run(
      withPools('1.34.2', [pool('work', '1.33.9')], ['1.34', '1.35', '1.36']),
    );
    expect(found).toMatchObject([{ id: 'node-pool-work-version-unsupported', severity: 'error' }]);
    expect(found[0]?.evidence).toBe(
      'agentPoolProfiles.work.currentOrchestratorVersion is 1.33.9; the control plane runs 1.34.2.',
    );
  });
});

describe('the major version of the database', () => {
  const look = (version: string, now: string) =>
    databaseVersion.run(
      aRound({
        known: { 'database server': { state: 'Ready', version } },
        now: new Date(now),
      }),
    );

  test.each([
    ['16', '2028-05-12T00:00:00Z', []],
    ['16', '2028-05-14T00:00:00Z', ['database-version-support-ending']],
    ['16', '2028-11-09T12:00:00Z', ['database-version-support-ending']],
    ['16', '2028-11-10T00:00:00Z', ['database-version-support-ended']],
    ['19', '2040-01-01T00:00:00Z', []],
  ])('PostgreSQL %s at %s: %j', async (version, now, ids) => {
    expect((await look(version, now)).map(({ id }) => id)).toEqual(ids);
  });

  test('is told with the day, in the same words each day', async () => {
    const [first] = await look('16', '2028-08-01T00:00:00Z');
    expect(first?.evidence).toBe('properties.version is 16; its support ends on 2028-11-09.');
    expect(await look('16', '2028-09-01T00:00:00Z')).toEqual([first]);
  });
});

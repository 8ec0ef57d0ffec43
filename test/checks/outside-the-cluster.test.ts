import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { databaseEndpoint, databaseRecord, databaseZone } from '../../src/checks/azure/database.ts';
import { azureChecks } from '../../src/checks/azure/index.ts';
import type { Check } from '../../src/checks/check.ts';
import { cloudflareChecks } from '../../src/checks/cloudflare/index.ts';
import { databaseChecks } from '../../src/checks/database/index.ts';
import { entraChecks } from '../../src/checks/entra/index.ts';
import { postgresEndpoint } from '../../src/resources/azure/postgres-endpoint.ts';
import { stack } from '../../src/resources/index.ts';
import { dataFaults } from './azure/data-faults.ts';
import { azureFaults } from './azure/faults.ts';
import { vaultFaults } from './azure/vault-faults.ts';
import { type BrokenClouds, named, runChecks, startBrokenClouds } from './broken-clouds.ts';
import { cloudflareFaults, connectTunnel } from './cloudflare/faults.ts';
import { entraFaults } from './entra/faults.ts';

const checks = [...azureChecks, ...databaseChecks, ...entraChecks, ...cloudflareChecks];
const DAY = 86_400_000;

const faults = [...azureFaults, ...vaultFaults, ...dataFaults, ...entraFaults, ...cloudflareFaults];
const counts = { hits: 0, falseAlarms: 0 };

let clouds: BrokenClouds;
/** All findings of all faults. */
const told: string[] = [];
const run = (now?: Date) => {
  const scope = clouds.scope();
  return runChecks(checks, { ...scope, now: now ?? scope.now });
};

beforeAll(async () => {
  clouds = await startBrokenClouds();
  await connectTunnel(clouds);
}, 300_000);
afterAll(async () => {
  const { hits, falseAlarms } = counts;
  console.info(
    `outside the cluster: ${faults.length} faults, ${hits} hits, ${faults.length - hits} misses, ${falseAlarms} false alarms`,
  );
  await clouds?.stop();
});

/** Nothing found and nothing unknown, by these checks. */
const expectHealth = async (by: readonly Check[] = checks): Promise<void> => {
  const { findings, unknown } = await runChecks(by, clouds.scope());
  counts.falseAlarms += findings.length;
  expect(findings.map(named)).toEqual([]);
  expect([...unknown]).toEqual([]);
};

describe('checks outside the cluster', () => {
  test('a healthy stack has no finding, and looking writes nothing', async () => {
    const mark = clouds.azure.mark();
    await expectHealth();
    expect(clouds.azure.writesSince(mark)).toEqual([]);
    // A subscription is given 25 reads a second: https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
    const { calls } = clouds.azure.cloud.world.calls.since(mark);
    expect(calls.filter(({ service }) => service === 'arm').length).toBeLessThanOrEqual(30);
  });

  test('checks have ids of their own', () => {
    expect(new Set(checks.map(({ id }) => id)).size).toBe(checks.length);
  });

  test.each(faults.map((fault) => [fault.what, fault] as const))(
    '%s: the first finding says so, twice in the same words, and it goes when it is mended',
    async (_, fault) => {
      let noisy: readonly Check[] = [];
      try {
        await fault.break(clouds);
        const found = await run();
        noisy = found.noisy;
        told.push(JSON.stringify(found.findings));
        expect(found.findings.map(named)[0]).toBe(fault.finding);
        expect(found.findings[0]?.evidence).toMatch(fault.evidence ?? /./);
        const again = await runChecks(noisy, clouds.scope());
        expect(again.findings).toEqual(found.findings);
        for (const { resource, what, evidence, breaks, remedy } of found.findings) {
          expect(stack.map(({ key }) => key)).toContain(resource);
          for (const text of [what, evidence, breaks, remedy]) expect(text.length).toBeGreaterThan(5);
        }
        counts.hits += 1;
      } finally {
        clouds.azure.cloud.world.faults.replace([]);
        await fault.mend(clouds);
      }
      // A database can be used some moments after Azure has listed it.
      await expect
        .poll(async () => (await runChecks(noisy, clouds.scope())).findings.map(named), { timeout: 60_000 })
        .toEqual([]);
      await expectHealth(noisy);
    },
    120_000,
  );

  test('no finding shows a value of a secret', async () => {
    const { names, clients } = clouds.scope();
    const { properties } = await clients.vaults().vaults.get(names.resourceGroup, names.vault);
    const vault = clients.secrets(properties.vaultUri ?? '');
    const values: string[] = [];
    for (const name of ['postgres-connection-string', 'postgres-admin-password', 'webui-secret-key']) {
      values.push((await vault.getSecret(name)).value ?? '');
    }
    for (const name of ['storage-account-key', 'openwebui-client-secret', 'cf-tunnel-token']) {
      for await (const { version = '' } of vault.listPropertiesOfSecretVersions(name)) {
        values.push((await vault.getSecret(name, { version })).value ?? '');
      }
    }
    expect(told.length).toBeGreaterThan(40);
    expect(values.filter((value) => told.some((findings) => findings.includes(value)))).toEqual([]);
  });

  test('a change of the cluster is worth a word only when it lasts', async () => {
    const { names, clients, now } = clouds.scope();
    const { managedClusters } = clients.clusters();
    const found = await managedClusters.get(names.resourceGroup, names.cluster);
    const poller = managedClusters.createOrUpdate(names.resourceGroup, names.cluster, found);
    await poller.submitted();
    const since = (hours: number) => {
      const known = { 'azure/cluster': { outputs: {}, readyAt: now.getTime() - hours * 3_600_000 } };
      return runChecks(azureChecks, { ...clouds.scope(), known });
    };
    const long = await since(2);
    expect(long.findings.map(named)).toEqual(['azure/cluster cluster-still-changing']);
    await clouds.azure.finish(poller);
    expect((await since(2)).findings).toEqual([]);
  });

  test('a database behind a private endpoint is looked at through its endpoint', async () => {
    const postgres = { server: 'psql-behind-endpoint', privateAccess: 'private-endpoint' } as const;
    const other = clouds.azure.scope({ postgres });
    clouds.azure.unsettle();
    await clouds.azure.settle(other, postgresEndpoint);
    const { spec, names, clients } = other;
    const look = () =>
      runChecks([databaseZone, databaseEndpoint, databaseRecord], {
        spec,
        names,
        clients,
        now: other.now,
        known: {},
      });
    expect(await look()).toMatchObject({ findings: [], noisy: [] });
    const { recordSets } = clouds.azure.operator.privateDns();
    await recordSets.delete(names.resourceGroup, names.postgresZone, 'A', names.postgresServer);
    expect((await look()).findings.map(named)).toEqual([
      'azure/postgres-endpoint database-endpoint-record-missing',
    ]);
    clouds.azure.unsettle();
  }, 60_000);

  test('when everything is mended nothing is left', () => expectHealth());

  test('a secret is worth a word only when its rotation is overdue', async () => {
    const months = clouds.scope().spec.vault.secretLifetimeMonths;
    const end = clouds.scope().now.getTime() + (months / 12) * 365 * DAY;
    expect((await run(new Date(end - 31 * DAY))).findings.map(named)).toEqual([]);
    const { findings } = await run(new Date(end - 20 * DAY));
    expect(findings.map(named)).toContain('azure/postgres-password postgres-admin-password-rotation-overdue');
    expect(findings.every(({ severity }) => severity === 'warning')).toBe(true);
  });

  test.each([
    ['are not allowed to look', { kind: 'answer', status: 403, code: 'AuthorizationFailed', message: 'no' }],
    ['get no answer', { kind: 'cut-before' }],
    ['are throttled', { kind: 'answer', status: 429, retryAfterSeconds: 30 }],
  ])('checks that %s say so and find nothing', async (_, fault) => {
    const apis = ['arm', 'graph', 'cloudflare', 'key-vault'];
    clouds.azure.cloud.world.faults.replace(apis.map((service) => ({ id: service, service, fault })));
    try {
      const { findings, unknown } = await run();
      expect(findings).toEqual([]);
      const wanted = checks.filter((check) => check.isWanted?.(clouds.scope()) ?? true);
      expect([...unknown.keys()].toSorted()).toEqual(wanted.map(({ id }) => id).toSorted());
    } finally {
      clouds.azure.cloud.world.faults.replace([]);
    }
  });

  test('one silent cloud leaves the others their findings', async () => {
    clouds.azure.cloud.world.faults.replace([
      { id: 'silent', service: 'cloudflare', fault: { kind: 'cut-before' } },
    ]);
    try {
      const { findings, unknown } = await run();
      expect(findings).toEqual([]);
      expect([...unknown.keys()].toSorted()).toEqual(cloudflareChecks.map(({ id }) => id).toSorted());
    } finally {
      clouds.azure.cloud.world.faults.replace([]);
    }
  });

  test('a version that is no longer supported is found in the words of its resource', async () => {
    await clouds.door('/announcements', { kind: 'support-ended' });
    const { findings } = await run();
    expect(findings.map(named)).toEqual(['azure/cluster-version support-ended']);
  });
});

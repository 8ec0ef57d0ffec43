/** The checks as the app runs them: login from the vault, through the proxy, to the server that ARM tells about. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serverReady } from '../../../src/checks/azure/database.ts';
import type { CheckScope } from '../../../src/checks/check.ts';
import { databaseChecks } from '../../../src/checks/database/index.ts';
import { loginOf } from '../../../src/checks/database/session.ts';
import { postgresConnectionString } from '../../../src/resources/azure/postgres-connection-string.ts';
import { postgresDatabase } from '../../../src/resources/azure/postgres-database.ts';
import { type SimulatedAzure, startSimulatedAzure } from '../../resources/azure/simulated-azure.ts';
import { named, runChecks } from '../broken-clouds.ts';

let azure: SimulatedAzure;
beforeAll(async () => {
  azure = await startSimulatedAzure(400);
  await azure.settle(azure.scope(), postgresConnectionString);
}, 180_000);
afterAll(() => azure.stop());

const scope = (): CheckScope => {
  const { spec, names, clients, now } = azure.scope();
  return { spec, names, clients, now, known: {} };
};
const look = () => runChecks([serverReady, ...databaseChecks], scope());
const names = () => azure.scope().names;
/** Of all that could not be looked at. */
const codesOf = (unknown: Awaited<ReturnType<typeof look>>['unknown']): readonly string[] => [
  ...new Set([...unknown.values()].map(({ code }) => code)),
];
const healthy = async (): Promise<void> => {
  const { findings, unknown } = await look();
  expect(findings).toEqual([]);
  expect([...unknown]).toEqual([]);
};
/** What became of each attempt to reach a database server. */
const sessionsSince = (mark: number): readonly number[] =>
  azure.cloud.world.calls
    .since(mark)
    .calls.filter(({ service }) => service === 'postgresql' || service === 'refused')
    .map(({ status }) => status);
const vault = async () => {
  const { properties } = await azure.operator.vaults().vaults.get(names().resourceGroup, names().vault);
  return azure.operator.secrets(properties.vaultUri ?? '');
};
const dial = async (isOn: boolean): Promise<void> => {
  const answer = await fetch(`${azure.cloud.endpoints.sandbox}/dials`, {
    method: 'PUT',
    body: JSON.stringify({ 'control-plane-outside-network': isOn }),
  });
  expect(answer.status).toBe(200);
};

describe('the database of a deployment', () => {
  test('is fine when nothing is wrong: one session a round for all checks, and nothing is written', async () => {
    const mark = azure.mark();
    await healthy();
    expect(azure.writesSince(mark)).toEqual([]);
    expect(sessionsSince(mark)).toEqual([200]);
  });

  test('shows that the server has been given another password than the vault holds', async () => {
    const { servers } = azure.operator.postgres();
    const set = (administratorLoginPassword: string) =>
      azure.finish(
        servers.beginUpdate(names().resourceGroup, names().postgresServer, { administratorLoginPassword }),
      );
    const { password } = await loginOf(scope());
    await set('Another-horse-8');
    const { findings, unknown } = await look();
    expect(findings.map(named)).toEqual(['azure/postgres-server database-login-password-changed']);
    expect(findings[0]?.repair).toBe(
      `POST /api/deployments/${names().deployment}/rotate?what=postgres-password`,
    );
    expect(codesOf(unknown)).toEqual(['PasswordRefused']);
    expect(JSON.stringify([findings, ...unknown])).not.toContain(password);
    await set(password);
    await healthy();
  }, 60_000);

  test('shows that the connection string carries another password', async () => {
    const secrets = await vault();
    const { value = '' } = await secrets.getSecret('postgres-connection-string');
    await secrets.setSecret('postgres-connection-string', value.replace(/:[^:@]+@/, ':Another-horse-8@'));
    const { findings } = await look();
    expect(findings.map(named)).toEqual(['azure/postgres-connection-string database-login-password-refused']);
    await secrets.setSecret('postgres-connection-string', value);
    await healthy();
  });

  test('is not asked anywhere but on its own server', async () => {
    const secrets = await vault();
    const { value = '' } = await secrets.getSecret('postgres-connection-string');
    await secrets.setSecret(
      'postgres-connection-string',
      value.replace(/@[^:/]+/, '@psql-somebody-else.postgres.database.azure.com'),
    );
    const mark = azure.mark();
    const { findings, unknown } = await look();
    expect(findings).toEqual([]);
    expect(codesOf(unknown)).toEqual(['ConnectionStringWrong']);
    expect(sessionsSince(mark)).toEqual([]);
    await secrets.setSecret('postgres-connection-string', value);
    await healthy();
  });

  test('shows that it is not there', async () => {
    const { databases } = azure.operator.postgres();
    const { resourceGroup: group, postgresServer: server } = names();
    await azure.finish(databases.beginDelete(group, server, scope().spec.postgres.database));
    const { findings, unknown } = await look();
    expect(findings.map(named)).toEqual(['azure/postgres-database database-login-no-database']);
    expect(codesOf(unknown)).toEqual(['NoSuchDatabase']);
    azure.unsettle();
    await azure.settle(azure.scope(), postgresDatabase);
    // ARM tells of a database a moment before it can be used.
    await expect.poll(async () => (await look()).findings.map(named), { timeout: 30_000 }).toEqual([]);
  }, 60_000);

  test('is unknown, and not green, where the control plane cannot reach it', async () => {
    await dial(true);
    const { findings, unknown } = await look();
    expect(findings).toEqual([]);
    expect([...unknown.keys()]).toEqual(databaseChecks.map(({ id }) => id));
    expect(codesOf(unknown)).toEqual(['DatabaseUnreachable']);
    await dial(false);
    await healthy();
  });

  test('is unknown while its server is stopped, which is the one finding', async () => {
    const { servers } = azure.operator.postgres();
    await azure.finish(servers.beginStop(names().resourceGroup, names().postgresServer));
    const { findings, unknown } = await look();
    expect(findings.map(named)).toEqual(['azure/postgres-server database-server-stopped']);
    expect(codesOf(unknown)).toEqual(['ServerNotReady']);
    await azure.finish(servers.beginStart(names().resourceGroup, names().postgresServer));
    await healthy();
  }, 60_000);
});

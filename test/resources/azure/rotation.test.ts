/**
 * Rotations in the simulated Azure: by wish, by expiry, with the connection lost at each step, and beside people. Longer
 * than other files because making the stack takes longest, and all rotations can share one.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Outputs } from '../../../src/graph/resource.ts';
import { cluster } from '../../../src/resources/azure/cluster.ts';
import { clusterAccess } from '../../../src/resources/azure/cluster-access.ts';
import { fileShare } from '../../../src/resources/azure/file-share.ts';
import { postgresConnectionString } from '../../../src/resources/azure/postgres-connection-string.ts';
import { postgresPassword } from '../../../src/resources/azure/postgres-password.ts';
import { postgresServer } from '../../../src/resources/azure/postgres-server.ts';
import { retiredStorageKey } from '../../../src/resources/azure/retired-storage-key.ts';
import { storageCredentials } from '../../../src/resources/azure/storage-credentials.ts';
import { storageEndpoint } from '../../../src/resources/azure/storage-endpoint.ts';
import { vaultRoles } from '../../../src/resources/azure/vault-roles.ts';
import { webuiSecretKey } from '../../../src/resources/azure/webui-secret-key.ts';
import type { StackResource } from '../../../src/resources/index.ts';
import type { Rotation, Scope } from '../../../src/resources/scope.ts';
import { type SimulatedAzure, startSimulatedAzure } from './simulated-azure.ts';

const DAY = 86_400_000;
const PASSWORD = 'postgres-admin-password';
const STRING = 'postgres-connection-string';
const KEY = 'storage-account-key';

let azure: SimulatedAzure;
let vaultUrl: string;
const ready: Outputs[] = [];
beforeAll(async () => {
  azure = await startSimulatedAzure(300);
  for (const resource of [webuiSecretKey, postgresConnectionString, fileShare, storageEndpoint]) {
    ready.push(await azure.settle(azure.scope(), resource));
  }
  await azure.settle(azure.scope(), storageCredentials);
  vaultUrl = ((await azure.settle(azure.scope(), vaultRoles)) as { vaultUrl: string }).vaultUrl;
}, 120_000);
afterAll(() => azure.stop());
beforeEach(() => azure.unsettle());
afterEach(() => azure.cloud.world.faults.replace([]));

/** Somebody asks now, and every later look of the test knows of it. */
const wishFor = (rotation: Rotation): (() => Scope) => {
  const wish = new Date(azure.cloud.world.clock.now());
  return () => ({ ...azure.scope(), rotateAfter: { [rotation]: wish } });
};
const settleAgain = async (scope: Scope, resource: StackResource): Promise<Outputs> => {
  azure.unsettle();
  return azure.settle(scope, resource);
};
const current = (name: string) => azure.operator.secrets(vaultUrl).getSecret(name);
const versionsOf = async (name: string): Promise<number> => {
  let count = 0;
  for await (const _ of azure.operator.secrets(vaultUrl).listPropertiesOfSecretVersions(name)) count += 1;
  return count;
};
const losing = (method: string, path: string, fault: object = { kind: 'cut-after' }): void =>
  azure.cloud.world.faults.replace([{ id: 'lost', method, path, times: 1, fault }]);
/** Without hosts, groups and api-versions: `PUT secrets/x → 200`. */
const writesSince = (mark: number): readonly string[] =>
  azure.writesSince(mark).map((call) => {
    const [method = '', address = ''] = call.split(' ');
    const path = address.split('?')[0]?.split('/') ?? [];
    return `${method} ${path
      .slice(address.includes('.vault.') ? 1 : -2)
      .slice(0, 2)
      .join('/')}`;
  });
/** Virtual time goes on, so that whatever is made now is not of the same second. */
const aWhile = (): Promise<void> => azure.cloud.world.clock.wait(5_000);

describe('whatever is not due', () => {
  test('is looked at without a write, and has an end a year after it was made', async () => {
    const mark = azure.mark();
    for (const resource of [webuiSecretKey, postgresConnectionString, storageCredentials]) {
      await azure.settle(azure.scope(), resource);
    }
    expect(azure.writesSince(mark)).toEqual([]);
    for (const name of ['webui-secret-key', PASSWORD, STRING, KEY]) {
      const { createdOn, expiresOn } = (await current(name)).properties;
      const days = ((expiresOn?.getTime() ?? 0) - (createdOn?.getTime() ?? 0)) / DAY;
      expect(Math.round(days), name).toBeGreaterThanOrEqual(365);
      expect(Math.round(days), name).toBeLessThanOrEqual(366);
    }
  });

  test('gets its end without a new version when it was made before secrets had one', async () => {
    const scope = azure.scope({ vault: { secretLifetimeMonths: 6 } });
    const count = await versionsOf('webui-secret-key');
    const mark = azure.mark();
    await azure.settle(scope, webuiSecretKey);
    expect(azure.writesSince(mark)).toHaveLength(1);
    expect(azure.writesSince(mark)[0]).toContain('PATCH');
    await settleAgain(scope, webuiSecretKey);
    expect(azure.writesSince(mark)).toHaveLength(1);
    expect(await versionsOf('webui-secret-key')).toBe(count);
  });
});

describe('the web UI key', () => {
  test('is replaced once when somebody asks', async () => {
    const before = await current('webui-secret-key');
    await aWhile();
    const wished = wishFor('webui-secret-key');
    const mark = azure.mark();
    await azure.settle(wished(), webuiSecretKey);
    await settleAgain(wished(), webuiSecretKey);
    expect(writesSince(mark)).toEqual(['PUT secrets/webui-secret-key']);
    expect((await current('webui-secret-key')).value).not.toBe(before.value);
  });

  test('is replaced once although the answer of the vault was lost', async () => {
    await aWhile();
    const wished = wishFor('webui-secret-key');
    const count = await versionsOf('webui-secret-key');
    losing('PUT', 'webui-secret-key');
    await azure.settle(wished(), webuiSecretKey);
    await settleAgain(wished(), webuiSecretKey);
    expect(await versionsOf('webui-secret-key')).toBe(count + 1);
  });

  test('is not replaced by itself: that it nears its end is only told', async () => {
    const { properties } = await current('webui-secret-key');
    const scope = { ...azure.scope(), now: new Date((properties.expiresOn?.getTime() ?? 0) + DAY) };
    await azure.settle(azure.scope(), vaultRoles);
    const mark = azure.mark();
    expect(await azure.look(scope, webuiSecretKey)).toMatchObject({
      state: 'ready',
      notices: [{ id: 'rotation-advised', severity: 'warning' }],
    });
    expect(azure.writesSince(mark)).toEqual([]);
  });

  test('that somebody put into the vault after the wish stays, and gets our marks and an end', async () => {
    const wished = wishFor('webui-secret-key');
    await aWhile();
    const value = 'made by hand, and long enough to sign with it';
    await azure.operator.secrets(vaultUrl).setSecret('webui-secret-key', value);
    const mark = azure.mark();
    await azure.settle(wished(), webuiSecretKey);
    await settleAgain(wished(), webuiSecretKey);
    const found = await current('webui-secret-key');
    expect(found.value).toBe(value);
    expect(found.properties.expiresOn).toBeDefined();
    expect(found.properties.tags).toMatchObject({ deployment: azure.scope().names.deployment });
    expect(writesSince(mark)).toEqual(['PATCH secrets/webui-secret-key']);
  });
});

describe('the password of PostgreSQL', () => {
  const logsIn = async (): Promise<boolean> => {
    const { value = '' } = await current(STRING);
    const { subscriptionId, network } = azure.scope().spec;
    const { resourceGroup } = azure.scope().names;
    const vnetId = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.Network/virtualNetworks/${network.vnet}`;
    const answer = await azure.cloud.neighbours.databases.connect(value, vnetId);
    if (answer.ok) await answer.client.end();
    return answer.ok;
  };
  const serverTags = async () => {
    const { resourceGroup, postgresServer: name } = azure.scope().names;
    return (await azure.operator.postgres().servers.get(resourceGroup, name)).tags ?? {};
  };
  const changeServer = (body: object): Promise<void> => {
    const { resourceGroup, postgresServer: name } = azure.scope().names;
    return azure.finish(azure.operator.postgres().servers.beginUpdate(resourceGroup, name, body));
  };
  const server = () => `flexibleServers/${azure.scope().names.postgresServer}`;
  const rotation = () => [`PUT secrets/${PASSWORD}`, `PATCH ${server()}`, `PUT secrets/${STRING}`];

  test('is in the vault first, then on the server, then in the connection string, each once', async () => {
    await changeServer({ tags: { ...(await serverTags()), costCentre: '7' } });
    expect(await logsIn()).toBe(true);
    const wished = wishFor('postgres-password');
    const mark = azure.mark();
    await azure.settle(wished(), postgresConnectionString);
    expect(writesSince(mark)).toEqual(rotation());
    expect(await logsIn()).toBe(true);
    const { version } = (await current(PASSWORD)).properties;
    expect(await serverTags()).toMatchObject({ costCentre: '7', 'password-version': version });
    expect((await current(STRING)).properties.tags).toMatchObject({ 'password-version': version });
    await settleAgain(wished(), postgresConnectionString);
    expect(writesSince(mark)).toEqual(rotation());
  }, 60_000);

  test.each([
    ['the password is in the vault', 'PUT', PASSWORD],
    ['the server has accepted it', 'PATCH', 'flexibleServers'],
    ['the connection string is in the vault', 'PUT', STRING],
  ])(
    'is rotated once although the connection is lost when %s',
    async (_, method, path) => {
      await aWhile();
      const wished = wishFor('postgres-password');
      const mark = azure.mark();
      losing(method, path);
      await azure.settle(wished(), postgresConnectionString);
      await settleAgain(wished(), postgresConnectionString);
      expect(writesSince(mark)).toEqual(rotation());
      expect(await logsIn()).toBe(true);
    },
    60_000,
  );

  test('is sent again when the server fails to take it, and the string waits for that', async () => {
    await aWhile();
    const wished = wishFor('postgres-password');
    const mark = azure.mark();
    losing('PATCH', 'flexibleServers', { kind: 'operation-fails', code: 'InternalServerError', message: '' });
    await azure.settle(wished(), postgresPassword);
    await azure.settle(wished(), postgresServer).catch(() => undefined);
    await settleAgain(wished(), postgresConnectionString);
    const [first, ...others] = rotation();
    expect(writesSince(mark)).toEqual([first, others[0], ...others]);
    expect(await logsIn()).toBe(true);
  }, 60_000);

  test('is sent once to a server that does not tell what it was sent', async () => {
    const { 'password-version': version, ...tags } = await serverTags();
    await changeServer({ tags });
    const mark = azure.mark();
    await azure.settle(azure.scope(), postgresConnectionString);
    await settleAgain(azure.scope(), postgresConnectionString);
    expect(writesSince(mark)).toEqual([`PATCH ${server()}`]);
    expect(await serverTags()).toEqual({ ...tags, 'password-version': version });
    expect(await logsIn()).toBe(true);
  }, 60_000);

  test('that somebody put into the vault is never sent, and the string follows it', async () => {
    await azure.operator.secrets(vaultUrl).setSecret(PASSWORD, 'By-hand-2026');
    const mark = azure.mark();
    await azure.settle(azure.scope(), postgresConnectionString);
    await settleAgain(azure.scope(), postgresConnectionString);
    expect(writesSince(mark)).toEqual([`PATCH secrets/${PASSWORD}`, `PUT secrets/${STRING}`]);
    expect(await logsIn()).toBe(false);
    await changeServer({ administratorLoginPassword: 'By-hand-2026' });
    expect(await logsIn()).toBe(true);
    await settleAgain(azure.scope(), postgresConnectionString);
    expect(writesSince(mark)).toHaveLength(2);
  }, 60_000);

  test('is rotated by itself when it nears its end', async () => {
    const { version = '' } = (await current(PASSWORD)).properties;
    const endIn = (milliseconds: number) =>
      azure.operator.secrets(vaultUrl).updateSecretProperties(PASSWORD, version, {
        expiresOn: new Date(azure.cloud.world.clock.now() + milliseconds),
      });
    await endIn(60 * DAY);
    await azure.settle(azure.scope(), postgresConnectionString);
    expect((await current(PASSWORD)).properties.version).toBe(version);
    await endIn(1_000);
    await aWhile();
    const mark = azure.mark();
    await settleAgain(azure.scope(), postgresConnectionString);
    expect(writesSince(mark)).toEqual(rotation());
    expect(await logsIn()).toBe(true);
  }, 60_000);
});

describe('the key of the storage account', () => {
  const mounts = (key: string): boolean => {
    const { names, spec } = azure.scope();
    const vnetId = `/subscriptions/${spec.subscriptionId}/resourceGroups/${names.resourceGroup}/providers/Microsoft.Network/virtualNetworks/${spec.network.vnet}`;
    const share = spec.storage.share;
    return azure.cloud.neighbours.storageAccounts.mountShare({
      account: names.storageAccount,
      key,
      share,
      vnetId,
    }).ok;
  };
  type Credentials = {
    readonly keyName: 'key1' | 'key2';
    readonly accountKey: never;
    readonly accountName: never;
  };
  const settled = async (scope: Scope) => (await settleAgain(scope, storageCredentials)) as Credentials;
  const depsWith = (credentials: Credentials) => ({
    credentials,
    dataVolume: { claim: '' },
    openWebui: { image: '', revision: '', pods: [] },
  });
  const retire = async (scope: Scope, credentials: Credentials) => {
    const deps = depsWith(credentials);
    const seen = await retiredStorageKey.observe(scope, deps);
    if (seen.state === 'drifted') await retiredStorageKey.ensure(scope, deps, seen);
    return seen.state;
  };

  test('changes to the other one, and both work until the old one is retired, once', async () => {
    const before = await settled(azure.scope());
    const { value: old = '' } = await current(KEY);
    const wished = wishFor('storage-key');
    await aWhile();
    const mark = azure.mark();
    const after = await settled(wished());
    const { value: fresh = '', properties } = await current(KEY);
    expect(after.keyName).not.toBe(before.keyName);
    expect(properties.tags).toMatchObject({ key: after.keyName, replaces: before.keyName });
    expect(writesSince(mark)).toEqual([`PUT secrets/${KEY}`]);
    expect([mounts(old), mounts(fresh)]).toEqual([true, true]);

    expect(await retire(wished(), after)).toBe('drifted');
    expect([mounts(old), mounts(fresh)]).toEqual([false, true]);
    expect(await retire(wished(), after)).toBe('ready');
    expect(await settled(wished())).toEqual(after);
    const regenerate = `POST ${azure.scope().names.storageAccount}/regenerateKey`;
    expect(writesSince(mark)).toEqual([`PUT secrets/${KEY}`, regenerate]);
  });

  test.each([
    ['the key is in the vault', 'PUT', KEY],
    ['the old one is regenerated', 'POST', 'regenerateKey'],
  ])('changes once although the connection is lost when %s', async (_, method, path) => {
    await aWhile();
    const count = await versionsOf(KEY);
    const wished = wishFor('storage-key');
    await aWhile();
    const mark = azure.mark();
    losing(method, path);
    const after = await settled(wished());
    await aWhile();
    await retire(wished(), after).catch(() => undefined);
    expect(await retire(wished(), after)).toBe('ready');
    expect(await settled(wished())).toEqual(after);
    expect(await versionsOf(KEY)).toBe(count + 1);
    expect(writesSince(mark).filter((call) => call.includes('regenerateKey'))).toHaveLength(1);
    expect(mounts((await current(KEY)).value ?? '')).toBe(true);
  });

  test('does not change again while the one before last is not retired yet', async () => {
    await aWhile();
    const first = wishFor('storage-key');
    await aWhile();
    const after = await settled(first());
    const second = wishFor('storage-key');
    const mark = azure.mark();
    expect(await settled(second())).toEqual(after);
    expect(writesSince(mark)).toEqual([]);
    await aWhile();
    await retire(second(), after);
    const last = await settled(second());
    expect(last.keyName).not.toBe(after.keyName);
    await aWhile();
    await retire(second(), last);
  });

  test('that somebody regenerated is replaced by the other one, and nothing is retired', async () => {
    const before = await settled(azure.scope());
    const { resourceGroup, storageAccount } = azure.scope().names;
    await azure.operator
      .storage()
      .storageAccounts.regenerateKey(resourceGroup, storageAccount, { keyName: before.keyName });
    const after = await settled(azure.scope());
    expect(after.keyName).not.toBe(before.keyName);
    const { value = '', properties } = await current(KEY);
    expect(mounts(value)).toBe(true);
    expect(properties.tags).not.toHaveProperty('replaces');
    expect(await retire(azure.scope(), after)).toBe('ready');
  });

  test('that somebody put into the vault stays, and nothing is retired', async () => {
    const before = await settled(azure.scope());
    const { resourceGroup, storageAccount } = azure.scope().names;
    const { keys = [] } = await azure.operator
      .storage()
      .storageAccounts.listKeys(resourceGroup, storageAccount);
    const other = keys.find(({ keyName }) => keyName?.toLowerCase() !== before.keyName)?.value ?? '';
    await azure.operator.secrets(vaultUrl).setSecret(KEY, other);
    const mark = azure.mark();
    const after = await settled(azure.scope());
    expect(after.keyName).not.toBe(before.keyName);
    expect(await retire(azure.scope(), after)).toBe('ready');
    expect(writesSince(mark)).toEqual([`PATCH secrets/${KEY}`]);
    expect((await current(KEY)).value).toBe(other);
  });

  test('is not retired while a pod has its volume', async () => {
    await azure.settle(azure.scope(), cluster);
    await azure.settle(azure.scope(), clusterAccess);
    const { resourceGroup, cluster: name, namespace } = azure.scope().names;
    const api = await azure.scope().clients.kubernetes(resourceGroup, name);
    await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    const before = await settled(azure.scope());
    const wished = wishFor('storage-key');
    await aWhile();
    const after = await settled(wished());
    const claimName = before.keyName === 'key1' ? 'open-webui-data' : 'open-webui-data-key2';
    const pod = { apiVersion: 'v1', kind: 'Pod', name: 'old', namespace };
    const { kind, apiVersion } = pod;
    await api.apply({
      apiVersion,
      kind,
      metadata: { name: pod.name, namespace },
      spec: {
        containers: [{ name: 'web', image: 'example.com/web:1' }],
        volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }],
      },
    });
    const mark = azure.mark();
    expect(await retire(wished(), after)).toBe('changing');
    await retiredStorageKey.ensure(wished(), depsWith(after), { state: 'absent' });
    expect(writesSince(mark)).toEqual([]);
    await api.remove(pod);
    await aWhile();
    await expect.poll(() => retire(wished(), after), { timeout: 10_000 }).toBe('ready');
  }, 60_000);
});

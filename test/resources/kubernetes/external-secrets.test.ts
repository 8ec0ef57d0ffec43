import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DependencyOutputs, Observed, OutputsOf } from '../../../src/graph/resource.ts';
import { externalSecrets } from '../../../src/resources/kubernetes/external-secrets.ts';
import { noWishes, type Scope, type SecretReference } from '../../../src/resources/scope.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { AVault } from './a-vault.ts';
import { type AnApiServer, startApiServer } from './an-api-server.ts';
import { sync } from './an-operator.ts';

const NAMES = ['open-webui-secrets', 'cloudflared-token', 'open-webui-storage'] as const;
const START = new Date('2026-11-23T10:00:00Z');
const OLD = new Date('2026-11-20T10:00:00Z');
const seconds = (count: number): Date => new Date(START.getTime() + count * 1000);

let server: AnApiServer;
const vault = new AVault();

/** The newest version of every secret, as the resources before this one put them out. */
const newest = {
  key: vault.put('webui-secret-key', 'the-signing-key', OLD),
  client: vault.put('openwebui-client-secret', 'the-client-secret', OLD),
  token: vault.put('cf-tunnel-token', 'the-tunnel-token', OLD),
  password: vault.put('postgres-admin-password', 'the-password', OLD),
  url: vault.put('postgres-connection-string', 'postgresql://the-url', OLD),
  account: vault.put('storage-account-name', 'stdemo', OLD),
  accountKey: vault.put('storage-account-key', 'the-account-key', OLD),
};
const rotate = (which: keyof typeof newest, value: string, createdOn: Date): SecretReference => {
  newest[which] = vault.put(newest[which].name, value, createdOn);
  return newest[which];
};

type Deps = DependencyOutputs<typeof externalSecrets.dependsOn>;
const deps = (): Deps =>
  ({
    addons: { externalSecretsApi: 'external-secrets.io/v1' },
    webuiSecretKey: { secret: newest.key },
    clientSecret: { secret: newest.client },
    tunnelToken: { secret: newest.token },
    postgresPassword: { secret: newest.password },
    postgresConnectionString: { secret: newest.url },
    storageCredentials: { accountName: newest.account, accountKey: newest.accountKey },
    databaseLogin: { provenVersion: newest.url.version },
  }) as Partial<Deps> as Deps;
const scope = (now: Date, rotateAfter: Scope['rotateAfter'] = {}): Scope => ({
  ...specOf(),
  clients: { ...server.clients, ...vault.clients },
  now,
  ...surroundings(rotateAfter),
});

type Seen = Observed<OutputsOf<typeof externalSecrets>>;
const observe = (now = START): Promise<Seen> => externalSecrets.observe(scope(now), deps());
async function push(now = START): Promise<Seen> {
  const seen = await observe(now);
  if (['absent', 'drifted', 'failed'].includes(seen.state)) {
    await externalSecrets.ensure(scope(now), deps(), seen);
  }
  return observe(now);
}
async function versions(): Promise<Readonly<Record<string, string>>> {
  const seen = await observe(seconds(10_000));
  if (seen.state !== 'ready') throw new Error(`not ready: ${JSON.stringify(seen)}`);
  return seen.outputs.versions;
}
const secret = (name: string) => ({ apiVersion: 'v1', kind: 'Secret', name, namespace: 'open-webui' });
const externalSecretPath = (name: string): string =>
  `PATCH /apis/external-secrets.io/v1/namespaces/open-webui/externalsecrets/${name}`;

beforeAll(async () => {
  server = await startApiServer();
  await server.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'open-webui' } });
});
afterAll(() => server.stop());
beforeEach(() => {
  server.writes();
  vault.reads();
});

test('is ready when every key has been found to be what the vault holds under its version', async () => {
  expect(await observe()).toEqual({ state: 'absent' });
  expect(await push()).toMatchObject({ state: 'changing', reason: /has not been synced yet/ });
  expect(server.writes()).toEqual(NAMES.map(externalSecretPath));
  expect(vault.reads()).toEqual([]);

  for (const name of NAMES) await sync(server, vault, name);
  server.writes();
  const ready = await observe();
  expect(ready).toMatchObject({
    state: 'ready',
    outputs: {
      versions: Object.fromEntries(NAMES.map((name) => [name, expect.stringMatching(/^[0-9a-f]{16}$/)])),
      synced: {
        'cloudflared-token': {
          resourceVersion: expect.stringMatching(/^\d+$/),
          keys: { TUNNEL_TOKEN: { secret: 'cf-tunnel-token', version: 'v1' } },
        },
      },
    },
  });
  // One read for each key, of exactly its version.
  expect(vault.reads()).toHaveLength(7);
  expect(await push()).toEqual(ready);
  expect(server.writes()).toEqual([]);
  for (const value of vault.values()) expect(JSON.stringify(ready)).not.toContain(value);
});

test('is not ready while a Secret holds something else, whatever its condition says', async () => {
  await server.api.mergePatch(secret('cloudflared-token'), {
    data: { TUNNEL_TOKEN: Buffer.from('by-hand').toString('base64') },
  });
  expect(await observe()).toEqual({
    state: 'changing',
    reason:
      'the key TUNNEL_TOKEN of the Secret cloudflared-token is not what the vault holds under its version',
  });
  await sync(server, vault, 'cloudflared-token');
  await server.api.mergePatch(secret('cloudflared-token'), { data: { MORE: 'eA==' } });
  expect(await observe()).toMatchObject({
    state: 'changing',
    reason: 'the Secret cloudflared-token holds a key MORE that nobody asked for',
  });
  await server.api.mergePatch(secret('cloudflared-token'), { data: { MORE: null } });
  expect(await observe()).toMatchObject({ state: 'ready' });
});

test('five secrets of one moment settle first and then move at once', async () => {
  const before = await versions();
  rotate('key', 'another-signing-key', seconds(0));
  rotate('client', 'another-client-secret', seconds(0));
  rotate('password', 'another-password', seconds(1));
  rotate('url', 'postgresql://another-url', seconds(1));
  rotate('token', 'another-tunnel-token', seconds(1));

  expect(await push(seconds(1))).toEqual({
    state: 'changing',
    reason: 'waiting for a burst of new secrets to settle',
    retryAfterSeconds: 2,
  });
  expect(await push(seconds(2))).toMatchObject({ state: 'changing', retryAfterSeconds: 1 });
  expect(server.writes()).toEqual([]);

  expect(await push(seconds(3))).toMatchObject({ state: 'changing', reason: /has not been synced yet/ });
  expect(server.writes()).toEqual(['open-webui-secrets', 'cloudflared-token'].map(externalSecretPath));
  for (const name of NAMES.slice(0, 2)) await sync(server, vault, name);
  const after = await versions();
  expect(after).not.toHaveProperty('open-webui-secrets', before['open-webui-secrets']);
  expect(after).not.toHaveProperty('cloudflared-token', before['cloudflared-token']);
  expect(after).toHaveProperty('open-webui-storage', before['open-webui-storage']);
});

test('a secret newer than the one that was looked at is waited for, but not for ever', async () => {
  const url = newest.url;
  rotate('password', 'a-third-password', seconds(100));
  const newer = rotate('url', 'postgresql://a-third-url', seconds(101));
  newest.url = url;
  expect(await push(seconds(110))).toEqual({
    state: 'changing',
    reason:
      'the vault holds a newer postgres-connection-string than was looked at: waiting for the event that tells so',
    retryAfterSeconds: 5,
  });
  expect(server.writes()).toEqual([]);
  expect(await push(seconds(162))).toMatchObject({ state: 'changing', reason: /synced/ });
  expect(server.writes()).toEqual([externalSecretPath('open-webui-secrets')]);

  newest.url = newer;
  await push(seconds(170));
  await sync(server, vault, 'open-webui-secrets');
  expect(await observe(seconds(171))).toMatchObject({ state: 'ready' });
});

test('what has just been asked for and is not made yet is waited for, whichever Secret it is in', async () => {
  rotate('client', 'a-fourth-client-secret', seconds(200));
  const asking = { 'storage-key': seconds(201) };
  expect(await externalSecrets.observe(scope(seconds(205), asking), deps())).toEqual({
    state: 'changing',
    reason: 'another storage-account-key has just been asked for: all are handed out together',
    retryAfterSeconds: 1,
  });
  // A key that has to wait for its turn does not hold up the others.
  expect(await externalSecrets.observe(scope(seconds(262), asking), deps())).toMatchObject({
    state: 'drifted',
  });

  rotate('accountKey', 'another-account-key', seconds(203));
  await externalSecrets.ensure(scope(seconds(206), asking), deps(), await observe(seconds(206)));
  const moved = ['open-webui-secrets', 'open-webui-storage'];
  expect(server.writes()).toEqual(moved.map(externalSecretPath));
  for (const name of moved) await sync(server, vault, name);
  expect(await externalSecrets.observe(scope(seconds(207), asking), deps())).toMatchObject({
    state: 'ready',
  });
});

test('the same value under a new version is brought over and restarts nobody', async () => {
  const before = await versions();
  rotate('token', vault.value(newest.token), seconds(200));
  await push(seconds(210));
  expect(server.writes()).toEqual([externalSecretPath('cloudflared-token')]);
  await sync(server, vault, 'cloudflared-token');
  expect(await versions()).toEqual(before);
});

test('a vault that refuses is not a secret that is absent', async () => {
  vault.isRefusing = true;
  await expect(observe(seconds(300))).rejects.toMatchObject({ statusCode: 403 });
  rotate('token', 'a-fourth-token', seconds(299));
  await expect(observe(seconds(300))).rejects.toMatchObject({ statusCode: 403 });
  vault.isRefusing = false;
});

describe('a sync that somebody asked for', () => {
  const asked = new Date();
  const wished = (now = seconds(20_000)): Scope => ({
    ...scope(now),
    wishes: { ...noWishes, syncAfter: asked.toISOString() },
  });
  const annotationOf = async (name: string): Promise<string | undefined> => {
    const reference = { ...secret(name), apiVersion: 'external-secrets.io/v1', kind: 'ExternalSecret' };
    return (await server.api.find(reference))?.metadata.annotations?.['force-sync'];
  };
  const refreshed = (name: string, refreshTime: string): Promise<void> =>
    server.setStatus(
      { ...secret(name), apiVersion: 'external-secrets.io/v1', kind: 'ExternalSecret' },
      { refreshTime },
    );

  test('is handed on to every ExternalSecret once, and is ready when all have been synced after it', async () => {
    await push(seconds(10_000));
    for (const name of NAMES) {
      await sync(server, vault, name);
      await refreshed(name, '2026-11-01T00:00:00Z');
    }
    const before = await externalSecrets.observe(wished(), deps());
    expect(before).toMatchObject({ state: 'drifted' });
    await externalSecrets.ensure(wished(), deps(), before);
    for (const name of NAMES) expect(await annotationOf(name)).toBe(String(asked.getTime()));
    expect(await externalSecrets.observe(wished(), deps())).toMatchObject({
      state: 'changing',
      reason: /has not been synced yet/,
    });
    for (const name of NAMES) await refreshed(name, '2099-01-01T00:00:00Z');
    server.writes();
    expect(await externalSecrets.observe(wished(), deps())).toMatchObject({ state: 'ready' });
    expect(server.writes()).toEqual([]);
  });

  test('by hand, later, is left as it is', async () => {
    for (const name of NAMES) {
      await server.api.mergePatch(
        { ...secret(name), apiVersion: 'external-secrets.io/v1', kind: 'ExternalSecret' },
        { metadata: { annotations: { 'force-sync': '1764000000' } } },
      );
    }
    expect(await externalSecrets.observe(wished(), deps())).toMatchObject({ state: 'ready' });
  });
});

import { ManagedIdentityCredential } from '@azure/identity';
import { SecretClient } from '@azure/keyvault-secrets';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listAll, startTestCloud, type TestCloud } from './start-cloud.ts';

const DAY = 86_400_000;
const VAULT_ID = '/subscriptions/s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-test';
const ACTIONS = [
  'getSecret/action',
  'setSecret/action',
  'readMetadata/action',
  'update/action',
  'delete',
  'recover/action',
  'purge/action',
];
let sandbox: TestCloud;
let client: SecretClient;
let ours: string;

beforeAll(async () => {
  sandbox = await startTestCloud();
  const { azure, cloud } = sandbox;
  const { tenantId, controlPlane } = cloud.world.settings;
  ours = controlPlane.principalId;
  const common = { tenantId, publicNetworkAccess: 'Enabled', enableRbacAuthorization: true } as const;
  azure.vaults.set('kv-test.vault.azure.net', { ...common, id: VAULT_ID });
  azure.vaults.set('kv-shut.vault.azure.net', {
    ...common,
    id: `${VAULT_ID}2`,
    publicNetworkAccess: 'Disabled',
  });
  azure.allow(ours, VAULT_ID, ...ACTIONS.map((action) => `Microsoft.KeyVault/vaults/secrets/${action}`));
  client = clientOf('kv-test');
});
afterAll(() => sandbox.stop());

function clientOf(
  vault: string,
  credential: { getToken: TestCloud['operator']['getToken'] } | undefined = undefined,
): SecretClient {
  return new SecretClient(
    `https://${vault}.vault.azure.net`,
    credential ??
      new ManagedIdentityCredential({ clientId: sandbox.cloud.world.settings.controlPlane.clientId }),
    { retryOptions: { maxRetries: 0 } },
  );
}

describe('the vault', () => {
  test('challenges a caller without a token the way the SDK’s policy expects', async () => {
    const answer = await fetch('https://kv-test.vault.azure.net/secrets?api-version=7.6');
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe(
      `Bearer authorization="https://login.microsoftonline.com/${sandbox.cloud.world.settings.tenantId}", resource="https://vault.azure.net"`,
    );
  });

  test('keeps versions with their attributes', async () => {
    const first = await client.setSecret('api-key', 'one', {
      contentType: 'text/plain',
      tags: { deployment: 'a' },
    });
    const second = await client.setSecret('api-key', 'two');
    expect(first.properties.version).not.toBe(second.properties.version);
    expect((await client.getSecret('API-KEY')).value).toBe('two');
    const old = await client.getSecret('api-key', { version: first.properties.version ?? '' });
    expect(old).toMatchObject({
      value: 'one',
      properties: { contentType: 'text/plain', tags: { deployment: 'a' } },
    });
    const versions = await listAll(client.listPropertiesOfSecretVersions('api-key'));
    expect(versions.map(({ version }) => version)).toEqual([
      first.properties.version,
      second.properties.version,
    ]);
    const secrets = await listAll(client.listPropertiesOfSecrets());
    expect(secrets.map(({ name }) => name)).toEqual(['api-key']);
  });

  test('does not hand out a disabled version but does hand out an expired one', async () => {
    const { properties } = await client.setSecret('dated', 'x', {
      expiresOn: new Date(sandbox.cloud.world.clock.now() - DAY),
    });
    expect((await client.getSecret('dated')).value).toBe('x');
    await client.updateSecretProperties('dated', properties.version ?? '', { enabled: false });
    await expect(client.getSecret('dated')).rejects.toMatchObject({ statusCode: 403, code: 'Forbidden' });
  });

  test('refuses names, sizes, versions and fields that the real one refuses', async () => {
    await expect(client.setSecret('under_score', 'x')).rejects.toMatchObject({
      statusCode: 400,
      code: 'BadParameter',
    });
    await expect(client.setSecret('big', 'x'.repeat(25 * 1024 + 1))).rejects.toMatchObject({
      code: 'BadParameter',
    });
    const { token } = await sandbox.operator.getToken('https://vault.azure.net/.default');
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const old = await fetch('https://kv-test.vault.azure.net/secrets?api-version=2016-10-01', { headers });
    expect(await old.json()).toMatchObject({ error: { code: 'BadParameter' } });
    sandbox.azure.allow(
      sandbox.cloud.world.settings.operator.principalId,
      VAULT_ID,
      'Microsoft.KeyVault/vaults/secrets/setSecret/action',
    );
    const odd = await fetch('https://kv-test.vault.azure.net/secrets/a?api-version=7.6', {
      method: 'PUT',
      headers,
      body: JSON.stringify({ value: 'x', expires: 5 }),
    });
    expect(odd.status).toBe(400);
  });

  test('says who may not do what, and where', async () => {
    const stranger = clientOf('kv-test', sandbox.operator);
    await expect(stranger.getSecret('api-key')).rejects.toMatchObject({
      statusCode: 403,
      message: expect.stringMatching(
        /Caller: oid=.*\r\nAction: 'Microsoft\.KeyVault\/vaults\/secrets\/getSecret\/action'\r\nResource: '.*kv-test\/secrets\/api-key'/,
      ),
      details: { error: { innerError: { code: 'ForbiddenByRbac' } } },
    });
    await expect(clientOf('kv-shut').getSecret('x')).rejects.toMatchObject({
      statusCode: 403,
      details: { error: { innerError: { code: 'ForbiddenByConnection' } } },
    });
  });

  test('keeps a deleted secret’s name until it is recovered or purged', async () => {
    await client.setSecret('gone', 'precious');
    await client.beginDeleteSecret('gone', { intervalInMs: 5 });
    await expect(client.setSecret('gone', 'other')).rejects.toMatchObject({
      statusCode: 409,
      details: { error: { innerError: { code: 'ObjectIsBeingDeleted' } } },
    });
    sandbox.pass(6_000);
    await expect(client.setSecret('gone', 'other')).rejects.toMatchObject({
      details: { error: { innerError: { code: 'ObjectIsDeletedButRecoverable' } } },
    });
    await expect(client.getSecret('gone')).rejects.toMatchObject({ statusCode: 404, code: 'SecretNotFound' });
    const recovering = await client.beginRecoverDeletedSecret('gone', { intervalInMs: 5 });
    sandbox.pass(6_000);
    await recovering.pollUntilDone();
    expect((await client.getSecret('gone')).value).toBe('precious');

    const deleting = await client.beginDeleteSecret('gone', { intervalInMs: 5 });
    sandbox.pass(6_000);
    await deleting.pollUntilDone();
    expect((await listAll(client.listDeletedSecrets())).map(({ name }) => name)).toEqual(['gone']);
    await client.purgeDeletedSecret('gone');
    await client.setSecret('gone', 'new');
    expect((await client.getSecret('gone')).value).toBe('new');
  });

  test('announces new versions, and the end of the current one thirty days ahead', async () => {
    const expiresOn = new Date(sandbox.cloud.world.clock.now() + 40 * DAY);
    const { properties } = await client.setSecret('rotating', 'x', { expiresOn });
    const about = () => sandbox.events.filter(({ subject }) => subject === 'rotating');
    expect(about()).toMatchObject([
      {
        topic: VAULT_ID,
        eventType: 'Microsoft.KeyVault.SecretNewVersionCreated',
        data: {
          VaultName: 'kv-test',
          ObjectType: 'Secret',
          ObjectName: 'rotating',
          Version: properties.version,
          EXP: Math.floor(expiresOn.getTime() / 1000),
        },
      },
    ]);
    sandbox.pass(11 * DAY);
    await expect.poll(() => about().at(-1)?.eventType).toBe('Microsoft.KeyVault.SecretNearExpiry');
    sandbox.pass(30 * DAY);
    await expect.poll(() => about().at(-1)?.eventType).toBe('Microsoft.KeyVault.SecretExpired');
    expect(about()).toHaveLength(3);
  });

  test('is empty after ARM purged it', async () => {
    const { vaults } = sandbox.cloud.neighbours;
    expect(vaults.readSecret('https://kv-test.vault.azure.net/', 'api-key', ours)).toMatchObject({
      ok: true,
      value: 'two',
    });
    vaults.forget('kv-test.vault.azure.net');
    expect(vaults.readSecret('https://kv-test.vault.azure.net/', 'api-key', ours)).toMatchObject({
      ok: false,
      code: 'SecretNotFound',
    });
  });
});

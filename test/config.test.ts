import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../src/config.ts';

const settings = {
  AzureWebJobsStorage: 'UseDevelopmentStorage=true',
  CLOUDFLARE_TOKEN_SECRET: 'https://kv-openwebui-ctl.vault.azure.net/secrets/cloudflare-api-token',
};

const group = '/subscriptions/50b5c419-0000-4000-8000-000000000001/resourceGroups/rg-ctl/providers';
const site = `${group}/Microsoft.Web/sites/func-ctl`;
const storage = `${group}/Microsoft.Storage/storageAccounts/stctl`;
const webhook = {
  EVENT_WEBHOOK_SECRET: 'https://kv-openwebui-ctl.vault.azure.net/secrets/event-webhook',
  EVENT_WEBHOOK_AUDIENCE: 'a0d1e4ce-0000-4000-8000-000000000001',
  EVENT_WEBHOOK_TENANT_ID: '7e4a4700-0000-4000-8000-000000000001',
};

describe('settings', () => {
  test('need a store and the place of the Cloudflare token, no more', () => {
    expect(readConfig(settings)).toEqual({
      cloud: expect.objectContaining({ name: 'public', resourceManager: 'https://management.azure.com' }),
      managedIdentityClientId: undefined,
      store: { kind: 'connection-string', connectionString: 'UseDevelopmentStorage=true' },
      cloudflareTokenSecret: settings.CLOUDFLARE_TOKEN_SECRET,
      httpsProxy: undefined,
      sweepSchedule: '0 */30 * * * *',
      checkSchedule: '0 */5 * * * *',
      eventTarget: undefined,
      deadLetterStorageId: undefined,
      notifications: { webhook: undefined, topicEndpoint: undefined },
    });
  });

  test('may say when to sweep, and are told what such a schedule looks like', () => {
    const swept = (schedule: string) => readConfig({ ...settings, SWEEP_SCHEDULE: schedule });
    expect(swept('0 0 3 * * *').sweepSchedule).toBe('0 0 3 * * *');
    expect(() => swept('daily')).toThrow('SWEEP_SCHEDULE: must be an NCRONTAB expression');
  });

  test('say where events are to be delivered: to the function', () => {
    const more = { FUNCTION_APP_ID: site, EVENT_DEAD_LETTER_STORAGE_ID: storage };
    expect(readConfig({ ...settings, ...more })).toMatchObject({
      eventTarget: { kind: 'function', functionAppId: site },
      deadLetterStorageId: storage,
    });
  });

  test('say where events are to be delivered: to the webhook, where the app is behind Entra', () => {
    expect(readConfig({ ...settings, FUNCTION_APP_ID: site, ...webhook }).eventTarget).toEqual({
      kind: 'webhook',
      urlSecret: webhook.EVENT_WEBHOOK_SECRET,
      audience: webhook.EVENT_WEBHOOK_AUDIENCE,
      tenantId: webhook.EVENT_WEBHOOK_TENANT_ID,
    });
  });

  test.each(Object.keys(webhook))('want the whole of a webhook, with %s', (name) => {
    expect(() => readConfig({ ...settings, ...webhook, [name]: undefined })).toThrow(`${name}: missing`);
  });

  test('say who is told of findings, and a webhook by its URL and its key together', () => {
    const [url, key] = ['hook', 'hook-key'].map((name) => `https://kv-ctl.vault.azure.net/secrets/${name}`);
    const topicEndpoint = 'https://evgt-ctl.eastasia-1.eventgrid.azure.net/api/events';
    const more = { NOTIFICATION_WEBHOOK_SECRET: url, NOTIFICATION_TOPIC_ENDPOINT: topicEndpoint };
    expect(() => readConfig({ ...settings, ...more })).toThrow('NOTIFICATION_SIGNING_SECRET: missing');
    expect(readConfig({ ...settings, ...more, NOTIFICATION_SIGNING_SECRET: key }).notifications).toEqual({
      webhook: { urlSecret: url, signingSecret: key },
      topicEndpoint,
    });
  });

  test.each([
    ['AzureWebJobsStorage__accountName', 'stctl', 'https://stctl.table.core.windows.net'],
    ['AzureWebJobsStorage__tableServiceUri', 'https://st.table.example.com', 'https://st.table.example.com'],
  ])('%s means access by identity, even beside a connection string', (name, value, tableEndpoint) => {
    expect(readConfig({ ...settings, [name]: value }).store).toEqual({ kind: 'identity', tableEndpoint });
  });

  test.each(['us-government', 'china'] as const)('name the cloud %s', (name) => {
    const { cloud } = readConfig({ ...settings, AZURE_CLOUD: name });
    expect(cloud.name).toBe(name);
    expect(cloud.resourceManager).not.toBe('https://management.azure.com');
  });

  test('take identity and proxy from their usual places', () => {
    const more = {
      AZURE_CLIENT_ID: 'c11e4700-0000-4000-8000-000000000001',
      HTTPS_PROXY: 'http://127.0.0.1:8080',
    };
    expect(readConfig({ ...settings, ...more })).toMatchObject({
      managedIdentityClientId: more.AZURE_CLIENT_ID,
      httpsProxy: more.HTTPS_PROXY,
    });
  });

  test.each<[string, Record<string, string | undefined>, RegExp]>([
    ['no store', { AzureWebJobsStorage: undefined }, /AzureWebJobsStorage/],
    ['no token', { CLOUDFLARE_TOKEN_SECRET: undefined }, /CLOUDFLARE_TOKEN_SECRET/],
    ['the token itself', { CLOUDFLARE_TOKEN_SECRET: 'hunter2' }, /CLOUDFLARE_TOKEN_SECRET: must look like/],
    ['an unknown cloud', { AZURE_CLOUD: 'mars' }, /AZURE_CLOUD/],
    ['a client id that is none', { AZURE_CLIENT_ID: 'me' }, /AZURE_CLIENT_ID/],
    ['the app by name', { FUNCTION_APP_ID: 'func-ctl' }, /FUNCTION_APP_ID: must be an ARM id/],
    ['a function instead of the app', { FUNCTION_APP_ID: `${site}/functions/x` }, /FUNCTION_APP_ID/],
    ['another thing as storage', { EVENT_DEAD_LETTER_STORAGE_ID: site }, /EVENT_DEAD_LETTER_STORAGE_ID/],
    ['the webhook itself', { EVENT_WEBHOOK_SECRET: 'https://x/api?code=1' }, /EVENT_WEBHOOK_SECRET: must/],
    ['an audience that is no id', { EVENT_WEBHOOK_AUDIENCE: 'api://x' }, /EVENT_WEBHOOK_AUDIENCE: must/],
    ['a tenant that is no id', { EVENT_WEBHOOK_TENANT_ID: 'ours' }, /EVENT_WEBHOOK_TENANT_ID: must/],
  ])('with %s stop the app, naming the setting', (_, more, message) => {
    expect(() => readConfig({ ...settings, ...more })).toThrow(message);
  });

  test('name every setting that is wrong, and repeat no value', () => {
    const wrong = { CLOUDFLARE_TOKEN_SECRET: 'hunter2', AZURE_CLIENT_ID: 'hunter2' };
    expect(() => readConfig(wrong)).toThrow(
      /^(?=.*AZURE_CLIENT_ID)(?=.*CLOUDFLARE_TOKEN_SECRET)(?!.*hunter2)/s,
    );
  });
});

describe('local.settings.sample.json', () => {
  const root = join(import.meta.dirname, '..');
  const { Values } = JSON.parse(readFileSync(join(root, 'local.settings.sample.json'), 'utf8')) as {
    Values: Record<string, string>;
  };

  test('can be used as it is, what is empty counting as left out', () => {
    const config = readConfig(Values);
    expect(config.managedIdentityClientId).toBeUndefined();
    expect(config.httpsProxy).toBeUndefined();
  });

  test('has no setting that the README does not explain', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    expect(Object.keys(Values).filter((name) => !readme.includes(`| \`${name}\` |`))).toEqual([]);
  });
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CheckScope } from '../../../src/checks/check.ts';
import { settingsAsWished } from '../../../src/checks/kubernetes/settings.ts';
import { webuiSettings } from '../../../src/resources/kubernetes/config.ts';
import { type AnApiServer, startApiServer } from '../../resources/kubernetes/an-api-server.ts';
import { specOf } from '../../resources/spec.ts';

const CLIENT = 'c11e4700-0000-4000-8000-000000000042';
const own = specOf({ webui: { config: { SOME_API_KEY: 'a-value-to-keep' } } });

let server: AnApiServer;
const scope = (): CheckScope => ({
  ...own,
  clients: server.clients,
  now: new Date(),
  known: { 'entra/application': { outputs: { clientId: CLIENT }, readyAt: 0 } },
});
const put = (change: Readonly<Record<string, string>> = {}) =>
  server.api.apply({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'open-webui-config', namespace: 'open-webui' },
    data: { ...webuiSettings(own, CLIENT), ...change },
  });
const findings = () => settingsAsWished.run(scope());

beforeAll(async () => {
  server = await startApiServer();
  await server.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'open-webui' } });
});
afterAll(() => server?.stop());

test('settings that are gone or changed are found, by their names and never by their values', async () => {
  expect(await findings()).toMatchObject([{ id: 'settings-missing', severity: 'error' }]);
  await put();
  expect(await findings()).toEqual([]);
  await put({ MICROSOFT_CLIENT_ID: 'another', SOME_API_KEY: 'another-value' });
  const [found] = await findings();
  expect(found).toMatchObject({
    id: 'settings-changed',
    resource: 'kubernetes/config',
    breaks: expect.stringContaining('sign in'),
  });
  expect(found?.evidence).toContain('MICROSOFT_CLIENT_ID, SOME_API_KEY');
  expect(JSON.stringify(found)).not.toMatch(/a-value-to-keep|another/);
  await put();
  expect(await findings()).toEqual([]);
});

test('settings of others beside the wished ones are nobody’s fault', async () => {
  await put({ THEIR_OWN: 'yes' });
  expect(await findings()).toEqual([]);
});

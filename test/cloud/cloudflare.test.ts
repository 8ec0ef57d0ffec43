import { randomBytes } from 'node:crypto';
import Cloudflare from 'cloudflare';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Tunnels } from '../../sandbox/cloud/neighbours.ts';
import { listAll, startTestCloud, type TestCloud } from './start-cloud.ts';

let sandbox: TestCloud;
let client: Cloudflare;
let edge: Tunnels;
let apiToken: string;
let account_id: string;
let zone_id: string;

beforeAll(async () => {
  sandbox = await startTestCloud();
  const { world } = sandbox.cloud;
  edge = sandbox.cloud.neighbours.tunnels;
  apiToken = readApiToken();
  client = new Cloudflare({ apiToken, maxRetries: 0 });
  account_id = world.settings.cloudflare.accountId;
  zone_id = world.settings.cloudflare.zoneId;
});
afterAll(() => sandbox.stop());

/** The token that stands ready in the control plane's vault. */
function readApiToken(): string {
  const { azure, cloud } = sandbox;
  const { tenantId, controlPlane } = cloud.world.settings;
  const host = `${controlPlane.vaultName}.vault.azure.net`;
  azure.vaults.set(host, {
    id: '/vault',
    tenantId,
    publicNetworkAccess: 'Enabled',
    enableRbacAuthorization: true,
  });
  azure.allow(controlPlane.principalId, '/vault', 'Microsoft.KeyVault/vaults/secrets/getSecret/action');
  const read = cloud.neighbours.vaults.readSecret(host, 'cloudflare-api-token', controlPlane.principalId);
  if (!read.ok) throw new Error(read.reason);
  return read.value;
}

const tunnels = () => client.zeroTrust.tunnels.cloudflared;
const connector = (pod: string) => ({ clusterId: '/clusters/one', pod });

describe('the API', () => {
  test('checks the token', async () => {
    expect(await client.user.tokens.verify()).toMatchObject({ status: 'active' });
    const stranger = new Cloudflare({ apiToken: 'x'.repeat(40), maxRetries: 0 });
    await expect(stranger.user.tokens.verify()).rejects.toMatchObject({
      status: 401,
      errors: [{ code: 1000 }],
    });
    await expect(tunnels().list({ account_id: '0'.repeat(32) })).rejects.toMatchObject({
      status: 403,
      errors: [{ code: 10000 }],
    });
  });

  test('finds the zone by name', async () => {
    const zones = await listAll(client.zones.list({ name: 'yourdomain.com' }));
    expect(zones.map(({ id, status }) => ({ id, status }))).toEqual([{ id: zone_id, status: 'active' }]);
    expect(await listAll(client.zones.list({ name: 'other.com' }))).toEqual([]);
  });

  test('refuses a body and a path that it does not know', async () => {
    await expect(
      tunnels().create({ account_id, name: 'x', flavour: 'sweet' } as never),
    ).rejects.toMatchObject({ status: 400 });
    await expect(client.get('/zones/unknown/rulesets')).rejects.toMatchObject({
      status: 404,
      errors: [{ code: 7003 }],
    });
  });
});

describe('a tunnel', () => {
  test('is healthy only while cloudflared is connected with its current token', async () => {
    const tunnel = await tunnels().create({ account_id, name: 'one', config_src: 'cloudflare' });
    const id = tunnel.id ?? '';
    const status = async () => (await tunnels().get(id, { account_id })).status;
    expect(await status()).toBe('inactive');
    const token = await tunnels().token.get(id, { account_id });
    expect(JSON.parse(Buffer.from(token, 'base64').toString())).toMatchObject({ a: account_id, t: id });

    expect(edge.connect(connector('a'), 'nonsense')).toMatchObject({ ok: false, code: 'InvalidToken' });
    expect(edge.connect(connector('a'), token)).toEqual({ ok: true, tunnelId: id });
    expect(await status()).toBe('degraded');
    sandbox.pass(4_000);
    expect(await status()).toBe('healthy');
    const connections = await listAll(tunnels().connections.get(id, { account_id }));
    expect(connections.map(({ conns }) => conns?.length)).toEqual([4]);

    await tunnels().edit(id, { account_id, tunnel_secret: randomBytes(32).toString('base64') });
    expect(await status()).toBe('healthy');
    expect(await tunnels().token.get(id, { account_id })).not.toBe(token);
    expect(edge.connect(connector('a'), token)).toMatchObject({ ok: true });
    await tunnels().connections.delete(id, { account_id });
    expect(await status()).toBe('down');
    expect(edge.connect(connector('a'), token)).toMatchObject({ ok: false, code: 'Unauthorized' });
  });

  test('keeps its name to itself until it is deleted, which live connections prevent', async () => {
    const { id = '' } = await tunnels().create({ account_id, name: 'two', config_src: 'cloudflare' });
    await expect(tunnels().create({ account_id, name: 'two' })).rejects.toMatchObject({
      status: 409,
      errors: [{ code: 1013 }],
    });
    edge.connect(connector('b'), await tunnels().token.get(id, { account_id }));
    await expect(tunnels().delete(id, { account_id })).rejects.toMatchObject({
      status: 400,
      errors: [{ code: 1022 }],
    });
    edge.disconnect(connector('b'));
    await tunnels().delete(id, { account_id });
    expect(await listAll(tunnels().list({ account_id, name: 'two', is_deleted: false }))).toEqual([]);
    expect(await listAll(tunnels().list({ account_id, name: 'two' }))).toMatchObject([{ id }]);
    await tunnels().create({ account_id, name: 'two' });
  });

  test('takes a whole configuration whose last rule catches all', async () => {
    const { id = '' } = await tunnels().create({ account_id, name: 'three', config_src: 'cloudflare' });
    const put = (ingress: object[]) =>
      tunnels().configurations.update(id, { account_id, config: { ingress: ingress as never } });
    const rule = {
      hostname: 'three.yourdomain.com',
      service: 'http://open-webui.open-webui.svc.cluster.local:80',
    };
    await expect(put([rule])).rejects.toMatchObject({ status: 400, errors: [{ code: 1056 }] });
    await expect(
      put([{ service: 'http_status:404' }, rule, { service: 'http_status:404' }]),
    ).rejects.toMatchObject({ status: 400 });
    await expect(
      put([{ hostname: 'x.yourdomain.com', service: 'gopher://x' }, { service: 'http_status:404' }]),
    ).rejects.toMatchObject({ status: 400 });
    expect(await put([rule, { service: 'http_status:404' }])).toMatchObject({ version: 1 });
    expect(await put([{ service: 'http_status:404' }])).toMatchObject({ version: 2 });
    const { config } = await tunnels().configurations.get(id, { account_id });
    expect(config).toEqual({ ingress: [{ service: 'http_status:404' }] });
  });
});

describe('a DNS record', () => {
  test('is found by the filters of the SDK', async () => {
    const record = await client.dns.records.create({
      zone_id,
      type: 'CNAME',
      name: 'chat',
      content: 'target.example.com',
      proxied: true,
      ttl: 1,
      comment: 'open-webui-control-plane: one',
    });
    expect(record).toMatchObject({ name: 'chat.yourdomain.com', proxied: true, ttl: 1 });
    const find = (filter: object) => listAll(client.dns.records.list({ zone_id, ...filter }));
    expect(await find({ name: { exact: 'chat.yourdomain.com' }, type: 'CNAME' })).toHaveLength(1);
    expect(await find({ comment: { startswith: 'open-webui-control-plane' } })).toHaveLength(1);
    expect(await find({ name: { exact: 'other.yourdomain.com' } })).toEqual([]);
    const edited = await client.dns.records.edit(record.id, {
      zone_id,
      type: 'CNAME',
      name: 'chat.yourdomain.com',
      content: 'new.example.com',
      ttl: 1,
    });
    expect(edited).toMatchObject({ content: 'new.example.com', proxied: true });
    await client.dns.records.delete(record.id, { zone_id });
    await expect(client.dns.records.get(record.id, { zone_id })).rejects.toMatchObject({
      status: 404,
      errors: [{ code: 81044 }],
    });
  });

  test('is alone under its name when it is an alias', async () => {
    const create = (type: 'A' | 'CNAME', content: string) =>
      client.dns.records.create({ zone_id, type, name: 'taken', content, ttl: 1 });
    await create('CNAME', 'a.example.com');
    await expect(create('CNAME', 'a.example.com')).rejects.toMatchObject({
      status: 400,
      errors: [{ code: 81058 }],
    });
    await expect(create('CNAME', 'b.example.com')).rejects.toMatchObject({
      status: 400,
      errors: [{ code: 81053 }],
    });
    await expect(create('A', '192.0.2.1')).rejects.toMatchObject({ errors: [{ code: 81053 }] });
    await expect(
      client.dns.records.create({ zone_id, type: 'A', name: 'bad', content: 'no address', ttl: 1 }),
    ).rejects.toMatchObject({ errors: [{ code: 9005 }] });
  });
});

describe('the site', () => {
  const HOST = 'open-webui.yourdomain.com';
  const SERVICE = 'http://open-webui.open-webui.svc.cluster.local:80';
  const look = async () =>
    (await (await fetch(`${sandbox.cloud.endpoints.sandbox}/site?host=${HOST}`)).json()) as {
      status: number;
      broken: string | null;
      ok: boolean;
    };

  test('answers only when every link holds, and otherwise as Cloudflare does', async () => {
    const { id = '' } = await tunnels().create({ account_id, name: 'site', config_src: 'cloudflare' });
    expect(await look()).toMatchObject({ status: 0, broken: 'dns', ok: false });
    await expect(fetch(`https://${HOST}/`)).rejects.toThrow('fetch failed');

    await client.dns.records.create({
      zone_id,
      type: 'CNAME',
      name: HOST,
      content: `${id}.cfargotunnel.com`,
      proxied: true,
      ttl: 1,
    });
    expect(await look()).toMatchObject({ status: 530, broken: 'tunnel' });
    expect(await (await fetch(`https://${HOST}/`)).text()).toBe('error code: 1033');

    edge.connect(connector('c'), await tunnels().token.get(id, { account_id }));
    expect(await look()).toMatchObject({ status: 503, broken: 'ingress' });
    const ingress = [{ hostname: HOST, service: SERVICE }, { service: 'http_status:404' }] as never;
    await tunnels().configurations.update(id, { account_id, config: { ingress } });
    expect((await fetch(`https://${HOST}/`)).status).toBe(502);

    sandbox.azure.services.set(SERVICE, 'open-webui');
    const page = await fetch(`https://${HOST}/api/config?lang=en`);
    expect([page.status, page.headers.get('server'), await page.text()]).toEqual([
      200,
      'cloudflare',
      'open-webui at /api/config?lang=en',
    ]);
    expect(await look()).toMatchObject({ status: 200, broken: null, ok: true });
    sandbox.azure.links = [{ name: 'login', ok: false, why: 'the secret has expired' }];
    expect(await look()).toMatchObject({ status: 200, broken: 'login', ok: false });
  });
});

describe('the limit', () => {
  test('blocks for five minutes after 1,200 calls in five minutes', async () => {
    sandbox.pass(300_000);
    const call = () =>
      fetch('https://api.cloudflare.com/client/v4/zones', {
        headers: { authorization: `Bearer ${apiToken}` },
      });
    for (let count = 0; count < 1_200; count += 1) expect((await call()).status).toBe(200);
    const refused = await call();
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '300']);
    sandbox.pass(300_000);
    expect((await call()).status).toBe(200);
  });
});

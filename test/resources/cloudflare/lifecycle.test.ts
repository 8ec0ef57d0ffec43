import { randomBytes } from 'node:crypto';
import type CloudflareApi from 'cloudflare';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cloudflare as Edge } from '../../../sandbox/cloud/cloudflare.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import { dnsRecord } from '../../../src/resources/cloudflare/dns-record.ts';
import { ingress } from '../../../src/resources/cloudflare/ingress.ts';
import { tunnel } from '../../../src/resources/cloudflare/tunnel.ts';
import { tunnelToken } from '../../../src/resources/cloudflare/tunnel-token.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import { startTestCloud, type TestCloud } from '../../cloud/start-cloud.ts';
import { allowVault, clientsOf, position, scopeOf, turn, untilReady, writesSince } from '../a-stack.ts';

let sandbox: TestCloud;
let clients: Clients;
let api: CloudflareApi;
let edge: Edge;
const scope = (deployment = 'chat') => scopeOf(clients, sandbox.cloud.world, {}, deployment);
const pass = (milliseconds: number): void => sandbox.pass(milliseconds);
const vault = { vaultUrl: 'https://kv-chat.vault.azure.net/' };

beforeAll(async () => {
  sandbox = await startTestCloud();
  const { world } = sandbox.cloud;
  allowVault(sandbox, 'kv-chat.vault.azure.net');
  allowVault(sandbox, `${world.settings.controlPlane.vaultName}.vault.azure.net`);
  clients = clientsOf(sandbox.environment, world);
  api = await clients.cloudflare();
  // The same tables, so that it is the same Cloudflare as behind the proxy.
  edge = new Edge(world);
});
afterAll(() => sandbox.stop());

const account_id = (): string => scope().spec.tunnel.accountId;
const zone_id = (): string => scope().spec.tunnel.zoneId;
const everything = async (deployment = 'chat') => {
  const here = (): Scope => scope(deployment);
  const made = await untilReady(tunnel, here, {}, pass);
  await untilReady(ingress, here, { tunnel: made }, pass);
  await untilReady(dnsRecord, here, { tunnel: made }, pass);
  return made;
};

describe('cloudflare', () => {
  test('everything becomes ready, and another look writes nothing', async () => {
    const made = await everything();
    const token = await untilReady(tunnelToken, scope, { tunnel: made, vault }, pass);
    expect(
      edge.connect(
        { clusterId: 'c', pod: 'p' },
        (await clients.secrets(vault.vaultUrl).getSecret('cf-tunnel-token')).value ?? '',
      ),
    ).toEqual({ ok: true, tunnelId: made.id });
    expect(edge.route('chat.yourdomain.com')).toMatchObject({
      ok: true,
      service: 'http://open-webui.open-webui.svc.cluster.local:80',
    });

    const since = position(sandbox.cloud.world);
    expect(await turn(tunnel, scope(), {})).toEqual({ state: 'ready', outputs: made });
    expect(await turn(ingress, scope(), { tunnel: made })).toMatchObject({ state: 'ready' });
    expect(await turn(dnsRecord, scope(), { tunnel: made })).toMatchObject({ state: 'ready' });
    expect(await turn(tunnelToken, scope(), { tunnel: made, vault })).toEqual({
      state: 'ready',
      outputs: token,
    });
    expect(writesSince(sandbox.cloud.world, since)).toEqual([]);
  });

  test('a lost reply to the creation does not make a second tunnel', async () => {
    sandbox.cloud.world.faults.replace([
      { id: 'lost', service: 'cloudflare', method: 'POST', times: 1, fault: { kind: 'cut-after' } },
    ]);
    const made = await untilReady(tunnel, () => scope('lost'), {}, pass);
    sandbox.cloud.world.faults.replace([]);
    const { result } = await api.zeroTrust.tunnels.cloudflared.list({
      account_id: account_id(),
      name: 'lost',
    });
    expect(result.map(({ id }) => id)).toEqual([made.id]);
  });

  describe.each([
    ['429', { kind: 'answer', status: 429, retryAfterSeconds: 1 }],
    ['500', { kind: 'answer', status: 500 }],
    ['cut before it was heard', { kind: 'cut-before' }],
    ['cut after it was heard', { kind: 'cut-after' }],
    ['cut short', { kind: 'truncate' }],
  ])('when one call fails (%s)', (name, fault) => {
    test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])('number %i, it converges all the same', async (skip) => {
      const deployment = `f${skip}-${name.replaceAll(/[^a-z0-9]/g, '').slice(0, 14)}`;
      sandbox.cloud.world.faults.replace([{ id: 'one', service: 'cloudflare', skip, times: 1, fault }]);
      const made = await everything(deployment);
      sandbox.cloud.world.faults.replace([]);
      const { cloudflared } = api.zeroTrust.tunnels;
      const { result } = await cloudflared.list({ account_id: account_id(), name: deployment });
      expect(result.map(({ id }) => id)).toEqual([made.id]);
      const named = { zone_id: zone_id(), name: { exact: `${deployment}.yourdomain.com` } };
      expect((await api.dns.records.list(named)).result).toHaveLength(1);
    });
  });

  test('not being allowed to look is not absence', async () => {
    const forbidden = { kind: 'answer', status: 403 };
    sandbox.cloud.world.faults.replace([
      { id: 'no', service: 'cloudflare', method: 'GET', fault: forbidden },
    ]);
    const made = { id: 'x', name: 'x' };
    await expect(tunnel.observe(scope(), {})).rejects.toThrow();
    await expect(ingress.observe(scope(), { tunnel: made })).rejects.toThrow();
    await expect(dnsRecord.observe(scope(), { tunnel: made })).rejects.toThrow();
    sandbox.cloud.world.faults.replace([]);
  });

  test('each link that somebody breaks is put back', async () => {
    const made = await everything();
    const [record] = (
      await api.dns.records.list({ zone_id: zone_id(), name: { exact: 'chat.yourdomain.com' } })
    ).result;
    await api.dns.records.edit(record?.id ?? '', {
      zone_id: zone_id(),
      type: 'CNAME',
      name: 'chat.yourdomain.com',
      content: 'elsewhere.example.com',
      ttl: 1,
      proxied: false,
    });
    expect(await dnsRecord.observe(scope(), { tunnel: made })).toMatchObject({
      state: 'drifted',
      differences: [{ path: 'content' }, { path: 'proxied' }],
    });
    await untilReady(dnsRecord, scope, { tunnel: made }, pass);

    const other = { hostname: 'wiki.yourdomain.com', service: 'http://wiki.wiki.svc.cluster.local:80' };
    await api.zeroTrust.tunnels.cloudflared.configurations.update(made.id, {
      account_id: account_id(),
      config: { ingress: [other, { hostname: '', service: 'http_status:404' }] },
    });
    await untilReady(ingress, scope, { tunnel: made }, pass);
    const { config } = await api.zeroTrust.tunnels.cloudflared.configurations.get(made.id, {
      account_id: account_id(),
    });
    expect(config?.ingress?.map(({ hostname }) => hostname ?? '')).toEqual([
      'chat.yourdomain.com',
      'wiki.yourdomain.com',
      '',
    ]);
  });

  test('a tunnel stays ours when its DNS record is deleted, and when its configuration is', async () => {
    const made = await everything();
    await dnsRecord.remove(scope(), { tunnel: made }, { state: 'ready', outputs: { hostName: '', id: '' } });
    expect(await tunnel.observe(scope(), {})).toMatchObject({ state: 'ready' });
    await everything();
    await api.zeroTrust.tunnels.cloudflared.configurations.update(made.id, {
      account_id: account_id(),
      config: { ingress: [{ hostname: '', service: 'http_status:503' }] },
    });
    expect(await everything()).toEqual(made);
  });

  test("a tunnel of that name that serves something else is somebody else's", async () => {
    const theirs = await api.zeroTrust.tunnels.cloudflared.create({
      account_id: account_id(),
      name: 'theirs',
      config_src: 'cloudflare',
    });
    await api.zeroTrust.tunnels.cloudflared.configurations.update(theirs.id ?? '', {
      account_id: account_id(),
      config: {
        ingress: [
          { hostname: 'theirs.yourdomain.com', service: 'http://open-webui' },
          { hostname: '', service: 'http_status:404' },
        ],
      },
    });
    const since = position(sandbox.cloud.world);
    expect(await turn(tunnel, scope('theirs'), {})).toMatchObject({ state: 'foreign' });
    await tunnel.remove(scope('theirs'), {}, { state: 'foreign', reason: '' });
    expect(writesSince(sandbox.cloud.world, since)).toEqual([]);
  });

  test('a DNS record that is not ours is never overwritten', async () => {
    const made = await untilReady(tunnel, () => scope('taken'), {}, pass);
    await api.dns.records.create({
      zone_id: zone_id(),
      type: 'A',
      name: 'taken.yourdomain.com',
      content: '203.0.113.7',
      ttl: 1,
    });
    const since = position(sandbox.cloud.world);
    expect(await turn(dnsRecord, scope('taken'), { tunnel: made })).toMatchObject({
      state: 'foreign',
      reason: expect.stringContaining('203.0.113.7'),
    });
    await dnsRecord.remove(scope('taken'), { tunnel: made }, { state: 'foreign', reason: '' });
    expect(writesSince(sandbox.cloud.world, since)).toEqual([]);
  });

  test("the vault follows the tunnel's token when that is changed", async () => {
    const made = await everything();
    const before = await untilReady(tunnelToken, scope, { tunnel: made, vault }, pass);
    await api.zeroTrust.tunnels.cloudflared.edit(made.id, {
      account_id: account_id(),
      tunnel_secret: randomBytes(32).toString('base64'),
    });
    const seen = await tunnelToken.observe(scope(), { tunnel: made, vault });
    expect(seen).toMatchObject({ state: 'drifted' });
    expect(JSON.stringify(seen)).not.toMatch(/eyJ/);
    const after = await untilReady(tunnelToken, scope, { tunnel: made, vault }, pass);
    expect(after.secret.version).not.toBe(before.secret.version);
  });

  describe('a rotation of the token', () => {
    const stored = () => clients.secrets(vault.vaultUrl).getSecret('cf-tunnel-token');
    const versions = async (): Promise<number> => {
      let count = 0;
      const secrets = clients.secrets(vault.vaultUrl);
      for await (const _ of secrets.listPropertiesOfSecretVersions('cf-tunnel-token')) count += 1;
      return count;
    };
    const wishing = (wish: Date) => (): Scope => ({ ...scope(), rotateAfter: { 'tunnel-token': wish } });
    const wishNow = () => wishing(new Date(sandbox.cloud.world.clock.now() + 7));
    const writes = (since: number) =>
      writesSince(sandbox.cloud.world, since).map((call) => call.replace(/[0-9a-f-]{32,}/g, '…'));
    const rotation = ['PATCH /client/v4/accounts/…/cfd_tunnel/…', 'PUT /secrets/cf-tunnel-token'];

    test('gives the tunnel one new secret, which the old token does not know and a standing connection does not need', async () => {
      const made = await everything();
      const deps = { tunnel: made, vault };
      const before = await untilReady(tunnelToken, scope, deps, pass);
      const { value: old = '' } = await stored();
      edge.connect({ clusterId: 'c', pod: 'r' }, old);
      pass(5_000);
      const wished = wishNow();
      const since = position(sandbox.cloud.world);
      const after = await untilReady(tunnelToken, wished, deps, pass);
      expect(after.secret.version).not.toBe(before.secret.version);
      expect(writes(since)).toEqual(rotation);
      const { value: fresh = '', properties } = await stored();
      expect(edge.connect({ clusterId: 'c', pod: 's' }, fresh)).toMatchObject({ ok: true });
      expect(edge.connect({ clusterId: 'c', pod: 't' }, old)).toMatchObject({ ok: false });
      expect(edge.connect({ clusterId: 'c', pod: 'r' }, old)).toMatchObject({ ok: true });
      expect(properties.expiresOn?.getUTCFullYear()).toBe((properties.createdOn?.getUTCFullYear() ?? 0) + 1);

      const quiet = position(sandbox.cloud.world);
      pass(5_000);
      expect(await turn(tunnelToken, wished(), deps)).toEqual({ state: 'ready', outputs: after });
      expect(writes(quiet)).toEqual([]);
      for (const pod of ['r', 's']) edge.disconnect({ clusterId: 'c', pod });
    });

    test.each([
      ['the tunnel has its new secret', { service: 'cloudflare', method: 'PATCH' }],
      ['the token is in the vault', { service: 'key-vault', method: 'PUT' }],
    ])('happens once although the connection is lost when %s', async (_, call) => {
      const deps = { tunnel: await everything(), vault };
      await untilReady(tunnelToken, scope, deps, pass);
      pass(5_000);
      const count = await versions();
      const wished = wishNow();
      const since = position(sandbox.cloud.world);
      sandbox.cloud.world.faults.replace([{ id: 'lost', ...call, times: 1, fault: { kind: 'cut-after' } }]);
      await untilReady(tunnelToken, wished, deps, pass);
      sandbox.cloud.world.faults.replace([]);
      expect(writes(since)).toEqual(rotation);
      expect(await versions()).toBe(count + 1);
      pass(5_000);
      await untilReady(tunnelToken, wished, deps, pass);
      expect(writes(since)).toEqual(rotation);
    });

    test('comes by itself when the token nears its end', async () => {
      const deps = { tunnel: await everything(), vault };
      const before = await untilReady(tunnelToken, scope, deps, pass);
      const { properties } = await stored();
      const soon = (): Scope => ({
        ...scope(),
        now: new Date((properties.expiresOn?.getTime() ?? 0) - 29 * 86_400_000),
      });
      const early = (): Scope => ({ ...soon(), now: new Date(soon().now.getTime() - 2 * 86_400_000) });
      const since = position(sandbox.cloud.world);
      expect(await turn(tunnelToken, early(), deps)).toMatchObject({ state: 'ready' });
      expect(writes(since)).toEqual([]);
      expect(await tunnelToken.observe(soon(), deps)).toMatchObject({ state: 'drifted' });
      await tunnelToken.ensure(soon(), deps, { state: 'absent' });
      expect(writes(since)).toEqual(rotation);
      const after = await untilReady(tunnelToken, scope, deps, pass);
      expect(after.secret.version).not.toBe(before.secret.version);
    });
  });

  test('removal leaves the rules of others and takes the rest, twice without harm', async () => {
    const made = await everything();
    edge.disconnect({ clusterId: 'c', pod: 'p' });
    for (let times = 0; times < 2; times += 1) {
      await dnsRecord.remove(
        scope(),
        { tunnel: made },
        { state: 'ready', outputs: { hostName: '', id: '' } },
      );
      await tunnel.remove(scope(), {}, { state: 'ready', outputs: made });
      expect(await tunnel.observe(scope(), {})).toEqual({ state: 'absent' });
      expect(await dnsRecord.observe(scope(), { tunnel: made })).toEqual({ state: 'absent' });
    }
  });

  test('a tunnel that is still connected is taken down once it is not', async () => {
    const made = await everything();
    const token = await api.zeroTrust.tunnels.cloudflared.token.get(made.id, { account_id: account_id() });
    edge.connect({ clusterId: 'c', pod: 'q' }, token);
    const remove = () => tunnel.remove(scope(), {}, { state: 'ready', outputs: made });
    await expect(remove()).rejects.toMatchObject({ failure: { kind: 'retryable', code: 'TunnelInUse' } });
    edge.disconnect({ clusterId: 'c', pod: 'q' });
    await remove();
    expect(await tunnel.observe(scope(), {})).toEqual({ state: 'absent' });
  });
});

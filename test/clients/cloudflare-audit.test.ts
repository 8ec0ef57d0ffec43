/** Who changed something at Cloudflare, by the audit log of the simulated account. */
import Cloudflare from 'cloudflare';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Cloudflare as Edge } from '../../sandbox/cloud/cloudflare.ts';
import { createCloudflareAudit } from '../../src/clients/cloudflare-audit.ts';
import { startTestCloud, type TestCloud } from '../cloud/start-cloud.ts';

const MINUTE = 60_000;
const person = 'alice@yourdomain.com';

let sandbox: TestCloud;
let edge: Edge;
let account_id: string;
let zone_id: string;
/** The control plane's, and a person's. */
let ours: Cloudflare;
let theirs: Cloudflare;
let since: Date;
beforeAll(async () => {
  sandbox = await startTestCloud();
  const { world } = sandbox.cloud;
  // The same tables, so that it is the same Cloudflare as behind the proxy.
  edge = new Edge(world);
  account_id = world.settings.cloudflare.accountId;
  zone_id = world.settings.cloudflare.zoneId;
  ours = connect({ email: person, readsSettings: true });
  theirs = connect({ email: person });
});
afterAll(() => sandbox.stop());
beforeEach(() => {
  since = new Date(sandbox.cloud.world.clock.now());
});

type Rights = Parameters<Edge['createApiToken']>[1];
const connect = (rights: Rights, name = 'by-hand'): Cloudflare =>
  new Cloudflare({ apiToken: edge.createApiToken(name, rights), maxRetries: 0 });
const writes = (id: string, api = ours, from = since) =>
  createCloudflareAudit(async () => api, account_id).writes(id, from);
const newRecord = (api: Cloudflare, name: string) =>
  api.dns.records.create({
    zone_id,
    ...{ type: 'CNAME', name, content: 'elsewhere.example.com', ttl: 1, proxied: true },
  });
const newTunnel = (name: string) =>
  ours.zeroTrust.tunnels.cloudflared.create({ account_id, name, config_src: 'cloudflare' });
const wait = (minutes = 3): void => sandbox.pass(minutes * MINUTE);

describe('who changed something at Cloudflare', () => {
  test('is told some minutes later, with the API token that was used', async () => {
    const { id } = await newRecord(ours, 'one');
    await theirs.dns.records.edit(id, { zone_id, type: 'CNAME', proxied: false } as never);
    expect(await writes(id)).toEqual([]);
    wait();
    const at = since.toISOString().slice(0, 10);
    expect(await writes(id)).toEqual([
      { caller: `${person} (API token by-hand)`, at: expect.stringContaining(at) },
    ]);
  });

  test('is whoever made it, too, and never the control plane, whose token is of the same user', async () => {
    const [mine, hers] = [await newRecord(ours, 'mine'), await newRecord(theirs, 'hers')];
    wait();
    expect(await writes(mine.id)).toEqual([]);
    expect(await writes(hers.id)).toHaveLength(1);
  });

  test('is not who changed something else, nor who did so before', async () => {
    const [made, other] = [await newTunnel('one'), await newTunnel('other')];
    const { configurations } = theirs.zeroTrust.tunnels.cloudflared;
    await configurations.update(made.id ?? '', {
      account_id,
      config: { ingress: [{ service: 'http_status:404' }] },
    } as never);
    wait();
    expect(await writes(`${made.id}/configurations`)).toHaveLength(1);
    expect(await writes(made.id ?? '')).toEqual([]);
    expect(await writes(`${other.id}/configurations`)).toEqual([]);
    expect(await writes(`${made.id}/configurations`, ours, new Date(since.getTime() + MINUTE))).toEqual([]);
  });

  test('is the latest first, and not who was refused', async () => {
    const { id } = await newRecord(ours, 'twice');
    sandbox.pass(MINUTE);
    await theirs.dns.records.delete(id, { zone_id });
    sandbox.pass(MINUTE);
    await expect(theirs.dns.records.delete(id, { zone_id })).rejects.toMatchObject({ status: 404 });
    const account = connect({}, 'pipeline');
    await expect(account.dns.records.delete(id, { zone_id })).rejects.toMatchObject({ status: 404 });
    wait();
    expect((await writes(id)).map(({ caller }) => caller)).toEqual([`${person} (API token by-hand)`]);
  });

  test('is told where the tokens are those of the account, too', async () => {
    const [own, pipeline] = [connect({ readsSettings: true }, 'own'), connect({}, 'pipeline')];
    const { id } = await newRecord(own, 'account');
    await pipeline.dns.records.edit(id, { zone_id, type: 'CNAME', ttl: 300, proxied: false } as never);
    wait();
    expect((await writes(id, own)).map(({ caller }) => caller)).toEqual([
      `${account_id} (API token pipeline)`,
    ]);
  });

  test('is nobody where the token may not read the log', async () => {
    const { id } = await newRecord(theirs, 'unread');
    wait();
    expect(await writes(id, connect({ email: person }))).toEqual([]);
  });

  test('is a failure where Cloudflare does not answer', async () => {
    sandbox.cloud.world.faults.replace([
      { id: 'down', service: 'cloudflare', fault: { kind: 'answer', status: 503 } },
    ]);
    await expect(writes('x')).rejects.toMatchObject({ status: 503 });
    sandbox.cloud.world.faults.replace([]);
  });
});

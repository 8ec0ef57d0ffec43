import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { followClock } from '../../sandbox/clock.ts';
import { createArm } from '../../sandbox/cloud/arm/arm.ts';
import type { Composer } from '../../sandbox/cloud/cloud.ts';
import { StandInAzure, startTestCloud, type TestCloud } from './start-cloud.ts';

let sandbox: TestCloud;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cloud-'));
  sandbox = await startTestCloud({ directory, held: true, now: Date.UTC(2026, 10, 23) });
});
afterAll(async () => {
  await sandbox.stop();
  rmSync(directory, { recursive: true, force: true });
});

const door = async (
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; json: never }> => {
  const answer = await fetch(sandbox.cloud.endpoints.sandbox + path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, json: (await answer.json()) as never };
};

describe('the control door', () => {
  test('shows where everything is', async () => {
    expect((await door('GET', '/health')).json).toEqual({ ok: true });
    expect((await door('GET', '/endpoints')).json).toEqual(sandbox.cloud.endpoints);
  });

  test('turns the clock and tells its followers', async () => {
    const { clock, stop } = await followClock(`${sandbox.cloud.endpoints.sandbox}/clock`);
    expect(clock.now()).toBe(Date.UTC(2026, 10, 23));
    await door('PUT', '/clock', { now: Date.UTC(2027, 0, 1) });
    await expect.poll(() => clock.now()).toBe(Date.UTC(2027, 0, 1));
    await door('PUT', '/clock', { held: false, speed: 1000 });
    await expect.poll(() => clock.state.speed).toBe(1000);
    stop();
    expect((await door('PUT', '/clock', { now: 0 })).status).toBe(400);
    expect((await door('PUT', '/clock', { faster: true })).status).toBe(400);
  });

  test('sets faults and refuses those that make no sense', async () => {
    const rule = { id: 'cut', fault: { kind: 'cut-before' } };
    expect((await door('PUT', '/faults', [rule])).json).toMatchObject([rule]);
    expect((await door('PUT', '/faults', [{ id: 'x', fault: { kind: 'explode' } }])).status).toBe(400);
    expect((await door('PUT', '/faults', [])).json).toEqual([]);
  });

  test('lists the calls since a position, without secrets in their paths', async () => {
    const { next } = (await door('GET', '/calls')).json as { next: number };
    await fetch('https://api.cloudflare.com/client/v4/zones?token=hush');
    expect((await door('GET', `/calls?since=${next}`)).json).toMatchObject({
      calls: [
        {
          service: 'cloudflare',
          method: 'GET',
          path: '/client/v4/zones?token=…',
          status: 400,
          caller: 'anonymous',
        },
      ],
      next: next + 1,
    });
  });

  test('gives tokens only for audiences that exist', async () => {
    const { expiresOn } = (await door('POST', '/token', { audience: 'https://management.azure.com' }))
      .json as { expiresOn: number };
    expect(expiresOn).toBeGreaterThan(sandbox.cloud.world.clock.now() / 1000);
    expect((await door('POST', '/token', { audience: 'https://example.com' })).status).toBe(400);
  });

  test('names the first broken link of the site', async () => {
    expect((await door('GET', '/site')).json).toMatchObject({
      url: 'https://open-webui.yourdomain.com/',
      status: 0,
      ok: false,
      broken: 'dns',
    });
  });
});

describe('the control door of a cloud with Azure in it', () => {
  let azure: TestCloud;
  const ask = async (
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; json: unknown }> => {
    const answer = await fetch(azure.cloud.endpoints.sandbox + path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, json: await answer.json() };
  };

  beforeAll(async () => {
    const composer: Composer = async (world, neighbours, place) => {
      const arm = createArm(world, neighbours, place);
      const rest = await new StandInAzure().compose(world, neighbours, place);
      return { ...rest, services: [arm], azureDoor: arm, stop: () => arm.close() };
    };
    azure = await startTestCloud({ held: true }, composer);
  });
  afterAll(() => azure.stop());

  test('is the only one with these routes', async () => {
    expect((await door('GET', '/events')).status).toBe(404);
  });

  test('shows and sets how events are delivered, and what became of them', async () => {
    const nothing = { pending: 0, deadLetters: 0, emitted: [], dropped: [] };
    const usual = { dropShare: 0, repeatShare: 0, delayMilliseconds: 0, reorder: false, seed: 1 };
    expect((await ask('GET', '/events')).json).toEqual({ control: usual, ...nothing });
    const wanted = { dropShare: 0.2, seed: 7 };
    expect((await ask('PUT', '/events', wanted)).json).toEqual({
      control: { ...usual, ...wanted },
      ...nothing,
    });
    expect((await ask('PUT', '/events', { dropShare: 2 })).status).toBe(400);
    expect((await ask('PUT', '/events', { loseAll: true })).status).toBe(400);
    expect((await ask('PUT', '/events', {})).json).toEqual({ control: usual, ...nothing });
  });

  test('turns Azure’s habits by name, and leaves the others', async () => {
    const habit = 'upgrade-drops-foreign-identities';
    expect((await ask('GET', '/dials')).json).toMatchObject({ [habit]: true });
    expect((await ask('PUT', '/dials', { [habit]: false })).json).toMatchObject({ [habit]: false });
    expect((await ask('PUT', '/dials', {})).json).toMatchObject({ [habit]: false });
    expect((await ask('PUT', '/dials', { gravity: false })).status).toBe(400);
  });

  test('has AKS announce something to the clusters there are', async () => {
    expect(await ask('POST', '/announcements', { kind: 'support-ended' })).toEqual({
      status: 400,
      json: { error: 'there is no cluster that could be told' },
    });
    const { subscriptionId } = azure.cloud.world.settings;
    const { token } = await azure.operator.getToken('https://management.azure.com/.default');
    const put = (path: string, body: object): Promise<Response> =>
      fetch(`https://management.azure.com/subscriptions/${subscriptionId}/resourceGroups/rg${path}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ location: 'eastasia', ...body }),
      });
    await put('?api-version=2025-04-01', {});
    const id = '/providers/Microsoft.ContainerService/managedClusters/aks';
    const made = await put(`${id}?api-version=2026-04-01`, {
      identity: { type: 'SystemAssigned' },
      properties: {
        agentPoolProfiles: [{ name: 'system', mode: 'System', count: 1, vmSize: 'Standard_D2s_v5' }],
      },
    });
    expect(made.status).toBe(201);
    azure.pass(10 * 60_000);
    await expect
      .poll(() => ask('POST', '/announcements', { kind: 'new-kubernetes-version' }))
      .toMatchObject({ status: 200, json: { told: [expect.stringContaining(id)] } });
    expect((await ask('POST', '/announcements', { kind: 'rain' })).status).toBe(400);
  });
});

describe('the world', () => {
  test('is found as it was left, its time going on', async () => {
    const { world, endpoints } = sandbox.cloud;
    world.table<string>('test/table').set('key', 'kept');
    world.clock.change({ held: true });
    const before = {
      now: world.clock.now(),
      header: endpoints.identity.header,
      version: world.clock.state.version,
    };
    await sandbox.cloud.stop();
    sandbox = await startTestCloud({ directory });
    expect(sandbox.cloud.world.table<string>('test/table').get('key')).toBe('kept');
    expect(sandbox.cloud.world.clock.now()).toBe(before.now);
    expect(sandbox.cloud.endpoints.identity.header).toBe(before.header);
    expect(sandbox.cloud.world.clock.state.version).toBeGreaterThan(before.version);
  });

  test('keeps the authority’s key to its owner', () => {
    expect(statSync(join(directory, 'ca.key')).mode & 0o777).toBe(0o600);
  });
});

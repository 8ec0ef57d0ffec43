import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ResourceKey } from '../../src/graph/resource.ts';
import type { StepRecord, Store } from '../../src/store/store.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';
import { Api, INVOCATION_ID } from './requests.ts';

let azurite: Azurite;
let store: Store;
let api: Api;
beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
  api = new Api({ store, wake: async () => undefined });
});
afterAll(() => azurite.dispose());

const at = (seconds: number): string =>
  new Date(Date.parse('2026-11-23T18:45:00Z') + seconds * 1000).toISOString();
const step = (key: ResourceKey, ordinal: number, more: Partial<StepRecord> = {}): StepRecord => ({
  key,
  title: `The ${key}`,
  ordinal,
  state: 'pending',
  did: 'nothing',
  looks: 0,
  waitsFor: [],
  ...more,
});
const group = step('azure/resource-group', 0, {
  state: 'ready',
  did: 'created',
  looks: 2,
  startedAt: at(0),
  readyAt: at(3),
  outputs: { id: '/subscriptions/s/resourceGroups/rg' },
});
const vault = step('azure/key-vault', 1, {
  state: 'waiting',
  looks: 3,
  waitsFor: [group.key],
  startedAt: at(3),
  reason: 'Azure is creating it',
});
const secret = step('azure/webui-secret-key', 2, { waitsFor: [vault.key] });

let count = 0;
async function newDeployment(): Promise<{ name: string; operationId: string }> {
  count += 1;
  const name = `reading-${count}`;
  const tunnel = { ...minimalSpec.tunnel, hostName: `${name}.yourdomain.com` };
  const answer = await api.putSpec(name, { ...minimalSpec, tunnel });
  expect(answer.status).toBe(202);
  return { name, operationId: answer.body.operation.id };
}

describe('GET of an operation', () => {
  test('that has not begun says what is asked and when to ask again', async () => {
    const { name, operationId } = await newDeployment();
    const answer = await api.operation(operationId);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('retry-after')).toBe('10');
    expect(answer.body).toEqual({
      id: operationId,
      url: `https://func-openwebui-ctl.azurewebsites.net/api/operations/${operationId}`,
      deployment: {
        name,
        url: `https://func-openwebui-ctl.azurewebsites.net/api/deployments/${name}`,
      },
      kind: 'provision',
      cause: { kind: 'request', what: `PUT /api/deployments/${name}`, id: INVOCATION_ID },
      revision: 1,
      state: 'accepted',
      requestedAt: expect.any(String),
      progress: { total: 0, ready: 0, waiting: 0, failed: 0, blocked: 0 },
      criticalPath: { seconds: 0, steps: [] },
      receipts: [],
      steps: [],
    });
  });

  test('under way counts its steps and shows each', async () => {
    const { name, operationId } = await newDeployment();
    await store.recordSteps(name, [operationId], [group, vault, secret]);
    const { body } = await api.operation(operationId);
    expect(body).toMatchObject({
      state: 'running',
      startedAt: at(0),
      progress: { total: 3, ready: 1, waiting: 2, failed: 0, blocked: 0 },
      criticalPath: { seconds: 3, steps: [{ key: group.key, seconds: 3 }] },
    });
    expect(body).not.toHaveProperty('finishedAt');
    expect(body.steps).toEqual([
      {
        key: group.key,
        title: group.title,
        state: 'ready',
        did: 'created',
        looks: 2,
        waitsFor: [],
        startedAt: at(0),
        readyAt: at(3),
        seconds: 3,
      },
      expect.objectContaining({ key: vault.key, state: 'waiting', reason: 'Azure is creating it', looks: 3 }),
      expect.objectContaining({ key: secret.key, state: 'pending', waitsFor: [vault.key] }),
    ]);
  });

  test('that failed says what, and what it blocked', async () => {
    const { name, operationId } = await newDeployment();
    const failure = { kind: 'fatal', code: 'VaultAlreadyExists', message: 'the name is taken' } as const;
    await store.recordSteps(
      name,
      [operationId],
      [
        group,
        { ...vault, state: 'failed', failure },
        { ...secret, state: 'blocked', reason: 'waits for azure/key-vault, which failed' },
      ],
    );
    await store.recordOutcome(operationId, {
      state: 'failed',
      at: at(20),
      failure: { ...failure, key: vault.key },
    });
    const answer = await api.operation(operationId);
    expect(answer.headers.has('retry-after')).toBe(false);
    expect(answer.body).toMatchObject({
      state: 'failed',
      finishedAt: at(20),
      seconds: 20,
      failure: { ...failure, key: vault.key },
      progress: { total: 3, ready: 1, waiting: 0, failed: 1, blocked: 1 },
    });
  });

  test.each(['20261123T184501-00000000', 'deployment-openwebui', '..', "'", ''])(
    '%j is not there',
    async (id) => {
      const answer = await api.operation(id);
      expect(answer.status).toBe(404);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(answer.body).toMatchObject({
        type: '/problems/not-found',
        status: 404,
        correlationId: INVOCATION_ID,
      });
    },
  );
});

describe('GET of a deployment', () => {
  test('gives the spec as given, and nothing it has not seen', async () => {
    const { name, operationId } = await newDeployment();
    const answer = await api.deployment(name);
    expect(answer.headers.get('etag')).toMatch(/^"[\w-]+"$/);
    expect(answer.body).toMatchObject({
      name,
      state: 'changing',
      revision: 1,
      spec: { ...minimalSpec, tunnel: { ...minimalSpec.tunnel, hostName: `${name}.yourdomain.com` } },
      lastOperation: { id: operationId, state: 'accepted' },
      resources: [],
    });
  });

  test('has a tag that a PUT accepts', async () => {
    const { name } = await newDeployment();
    const { headers, body } = await api.deployment(name);
    const again = await api.putSpec(name, body.spec, { 'if-match': headers.get('etag') ?? '' });
    expect(again.status).toBe(202);
  });

  test('shows the last look at each resource, with what others may know of it', async () => {
    const { name, operationId } = await newDeployment();
    await store.recordSteps(name, [operationId], [group, vault]);
    const { body } = await api.deployment(name);
    expect(body.resources).toEqual([
      expect.objectContaining({ key: group.key, state: 'ready', outputs: group.outputs }),
      expect.objectContaining({ key: vault.key, state: 'waiting' }),
    ]);
  });

  test('is ready, changing or failed', async () => {
    const { name, operationId } = await newDeployment();
    const state = async (): Promise<string> => (await api.deployment(name)).body.state;
    await store.recordSteps(name, [operationId], [group]);
    expect(await state()).toBe('changing');
    await store.recordOutcome(operationId, { state: 'succeeded', at: at(4) });
    expect(await state()).toBe('ready');
    await store.recordSteps(name, [], [{ ...group, state: 'failed' }]);
    expect(await state()).toBe('failed');
  });

  test('forgets resources that the spec no longer asks for', async () => {
    const { name, operationId } = await newDeployment();
    const redis = step('kubernetes/redis', 1, { state: 'ready' });
    const shown = async (): Promise<string[]> =>
      (await api.deployment(name)).body.resources.map(({ key }: StepRecord) => key);
    await store.recordSteps(name, [operationId], [group, redis]);
    await store.recordOutcome(operationId, { state: 'succeeded', at: at(4) });
    expect(await shown()).toEqual([group.key, redis.key]);
    const { spec } = (await api.deployment(name)).body;
    const { body } = await api.putSpec(name, { ...spec, webui: { replicas: 1 } });
    await store.recordSteps(name, [body.operation.id], [group]);
    await store.recordOutcome(body.operation.id, { state: 'succeeded', at: at(9) });
    expect(await shown()).toEqual([group.key]);
    expect((await api.deployment(name)).body.state).toBe('ready');
  });

  test('shows the whole stack after an operation that has looked at a part of it', async () => {
    const { name, operationId } = await newDeployment();
    const ready = { ...vault, state: 'ready' } as const;
    await store.recordSteps(name, [operationId], [group, ready]);
    await store.recordOutcome(operationId, { state: 'succeeded', at: at(4) });
    const { body } = await api.rotate(name, { what: 'client-secret' });
    await store.recordSteps(name, [body.operation.id], [ready]);
    await store.recordOutcome(body.operation.id, { state: 'succeeded', at: at(9) });
    const { resources } = (await api.deployment(name)).body;
    expect(resources.map(({ key }: StepRecord) => key)).toEqual([group.key, vault.key]);
  });

  test.each(['nowhere', 'Not A Name', '..', "'"])('%j is not there', async (name) => {
    expect(await api.deployment(name)).toMatchObject({ status: 404, body: { type: '/problems/not-found' } });
  });
});

describe('GET of all deployments', () => {
  test('says of each where it is and how it is', async () => {
    const { name, operationId } = await newDeployment();
    await store.recordSteps(name, [operationId], [group, vault]);
    const { status, body } = await api.deployments();
    expect(status).toBe(200);
    expect(body.deployments.find((deployment: { name: string }) => deployment.name === name)).toEqual({
      name,
      url: `https://func-openwebui-ctl.azurewebsites.net/api/deployments/${name}`,
      state: 'changing',
      revision: 1,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
      hostName: `${name}.yourdomain.com`,
      progress: { total: 2, ready: 1, waiting: 1, failed: 0, blocked: 0 },
      lastOperation: {
        id: operationId,
        url: `https://func-openwebui-ctl.azurewebsites.net/api/operations/${operationId}`,
        state: 'running',
      },
    });
  });
});

describe('answers', () => {
  test('hold nothing of the engine', async () => {
    const { name, operationId } = await newDeployment();
    const texts = [
      await api.deployment(name),
      await api.operation(operationId),
      await api.deployments(),
      await api.putSpec(name, minimalSpec),
    ].map(({ body }) => JSON.stringify(body));
    for (const text of texts) {
      expect(text).not.toMatch(/orchestrat|durable|instanceId|webhooks|code=|deployment-reading/i);
    }
  });

  test('are not kept by caches, but for the schema', async () => {
    const { name } = await newDeployment();
    expect((await api.deployment(name)).headers.get('cache-control')).toBe('no-store');
    expect((await api.schema()).headers.get('cache-control')).toContain('max-age');
  });

  test('the schema is JSON Schema', async () => {
    const answer = await api.schema();
    expect(answer.headers.get('content-type')).toBe('application/schema+json');
    expect(answer.body).toMatchObject({ $schema: 'https://json-schema.org/draft/2020-12/schema' });
  });
});

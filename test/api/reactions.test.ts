import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EventRecord } from '../../src/store/inbox.ts';
import type { Store } from '../../src/store/store.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';
import { Api } from './requests.ts';

let azurite: Azurite;
let store: Store;
let api: Api;
let woken: string[] = [];
let engineError: Error | undefined;
const now = new Date('2026-11-24T10:00:00.000Z');
const digest = `sha256:${'a'.repeat(64)}`;

beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
  api = new Api({
    store,
    now: () => now,
    wake: async (_context, deployment) => {
      if (engineError) throw engineError;
      woken.push(deployment);
    },
  });
});
afterAll(() => azurite.dispose());

let count = 0;
async function newDeployment(): Promise<string> {
  count += 1;
  await store.putDeployment(`chat-${count}`, minimalSpec, now);
  return `chat-${count}`;
}

describe('POST …/rotate', () => {
  test('stores the wish with its time, enters an operation and wakes the run for exactly these resources', async () => {
    const name = await newDeployment();
    woken = [];
    const answer = await api.rotate(name, { what: ['postgres-password', 'tunnel-token'] });
    expect(answer.status).toBe(202);
    const { id } = answer.body.operation;
    expect((await store.findDeployment(name))?.rotateAfter).toEqual({
      'postgres-password': now.toISOString(),
      'tunnel-token': now.toISOString(),
    });
    expect(woken).toEqual([name]);
    expect(await store.inbox.take(name, 'run', 0)).toMatchObject([
      { operationId: id, kind: 'rotation', look: ['azure/postgres-password', 'cloudflare/tunnel-token'] },
    ]);
    expect((await api.operation(id)).body).toMatchObject({
      kind: 'rotation',
      cause: { kind: 'request', what: `POST /api/deployments/${name}/rotate` },
      receipts: [],
    });
  });

  test('takes one name as well as a list, and keeps earlier wishes', async () => {
    const name = await newDeployment();
    await api.rotate(name, { what: 'client-secret' });
    await api.rotate(name, { what: 'storage-key' });
    expect(Object.keys((await store.findDeployment(name))?.rotateAfter ?? {})).toEqual([
      'client-secret',
      'storage-key',
    ]);
  });

  test('keeps the wish when the spec is put again', async () => {
    const name = await newDeployment();
    await api.rotate(name, { what: 'client-secret' });
    await store.putDeployment(name, { ...minimalSpec, webui: { replicas: 2 } }, now);
    expect((await store.findDeployment(name))?.rotateAfter).toEqual({ 'client-secret': now.toISOString() });
  });

  test.each([
    ['nothing', {}, 'what'],
    ['an empty list', { what: [] }, 'what'],
    ['a secret there is not', { what: ['webui-secret-key', 'root-password'] }, 'what'],
    ['another field', { what: 'client-secret', force: true }, 'force'],
  ])('refuses %s, names the field and changes nothing', async (_, body, field) => {
    const name = await newDeployment();
    woken = [];
    const answer = await api.rotate(name, body);
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body.errors[0].field).toContain(field);
    expect(woken).toEqual([]);
    expect((await store.findDeployment(name))?.rotateAfter).toEqual({});
  });

  test('without a body says where the names may stand', async () => {
    const answer = await api.rotate(await newDeployment(), undefined);
    expect(answer).toMatchObject({
      status: 400,
      body: {
        type: '/problems/invalid-request',
        errors: [{ field: 'what', message: expect.stringContaining('?what=') }],
      },
    });
  });

  test('does not know a deployment there is not', async () => {
    expect((await api.rotate('nobody', { what: 'client-secret' })).status).toBe(404);
  });

  test('says 503 when the run cannot be woken; the request stays in the inbox', async () => {
    const name = await newDeployment();
    engineError = new Error('no engine');
    const answer = await api.rotate(name, { what: 'client-secret' });
    engineError = undefined;
    expect(answer).toMatchObject({ status: 503, body: { type: '/problems/not-started' } });
    expect(await store.inbox.take(name, 'run', 0)).toHaveLength(1);
  });
});

describe('DELETE …/quarantine/{digest}', () => {
  const quarantined = { digest, repository: 'open-webui', reason: 'it crashed', since: now.toISOString() };

  test('lifts it, shows it no more, and has the images looked at', async () => {
    const name = await newDeployment();
    await store.changeDeployment(name, () => ({ quarantine: [quarantined] }));
    expect((await api.deployment(name)).body.quarantine).toEqual([quarantined]);
    woken = [];
    expect((await api.liftQuarantine(name, digest)).status).toBe(202);
    expect((await api.deployment(name)).body.quarantine).toEqual([]);
    expect(woken).toEqual([name]);
    const [request] = await store.inbox.take(name, 'run', 0);
    expect(request?.look).toContain('azure/images');
  });

  test('does not know a digest that is not in quarantine', async () => {
    const name = await newDeployment();
    woken = [];
    expect(await api.liftQuarantine(name, digest)).toMatchObject({ status: 404 });
    expect(await api.liftQuarantine('nobody', digest)).toMatchObject({ status: 404 });
    expect(woken).toEqual([]);
  });
});

describe('GET …/events', () => {
  const event = (deployment: string, id: string, more: Partial<EventRecord> = {}): EventRecord => ({
    id,
    deployment,
    type: 'Microsoft.KeyVault.SecretNewVersionCreated',
    source: '/subscriptions/s/vaults/v',
    subject: 'webui-secret-key',
    what: 'the secret webui-secret-key has a new version',
    look: ['azure/webui-secret-key'],
    occurredAt: '2026-11-24T10:00:00.000Z',
    receivedAt: '2026-11-24T10:00:01.000Z',
    outcome: 'pending',
    ...more,
  });

  test('tells what came, what it led to and how long until it was proven', async () => {
    const name = await newDeployment();
    await store.inbox.receiveEvent(event(name, 'one'));
    await store.inbox.take(name, 'run', 0);
    const operationId = '20261124T100002-0123abcd';
    await store.inbox.settle(name, 'run', () => ({
      outcome: 'acted',
      at: '2026-11-24T10:00:42.000Z',
      operationId,
    }));
    const answer = await api.events(name);
    expect(answer).toMatchObject({ status: 200, body: { missedEvents: 0 } });
    expect(answer.body.events).toEqual([
      {
        id: 'one',
        type: 'Microsoft.KeyVault.SecretNewVersionCreated',
        source: '/subscriptions/s/vaults/v',
        subject: 'webui-secret-key',
        what: 'the secret webui-secret-key has a new version',
        occurredAt: '2026-11-24T10:00:00.000Z',
        receivedAt: '2026-11-24T10:00:01.000Z',
        outcome: 'acted',
        operation: { id: operationId, url: expect.stringContaining(`/api/operations/${operationId}`) },
        provenAt: '2026-11-24T10:00:42.000Z',
        secondsToProof: 42,
      },
    ]);
  });

  test('gives as many as are asked for', async () => {
    const name = await newDeployment();
    for (const id of ['a', 'b', 'c']) await store.inbox.receiveEvent(event(name, id));
    expect((await api.events(name, { top: '2' })).body.events).toHaveLength(2);
  });

  test.each(['0', '-1', 'many', '1001', '1.5'])('refuses top=%s and names it', async (top) => {
    const name = await newDeployment();
    const answer = await api.events(name, { top });
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ field: 'top' }] } });
  });

  test('does not know a deployment there is not', async () => {
    expect((await api.events('nobody')).status).toBe(404);
    expect((await api.events('../x')).status).toBe(404);
  });
});

test('GET of a deployment tells findings, the worst first, without repeating them at each resource', async () => {
  const name = await newDeployment();
  const finding = (id: string, severity: 'info' | 'error', since: string) => ({
    id,
    severity,
    what: id,
    evidence: '',
    breaks: '',
    remedy: '',
    resource: 'azure/cluster-version' as const,
    since,
  });
  const findings = [
    finding('new-version', 'info', '2026-11-24T09:00:00Z'),
    finding('support-ended', 'error', '2026-11-24T10:00:00Z'),
  ];
  await store.recordSteps(
    name,
    [],
    [
      {
        key: 'azure/cluster-version',
        title: 'Kubernetes version',
        ordinal: 0,
        state: 'ready',
        did: 'nothing',
        looks: 1,
        waitsFor: [],
        findings,
      },
    ],
  );
  const { body } = await api.deployment(name);
  expect(body.findings.map(({ id }: { id: string }) => id)).toEqual(['support-ended', 'new-version']);
  expect(body.resources[0]).not.toHaveProperty('findings');
});

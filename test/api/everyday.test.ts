import type { HttpHandler } from '@azure/functions';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deleteDebugPod, postDebugPods } from '../../src/api/debug-pods.ts';
import { getDatabase } from '../../src/api/get-database.ts';
import { getDeployment } from '../../src/api/get-deployment.ts';
import { getOperations } from '../../src/api/get-operations.ts';
import { getTimeline } from '../../src/api/get-timeline.ts';
import { deleteModel, getModels, postModels } from '../../src/api/models.ts';
import { patchConfig } from '../../src/api/patch-config.ts';
import { postResize } from '../../src/api/post-resize.ts';
import { postRestart } from '../../src/api/post-restart.ts';
import { postScale } from '../../src/api/post-scale.ts';
import { postSync } from '../../src/api/post-sync.ts';
import type { CloudDependencies } from '../../src/api/respond.ts';
import type { Clients } from '../../src/clients/clients.ts';
import { type KubernetesApi, KubernetesError } from '../../src/clients/kubernetes-api.ts';
import type { DeploymentSpecInput } from '../../src/spec/spec.ts';
import type { Store } from '../../src/store/store.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';
import { type Answer, call } from './requests.ts';

let azurite: Azurite;
let store: Store;
let dependencies: CloudDependencies;
let woken: string[] = [];
let ollama: () => Promise<{ status: number; body: unknown }>;
const now = new Date('2026-11-24T10:00:00.400Z');

beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
  const kubernetes = { requestService: () => ollama() } as Partial<KubernetesApi> as KubernetesApi;
  dependencies = {
    store,
    now: () => now,
    wake: async (_context, deployment) => void woken.push(deployment),
    clientsFor: () => ({ kubernetes: async () => kubernetes }) as Partial<Clients> as Clients,
  };
});
afterAll(() => azurite.dispose());

let count = 0;
async function newDeployment(change: Partial<DeploymentSpecInput> = {}): Promise<string> {
  count += 1;
  woken = [];
  const host = { ...minimalSpec.tunnel, hostName: `chat-${count}.example.com` };
  await store.putDeployment(`chat-${count}`, { ...minimalSpec, tunnel: host, ...change }, now);
  return `chat-${count}`;
}

const handlers = {
  scale: ['POST', postScale],
  config: ['PATCH', patchConfig],
  resize: ['POST', postResize],
  sync: ['POST', postSync],
  restart: ['POST', postRestart],
  models: ['POST', postModels],
  'debug-pods': ['POST', postDebugPods],
} as const;

function ask(
  name: string,
  what: keyof typeof handlers,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const [method, handler] = handlers[what];
  return call(
    handler(dependencies),
    method,
    `/api/deployments/${name}/${what}`,
    { name },
    {
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    },
  );
}
const look = (
  handler: (given: CloudDependencies) => HttpHandler,
  name: string,
  what: string,
  query: Readonly<Record<string, string>> = {},
): Promise<Answer> =>
  call(handler(dependencies), 'GET', `/api/deployments/${name}/${what}`, { name }, { query });
const remove = (name: string, model: string): Promise<Answer> =>
  call(deleteModel(dependencies), 'DELETE', `/api/deployments/${name}/models/${model}`, { name, model });
const specOf = async (name: string): Promise<DeploymentSpecInput | undefined> =>
  (await store.findDeployment(name))?.spec;

describe('a debug pod', () => {
  test('is told of and can be taken away until its time is up, and then is none any more', async () => {
    const name = await newDeployment();
    const at = (minutes: number) => ({
      ...dependencies,
      now: () => new Date(now.getTime() + minutes * 60_000),
      staleAfterMilliseconds: 900_000,
    });
    const told = async (minutes: number) =>
      (await call(getDeployment(at(minutes)), 'GET', `/api/deployments/${name}`, { name })).body.debugPods;
    const takeAway = (minutes: number) =>
      call(deleteDebugPod(at(minutes)), 'DELETE', `/api/deployments/${name}/debug-pods/psql`, {
        name,
        kind: 'psql',
      });
    expect((await ask(name, 'debug-pods', { kind: 'psql', minutes: 10 })).status).toBe(202);
    expect(await told(9)).toEqual([{ kind: 'psql', until: expect.any(String) }]);
    expect(await told(11)).toEqual([]);
    expect((await takeAway(11)).status).toBe(404);
    expect((await takeAway(9)).status).toBe(202);
    expect(await told(9)).toEqual([]);
  });
});

describe('what changes the spec', () => {
  test.each([
    ['scale', { replicas: 4 }, { webui: { replicas: 4 } }],
    ['config', { ENABLE_SIGNUP: 'false' }, { webui: { config: { ENABLE_SIGNUP: 'false' } } }],
    ['resize', { shareGiB: 200, ollamaGiB: 80 }, { storage: { quotaGiB: 200 }, ollama: { storageGiB: 80 } }],
    ['models', { model: 'llama3.2:1b' }, { ollama: { models: ['llama3.2:1b'] } }],
  ] as const)('%s is a new revision without defaults, and an operation', async (what, body, expected) => {
    const name = await newDeployment();
    const answer = await ask(name, what, body);
    expect(answer.status).toBe(202);
    const stored = await store.findDeployment(name);
    const { tunnel: _, ...minimal } = minimalSpec;
    expect(stored?.spec).toEqual({ ...minimal, tunnel: stored?.spec.tunnel, ...expected });
    expect(stored?.revision).toBe(2);
    expect(answer.headers.get('etag')).toBe(stored?.etag);
    expect(woken).toEqual([name]);
    expect(await store.findOperation(answer.body.operation.id)).toMatchObject({
      kind: 'maintenance',
      revision: 2,
      cause: { kind: 'request', what: expect.stringMatching(`/api/deployments/${name}/${what}$`) },
    });
  });

  test.each([
    ['scale', { replicas: 0 }, 'replicas'],
    ['scale', { replicas: 'many' }, 'replicas'],
    ['scale', {}, 'replicas'],
    ['config', { lower_case: 'x' }, 'webui.config'],
    ['config', { DATABASE_URL: 'postgresql://elsewhere' }, 'webui.config.DATABASE_URL'],
    ['config', { ENABLE_SIGNUP: true }, 'webui.config.ENABLE_SIGNUP'],
    ['config', { NOT_THERE: null }, 'webui.config.NOT_THERE'],
    ['config', {}, 'body'],
    ['resize', { shareGiB: 1 }, 'shareGiB'],
    ['resize', { ollamaGiB: 49 }, 'ollamaGiB'],
    ['resize', { ollamaGiB: 60.5 }, 'ollamaGiB'],
    ['resize', {}, 'body'],
    ['models', { model: 'no model' }, 'model'],
    ['restart', { workload: 'postgres' }, 'workload'],
    ['sync', { secrets: ['all'] }, 'secrets'],
  ] as const)('%s with %j is refused, names the field and changes nothing', async (what, body, field) => {
    const name = await newDeployment();
    const answer = await ask(name, what, body);
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body.errors[0].field).toContain(field);
    expect((await store.findDeployment(name))?.revision).toBe(1);
    expect(woken).toEqual([]);
  });

  test('If-Match guards against overwriting what somebody else has changed', async () => {
    const name = await newDeployment();
    const etag = (await store.findDeployment(name))?.etag ?? '';
    expect((await ask(name, 'scale', { replicas: 2 }, { 'if-match': etag })).status).toBe(202);
    expect(await ask(name, 'scale', { replicas: 5 }, { 'if-match': etag })).toMatchObject({
      status: 412,
      body: { type: '/problems/precondition-failed' },
    });
    expect((await specOf(name))?.webui?.replicas).toBe(2);
  });

  test('calls at the same moment lose nothing of each other', async () => {
    const name = await newDeployment();
    const settings = ['A', 'B', 'C', 'D'].map((key) => ask(name, 'config', { [key]: key }));
    expect((await Promise.all(settings)).map(({ status }) => status)).toEqual([202, 202, 202, 202]);
    expect((await specOf(name))?.webui?.config).toEqual({ A: 'A', B: 'B', C: 'C', D: 'D' });
  });

  test('config is a merge patch: null takes away, what is not named stays', async () => {
    const name = await newDeployment({ webui: { replicas: 2, config: { A: '1', B: '2' } } });
    const type = { 'content-type': 'application/merge-patch+json' };
    expect((await ask(name, 'config', { A: null, C: '3' }, type)).status).toBe(202);
    expect((await specOf(name))?.webui).toEqual({ replicas: 2, config: { B: '2', C: '3' } });
  });

  test('with an Ollama elsewhere neither its models nor its disk are ours to change', async () => {
    const name = await newDeployment({ ollama: { externalUrl: 'https://ollama.example.com' } });
    for (const answer of [
      await ask(name, 'models', { model: 'llama3.2' }),
      await ask(name, 'resize', { ollamaGiB: 80 }),
      await remove(name, 'llama3.2'),
    ]) {
      expect(answer.status).toBe(400);
      expect(answer.body.errors[0].message).toContain('ollama.externalUrl');
    }
    expect(await look(getModels, name, 'models')).toMatchObject({ status: 404 });
  });

  test('does not know a deployment there is not', async () => {
    const bodies = { scale: { replicas: 2 }, config: { A: 'a' }, resize: { shareGiB: 500 }, sync: {} };
    for (const [what, body] of Object.entries(bodies)) {
      expect((await ask('nobody', what as keyof typeof bodies, body)).status, what).toBe(404);
    }
    expect((await ask('nobody', 'restart', { workload: 'ollama' })).status).toBe(404);
    expect((await remove('nobody', 'llama3.2')).status).toBe(404);
    for (const handler of [getDatabase, getModels, getOperations, getTimeline]) {
      expect((await look(handler, 'nobody', 'anything')).status).toBe(404);
    }
  });
});

describe('models', () => {
  test('one that is taken away stays away until it is asked for again', async () => {
    const name = await newDeployment({ ollama: { models: ['llama3.2', 'hf.co/bartowski/tiny:Q4_K_M'] } });
    expect((await remove(name, 'hf.co/bartowski/tiny:Q4_K_M')).status).toBe(202);
    expect((await remove(name, 'llama3.2:latest')).status).toBe(202);
    let record = await store.findDeployment(name);
    expect(record?.spec.ollama?.models).toEqual([]);
    expect(record?.wishes.unwantedModels).toEqual(['hf.co/bartowski/tiny:Q4_K_M', 'llama3.2:latest']);
    await ask(name, 'models', { model: 'llama3.2' });
    record = await store.findDeployment(name);
    expect(record?.spec.ollama?.models).toEqual(['llama3.2']);
    expect(record?.wishes.unwantedModels).toEqual(['hf.co/bartowski/tiny:Q4_K_M']);
  });

  test('asked for twice it is one', async () => {
    const name = await newDeployment({ ollama: { models: ['llama3.2'] } });
    expect((await ask(name, 'models', { model: 'llama3.2:latest' })).status).toBe(202);
    expect((await store.findDeployment(name))?.revision).toBe(1);
  });

  test('the list is what Ollama says, beside what is wished', async () => {
    const name = await newDeployment({ ollama: { models: ['llama3.2', 'qwen3:4b'] } });
    const models = [
      { name: 'llama3.2:latest', size: 2_000_000_000, modified_at: '2026-11-24T09:00:00Z' },
      { name: 'tinyllama:latest', size: 600_000_000, modified_at: '2026-11-23T09:00:00Z' },
    ];
    ollama = async () => ({ status: 200, body: { models } });
    expect((await look(getModels, name, 'models')).body).toEqual({
      models: [
        { name: 'llama3.2:latest', size: 2_000_000_000, modifiedAt: '2026-11-24T09:00:00Z', isWished: true },
        { name: 'tinyllama:latest', size: 600_000_000, modifiedAt: '2026-11-23T09:00:00Z', isWished: false },
      ],
      missing: ['qwen3:4b'],
    });
  });

  test('an Ollama that cannot be asked is told as that', async () => {
    const name = await newDeployment();
    ollama = async () => ({ status: 503, body: {} });
    expect(await look(getModels, name, 'models')).toMatchObject({
      status: 503,
      body: { type: '/problems/not-answered', detail: expect.stringContaining('OllamaUnavailable') },
    });
    ollama = () => Promise.reject(new KubernetesError(503, 'ServiceUnavailable', 'no endpoints available'));
    expect((await look(getModels, name, 'models')).status).toBe(503);
  });
});

describe('what is about a moment', () => {
  test('restart and sync are wishes with their time, and leave the spec as it is', async () => {
    const name = await newDeployment();
    expect((await ask(name, 'restart', { workload: 'ollama' })).status).toBe(202);
    expect((await ask(name, 'restart', { workload: 'redis' })).status).toBe(202);
    expect((await ask(name, 'sync')).status).toBe(202);
    const record = await store.findDeployment(name);
    expect(record?.wishes).toMatchObject({
      restartAfter: { ollama: now.toISOString(), redis: now.toISOString() },
      syncAfter: now.toISOString(),
    });
    expect(record?.revision).toBe(1);
    const looks = (await store.inbox.take(name, 'run', 0)).map((request) => request.look);
    expect(looks).toEqual(
      expect.arrayContaining([
        ['kubernetes/ollama'],
        ['kubernetes/redis'],
        expect.arrayContaining(['kubernetes/external-secrets', 'azure/webui-secret-key']),
      ]),
    );
  });

  test('what the spec does not ask for cannot be restarted', async () => {
    const name = await newDeployment({
      webui: { replicas: 1 },
      ollama: { externalUrl: 'https://ollama.example.com' },
    });
    for (const workload of ['redis', 'ollama']) {
      const answer = await ask(name, 'restart', { workload });
      expect(answer).toMatchObject({ status: 400, body: { errors: [{ field: 'workload' }] } });
    }
    expect((await store.findDeployment(name))?.wishes.restartAfter).toEqual({});
  });
});

describe('what happened', () => {
  test('operations are told newest first, as many as are asked for', async () => {
    const name = await newDeployment();
    const ids: string[] = [];
    for (const second of [1, 2, 3]) {
      const id = `2026112${second}T100000-0000000${second}`;
      ids.unshift(id);
      await store.createOperation({
        id,
        deployment: name,
        kind: 'repair',
        cause: { kind: 'timer', what: 'the regular look' },
        revision: 1,
        requestedAt: `2026-11-2${second}T10:00:00.000Z`,
      });
    }
    const { body } = await look(getOperations, name, 'operations');
    expect(body.operations.map(({ id }: { id: string }) => id)).toEqual(ids);
    expect(body.operations[0]).toMatchObject({
      state: 'accepted',
      cause: { what: 'the regular look' },
      url: expect.stringContaining(`/api/operations/${ids[0]}`),
    });
    const two = await look(getOperations, name, 'operations', { top: '2' });
    expect(two.body.operations).toHaveLength(2);
    for (const top of ['0', '201', 'all']) {
      expect((await look(getOperations, name, 'operations', { top })).status).toBe(400);
    }
  });

  test('the timeline is one list of operations, events and drift with their causes', async () => {
    const name = await newDeployment();
    const { id } = (await ask(name, 'scale', { replicas: 2 })).body.operation;
    await store.inbox.receiveEvent({
      id: 'one',
      deployment: name,
      type: 'Microsoft.KeyVault.SecretNewVersionCreated',
      source: 's',
      subject: 'webui-secret-key',
      what: 'the secret webui-secret-key has a new version',
      look: ['azure/webui-secret-key'],
      occurredAt: '2026-11-24T10:05:00.000Z',
      receivedAt: '2026-11-24T10:05:01.000Z',
      outcome: 'ignored',
      reason: 'it is of another vault',
    });
    const { body } = await look(getTimeline, name, 'timeline');
    expect(body.timeline).toEqual([
      {
        at: '2026-11-24T10:05:01.000Z',
        kind: 'event',
        what: 'The secret webui-secret-key has a new version: ignored, it is of another vault.',
      },
      {
        at: now.toISOString(),
        kind: 'operation',
        what: 'A maintenance operation has been asked for.',
        cause: expect.objectContaining({ what: `POST /api/deployments/${name}/scale` }),
        operation: { id, url: expect.stringContaining(id) },
      },
    ]);
  });
});

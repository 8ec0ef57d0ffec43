import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { namespace } from '../../../src/resources/kubernetes/namespace.ts';
import { ollamaModels } from '../../../src/resources/kubernetes/ollama-models.ts';
import { ollamaService } from '../../../src/resources/kubernetes/ollama-service.ts';
import { noWishes, type Scope } from '../../../src/resources/scope.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { type AnApiServer, startApiServer } from './an-api-server.ts';

/** Ollama's API as far as models go: https://github.com/ollama/ollama/blob/main/docs/api.md */
const present = new Set<string>();
let asks = 0;
let pulls: { readonly model: string; readonly finish: () => void }[] = [];

async function ollama(request: Request, path: string): Promise<Response> {
  asks += 1;
  if (path.startsWith('/api/tags')) {
    return Response.json({ models: [...present].map((name) => ({ name, model: name })) });
  }
  const { model, stream } = (await request.json()) as { model: string; stream?: boolean };
  if (path.startsWith('/api/delete')) {
    return new Response(null, { status: present.delete(model) ? 200 : 404 });
  }
  if (stream !== false) return Response.json({ error: 'a stream nobody reads' }, { status: 400 });
  if (model === 'nonsense') {
    return Response.json({ error: 'pull model manifest: file does not exist' }, { status: 500 });
  }
  await new Promise<void>((finish) => void pulls.push({ model, finish }));
  present.add(model.includes(':') ? model : `${model}:latest`);
  return Response.json({ status: 'success' });
}

let server: AnApiServer;
const scope = (...models: string[]): Scope => without([], ...models);
const without = (unwantedModels: readonly string[], ...models: string[]): Scope => ({
  ...specOf({ ollama: { models } }),
  clients: server.clients,
  now: new Date(),
  ...surroundings(),
  wishes: { ...noWishes, unwantedModels },
});
const deps = {} as never;

beforeAll(async () => {
  server = await startApiServer(ollama);
  await namespace.ensure(scope(), deps, { state: 'absent' });
  await ollamaService.ensure(scope(), deps, { state: 'absent' });
});
afterAll(() => server.stop());

describe('kubernetes/ollama-models', () => {
  test('is wanted wherever Ollama runs here, and asks nothing when nothing is wished', async () => {
    expect(ollamaModels.isWanted?.(specOf())).toBe(true);
    const asked = asks;
    expect(await ollamaModels.observe(scope(), deps)).toEqual({ state: 'ready', outputs: {} });
    expect(asks).toBe(asked);
    const externalUrl = 'https://ollama.example.com';
    expect(ollamaModels.isWanted?.(specOf({ ollama: { models: ['llama3.2'], externalUrl } }))).toBe(false);
  });

  test('a pull is begun once and not waited for, and shows when it is through', async () => {
    const wished = scope('llama3.2', 'qwen3:1.7b');
    expect(await ollamaModels.observe(wished, deps)).toEqual({ state: 'absent' });
    const begun = Date.now();
    await ollamaModels.ensure(wished, deps, { state: 'absent' });
    expect(Date.now() - begun).toBeLessThan(10_000);
    expect(pulls.map(({ model }) => model)).toEqual(['llama3.2', 'qwen3:1.7b']);
    expect(await ollamaModels.observe(wished, deps)).toEqual({
      state: 'changing',
      reason: 'pulling llama3.2, qwen3:1.7b',
      retryAfterSeconds: 30,
    });
    await ollamaModels.ensure(wished, deps, { state: 'absent' });
    expect(pulls).toHaveLength(2);

    for (const { finish } of pulls) finish();
    await vi.waitFor(async () => {
      expect(await ollamaModels.observe(wished, deps)).toEqual({ state: 'ready', outputs: {} });
    });
  }, 20_000);

  test('only what is missing is pulled', async () => {
    pulls = [];
    const wished = scope('llama3.2', 'gemma3');
    const seen = await ollamaModels.observe(wished, deps);
    expect(seen).toMatchObject({ state: 'drifted', differences: [{ path: 'models', wanted: ['gemma3'] }] });
    const ensured = ollamaModels.ensure(wished, deps, seen);
    await vi.waitFor(() => expect(pulls.map(({ model }) => model)).toEqual(['gemma3']));
    pulls[0]?.finish();
    await ensured;
    expect(await ollamaModels.observe(wished, deps)).toMatchObject({ state: 'ready' });
  });

  test("a model that does not exist is somebody's to correct", async () => {
    await expect(ollamaModels.ensure(scope('nonsense'), deps, { state: 'absent' })).rejects.toMatchObject({
      failure: { kind: 'fatal', code: 'ModelNotFound' },
    });
  });

  test('what is not wanted any more is taken away, and what nobody spoke of stays', async () => {
    present.add('tinyllama:latest');
    const wished = without(['tinyllama', 'gemma3', 'never-there'], 'gemma3');
    const seen = await ollamaModels.observe(wished, deps);
    expect(seen).toEqual({
      state: 'drifted',
      outputs: {},
      differences: [{ path: 'models.tinyllama:latest', wanted: null, found: 'present' }],
    });
    for (let times = 0; times < 2; times += 1) await ollamaModels.ensure(wished, deps, seen);
    expect(await ollamaModels.observe(wished, deps)).toEqual({ state: 'ready', outputs: {} });
    expect([...present].toSorted()).toEqual(['gemma3:latest', 'llama3.2:latest', 'qwen3:1.7b']);
  });

  test('one that is being pulled and not wanted any more is waited for, to be taken away', async () => {
    pulls = [];
    const ensured = ollamaModels.ensure(scope('phi4'), deps, { state: 'absent' });
    await vi.waitFor(() => expect(pulls).toHaveLength(1));
    const unwanted = without(['phi4']);
    expect(await ollamaModels.observe(unwanted, deps)).toMatchObject({
      state: 'changing',
      reason: 'pulling phi4',
    });
    pulls[0]?.finish();
    await ensured;
    const seen = await ollamaModels.observe(unwanted, deps);
    expect(seen).toMatchObject({ state: 'drifted' });
    await ollamaModels.ensure(unwanted, deps, seen);
    expect(present.has('phi4:latest')).toBe(false);
  });

  test('removal takes the wished ones away, twice without harm', async () => {
    for (let times = 0; times < 2; times += 1) {
      await ollamaModels.remove(scope('llama3.2:latest'), deps, { state: 'ready', outputs: {} });
    }
    expect([...present].toSorted()).toEqual(['gemma3:latest', 'qwen3:1.7b']);
  });
});

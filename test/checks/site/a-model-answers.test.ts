/** Which model is asked for a word, for how long it is kept, and what becomes of its answer. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { CheckScope } from '../../../src/checks/check.ts';
import { aModelAnswers } from '../../../src/checks/site/a-model-answers.ts';
import { toFailure } from '../../../src/clients/cloud-failure.ts';
import type { ProxyAnswer } from '../../../src/clients/kubernetes-api.ts';
import { aRound, NOW } from '../a-round.ts';
import { foundBefore } from '../found-before.ts';
import { anInside, type Reply, silence } from './an-inside.ts';

afterEach(() => {
  vi.useRealTimers();
});

interface Model {
  readonly name: string;
  readonly size?: number;
  readonly remote_host?: string;
}
const models: readonly Model[] = [
  { name: 'llama3.2:latest', size: 2_000_000_000 },
  { name: 'tinyllama:latest', size: 700_000_000 },
];

/** Ollama with models on its disk and in its memory; `speaks` is what a model says when asked for a word. */
function ollama(
  parts: {
    readonly present?: readonly Model[];
    readonly loaded?: readonly object[];
    readonly speaks?: (model: string) => ProxyAnswer | Promise<ProxyAnswer>;
    readonly embeds?: (model: string) => ProxyAnswer | Promise<ProxyAnswer>;
    readonly wished?: readonly string[];
  } = {},
) {
  const done = (): ProxyAnswer => ({ status: 200, body: { done: true } });
  const { present = models, loaded = [], speaks = done, embeds = done, wished = [] } = parts;
  const reply: Reply = ({ path, body }) => {
    if (path === '/api/tags') return { status: 200, body: { models: present } };
    if (path === '/api/ps') return { status: 200, body: { models: loaded } };
    const { model } = body as { readonly model: string };
    return path === '/api/embed' ? embeds(model) : speaks(model);
  };
  const api = anInside({ reply });
  return {
    look: (fields: Partial<CheckScope> = {}) => {
      const clients = { kubernetes: async () => api };
      const spec = { ollama: { models: [...wished] } };
      return aModelAnswers.run({ ...aRound({ clients, spec }), ...fields });
    },
    words: () => api.asked.filter(({ path }) => path === '/api/generate').map(({ body }) => body),
    embedded: () => api.asked.filter(({ path }) => path === '/api/embed').map(({ body }) => body),
  };
}
const refuses = (status: number, error: string) => (): ProxyAnswer => ({ status, body: { error } });
const failureOf = async (looked: Promise<unknown>) =>
  toFailure(await looked.then(() => undefined).catch((error: unknown) => error));
const inSeconds = (seconds: number): string => new Date(NOW.getTime() + seconds * 1000).toISOString();

describe('the model that is asked', () => {
  test('is the smallest when none is in memory, and does not stay there', async () => {
    const { look, words } = ollama();
    expect(await look()).toEqual([]);
    expect(words()).toEqual([
      {
        model: 'tinyllama:latest',
        prompt: 'Hello',
        stream: false,
        keep_alive: '30s',
        options: { num_predict: 1 },
      },
    ]);
  });

  test.each([
    ['goes when it would have gone', inSeconds(200), '200s'],
    ['stays when it is to stay for good', '2318-01-01T00:00:00Z', -1],
  ])('is the one in memory, which %s, with the context that it has', async (_, expires_at, keep_alive) => {
    const loaded = [{ name: 'llama3.2:latest', expires_at, context_length: 8192 }];
    const { look, words } = ollama({ loaded });
    expect(await look()).toEqual([]);
    expect(words()).toMatchObject([
      { model: 'llama3.2:latest', keep_alive, options: { num_predict: 1, num_ctx: 8192 } },
    ]);
  });

  test('is the next one after those that only embed', async () => {
    const { look, words } = ollama({
      present: [...models, { name: 'all-minilm:latest', size: 46_000_000 }],
      speaks: (model) =>
        model.startsWith('all-minilm')
          ? refuses(400, '"all-minilm:latest" does not support generate')()
          : { status: 200, body: {} },
    });
    expect(await look()).toEqual([]);
    expect(words()).toMatchObject([{ model: 'all-minilm:latest' }, { model: 'tinyllama:latest' }]);
  });

  test('is none that runs elsewhere, nor any where there is none', async () => {
    const { look, words } = ollama({
      present: [{ name: 'gpt-oss:120b-cloud', size: 384, remote_host: 'https://ollama.com:443' }],
    });
    expect(await look()).toEqual([]);
    expect(words()).toEqual([]);
  });
});

describe('a model that does not answer', () => {
  const lacking = (have: string) =>
    refuses(500, `model requires more system memory (5.6 GiB) than is available (${have} GiB)`);

  test('is an error with the words of Ollama, which do not change with the memory that is left', async () => {
    const found = await ollama({ speaks: lacking('3.1') }).look();
    expect(found).toMatchObject([
      {
        id: 'model-does-not-answer',
        resource: 'kubernetes/ollama',
        severity: 'error',
        evidence:
          'tinyllama:latest is asked for one word, and Ollama says HTTP 500: model requires more system memory (…) than is available (…)',
      },
    ]);
    expect(await ollama({ speaks: lacking('2.9') }).look()).toEqual(found);
  });

  test('because others are before us is news, and no trouble', async () => {
    const busy = refuses(503, 'server busy, please try again. maximum pending requests exceeded');
    expect(await ollama({ speaks: busy }).look()).toMatchObject([
      { id: 'model-answers-late', severity: 'info' },
    ]);
  });

  test('because it comes from the disk is news, and no trouble, before the time of a check is over', async () => {
    vi.useFakeTimers();
    const found = ollama({ speaks: silence }).look();
    await vi.advanceTimersByTimeAsync(15_000);
    expect(await Promise.race([found, Promise.resolve('nothing was found')])).toMatchObject([
      { id: 'model-answers-late', severity: 'info' },
    ]);
  });

  test('because Ollama itself does not is unknown here: another check finds that', async () => {
    const api = anInside({ reply: () => ({ status: 500, body: '' }) });
    const looked = aModelAnswers.run(aRound({ clients: { kubernetes: async () => api } }));
    expect((await failureOf(looked)).code).toBe('NothingToLookAt');
  });
});

describe('models that are late check after check', () => {
  const busy = refuses(503, 'server busy, please try again. maximum pending requests exceeded');
  /** What is found when it has been found for so many seconds. */
  const lateFor = (
    seconds: number,
    severity: 'info' | 'warning',
    parts: Parameters<typeof ollama>[0] = {},
  ) => {
    const since = inSeconds(-seconds);
    const before = foundBefore({ id: 'model-answers-late', severity, since });
    return ollama({ speaks: busy, ...parts }).look({ foundBefore: before });
  };

  test('are news for a quarter of an hour, and trouble from then on, since when they are', async () => {
    expect(await lateFor(899, 'info')).toMatchObject([{ id: 'model-answers-late', severity: 'info' }]);
    expect(await lateFor(900, 'info')).toMatchObject([
      {
        id: 'model-answers-late',
        severity: 'warning',
        what: 'No model has answered within 10 seconds since 2026-11-24T11:45:00.000Z.',
        breaks: 'Users wait for their answers, or get none.',
        remedy: expect.stringContaining('POST /api/deployments/chat/restart {"workload": "ollama"}'),
      },
    ]);
  });

  test('are told of in words that stay, whichever of them is asked and whatever keeps it', async () => {
    vi.useFakeTimers({ now: NOW });
    const first = await lateFor(900, 'info');
    const loaded = [{ name: 'llama3.2:latest' }];
    const again = lateFor(900, 'warning', { loaded, speaks: silence });
    await vi.advanceTimersByTimeAsync(15_000);
    expect(await again).toEqual(first);
  });

  test('are well as soon as one of them answers', async () => {
    expect(await lateFor(3600, 'warning', { speaks: () => ({ status: 200, body: {} }) })).toEqual([]);
  });
});

describe('where no model says a word', () => {
  const deaf = refuses(400, '"all-minilm:latest" does not support generate');
  const embedding: readonly Model[] = [{ name: 'all-minilm:latest', size: 46_000_000 }];
  const noEmbeddings = refuses(501, 'this model does not support embeddings');
  const gone = refuses(404, "model 'tinyllama:latest' not found");

  test('one that embeds is asked for that', async () => {
    const loaded = [{ name: 'all-minilm:latest', expires_at: inSeconds(200), context_length: 256 }];
    const { look, embedded } = ollama({ present: embedding, wished: ['all-minilm'], speaks: deaf, loaded });
    expect(await look()).toEqual([]);
    expect(embedded()).toEqual([
      { model: 'all-minilm:latest', input: 'Hello', keep_alive: '200s', options: { num_ctx: 256 } },
    ]);
  });

  test('it is found when the one that embeds does not, either', async () => {
    const embeds = refuses(500, 'llama runner process has terminated');
    const { look } = ollama({ present: embedding, speaks: deaf, embeds });
    expect(await look()).toMatchObject([{ id: 'model-does-not-answer', severity: 'error' }]);
  });

  test.each([
    ['none is there', [], deaf],
    ['those that are there only embed', embedding, deaf],
    ['those that are there go in the meantime', models, gone],
  ])('it is unknown while wished models are missing: %s', async (_, present, speaks) => {
    const { look, embedded } = ollama({ present, wished: ['mistral'], speaks });
    expect(await failureOf(look())).toMatchObject({
      code: 'NothingToLookAt',
      message: 'wished models are missing, and no other says a word: mistral',
    });
    expect(embedded()).toEqual([]);
  });

  test.each([
    ['all go in the meantime', { speaks: gone }],
    ['that which embeds goes in the meantime', { present: embedding, speaks: deaf, embeds: gone }],
    ['none embeds, either', { present: embedding, speaks: deaf, embeds: noEmbeddings }],
  ])('it is unknown where %s', async (_, parts) => {
    expect(await failureOf(ollama(parts).look())).toMatchObject({
      code: 'NothingToLookAt',
      message: 'of the models that Ollama lists none can be asked: they are gone, or neither speak nor embed',
    });
  });
});

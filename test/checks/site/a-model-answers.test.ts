/** Which model is asked for a word, for how long it is kept, and what becomes of its answer. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { aModelAnswers } from '../../../src/checks/site/a-model-answers.ts';
import { toFailure } from '../../../src/clients/cloud-failure.ts';
import type { ProxyAnswer } from '../../../src/clients/kubernetes-api.ts';
import { aRound, NOW } from '../a-round.ts';
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
  } = {},
) {
  const { present = models, loaded = [], speaks = () => ({ status: 200, body: { done: true } }) } = parts;
  const reply: Reply = ({ path, body }) => {
    if (path === '/api/tags') return { status: 200, body: { models: present } };
    if (path === '/api/ps') return { status: 200, body: { models: loaded } };
    return speaks((body as { readonly model: string }).model);
  };
  const api = anInside({ reply });
  return {
    look: () => aModelAnswers.run(aRound({ clients: { kubernetes: async () => api } })),
    words: () => api.asked.filter(({ path }) => path === '/api/generate').map(({ body }) => body),
  };
}
const refuses = (status: number, error: string) => (): ProxyAnswer => ({ status, body: { error } });
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
    expect(toFailure(await looked.catch((error: unknown) => error)).code).toBe('NothingToLookAt');
  });
});

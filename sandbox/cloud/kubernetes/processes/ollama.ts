/**
 * Ollama: its API on 11434 and the models on its volume, which outlive the pod when the volume does. A download takes
 * virtual time, needs room, and stops when the caller that asked for it hangs up; what was fetched is kept
 * (ollama server/routes.go, PullHandler; docs/api.md).
 */
import { createHash } from 'node:crypto';
import { MODEL_BYTES_PER_SECOND, START } from '../durations.ts';
import { at, timestamp } from '../object.ts';
import { amount } from '../quantity.ts';
import { type Model, modelOf } from './ollama-models.ts';
import type { Process, ProcessContext } from './process.ts';

const PORT = 11434;
const VERSION = '0.13.0';
const MODELS_DIRECTORY = '/root/.ollama';

interface StoredModel extends Model {
  readonly modifiedAt: string;
}

/** Families that only embed: they do not speak (ollama types/model, CapabilityCompletion). */
const EMBEDDING_FAMILIES = ['nomic-embed-text', 'mxbai-embed-large', 'all-minilm'];
const CONTEXT_LENGTH = 4096;
const KEEP_ALIVE_SECONDS = 300;
/** A time that never comes, as `keep_alive: -1` has it. */
const FOR_GOOD = 250 * 365 * 86_400;

/** What is on the volume. */
interface Shelf {
  readonly models: readonly StoredModel[];
  /** Bytes fetched of models that are not complete, by name. */
  readonly partial: Readonly<Record<string, number>>;
}

export function startOllama(context: ProcessContext): Process {
  return new Ollama(context);
}

class Ollama implements Process {
  readonly #context: ProcessContext;
  readonly #shelfKey: string;
  readonly #capacityBytes: () => number;
  /** Models in memory, by name, and until when: virtual milliseconds. */
  readonly #loaded = new Map<string, number>();
  #isUp: boolean;

  constructor(context: ProcessContext) {
    this.#context = context;
    const { mounts, clusterId, pod, env } = context;
    const home = env['OLLAMA_MODELS'] ?? MODELS_DIRECTORY;
    const mount = mounts.find(
      ({ path }) => home.startsWith(path.replace(/\/$/, '')) || path.startsWith(home),
    );
    this.#shelfKey = `${clusterId}|ollama|${mount?.volume ?? pod.metadata.uid}`;
    this.#capacityBytes = () => mount?.capacityBytes() ?? 100 * 2 ** 30;
    this.#isUp = context.isResumed;
    if (this.#isUp) return;
    context.log(`time=${timestamp(context.clock.now())} level=INFO source=routes.go msg="server config"`);
    context.after(START.ollama, () => {
      this.#isUp = true;
      context.log(
        `time=${timestamp(context.clock.now())} level=INFO source=routes.go msg="Listening on [::]:${PORT} (version ${VERSION})"`,
      );
      context.changed();
    });
  }

  status(port: number, path: string): number | undefined {
    if (!this.#isUp || port !== PORT) return undefined;
    const [name = '/'] = path.split('?');
    return ['/', '/api/tags', '/api/version', '/api/ps'].includes(name) ? 200 : 404;
  }

  listens(port: number): boolean {
    return this.#isUp && port === PORT;
  }

  exec(command: readonly string[]): number {
    return this.#isUp || !command.join(' ').includes('ollama') ? 0 : 1;
  }

  fetch(port: number, request: Request, path: string): Promise<Response> | undefined {
    return this.listens(port) ? this.#answer(request, path.split('?')[0] ?? '/') : undefined;
  }

  stop(): void {
    this.#isUp = false;
  }

  get #shelf(): Shelf {
    return (this.#context.volumeData.get(this.#shelfKey) as Shelf | undefined) ?? { models: [], partial: {} };
  }

  #put(shelf: Shelf): void {
    this.#context.volumeData.set(this.#shelfKey, shelf);
  }

  async #answer(request: Request, path: string): Promise<Response> {
    this.#context.log(`[GIN] ${timestamp(this.#context.clock.now())} | ${request.method} "${path}"`);
    switch (`${request.method} ${path}`) {
      case 'GET /':
      case 'HEAD /':
        return new Response('Ollama is running');
      case 'GET /api/version':
        return Response.json({ version: VERSION });
      case 'GET /api/ps':
        return Response.json({ models: this.#running() });
      case 'GET /api/tags':
        return Response.json({ models: this.#shelf.models.map(describe) });
      default:
    }
    if (request.method !== 'POST' && request.method !== 'DELETE')
      return new Response('404 page not found', { status: 404 });
    let body: unknown;
    try {
      body = JSON.parse((await request.text()) || '{}');
    } catch {
      return Response.json({ error: 'invalid character in request body' }, { status: 400 });
    }
    const name = withTag(String(at(body, 'model') ?? at(body, 'name') ?? ''));
    if (name === ':latest') return Response.json({ error: 'model is required' }, { status: 400 });
    switch (`${request.method} ${path}`) {
      case 'POST /api/pull':
        return this.#pull(name, at(body, 'stream') !== false, request.signal);
      case 'DELETE /api/delete':
        return this.#delete(name);
      case 'POST /api/show':
        return this.#withModel(name, (model) => ({
          details: describe(model)['details'],
          model_info: {},
          modelfile: `FROM ${name}`,
        }));
      case 'POST /api/generate':
        return this.#speak(name, body, { response: 'Hello.' });
      case 'POST /api/chat':
        return this.#speak(name, body, { message: { role: 'assistant', content: 'Hello.' } });
      case 'POST /api/embed':
        return this.#withModel(name, () => ({ model: name, embeddings: [[0.1, 0.2, 0.3]] }));
      default:
        return new Response('404 page not found', { status: 404 });
    }
  }

  #now(): string {
    return timestamp(this.#context.clock.now());
  }

  /** A model that has answered stays in memory for as long as the caller wished, or five minutes. */
  #speak(name: string, body: unknown, words: object): Response {
    const family = this.#shelf.models.find((one) => one.name === name)?.family ?? '';
    if (EMBEDDING_FAMILIES.includes(family)) {
      return Response.json({ error: `"${name}" does not support generate` }, { status: 400 });
    }
    return this.#withModel(name, () => {
      const seconds = secondsOf(at(body, 'keep_alive'));
      this.#loaded.set(name, this.#context.clock.now() + seconds * 1000);
      return { model: name, created_at: this.#now(), ...words, done: true, done_reason: 'stop' };
    });
  }

  #running(): readonly object[] {
    const now = this.#context.clock.now();
    return this.#shelf.models
      .filter(({ name }) => (this.#loaded.get(name) ?? 0) > now)
      .map((model) => ({
        ...describe(model),
        expires_at: timestamp(this.#loaded.get(model.name) ?? now),
        context_length: CONTEXT_LENGTH,
      }));
  }

  #withModel(name: string, answer: (model: StoredModel) => object): Response {
    const model = this.#shelf.models.find((one) => one.name === name);
    if (!model) return Response.json({ error: `model '${name}' not found` }, { status: 404 });
    const limit = this.#context.container.resources?.limits?.['memory'];
    const available = limit === undefined ? Number.POSITIVE_INFINITY : amount(limit);
    // A model is loaded into memory whole, with some room for its context.
    const needed = model.size * 1.2;
    if (needed > available) {
      const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
      return Response.json(
        { error: `model requires more system memory (${gib(needed)}) than is available (${gib(available)})` },
        { status: 500 },
      );
    }
    return Response.json(answer(model));
  }

  #delete(name: string): Response {
    const shelf = this.#shelf;
    if (!shelf.models.some((model) => model.name === name)) {
      return Response.json({ error: `model '${name}' not found` }, { status: 404 });
    }
    this.#put({ ...shelf, models: shelf.models.filter((model) => model.name !== name) });
    return new Response(null, { status: 200 });
  }

  #pull(name: string, isStream: boolean, signal: AbortSignal): Promise<Response> {
    const lines = this.#download(name, signal);
    if (isStream) {
      const encoder = new TextEncoder();
      const body = new ReadableStream<Uint8Array>({
        pull: async (out) => {
          const { done, value } = await lines.next();
          if (done) out.close();
          else out.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
        },
        cancel: async () => void (await lines.return(undefined)),
      });
      return Promise.resolve(new Response(body, { headers: { 'content-type': 'application/x-ndjson' } }));
    }
    return this.#drain(lines);
  }

  async #drain(lines: AsyncGenerator<PullLine>): Promise<Response> {
    let last: PullLine = { status: 'success' };
    for await (const line of lines) last = line;
    return Response.json(last, { status: 'error' in last ? 500 : 200 });
  }

  /** The progress of one download; ends when it is complete, has failed, or the caller has gone. */
  async *#download(name: string, signal: AbortSignal): AsyncGenerator<PullLine> {
    const { clock } = this.#context;
    yield { status: 'pulling manifest' };
    const model = modelOf(name);
    if (!model) {
      yield { error: 'pull model manifest: file does not exist' };
      return;
    }
    if (!this.#shelf.models.some((one) => one.name === name)) {
      const digest = `sha256:${model.digest}`;
      const step = MODEL_BYTES_PER_SECOND;
      for (let done = this.#shelf.partial[name] ?? 0; done < model.size; ) {
        try {
          await clock.wait(1000, signal);
        } catch {
          return;
        }
        if (!this.#isUp) {
          yield { error: 'unexpected EOF' };
          return;
        }
        done = Math.min(model.size, done + step);
        const shelf = this.#shelf;
        const others = shelf.models.reduce((sum, one) => sum + one.size, 0);
        if (others + done > this.#capacityBytes()) {
          yield {
            error: `write ${MODELS_DIRECTORY}/models/blobs/sha256-${model.digest}-partial: no space left on device`,
          };
          return;
        }
        this.#put({ ...shelf, partial: { ...shelf.partial, [name]: done } });
        yield { status: `pulling ${model.digest.slice(0, 12)}`, digest, total: model.size, completed: done };
      }
      yield { status: 'verifying sha256 digest' };
      const shelf = this.#shelf;
      const { [name]: _, ...partial } = shelf.partial;
      const models = [
        ...shelf.models.filter((one) => one.name !== name),
        { ...model, modifiedAt: this.#now() },
      ];
      this.#put({ models, partial });
    }
    yield { status: 'writing manifest' };
    yield { status: 'success' };
  }
}

type PullLine =
  | {
      readonly status: string;
      readonly digest?: string;
      readonly total?: number;
      readonly completed?: number;
    }
  | { readonly error: string };

function withTag(name: string): string {
  return name.includes(':') ? name : `${name}:latest`;
}

/** Seconds as a number or a duration, negative for ever (ollama api/types.go, Duration). */
function secondsOf(keepAlive: unknown): number {
  const [, number = '', unit = 's'] = /^(-?\d+(?:\.\d+)?)(s|m|h)?$/.exec(String(keepAlive ?? '')) ?? [];
  if (number === '') return KEEP_ALIVE_SECONDS;
  const seconds = Number(number) * { s: 1, m: 60, h: 3600 }[unit as 's' | 'm' | 'h'];
  return seconds < 0 ? FOR_GOOD : seconds;
}

function describe(model: StoredModel): Record<string, unknown> {
  return {
    name: model.name,
    model: model.name,
    modified_at: model.modifiedAt,
    size: model.size,
    digest: createHash('sha256').update(model.digest).digest('hex'),
    details: {
      parent_model: '',
      format: 'gguf',
      family: model.family,
      families: [model.family],
      parameter_size: model.parameters,
      quantization_level: 'Q4_K_M',
    },
  };
}

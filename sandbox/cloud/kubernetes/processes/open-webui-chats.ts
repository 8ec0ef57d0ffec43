/**
 * Chatting, as the page's script does it: it makes a chat (`/api/v1/chats/new`) and asks for an answer in it
 * (`/api/chat/completions`; backend/open_webui/main.py). The pod keeps the chat in PostgreSQL and asks Ollama through its
 * Service.
 */
import { randomUUID } from 'node:crypto';
import { at } from '../object.ts';
import { reasonOf, type WebuiDatabase } from './open-webui-database.ts';
import { MESSAGES, Refusal } from './open-webui-refusal.ts';
import type { WebuiUser } from './open-webui-sign-in.ts';
import type { ProcessContext } from './process.ts';

export class WebuiChats {
  readonly #context: ProcessContext;
  readonly #database: WebuiDatabase;
  /** As Ollama last listed them: asked again by `/api/models`, and while it is empty. */
  #models: readonly string[] = [];

  constructor(context: ProcessContext, database: WebuiDatabase) {
    this.#context = context;
    this.#database = database;
  }

  async models(): Promise<Response> {
    this.#models = await this.#listModels();
    return Response.json({
      data: this.#models.map((id) => ({ id, name: id, object: 'model', owned_by: 'ollama' })),
    });
  }

  async create(user: WebuiUser, body: unknown): Promise<Response> {
    const chat = at(body, 'chat');
    if (typeof chat !== 'object' || chat === null) {
      return Response.json(
        { detail: [{ type: 'missing', loc: ['body', 'chat'], msg: 'Field required', input: null }] },
        { status: 422 },
      );
    }
    const id = randomUUID();
    const now = Math.floor(this.#context.clock.now() / 1000);
    const title = String(at(chat, 'title') ?? 'New Chat');
    try {
      await this.#database.use((client) =>
        client.query(
          'INSERT INTO chat (id, user_id, title, chat, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)',
          [id, user.id, title, JSON.stringify(chat), now],
        ),
      );
    } catch (error) {
      this.#logLost(error);
      throw new Refusal(400, MESSAGES.default);
    }
    return Response.json({ id, user_id: user.id, title, chat, created_at: now, updated_at: now });
  }

  async complete(user: WebuiUser, body: unknown): Promise<Response> {
    const model = String(at(body, 'model') ?? '');
    if (this.#models.length === 0) this.#models = await this.#listModels();
    if (!this.#models.includes(model)) throw new Refusal(400, MESSAGES.modelNotFound);
    const chatId = at(body, 'chat_id');
    if (typeof chatId === 'string') await this.#keepQuestion(user, chatId, at(body, 'messages'));
    const content = await this.#ask(model, at(body, 'messages'));
    const choice = (key: 'message' | 'delta', finish: string | null) => ({
      index: 0,
      [key]: { role: 'assistant', content },
      logprobs: null,
      finish_reason: finish,
    });
    const answer = {
      id: `${model}-${randomUUID()}`,
      created: Math.floor(this.#context.clock.now() / 1000),
      model,
    };
    if (at(body, 'stream') !== true) {
      return Response.json({ ...answer, object: 'chat.completion', choices: [choice('message', 'stop')] });
    }
    const chunk = { ...answer, object: 'chat.completion.chunk', choices: [choice('delta', 'stop')] };
    return new Response(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`, {
      headers: { 'content-type': 'text/event-stream' },
    });
  }

  async #keepQuestion(user: WebuiUser, chatId: string, messages: unknown): Promise<void> {
    const now = Math.floor(this.#context.clock.now() / 1000);
    let kept: number | null;
    try {
      ({ rowCount: kept } = await this.#database.use((client) =>
        client.query(
          `UPDATE chat SET chat = (chat::jsonb || jsonb_build_object('messages', $3::jsonb))::json, updated_at = $4
           WHERE id = $1 AND user_id = $2`,
          [chatId, user.id, JSON.stringify(messages ?? []), now],
        ),
      ));
    } catch (error) {
      this.#logLost(error);
      throw new Refusal(400, `(psycopg2.OperationalError) ${reasonOf(error)}`);
    }
    if (kept === 0) throw new Refusal(404, MESSAGES.default);
  }

  /** What the model says. Its refusals reach the user as they are, a silent Ollama as a connection error. */
  async #ask(model: string, messages: unknown): Promise<string> {
    const answer = await this.#ollama('/api/chat', {
      method: 'POST',
      body: JSON.stringify({ model, messages, stream: false }),
    });
    if (!answer) throw new Refusal(400, `500: ${MESSAGES.ollamaUnreachable}`);
    const body = (await answer.json().catch(() => undefined)) as unknown;
    if (!answer.ok)
      throw new Refusal(400, `${answer.status}: Ollama: ${String(at(body, 'error') ?? answer.status)}`);
    return String(at(body, 'message', 'content') ?? '');
  }

  async #listModels(): Promise<readonly string[]> {
    const answer = await this.#ollama('/api/tags');
    const models = answer?.ok ? at(await answer.json(), 'models') : undefined;
    return Array.isArray(models) ? models.map((model) => String(at(model, 'name'))) : [];
  }

  /** Undefined when nothing answers there; the log says why. */
  async #ollama(path: string, init?: RequestInit): Promise<Response | undefined> {
    const { env, pod, request, log } = this.#context;
    const base = (env['OLLAMA_BASE_URL'] ?? '').replace(/\/+$/, '');
    const answer = await request(base + path, init ?? {}, pod);
    if (answer.ok) return answer.response;
    log(`ERROR | open_webui.routers.ollama:send_request - Connection error: ${answer.reason}`);
    return undefined;
  }

  #logLost(error: unknown): void {
    this.#context.log(`sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) ${reasonOf(error)}`);
  }
}

/** What a serving Open WebUI answers on its port (backend/open_webui/main.py, v0.6). */
import { WebuiChats } from './open-webui-chats.ts';
import { reasonOf, type WebuiDatabase } from './open-webui-database.ts';
import { Refusal } from './open-webui-refusal.ts';
import { WebuiSignIn } from './open-webui-sign-in.ts';
import type { ProcessContext } from './process.ts';

const VERSION = '0.6.36';
const PAGE =
  '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Open WebUI</title></head>' +
  '<body><h1>Open WebUI</h1><p><a href="/oauth/microsoft/login">Continue with Microsoft</a></p></body></html>';

/** What only the process knows: whether it is ready, and why not. */
export interface Readiness {
  readonly hasDatabase: boolean;
  readonly hasRedis: boolean;
}

export class WebuiPages {
  readonly #context: ProcessContext;
  readonly #signIn: WebuiSignIn;
  readonly #chats: WebuiChats;
  readonly #readiness: () => Readiness;

  constructor(context: ProcessContext, database: WebuiDatabase, readiness: () => Readiness) {
    this.#context = context;
    this.#signIn = new WebuiSignIn(context, database);
    this.#chats = new WebuiChats(context, database);
    this.#readiness = readiness;
  }

  /** `path` with its query; what the request's own URL says is the business of whoever forwarded it. */
  async answer(request: Request, path: string): Promise<Response> {
    try {
      return await this.#route(request, path);
    } catch (error) {
      if (error instanceof Refusal) return error.answer();
      this.#context.log(`ERROR:    Exception in ASGI application: ${reasonOf(error)}`);
      return new Response('Internal Server Error', { status: 500 });
    }
  }

  async #route(request: Request, path: string): Promise<Response> {
    const [name = '/', query = ''] = path.split('?');
    const { hasDatabase, hasRedis } = this.#readiness();
    switch (`${request.method === 'HEAD' ? 'GET' : request.method} ${name}`) {
      case 'GET /health':
        return Response.json({ status: true });
      case 'GET /ready':
        if (hasDatabase && hasRedis) return Response.json({ status: true });
        throw new Refusal(503, hasDatabase ? 'Redis not ready' : 'Database not ready');
      case 'GET /health/db':
        if (hasDatabase) return Response.json({ status: true });
        return new Response('Internal Server Error', { status: 500 });
      case 'GET /api/version':
        return Response.json({ version: VERSION });
      case 'GET /api/config':
        return Response.json(this.#settings());
      case 'GET /oauth/microsoft/login':
        if (!this.#signIn.isOffered) throw new Refusal(404, 'Not Found');
        return this.#signIn.login();
      case 'GET /oauth/microsoft/callback':
        if (!this.#signIn.isOffered) throw new Refusal(404, 'Not Found');
        return this.#signIn.callback(request, new URLSearchParams(query));
      case 'GET /api/v1/auths/': {
        const user = await this.#signIn.currentUser(request);
        return Response.json({ ...user, token_type: 'Bearer', profile_image_url: '/user.png' });
      }
      case 'GET /api/models':
        await this.#signIn.currentUser(request);
        return this.#chats.models();
      case 'POST /api/v1/chats/new':
        return this.#chats.create(await this.#signIn.currentUser(request), await bodyOf(request));
      case 'POST /api/chat/completions':
        return this.#chats.complete(await this.#signIn.currentUser(request), await bodyOf(request));
      default:
    }
    if (name.startsWith('/api/')) {
      await this.#signIn.currentUser(request);
      throw new Refusal(404, 'Not Found');
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') throw new Refusal(405, 'Method Not Allowed');
    return new Response(PAGE, { headers: { 'content-type': 'text/html; charset=utf-8' } });
  }

  #settings(): object {
    const isOn = (name: string, otherwise: boolean): boolean =>
      (this.#context.env[name] ?? String(otherwise)).toLowerCase() === 'true';
    return {
      status: true,
      name: 'Open WebUI',
      version: VERSION,
      default_locale: '',
      oauth: { providers: this.#signIn.isOffered ? { microsoft: 'microsoft' } : {} },
      features: {
        auth: true,
        enable_signup: isOn('ENABLE_SIGNUP', true),
        enable_login_form: isOn('ENABLE_LOGIN_FORM', true),
        enable_websocket: isOn('ENABLE_WEBSOCKET_SUPPORT', true),
      },
    };
  }
}

/** FastAPI answers 422 to a body that is not JSON. */
async function bodyOf(request: Request): Promise<unknown> {
  try {
    return JSON.parse(await request.text());
  } catch {
    throw new Refusal(422, 'JSON decode error');
  }
}

/**
 * Signing in with Microsoft, as Open WebUI does it (backend/open_webui/utils/oauth.py, OAuthManager): off to Entra with a
 * state, back with a code, which the pod redeems with what its container was started with; then the user's row, and a
 * session token. Whatever goes wrong, the user is sent to `/auth?error=…` and the reason is in the pod's log only.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import type { WebuiDatabase } from './open-webui-database.ts';
import { reasonOf } from './open-webui-database.ts';
import { MESSAGES, Refusal } from './open-webui-refusal.ts';
import {
  cookieOf,
  createToken,
  lifetimeOf,
  readToken,
  STATE_COOKIE,
  seal,
  TOKEN_COOKIE,
  unseal,
} from './open-webui-session.ts';
import type { ProcessContext } from './process.ts';

export interface WebuiUser {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly role: string;
}

const COLUMNS = 'id, name, email, role';

export class WebuiSignIn {
  readonly #context: ProcessContext;
  readonly #database: WebuiDatabase;

  constructor(context: ProcessContext, database: WebuiDatabase) {
    this.#context = context;
    this.#database = database;
  }

  /** Whether the button is there: the provider needs all three (backend/open_webui/config.py, load_oauth_providers). */
  get isOffered(): boolean {
    const { env } = this.#context;
    return ['MICROSOFT_CLIENT_ID', 'MICROSOFT_CLIENT_SECRET', 'MICROSOFT_CLIENT_TENANT_ID'].every(
      (name) => (env[name] ?? '') !== '',
    );
  }

  login(): Response {
    const { clientId, tenantId, redirectUri, scopes } = this.#app();
    const state = randomBytes(16).toString('base64url');
    const base = this.#context.env['MICROSOFT_CLIENT_LOGIN_BASE_URL'] ?? 'https://login.microsoftonline.com';
    const url = new URL(`${base}/${tenantId}/oauth2/v2.0/authorize`);
    url.search = new URLSearchParams({
      response_type: 'code',
      client_id: clientId,
      redirect_uri: redirectUri,
      scope: scopes.join(' '),
      state,
      nonce: randomBytes(16).toString('base64url'),
    }).toString();
    return new Response(null, {
      status: 302,
      headers: {
        location: url.href,
        'set-cookie': `${STATE_COOKIE}=${seal(state, this.#key)}; path=/; HttpOnly; SameSite=lax`,
      },
    });
  }

  async callback(request: Request, query: URLSearchParams): Promise<Response> {
    const { env, clock } = this.#context;
    const home = (env['WEBUI_URL'] ?? new URL(request.url).origin).replace(/\/+$/, '');
    try {
      const user = await this.#signedIn(request, query);
      const token = createToken(user.id, this.#key, clock.now(), lifetimeOf(env['JWT_EXPIRES_IN']));
      return new Response(null, {
        status: 307,
        headers: {
          location: `${home}/auth`,
          'set-cookie': `${TOKEN_COOKIE}=${token}; Path=/; SameSite=lax`,
        },
      });
    } catch (error) {
      this.#context.log(`ERROR | open_webui.utils.oauth:handle_callback - ${reasonOf(error)}`);
      const shown = error instanceof Refusal ? error.message : MESSAGES.oauth;
      return new Response(null, {
        status: 307,
        headers: { location: encodeURI(`${home}/auth?error=${shown}`) },
      });
    }
  }

  /** Whom the request's cookie or bearer token names; throws what users are then told. */
  async currentUser(request: Request): Promise<WebuiUser> {
    const [, bearer] = /^Bearer (.+)$/i.exec(request.headers.get('authorization') ?? '') ?? [];
    const token = bearer ?? cookieOf(request, TOKEN_COOKIE);
    if (token === undefined) throw new Refusal(401, MESSAGES.notAuthenticated);
    const id = readToken(token, this.#key, this.#context.clock.now());
    if (id === undefined) throw new Refusal(401, MESSAGES.unauthorized);
    const user = await this.#find('id', id);
    if (!user) throw new Refusal(401, MESSAGES.invalidToken);
    if (!['user', 'admin'].includes(user.role)) throw new Refusal(401, MESSAGES.accessProhibited);
    return user;
  }

  get #key(): string {
    return this.#context.env['WEBUI_SECRET_KEY'] ?? '';
  }

  #app() {
    const { env } = this.#context;
    return {
      clientId: env['MICROSOFT_CLIENT_ID'] ?? '',
      clientSecret: env['MICROSOFT_CLIENT_SECRET'] ?? '',
      tenantId: env['MICROSOFT_CLIENT_TENANT_ID'] ?? '',
      redirectUri: env['MICROSOFT_REDIRECT_URI'] ?? '',
      scopes: (env['MICROSOFT_OAUTH_SCOPE'] ?? 'openid email profile').split(/\s+/),
    };
  }

  async #signedIn(request: Request, query: URLSearchParams): Promise<WebuiUser> {
    const { neighbours, log } = this.#context;
    const refuse = (why: string): Refusal => {
      log(`WARNING | open_webui.utils.oauth:handle_callback - OAuth callback error: ${why}`);
      return new Refusal(400, MESSAGES.invalidCredentials);
    };
    const error = query.get('error');
    if (error !== null) throw refuse(`${error}: ${query.get('error_description') ?? ''}`);
    const state = unseal(cookieOf(request, STATE_COOKIE) ?? '', this.#key);
    if (state === undefined || state !== query.get('state'))
      throw refuse('mismatching_state: CSRF Warning! State not equal in request and response.');
    const redeemed = neighbours.directory.redeemCode(this.#app(), query.get('code') ?? '');
    if (!redeemed.ok) throw refuse(`${redeemed.code}: ${redeemed.reason}`);
    const { sub, email, name } = redeemed.user;
    const subject = `microsoft@${sub}`;
    const known = await this.#find('oauth_sub', subject);
    return known ?? this.#signUp({ subject, email: email.toLowerCase(), name });
  }

  async #signUp(person: { subject: string; email: string; name: string }): Promise<WebuiUser> {
    const { env, clock } = this.#context;
    if (env['ENABLE_OAUTH_SIGNUP']?.toLowerCase() !== 'true')
      throw new Refusal(403, MESSAGES.accessProhibited);
    if (await this.#find('email', person.email)) throw new Refusal(400, MESSAGES.emailTaken);
    const now = Math.floor(clock.now() / 1000);
    return this.#database.use(async (client) => {
      // Whoever comes first is the administrator.
      const { rows } = await client.query<WebuiUser>(
        `INSERT INTO "user" (${COLUMNS}, oauth_sub, created_at)
         SELECT $1, $2, $3, CASE WHEN EXISTS (SELECT FROM "user") THEN $4 ELSE 'admin' END, $5, $6 RETURNING ${COLUMNS}`,
        [randomUUID(), person.name, person.email, env['DEFAULT_USER_ROLE'] ?? 'pending', person.subject, now],
      );
      const [user] = rows;
      if (!user) throw new Error('the row of the new user did not come back');
      return user;
    });
  }

  /** A database that does not answer counts as one without the user, as there (backend/open_webui/models/users.py). */
  async #find(column: 'id' | 'email' | 'oauth_sub', value: string): Promise<WebuiUser | undefined> {
    try {
      return await this.#database.use(async (client) => {
        const text = `SELECT ${COLUMNS} FROM "user" WHERE ${column} = $1`;
        return (await client.query<WebuiUser>(text, [value])).rows[0];
      });
    } catch (error) {
      this.#context.log(`sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) ${reasonOf(error)}`);
      return undefined;
    }
  }
}

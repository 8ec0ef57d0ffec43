/**
 * People who use a deployment all the time: each signs in with Microsoft, chats for a while in that session, and signs in
 * again, through the sandbox's proxy as browsers do. They never give up; what failed is counted by kind.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { settings } from '../../sandbox/cloud/bootstrap.ts';
import { CloudClient } from '../../sandbox/cloud-client.ts';
import type { Endpoints } from '../../sandbox/sandbox.ts';

export interface UserLoad {
  /** The deployment's public host name. */
  readonly host: string;
  /** How many people; 4 when left out. */
  readonly concurrency?: number;
  /** Chats and sign-ins of all of them together in a real second at most; as many as go when left out. */
  readonly perSecond?: number;
  /** Chats before somebody signs in anew; 5 when left out. */
  readonly chatsPerSession?: number;
  /** The first one that Open WebUI offers when left out. */
  readonly model?: string;
}

export interface Failure {
  /** `login` or `chat`, the step, and the status. */
  readonly kind: string;
  readonly count: number;
  /** What the first of its kind said. */
  readonly first: string;
  /** When that was, real ISO 8601. */
  readonly firstAt: string;
}

export interface UserCounts {
  readonly logins: number;
  readonly chats: number;
  readonly failedLogins: number;
  readonly failedChats: number;
  /** A rotated web UI key ended a session, or came between the two halves of a sign-in: begun anew, and no failure. */
  readonly signedOut: number;
  readonly failures: readonly Failure[];
}

export interface Users {
  readonly counts: UserCounts;
  /** Waits for what is under way. */
  stop(): Promise<UserCounts>;
}

const CHATS_PER_SESSION = 5;
/** Open WebUI's words for a token that its key has not signed. */
const OTHER_KEY = '401 Unauthorized';

class StepError extends Error {
  readonly kind: string;
  readonly detail: string;

  constructor(kind: string, detail: string) {
    super(`${kind}: ${detail}`);
    this.kind = kind;
    this.detail = detail;
  }
}

export function startUsers(
  endpoints: Pick<Endpoints, 'proxy' | 'ca' | 'sandbox'>,
  { host, concurrency = 4, perSecond, chatsPerSession = CHATS_PER_SESSION, model }: UserLoad,
): Users {
  const client = new CloudClient(endpoints, concurrency);
  const counted = { logins: 0, chats: 0, failedLogins: 0, failedChats: 0, signedOut: 0 };
  const failures = new Map<string, { count: number; first: string; firstAt: string }>();
  const ending = new AbortController();
  const fail = (error: unknown, otherwise: string): void => {
    const kind = error instanceof StepError ? error.kind : `${otherwise}: connection`;
    const first = error instanceof Error ? (error instanceof StepError ? error.detail : error.message) : '';
    const known = failures.get(kind);
    if (known) known.count += 1;
    else failures.set(kind, { count: 1, first, firstAt: new Date().toISOString() });
  };
  const counts = (): UserCounts => ({
    ...counted,
    failures: [...failures].map(([kind, failure]) => ({ kind, ...failure })),
  });

  const live = async (number: number): Promise<void> => {
    const person = new Person(client, host, `user-${number}@${settings.cloudflare.zoneName}`, model);
    const breath = async (): Promise<void> => {
      // Without a pace the turn of the event loop is enough for others to get theirs.
      const milliseconds = perSecond === undefined ? 0 : (1000 * concurrency) / perSecond;
      await pause(milliseconds, undefined, { signal: ending.signal }).catch(() => undefined);
    };
    while (!ending.signal.aborted) {
      try {
        const signedOut = await person.signIn();
        // Not added to a sum that was read before the wait: what others were counted for meanwhile would be lost.
        counted.signedOut += signedOut;
        counted.logins += 1;
      } catch (error) {
        counted.failedLogins += 1;
        fail(error, 'login');
        await breath();
        continue;
      }
      await breath();
      for (let chat = 0; chat < chatsPerSession && !ending.signal.aborted; chat += 1) {
        try {
          await person.chat();
          counted.chats += 1;
        } catch (error) {
          if (error instanceof StepError && error.detail === OTHER_KEY) {
            counted.signedOut += 1;
            break;
          }
          counted.failedChats += 1;
          fail(error, 'chat');
        }
        await breath();
      }
    }
  };
  const lives = Array.from({ length: concurrency }, (_, number) => live(number));
  return {
    get counts() {
      return counts();
    },
    stop: async () => {
      ending.abort();
      await Promise.all(lives);
      client.close();
      return counts();
    },
  };
}

class Person {
  readonly #client: CloudClient;
  readonly #site: string;
  readonly #email: string;
  #model: string | undefined;
  #token: string | undefined;

  constructor(client: CloudClient, host: string, email: string, model: string | undefined) {
    this.#client = client;
    this.#site = `https://${host}`;
    this.#email = email;
    this.#model = model;
  }

  /** How often another web UI key came between leaving for Entra and coming back. */
  async signIn(): Promise<number> {
    for (let times = 0; ; times += 1) {
      const refused = await this.#signInOnce();
      if (refused === undefined) return times;
      if (times === 5 || !(await this.#hasKeyChanged())) throw new StepError('login: callback', refused);
      this.#token = undefined;
    }
  }

  /** What Open WebUI showed instead of signing in. */
  async #signInOnce(): Promise<string | undefined> {
    const login = await this.#client.send(`${this.#site}/oauth/microsoft/login`);
    if (login.status !== 302) throw new StepError(`login: start ${login.status}`, brief(login.text));
    const [cookie = ''] = String(login.headers['set-cookie'] ?? '').split(';');
    const away = new URL(String(login.headers['location']));
    away.searchParams.set('login_hint', this.#email);
    const entra = await this.#client.send(away.href);
    if (entra.status !== 302) throw new StepError(`login: Entra ${entra.status}`, brief(entra.text));
    const back = await this.#client.send(String(entra.headers['location']), { headers: { cookie } });
    const location = back.headers['location'];
    if (back.status !== 307 || location === undefined)
      throw new StepError(`login: callback ${back.status}`, brief(back.text));
    const error = new URL(String(location)).searchParams.get('error');
    if (error !== null) return error;
    const [, token] = /(?:^|,)token=([^;]+)/.exec(String(back.headers['set-cookie'] ?? '')) ?? [];
    if (token === undefined) throw new StepError('login: callback', 'there is no token cookie');
    this.#token = token;
    return undefined;
  }

  /** Whether the session of before is one of another key by now; asked more than once, for pods differ for a while. */
  async #hasKeyChanged(): Promise<boolean> {
    if (this.#token === undefined) return false;
    for (let times = 0; times < 3; times += 1) {
      const answer = await this.#as(this.#token, '/api/v1/auths/');
      if (answer.status === 401 && detailOf(answer.text) === OTHER_KEY) return true;
    }
    return false;
  }

  async chat(): Promise<void> {
    const token = this.#token ?? '';
    this.#model ??= await this.#firstModel(token);
    const made = await this.#as(token, '/api/v1/chats/new', { chat: { title: 'Greeting' } });
    if (made.status !== 200) throw new StepError(`chat: new ${made.status}`, detailOf(made.text));
    const answer = await this.#as(token, '/api/chat/completions', {
      model: this.#model,
      chat_id: (JSON.parse(made.text) as { id: string }).id,
      messages: [{ role: 'user', content: `Good morning from ${this.#email}` }],
      stream: false,
    });
    if (answer.status !== 200) throw new StepError(`chat: answer ${answer.status}`, detailOf(answer.text));
  }

  async #firstModel(token: string): Promise<string | undefined> {
    const answer = await this.#as(token, '/api/models');
    if (answer.status !== 200) throw new StepError(`chat: models ${answer.status}`, detailOf(answer.text));
    return (JSON.parse(answer.text) as { data: { id: string }[] }).data[0]?.id;
  }

  #as(token: string, path: string, body?: object) {
    return this.#client.send(this.#site + path, {
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
  }
}

function detailOf(text: string): string {
  try {
    return String((JSON.parse(text) as { detail?: unknown }).detail);
  } catch {
    return brief(text);
  }
}

const brief = (text: string): string => text.slice(0, 300);

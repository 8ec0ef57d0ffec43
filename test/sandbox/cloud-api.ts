/**
 * The clouds' own APIs, called by the tenant's operator through the sandbox's proxy: how tests break and mend things by
 * hand, and read what is really there.
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import type { Endpoints } from '../../sandbox/sandbox.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

export interface Ask {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export class CloudApi {
  readonly #agent: Agent;
  readonly #door: string;

  constructor(endpoints: Pick<Endpoints, 'proxy' | 'ca' | 'sandbox'>) {
    this.#door = endpoints.sandbox;
    this.#agent = new Agent({
      proxyEnv: { HTTPS_PROXY: endpoints.proxy, NO_PROXY: '' },
      ca: readFileSync(endpoints.ca, 'utf8'),
      keepAlive: false,
    });
  }

  /** A token of the operator, who owns the subscription and administers the directory. */
  async token(audience: string): Promise<string> {
    const answer = await fetch(`${this.#door}/token`, {
      method: 'POST',
      body: JSON.stringify({ audience }),
      headers: { 'content-type': 'application/json' },
    });
    if (!answer.ok) throw new Error(`no token for ${audience}: ${answer.status} ${await answer.text()}`);
    const { accessToken } = (await answer.json()) as { accessToken: string };
    return accessToken;
  }

  send(url: string, ask: Ask = {}): Promise<Answer> {
    const body = ask.body === undefined ? undefined : JSON.stringify(ask.body);
    return this.#exchange(url, ask, body, 'application/json');
  }

  sendForm(url: string, fields: Record<string, string>): Promise<Answer> {
    const body = new URLSearchParams(fields).toString();
    return this.#exchange(url, { method: 'POST' }, body, 'application/x-www-form-urlencoded');
  }

  #exchange(url: string, ask: Ask, body: string | undefined, type: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        url,
        {
          method: ask.method ?? 'GET',
          agent: this.#agent,
          headers: {
            ...(body === undefined
              ? {}
              : { 'content-type': type, 'content-length': Buffer.byteLength(body) }),
            ...ask.headers,
          },
        },
        (incoming) => {
          const parts: Buffer[] = [];
          incoming.on('data', (part: Buffer) => parts.push(part));
          incoming.on('error', reject);
          incoming.on('end', () => {
            const text = Buffer.concat(parts).toString('utf8');
            resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: parse(text) });
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  /** Throws on anything but a success, naming the answer. */
  async as(audience: string, url: string, ask: Ask = {}): Promise<Answer> {
    const answer = await this.send(url, {
      ...ask,
      headers: { ...ask.headers, authorization: `Bearer ${await this.token(audience)}` },
    });
    if (answer.status >= 400) {
      throw new Error(`${ask.method ?? 'GET'} ${url}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer;
  }

  arm(path: string, ask: Ask = {}): Promise<Answer> {
    return this.as('https://management.azure.com', `https://management.azure.com${path}`, ask);
  }

  vault(vault: string, path: string, ask: Ask = {}): Promise<Answer> {
    return this.as('https://vault.azure.net', `https://${vault}.vault.azure.net${path}`, ask);
  }

  graph(path: string, ask: Ask = {}): Promise<Answer> {
    return this.as('https://graph.microsoft.com', `https://graph.microsoft.com/v1.0${path}`, ask);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

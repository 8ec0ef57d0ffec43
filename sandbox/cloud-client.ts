/** HTTP to the simulated clouds under their real names: through the sandbox's proxy, trusting its authority. */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import type { Endpoints } from './sandbox.ts';

export interface CloudAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

export interface CloudRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export class CloudClient {
  readonly #agent: Agent;
  readonly #door: string;

  /** At most so many connections to one host; they are kept and used again. */
  constructor(endpoints: Pick<Endpoints, 'proxy' | 'ca' | 'sandbox'>, connections = 4) {
    this.#door = endpoints.sandbox;
    this.#agent = new Agent({
      proxyEnv: { HTTPS_PROXY: endpoints.proxy, NO_PROXY: '' },
      ca: readFileSync(endpoints.ca, 'utf8'),
      keepAlive: true,
      maxSockets: connections,
    });
  }

  /** Follows no redirect; rejects when the name does not resolve or the connection breaks. */
  send(url: string, { method = 'GET', headers = {}, body }: CloudRequest = {}): Promise<CloudAnswer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        url,
        {
          method,
          agent: this.#agent,
          headers: {
            ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
            ...headers,
          },
        },
        (incoming) => {
          const parts: Buffer[] = [];
          incoming.on('data', (part: Buffer) => parts.push(part));
          incoming.on('error', reject);
          incoming.on('end', () =>
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              text: Buffer.concat(parts).toString('utf8'),
            }),
          );
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  /** A token of the tenant's operator. */
  async operatorToken(audience: string): Promise<string> {
    const answer = await fetch(`${this.#door}/token`, {
      method: 'POST',
      body: JSON.stringify({ audience }),
      headers: { 'content-type': 'application/json' },
    });
    if (!answer.ok) throw new Error(`no token for ${audience}: ${answer.status} ${await answer.text()}`);
    return ((await answer.json()) as { accessToken: string }).accessToken;
  }

  close(): void {
    this.#agent.destroy();
  }
}

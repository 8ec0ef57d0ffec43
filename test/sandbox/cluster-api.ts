/** The cluster's own API, as the tenant's operator calls it with nothing but HTTP: what a script of a few lines would do. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import type { CloudAnswer, CloudClient } from '../../sandbox/cloud-client.ts';
import type { Endpoints } from '../../sandbox/sandbox.ts';

const kubeconfigSchema = z.object({
  clusters: z.tuple([z.object({ cluster: z.object({ server: z.string() }) })]),
});
const credentialSchema = z.object({ status: z.object({ token: z.string() }) });

export class ClusterApi {
  readonly #client: CloudClient;
  readonly #endpoints: Pick<Endpoints, 'kubeconfig' | 'sandbox'>;
  readonly #server: string;
  #token: string | undefined;

  constructor(client: CloudClient, endpoints: Pick<Endpoints, 'kubeconfig' | 'sandbox'>) {
    const kubeconfig = kubeconfigSchema.parse(parse(readFileSync(endpoints.kubeconfig, 'utf8')));
    this.#client = client;
    this.#endpoints = endpoints;
    this.#server = kubeconfig.clusters[0].cluster.server;
  }

  /** Throws on anything but a success, naming the answer. */
  get(path: string): Promise<unknown> {
    return this.#send('GET', path);
  }

  patch(path: string, patch: unknown, type: 'merge' | 'strategic-merge' = 'merge'): Promise<unknown> {
    return this.#send('PATCH', path, JSON.stringify(patch), `application/${type}-patch+json`);
  }

  /** Of an object, or of what a Service behind the API server takes away. */
  remove(path: string, body?: unknown): Promise<unknown> {
    return this.#send('DELETE', path, body === undefined ? undefined : JSON.stringify(body));
  }

  async #send(method: string, path: string, body?: string, type?: string): Promise<unknown> {
    let answer = await this.#attempt(method, path, body, type);
    // A token lives for an hour of the clouds, which is a minute of ours.
    if (answer.status === 401) {
      this.#token = undefined;
      answer = await this.#attempt(method, path, body, type);
    }
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.text === '' ? undefined : JSON.parse(answer.text);
  }

  async #attempt(
    method: string,
    path: string,
    body?: string,
    type = 'application/json',
  ): Promise<CloudAnswer> {
    this.#token ??= await this.#newToken();
    const headers = { authorization: `Bearer ${this.#token}` };
    const url = `${this.#server}${path}`;
    if (body === undefined) return this.#client.send(url, { method, headers });
    const withType = { ...headers, 'content-type': type };
    return this.#client.send(url, { method, headers: withType, body });
  }

  async #newToken(): Promise<string> {
    const answer = await fetch(`${this.#endpoints.sandbox}/kubectl-credential`);
    return credentialSchema.parse(await answer.json()).status.token;
  }
}

/** The cluster's own API, as the tenant's operator calls it with nothing but HTTP: what a script of a few lines would do. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Endpoints } from '../../sandbox/sandbox.ts';
import { type Answer, CloudApi } from './cloud-api.ts';

const kubeconfigSchema = z.object({
  clusters: z.tuple([z.object({ cluster: z.object({ server: z.string() }) })]),
});
const credentialSchema = z.object({ status: z.object({ token: z.string() }) });

export class ClusterApi {
  readonly #clouds: CloudApi;
  readonly #server: string;
  readonly #token: string;

  private constructor(clouds: CloudApi, server: string, token: string) {
    this.#clouds = clouds;
    this.#server = server;
    this.#token = token;
  }

  static async open(endpoints: Endpoints): Promise<ClusterApi> {
    const kubeconfig = kubeconfigSchema.parse(parse(readFileSync(endpoints.kubeconfig, 'utf8')));
    const answer = await fetch(`${endpoints.sandbox}/kubectl-credential`);
    const { status } = credentialSchema.parse(await answer.json());
    return new ClusterApi(new CloudApi(endpoints), kubeconfig.clusters[0].cluster.server, status.token);
  }

  /** Throws on anything but a success, naming the answer. */
  async get(path: string): Promise<unknown> {
    return (await this.#send('GET', path)).body;
  }

  async patch(path: string, patch: unknown): Promise<unknown> {
    return (await this.#send('PATCH', path, patch)).body;
  }

  async #send(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await this.#clouds.send(`${this.#server}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/merge-patch+json' }),
      },
      ...(body === undefined ? {} : { body }),
    });
    if (answer.status >= 400) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer;
  }
}

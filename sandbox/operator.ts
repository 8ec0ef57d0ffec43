/**
 * The tenant's operator: a person who changes things by hand, through the clouds' own APIs, and finds them by looking.
 * The control plane hears of it as it would of anybody's doing.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { CloudAnswer, CloudClient, CloudRequest } from './cloud-client.ts';

const ARM = 'https://management.azure.com';
/** The tag with which the control plane marks what belongs to a deployment. */
const TAG = 'deployment';

const resourceSchema = z.object({ id: z.string(), name: z.string(), type: z.string() });
const listSchema = <T extends z.ZodType>(item: T) =>
  z.object({ value: z.array(item), nextLink: z.string().optional() });

const poolSchema = z.object({
  name: z.string(),
  properties: z.object({
    mode: z.string(),
    vmSize: z.string(),
    vnetSubnetID: z.string().nullish(),
    provisioningState: z.string().optional(),
  }),
});

const tagsSchema = z.object({ tags: z.array(z.object({ name: z.string() })) });

const secretSchema = z.object({
  id: z.string(),
  contentType: z.string().optional(),
  tags: z.record(z.string(), z.string()).optional(),
});

export interface FoundResource {
  readonly id: string;
  readonly name: string;
}

export class Operator {
  readonly #client: CloudClient;

  constructor(client: CloudClient) {
    this.#client = client;
  }

  /** The deployment's one resource of that type. Throws when there is none, or when it cannot be told which. */
  async find(deployment: string, type: string): Promise<FoundResource> {
    const subscriptions = await this.#list(
      '/subscriptions?api-version=2022-12-01',
      z.object({ subscriptionId: z.string() }),
    );
    const filter = encodeURIComponent(`tagName eq '${TAG}' and tagValue eq '${deployment}'`);
    const found: FoundResource[] = [];
    for (const { subscriptionId } of subscriptions) {
      const path = `/subscriptions/${subscriptionId}/resources?$filter=${filter}&api-version=2021-04-01`;
      const all = await this.#list(path, resourceSchema);
      found.push(...all.filter((one) => one.type.toLowerCase() === type.toLowerCase()));
    }
    const [first, ...others] = found;
    if (!first) throw new Error(`there is no ${type} with the tag ${TAG}=${deployment}`);
    if (others.length > 0) {
      throw new Error(
        `there are several of ${type} for ${deployment}: ${found.map(({ name }) => name).join(', ')}`,
      );
    }
    return { id: first.id, name: first.name };
  }

  /** A new version, with the value given and all else as it was; answers the version. */
  async setSecret(vault: string, name: string, value: string): Promise<string> {
    const url = `https://${vault}.vault.azure.net/secrets/${name}?api-version=7.5`;
    const audience = 'https://vault.azure.net';
    const { contentType, tags } = secretSchema.parse(json(await this.#as(audience, url)));
    const answer = await this.#as(audience, url, { method: 'PUT', body: { value, contentType, tags } });
    return secretSchema.parse(json(answer)).id.split('/').at(-1) ?? '';
  }

  /** A pool of one node of the size that workloads have, named after what is there; answers its name. */
  async addNodePool(clusterId: string): Promise<string> {
    const version = 'api-version=2025-05-01';
    const pools = await this.#list(`${clusterId}/agentPools?${version}`, poolSchema);
    const model = pools.find(({ properties }) => properties.mode === 'User') ?? pools[0];
    if (!model) throw new Error(`${clusterId} has no node pools`);
    const taken = new Set(pools.map(({ name }) => name));
    let number = 1;
    while (taken.has(`extra${number}`)) number += 1;
    const { vmSize, vnetSubnetID } = model.properties;
    await this.#as(ARM, `${ARM}${clusterId}/agentPools/extra${number}?${version}`, {
      method: 'PUT',
      body: { properties: { mode: 'User', count: 1, osType: 'Linux', vmSize, vnetSubnetID } },
    });
    return `extra${number}`;
  }

  /** It stops or starts minutes later; one that is stopped starts by itself after seven days. */
  async switchDatabase(serverId: string, action: 'stop' | 'start'): Promise<void> {
    await this.#as(ARM, `${ARM}${serverId}/${action}?api-version=2024-08-01`, { method: 'POST' });
  }

  /** Pushes an image of that program, unlike any other, as `docker push` does; answers its digest. */
  async pushImage(
    registry: string,
    image: {
      readonly repository: string;
      readonly tag: string;
      readonly annotations: Record<string, string>;
    },
  ): Promise<string> {
    const host = `${registry}.azurecr.io`;
    const { repository, tag, annotations } = image;
    const token = await this.#registryToken(host, `repository:${repository}:pull,push`);
    const headers = { authorization: `Bearer ${token}` };
    const upload = async (content: string): Promise<{ digest: string; size: number }> => {
      const digest = digestOf(content);
      const begun = await this.#client.send(`https://${host}/v2/${repository}/blobs/uploads/`, {
        method: 'POST',
        headers,
      });
      expectSuccess(`POST ${host}/v2/${repository}/blobs/uploads/`, begun);
      const location = new URL(String(begun.headers['location']), `https://${host}`);
      location.searchParams.set('digest', digest);
      const sent = await this.#client.send(location.href, { method: 'PUT', headers, body: content });
      expectSuccess(`PUT ${location.pathname}`, sent);
      return { digest, size: Buffer.byteLength(content) };
    };
    const layer = await upload(`${repository}:${tag} of ${new Date().toISOString()}\n`);
    const config = await upload(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: { Labels: annotations },
        rootfs: { type: 'layers', diff_ids: [layer.digest] },
      }),
    );
    const type = 'application/vnd.oci.image.manifest.v1+json';
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: type,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer }],
      annotations,
    });
    const path = `/v2/${repository}/manifests/${tag}`;
    const pushed = await this.#client.send(`https://${host}${path}`, {
      method: 'PUT',
      headers: { ...headers, 'content-type': type },
      body: manifest,
    });
    expectSuccess(`PUT ${path}`, pushed);
    return digestOf(manifest);
  }

  /** The tag that was written last, by whoever; undefined in an empty repository. */
  async newestTag(registry: string, repository: string): Promise<string | undefined> {
    const host = `${registry}.azurecr.io`;
    const token = await this.#registryToken(host, `repository:${repository}:metadata_read`);
    const path = `/acr/v1/${repository}/_tags`;
    const answer = await this.#client.send(`https://${host}${path}?orderby=timedesc&n=1`, {
      headers: { authorization: `Bearer ${token}` },
    });
    if (answer.status === 404) return undefined;
    expectSuccess(`GET ${host}${path}`, answer);
    return tagsSchema.parse(json(answer)).tags[0]?.name;
  }

  async #registryToken(host: string, scope: string): Promise<string> {
    const form = async (path: string, fields: Record<string, string>): Promise<unknown> => {
      const answer = await this.#client.send(`https://${host}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(fields).toString(),
      });
      expectSuccess(`POST ${host}${path}`, answer);
      return json(answer);
    };
    const exchanged = await form('/oauth2/exchange', {
      grant_type: 'access_token',
      service: host,
      access_token: await this.#client.operatorToken('https://containerregistry.azure.net'),
    });
    const { refresh_token } = z.object({ refresh_token: z.string() }).parse(exchanged);
    const issued = await form('/oauth2/token', {
      grant_type: 'refresh_token',
      service: host,
      scope,
      refresh_token,
    });
    return z.object({ access_token: z.string() }).parse(issued).access_token;
  }

  async #list<T extends z.ZodType>(path: string, item: T): Promise<z.output<T>[]> {
    const all: z.output<T>[] = [];
    for (let url: string | undefined = `${ARM}${path}`; url !== undefined; ) {
      const page: { value: z.output<T>[]; nextLink?: string | undefined } = listSchema(item).parse(
        json(await this.#as(ARM, url)),
      );
      all.push(...page.value);
      url = page.nextLink;
    }
    return all;
  }

  async #as(
    audience: string,
    url: string,
    ask: { method?: string; body?: unknown } = {},
  ): Promise<CloudAnswer> {
    const { method = 'GET', body } = ask;
    const sent: CloudRequest = {
      method,
      headers: {
        authorization: `Bearer ${await this.#client.operatorToken(audience)}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    };
    const answer = await this.#client.send(url, sent);
    expectSuccess(`${method} ${url}`, answer);
    return answer;
  }
}

const refusalSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** Throws what the cloud said: bodies of refusals hold no secrets. */
function expectSuccess(what: string, answer: CloudAnswer): void {
  if (answer.status < 400) return;
  const parsed = refusalSchema.safeParse(json(answer));
  const why = parsed.success ? `${parsed.data.error.code}: ${parsed.data.error.message}` : answer.text;
  throw new Error(`${what.replace(/\?.*$/, '')}: ${answer.status} ${why}`);
}

function json({ text }: CloudAnswer): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function digestOf(content: string): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

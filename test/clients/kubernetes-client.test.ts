import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openCertificateAuthority } from '../../sandbox/cloud/certificate-authority.ts';
import { aksTokenScope } from '../../src/clients/kubeconfig.ts';
import type { KubernetesApi } from '../../src/clients/kubernetes-api.ts';
import { kubernetesApi } from '../../src/clients/kubernetes-client.ts';

/** What an API server says on the wire, reply by reply; the simulated cluster's own behaviour is tested with resources. */
interface Heard {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
type Reply = { readonly status?: number; readonly headers?: Record<string, string>; readonly body: unknown };
type Replies = Reply | Reply[] | ((url: URL) => Reply);

const status = (code: number, reason: string, message: string, details = {}): Reply => ({
  status: code,
  body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message, details },
});
const kinds = (...resources: [name: string, kind: string, namespaced: boolean][]): Reply => ({
  body: {
    kind: 'APIResourceList',
    resources: resources.map(([name, kind, namespaced]) => ({ name, kind, namespaced })),
  },
});

let directory: string;
let heard: Heard[] = [];
let replies: Record<string, Replies> = {};
let api: KubernetesApi;

const server = createServer(async (request, response) => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const url = new URL(request.url ?? '/', 'https://localhost');
  const method = request.method ?? '';
  heard.push({ method, url, headers: request.headers, body: Buffer.concat(parts).toString() });
  const given = replies[`${method} ${url.pathname}`];
  const next = typeof given === 'function' ? given(url) : Array.isArray(given) ? given.shift() : given;
  const reply = next ?? status(404, 'NotFound', 'not found');
  response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers });
  response.end(
    typeof reply.body === 'string' || Buffer.isBuffer(reply.body) ? reply.body : JSON.stringify(reply.body),
  );
});

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kubernetes-client-'));
  const authority = await openCertificateAuthority(directory);
  const { certPem, keyPem } = await authority.issueServerCertificate(['localhost']);
  server.setSecureContext({ cert: certPem, key: keyPem });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  api = await kubernetesApi(
    {
      server: `https://localhost:${port}`,
      certificateAuthority: Buffer.from(authority.pem).toString('base64'),
      user: { kind: 'entra' },
    },
    async (scope) => `token for ${scope}`,
    undefined,
  );
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true });
});
beforeEach(() => {
  heard = [];
  replies = {
    'GET /api/v1': kinds(
      ['configmaps', 'ConfigMap', true],
      ['namespaces', 'Namespace', false],
      ['pods', 'Pod', true],
    ),
    'GET /apis/networking.k8s.io/v1': kinds(['networkpolicies', 'NetworkPolicy', true]),
  };
});

const configMap = { apiVersion: 'v1', kind: 'ConfigMap', name: 'settings', namespace: 'open-webui' };

describe('kubernetes-client', () => {
  test('finds an object with the bearer token of the caller', async () => {
    replies['GET /api/v1/namespaces/open-webui/configmaps/settings'] = {
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { A: '1' } },
    };
    expect(await api.find(configMap)).toMatchObject({ data: { A: '1' } });
    expect(heard.at(-1)?.headers.authorization).toBe(`Bearer token for ${aksTokenScope}`);
  });

  test('knows an object that is not there from a kind that is not served', async () => {
    expect(await api.find(configMap)).toBeUndefined();
    const secretStore = {
      apiVersion: 'external-secrets.io/v1',
      kind: 'SecretStore',
      name: 'x',
      namespace: 'y',
    };
    await expect(api.find(secretStore)).rejects.toMatchObject({ status: 404, reason: 'KindNotServed' });
    expect(await api.serves('external-secrets.io/v1', 'SecretStore')).toBe(false);
    replies['GET /apis/external-secrets.io/v1'] = kinds(['secretstores', 'SecretStore', true]);
    expect(await api.serves('external-secrets.io/v1', 'SecretStore')).toBe(true);
  });

  test('does not take a refusal for absence', async () => {
    replies['GET /api/v1/namespaces/open-webui/configmaps/settings'] = status(403, 'Forbidden', 'no role');
    await expect(api.find(configMap)).rejects.toMatchObject({
      status: 403,
      reason: 'Forbidden',
      message: 'no role',
    });
  });

  test('reads how long to stay away from the header and from the Status', async () => {
    const path = 'GET /api/v1/namespaces/open-webui/configmaps/settings';
    replies[path] = { ...status(429, 'TooManyRequests', 'slow down'), headers: { 'retry-after': '7' } };
    await expect(api.find(configMap)).rejects.toMatchObject({ status: 429, retryAfterSeconds: 7 });
    replies[path] = status(504, 'Timeout', 'later', { retryAfterSeconds: 3 });
    await expect(api.find(configMap)).rejects.toMatchObject({ status: 504, retryAfterSeconds: 3 });
  });

  test('calls an answer that is cut short unreadable, which is worth another try', async () => {
    replies['GET /api/v1/namespaces/open-webui/configmaps/settings'] = { body: '{"apiVersion":"v1","ki' };
    await expect(api.find(configMap)).rejects.toMatchObject({ status: 502, reason: 'UnreadableAnswer' });
  });

  test('applies as our field manager, by force, and leaves nothing of the object out', async () => {
    const path = 'PATCH /apis/networking.k8s.io/v1/namespaces/open-webui/networkpolicies/ollama';
    const policy = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'ollama', namespace: 'open-webui' },
      spec: {
        podSelector: {},
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'open-webui' } } }] }],
      },
    };
    replies[path] = { body: policy };
    expect(await api.apply(policy)).toEqual(policy);
    const { url, headers, body } = heard.at(-1) ?? {};
    expect(Object.fromEntries(url?.searchParams ?? [])).toEqual({
      fieldManager: 'open-webui-control-plane',
      force: 'true',
      fieldValidation: 'Strict',
    });
    expect(headers?.['content-type']).toBe('application/apply-patch+yaml');
    expect(JSON.parse(body ?? '')).toEqual(policy);
  });

  test('a dry run says so', async () => {
    const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'demo' } };
    replies['PATCH /api/v1/namespaces/demo'] = { body: object };
    await api.apply(object, { dryRun: true });
    expect(heard.at(-1)?.url.searchParams.get('dryRun')).toBe('All');
  });

  test('lists page by page and gives each item its kind', async () => {
    replies['GET /api/v1/namespaces/open-webui/pods'] = [
      { body: { metadata: { continue: 'more' }, items: [{ metadata: { name: 'one' } }] } },
      { body: { metadata: {}, items: [{ metadata: { name: 'two' } }] } },
    ];
    const pods = await api.list(
      { apiVersion: 'v1', kind: 'Pod', namespace: 'open-webui' },
      { labels: 'app=x' },
    );
    expect(pods.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual(['Pod one', 'Pod two']);
    expect(heard.map(({ url }) => url.searchParams.get('continue'))).toContain('more');
    expect(heard.at(-1)?.url.searchParams.get('labelSelector')).toBe('app=x');
  });

  test('removing what is already gone is a success, and a missing kind is not', async () => {
    await api.remove(configMap);
    await expect(api.remove({ ...configMap, kind: 'Unknown' })).rejects.toMatchObject({
      reason: 'KindNotServed',
    });
  });

  test('tells the API server refusing from what a Service answers', async () => {
    const service = { namespace: 'open-webui', name: 'ollama', port: 11434 };
    const path = 'POST /api/v1/namespaces/open-webui/services/ollama:11434/proxy/api/pull';
    replies[path] = [
      { status: 500, body: { error: 'pull model manifest: file does not exist' } },
      status(503, 'ServiceUnavailable', 'no endpoints available for service "ollama"'),
    ];
    const ask = { method: 'POST', path: '/api/pull', body: { model: 'nope' } } as const;
    expect(await api.requestService(service, ask)).toMatchObject({
      status: 500,
      body: { error: expect.stringContaining('file does not exist') },
    });
    await expect(api.requestService(service, ask)).rejects.toMatchObject({
      status: 503,
      reason: 'ServiceUnavailable',
    });
  });

  test('asks one pod on the port of its container, and tells one that has gone from what it answers', async () => {
    const pod = { namespace: 'open-webui', name: 'open-webui-1', port: 8080 };
    const path = 'GET /api/v1/namespaces/open-webui/pods/open-webui-1:8080/proxy/health/db';
    replies[path] = [
      { status: 500, body: { status: false } },
      status(404, 'NotFound', 'pods "open-webui-1" not found'),
    ];
    const ask = { method: 'GET', path: '/health/db' } as const;
    expect(await api.requestPod(pod, ask)).toMatchObject({ status: 500, body: { status: false } });
    await expect(api.requestPod(pod, ask)).rejects.toMatchObject({ status: 404, reason: 'NotFound' });
  });
});

describe('the log of a pod', () => {
  const webui = { namespace: 'open-webui', name: 'open-webui-1' };
  const path = 'GET /api/v1/namespaces/open-webui/pods/open-webui-1/log';
  const MEBIBYTE = 1_048_576;
  const line = (bytes: number, end: string): string =>
    // Of letters of two bytes: the limit is one of bytes.
    `2026-11-24T12:00:00Z ${'ü'.repeat(bytes / 2)} ${end}\n`;
  /** As a kubelet does: from the tail onwards, until there are enough bytes. */
  const kubelet =
    (...lines: readonly string[]) =>
    ({ searchParams }: URL): Reply => {
      const tail = lines.slice(-Number(searchParams.get('tailLines'))).join('');
      const body = Buffer.from(tail).subarray(0, Number(searchParams.get('limitBytes')));
      return { headers: { 'content-type': 'text/plain' }, body };
    };
  const tails = (): readonly (string | null)[] => heard.map(({ url }) => url.searchParams.get('tailLines'));

  test('is read once where it is short', async () => {
    replies[path] = kubelet(line(10, 'one'), line(10, 'two'));
    const log = await api.log(webui, { tailLines: 100, sinceSeconds: 60, previous: true });
    expect(log).toBe(line(10, 'one') + line(10, 'two'));
    expect(heard.map(({ url }) => Object.fromEntries(url.searchParams))).toEqual([
      {
        tailLines: '100',
        limitBytes: String(MEBIBYTE),
        timestamps: 'true',
        sinceSeconds: '60',
        previous: 'true',
      },
    ]);
  });

  test('ends with its newest lines also where all that were asked for are too long', async () => {
    const lines = ['one', 'two', 'three', 'four', 'five', 'six'].map((end) => line(400_000, end));
    replies[path] = kubelet(...lines);
    expect(await api.log(webui, { tailLines: 9 })).toBe(lines.slice(-2).join(''));
    expect(tails()).toEqual(['9', '4', '2']);
    expect(new Set(heard.map(({ url }) => url.searchParams.get('limitBytes')))).toEqual(
      new Set([String(MEBIBYTE)]),
    );
  });

  test('is the beginning of its last line where that alone is too long', async () => {
    const long = line(2 * MEBIBYTE, 'end');
    replies[path] = kubelet(line(10, 'one'), long);
    const log = await api.log(webui, { tailLines: 3 });
    expect(long.startsWith((log ?? '').slice(0, 1000))).toBe(true);
    expect(tails()).toEqual(['3', '1']);
  });

  test('is not there where the pod is not, and is refused where it is', async () => {
    replies[path] = [
      status(404, 'NotFound', 'pods "open-webui-1" not found'),
      status(500, 'InternalError', 'error dialing backend: No agent available'),
    ];
    expect(await api.log(webui, { tailLines: 5 })).toBeUndefined();
    await expect(api.log(webui, { tailLines: 5 })).rejects.toMatchObject({
      status: 500,
      message: 'error dialing backend: No agent available',
    });
  });
});

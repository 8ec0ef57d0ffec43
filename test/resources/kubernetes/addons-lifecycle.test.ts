import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { ContainerServiceClient } from '@azure/arm-containerservice';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { aksTokenScope } from '../../../src/clients/kubeconfig.ts';
import { addons } from '../../../src/resources/kubernetes/addons.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import type { DeploymentSpecInput } from '../../../src/spec/spec.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { type AnApiServer, startApiServer } from './an-api-server.ts';

/** Run command as ARM speaks it: accepted with an address where the result will be, 202 there until it has ended. */
interface Submitted {
  readonly command: string;
  readonly clusterToken: string;
  result?: { exitCode: number; logs: string };
}
const submitted: Submitted[] = [];

const arm = createServer(async (request, response) => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const [, id] = /\/commandResults\/command-(\d+)\?/.exec(request.url ?? '') ?? [];
  const send = (status: number, body?: object, headers: Record<string, string> = {}): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(body === undefined ? '' : JSON.stringify(body));
  };
  if (request.method === 'POST') {
    submitted.push(JSON.parse(Buffer.concat(parts).toString()) as Submitted);
    const path = (request.url ?? '').replace(/\/runCommand\?.*/, '');
    const location = `https://${request.headers.host}${path}/commandResults/command-${submitted.length - 1}?api-version=x`;
    send(202, undefined, { location });
    return;
  }
  const result = submitted[Number(id)]?.result;
  if (!result) send(202);
  else send(200, { id: `command-${id}`, properties: { provisioningState: 'Succeeded', ...result } });
});

let server: AnApiServer;
let clusters: ContainerServiceClient;
let now = new Date('2026-11-23T10:00:00Z');

const scope = (change: Partial<DeploymentSpecInput> = {}): Scope => ({
  ...specOf(change),
  clients: {
    ...server.clients,
    clusters: () => clusters,
    token: async (audience) => `token for ${audience}`,
  },
  now,
  ...surroundings(),
});
const deps = { cluster: {}, clusterAccess: {} } as never;
const observe = (change?: Partial<DeploymentSpecInput>) => addons.observe(scope(change), deps);
const ensure = async (): Promise<void> => addons.ensure(scope(), deps, await observe());

const operators = [
  ['external-secrets', 'external-secrets', 'ghcr.io/external-secrets/external-secrets:v2.9.0'],
  ['external-secrets', 'external-secrets-webhook', 'ghcr.io/external-secrets/external-secrets:v2.9.0'],
  ['reloader', 'reloader-reloader', 'ghcr.io/stakater/reloader:v1.4.17'],
] as const;

async function runOperators(readyReplicas: number): Promise<void> {
  for (const [namespace, name, image] of operators) {
    await server.api.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name } }, spec: { containers: [{ name, image }] } },
      },
    });
    const reference = { apiVersion: 'apps/v1', kind: 'Deployment', namespace, name };
    const observedGeneration = (await server.api.find(reference))?.metadata.generation;
    await server.setStatus(reference, { observedGeneration, replicas: 1, updatedReplicas: 1, readyReplicas });
  }
}

beforeAll(async () => {
  server = await startApiServer();
  const { certPem, keyPem } = await server.authority.issueServerCertificate(['127.0.0.1']);
  arm.setSecureContext({ cert: certPem, key: keyPem });
  await new Promise<void>((resolve) => arm.listen(0, '127.0.0.1', resolve));
  clusters = new ContainerServiceClient(
    { getToken: async () => ({ token: 'token', expiresOnTimestamp: Date.now() + 3_600_000 }) },
    specOf().spec.subscriptionId,
    {
      endpoint: `https://127.0.0.1:${(arm.address() as AddressInfo).port}`,
      tlsOptions: { ca: server.authority.pem },
      retryOptions: { maxRetries: 0 },
    },
  );
});
afterAll(async () => {
  arm.closeAllConnections();
  await new Promise((resolve) => arm.close(resolve));
  await server.stop();
});
beforeEach(() => {
  server.writes();
});

describe('kubernetes/addons', () => {
  test('where they are to be expected, their absence is somebody’s to mend', async () => {
    await expect(observe({ addons: { reloader: 'expect' } })).rejects.toMatchObject({
      failure: { kind: 'fatal', code: 'AddonMissing', message: expect.stringContaining('Reloader') },
    });
  });

  test('are installed by one command each, which is not waited for', async () => {
    expect(await observe()).toEqual({ state: 'absent' });
    await ensure();
    expect(submitted.map(({ command }) => command.split(' --version')[0])).toEqual([
      'helm upgrade --install external-secrets external-secrets --repo https://charts.external-secrets.io',
      'helm upgrade --install reloader reloader --repo https://stakater.github.io/stakater-charts',
    ]);
    expect(submitted.map(({ clusterToken }) => clusterToken)).toEqual(
      Array(2).fill(`token for ${aksTokenScope}`),
    );
    expect(await observe()).toEqual({
      state: 'changing',
      reason: 'Helm is installing External Secrets',
      retryAfterSeconds: 15,
    });
    await ensure();
    expect(submitted).toHaveLength(2);
  });

  test('a failed command is told in the words of Helm, and tried again', async () => {
    const [first] = submitted;
    if (first)
      first.result = { exitCode: 1, logs: 'Release "external-secrets" does not exist.\nError: no space\n' };
    expect(await observe()).toMatchObject({
      state: 'failed',
      code: 'HelmFailed',
      message:
        'Helm could not install External Secrets: Release "external-secrets" does not exist. Error: no space',
    });
    await ensure();
    expect(submitted).toHaveLength(3);
    expect(await observe()).toMatchObject({ state: 'changing' });
  });

  test('a command that nothing came of is given up after a while', async () => {
    now = new Date('2026-11-23T10:20:00Z');
    expect(await observe()).toEqual({ state: 'absent' });
  });

  test('are ready once they run, whoever installed them, and are left alone then', async () => {
    await server.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'external-secrets' } });
    await runOperators(0);
    expect(await observe({ addons: { externalSecrets: 'expect', reloader: 'expect' } })).toMatchObject({
      state: 'changing',
    });
    await runOperators(1);
    server.writes();
    expect(await observe()).toEqual({
      state: 'ready',
      outputs: { externalSecretsApi: 'external-secrets.io/v1' },
    });
    expect(server.writes()).toEqual([]);
  });
});

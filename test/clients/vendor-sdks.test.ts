/** What the vendors' own SDKs make of refusals and long-running operations, over real HTTPS with canned answers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ContainerRegistryManagementClient } from '@azure/arm-containerregistry';
import { NetworkManagementClient } from '@azure/arm-network';
import { ContainerRegistryClient } from '@azure/container-registry';
import type { TokenCredential } from '@azure/identity';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { openCertificateAuthority } from '../../sandbox/cloud/certificate-authority.ts';
import type { Clients } from '../../src/clients/clients.ts';
import { isNotFound, toFailure } from '../../src/clients/cloud-failure.ts';
import { createClients, objectIdOf } from '../../src/clients/create-clients.ts';
import { rememberErrorBody } from '../../src/clients/error-body.ts';
import { isUnderWay, submit } from '../../src/clients/operations.ts';
import { readConfig } from '../../src/config.ts';

interface Canned {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

const subscription = '00000000-0000-4000-8000-000000000001';
const credential: TokenCredential = {
  getToken: async () => ({ token: 'token', expiresOnTimestamp: Date.now() + 3_600_000 }),
};
const directory = mkdtempSync(join(tmpdir(), 'vendor-sdks-'));
const authority = await openCertificateAuthority(directory);
const { certPem, keyPem } = await authority.issueServerCertificate(['127.0.0.1']);
afterAll(() => rmSync(directory, { recursive: true }));

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function answering(
  answer: (method: string, url: string) => Canned,
): Promise<{ url: string; seen: string[] }> {
  const seen: string[] = [];
  const server = createServer({ cert: certPem, key: keyPem }, (request, response) => {
    const url = request.url ?? '';
    seen.push(`${request.method} ${url.split('?')[0]}`);
    request.resume();
    const { status, headers, body } = answer(request.method ?? '', url);
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(body === undefined ? '' : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

const options = (endpoint: string) => ({
  endpoint,
  tlsOptions: { ca: authority.pem },
  retryOptions: { maxRetries: 0 },
  additionalPolicies: [{ policy: rememberErrorBody, position: 'perCall' as const }],
});
const older = (url: string) => new NetworkManagementClient(credential, subscription, options(url));
const newer = (url: string) => new ContainerRegistryManagementClient(credential, subscription, options(url));
const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );
const nested = {
  error: {
    code: 'BadRequest',
    message: 'Outer.',
    details: [{ code: 'PrincipalNotFound', message: 'Inner.' }],
  },
};

describe('refusals', () => {
  test.each([
    ['older', (url: string) => older(url).virtualNetworks.get('g', 'n')],
    ['newer', (url: string) => newer(url).registries.get('g', 'registry')],
  ])('%s SDKs: nested codes and Retry-After are found, and nothing is retried', async (_, call) => {
    const { url, seen } = await answering(() => ({
      status: 400,
      headers: { 'retry-after': '9' },
      body: nested,
    }));
    expect(toFailure(await caught(call(url)))).toEqual({
      kind: 'retryable',
      code: 'PrincipalNotFound',
      message: 'Outer.',
      retryAfterSeconds: 9,
    });
    expect(seen).toHaveLength(1);
  });

  test.each([
    ['older', (url: string) => older(url).virtualNetworks.get('g', 'n')],
    ['newer', (url: string) => newer(url).registries.get('g', 'registry')],
  ])('%s SDKs: a throttle is thrown, not waited out', async (_, call) => {
    const { url, seen } = await answering(() => ({
      status: 429,
      headers: { 'retry-after': '5' },
      body: { error: { code: 'TooManyRequests', message: 'Slowly.' } },
    }));
    expect(toFailure(await caught(call(url)))).toMatchObject({ kind: 'retryable', retryAfterSeconds: 5 });
    expect(seen).toHaveLength(1);
  });

  test('a tag that is not in a registry is absent', async () => {
    const { url } = await answering(() => ({
      status: 404,
      body: { errors: [{ code: 'TAG_UNKNOWN', message: 'no' }] },
    }));
    const artifact = new ContainerRegistryClient(url, credential, options(url)).getArtifact(
      'open-webui',
      '1',
    );
    expect(isNotFound(await caught(artifact.getTagProperties('1')))).toBe(true);
  });

  test('a server that is not there is looked for again', async () => {
    const { url } = await answering(() => ({ status: 200 }));
    for (const close of closing.splice(0)) await close();
    expect(toFailure(await caught(older(url).virtualNetworks.get('g', 'n')))).toMatchObject({
      kind: 'retryable',
    });
  });
});

describe('long-running operations', () => {
  const clients = {} as Clients;
  const accepted = (url: string): Canned => ({
    status: 201,
    headers: { 'azure-asyncoperation': `${url}/operations/1`, 'retry-after': '3600' },
    body: { id: '/x', properties: { provisioningState: 'Creating' } },
  });
  const ways: [string, (url: string) => Parameters<typeof submit>[2]][] = [
    ['older', (url) => older(url).virtualNetworks.beginCreateOrUpdate('g', 'n', { location: 'eastasia' })],
    [
      'newer',
      (url) =>
        newer(url).registries.create('g', 'registry', { location: 'eastasia', sku: { name: 'Basic' } }),
    ],
  ];

  test.each(ways)(
    '%s SDKs: submitting returns while the operation runs, and success ends it',
    async (name, begin) => {
      let status = 'InProgress';
      const server = await answering((method, path) => {
        if (method === 'PUT') return accepted(server.url);
        if (path.startsWith('/operations')) return { status: 200, body: { status } };
        return {
          status: 200,
          body: { id: '/x', sku: { name: 'Basic' }, properties: { provisioningState: 'Succeeded' } },
        };
      });
      const key = `${name}/success`;
      await submit(clients, key, begin(server.url));
      expect(await isUnderWay(clients, key)).toBe(true);
      status = 'Succeeded';
      expect(await isUnderWay(clients, key)).toBe(false);
      expect(server.seen.filter((call) => call.startsWith('PUT'))).toHaveLength(1);
    },
  );

  test.each(ways)(
    '%s SDKs: what failed after it was accepted is told once, with the inner code',
    async (name, begin) => {
      let body: unknown = { status: 'InProgress' };
      const server = await answering((method) =>
        method === 'PUT' ? accepted(server.url) : { status: 200, body },
      );
      const key = `${name}/failure`;
      await submit(clients, key, begin(server.url));
      body = {
        status: 'Failed',
        error: {
          code: 'BadRequest',
          message: 'Outer',
          innererror: { code: 'QuotaExceeded', message: 'Too few cores' },
        },
      };
      expect(toFailure(await caught(isUnderWay(clients, key)))).toMatchObject({
        kind: 'fatal',
        code: 'QuotaExceeded',
      });
      expect(await isUnderWay(clients, key)).toBe(false);
    },
  );

  test.each(ways)(
    '%s SDKs: what has been removed since it was made is not under way',
    async (name, begin) => {
      let status = 'InProgress';
      const server = await answering((method, path) => {
        if (method === 'PUT') return accepted(server.url);
        if (path.startsWith('/operations')) return { status: 200, body: { status } };
        return { status: 404, body: { error: { code: 'ResourceNotFound', message: 'Gone.' } } };
      });
      const key = `${name}/removed`;
      await submit(clients, key, begin(server.url));
      status = 'Succeeded';
      expect(await isUnderWay(clients, key)).toBe(false);
    },
  );

  test.each(ways)(
    '%s SDKs: a refused submission is thrown and leaves nothing behind',
    async (name, begin) => {
      const { url } = await answering(() => ({
        status: 409,
        body: { error: { code: 'Conflict', message: 'Busy.' } },
      }));
      const key = `${name}/refused`;
      expect(toFailure(await caught(submit(clients, key, begin(url))))).toMatchObject({
        kind: 'retryable',
        code: 'Conflict',
      });
      expect(await isUnderWay(clients, key)).toBe(false);
    },
  );
});

describe('createClients', () => {
  const config = readConfig({
    AZURE_CLOUD: 'us-government',
    AzureWebJobsStorage: 'UseDevelopmentStorage=true',
    CLOUDFLARE_TOKEN_SECRET: 'https://own.vault.usgovcloudapi.net/secrets/cloudflare-token',
  });

  test('asks for tokens of the configured cloud, for every ARM client', async () => {
    const scopes = new Set<string>();
    const refusing: TokenCredential = {
      getToken: async (scope) => {
        for (const one of [scope].flat()) scopes.add(one);
        throw new Error('no token here');
      },
    };
    const clients = createClients(config, refusing, subscription);
    const calls = [
      clients.resources().resourceGroups.get('g'),
      clients.network().virtualNetworks.get('g', 'n'),
      clients.privateDns().privateZones.get('g', 'z'),
      clients.identities().userAssignedIdentities.get('g', 'i'),
      clients.vaults().vaults.get('g', 'vault'),
      clients.authorization().roleAssignments.get('g', 'a'),
      clients.storage().storageAccounts.getProperties('group', 'account'),
      clients.postgres().servers.get('g', 'server'),
      clients.clusters().managedClusters.get('g', 'c'),
      clients.compute().virtualMachineScaleSets.get('g', 's'),
      clients.registries().registries.get('g', 'registry'),
    ];
    for (const call of calls) await expect(call).rejects.toThrow('no token here');
    expect([...scopes]).toEqual(['https://management.usgovcloudapi.net/.default']);
  });

  test('keeps the clients it has made', () => {
    const clients = createClients(config, credential, subscription);
    expect(clients.network()).toBe(clients.network());
    expect(clients.secrets('https://a.vault.usgovcloudapi.net/')).toBe(
      clients.secrets('https://a.vault.usgovcloudapi.net/'),
    );
    expect(clients.secrets('https://a.vault.usgovcloudapi.net/')).not.toBe(
      clients.secrets('https://b.vault.usgovcloudapi.net/'),
    );
  });

  test('knows itself by its token', () => {
    const token = ['{}', JSON.stringify({ oid: 'the-object-id' }), '']
      .map((part) => Buffer.from(part).toString('base64url'))
      .join('.');
    expect(objectIdOf(token)).toBe('the-object-id');
    expect(toFailure(caughtNow(() => objectIdOf('opaque')))).toMatchObject({ kind: 'fatal' });
  });
});

function caughtNow(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

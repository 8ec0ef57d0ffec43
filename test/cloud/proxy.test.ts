import { execFile } from 'node:child_process';
import http from 'node:http';
import { createConnection } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startProxy } from '../../sandbox/cloud/proxy.ts';
import type { Service } from '../../sandbox/cloud/world.ts';
import { startTestCloud, type TestCloud } from './start-cloud.ts';

const run = promisify(execFile);
const TENANT_DOCUMENT =
  'https://login.microsoftonline.com/7e4a4700-0000-4000-8000-000000000001/v2.0/.well-known/openid-configuration';
let sandbox: TestCloud;
const faults = (rules: unknown): void => sandbox.cloud.world.faults.replace(rules);

beforeAll(async () => {
  sandbox = await startTestCloud();
});
afterAll(() => sandbox.stop());
beforeEach(() => faults([]));

/** What the proxy says to a raw request. */
function ask(lines: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(sandbox.cloud.endpoints.proxy);
    const socket = createConnection(Number(port), hostname, () => socket.write(lines));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
}

describe('the proxy', () => {
  test('answers under the cloud’s real name with a certificate that its authority has signed', async () => {
    const answer = await fetch(TENANT_DOCUMENT);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({
      issuer: 'https://login.microsoftonline.com/7e4a4700-0000-4000-8000-000000000001/v2.0',
    });
  });

  test('refuses every other name loudly and records it', async () => {
    const { next } = sandbox.cloud.world.calls.since(0);
    const text = await ask('CONNECT registry.example.com:443 HTTP/1.1\r\nHost: registry.example.com\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 403 registry\.example\.com:443 .*nothing leaves the machine/);
    expect(sandbox.cloud.world.calls.since(next).calls).toMatchObject([
      { service: 'refused', host: 'registry.example.com', status: 403 },
    ]);
  });

  test.each([
    'nobody.vault.azure.net',
    'nobody.azurecr.io',
    'nobody.hcp.eastasia.azmk8s.io',
    'nobody.yourdomain.com',
  ])('does not resolve %s, which nobody has registered', async (host) => {
    expect(await ask(`CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toMatch(
      `502 getaddrinfo ENOTFOUND ${host}`,
    );
  });

  test('refuses other ports and plain http', async () => {
    expect(await ask('CONNECT graph.microsoft.com:80 HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 403 /);
    expect(
      await ask('GET http://graph.microsoft.com/ HTTP/1.1\r\nHost: graph.microsoft.com\r\n\r\n'),
    ).toMatch(/^HTTP\/1\.1 403 .*without TLS/);
  });

  test('refuses a WebSocket cleanly', async () => {
    const { hostname, port } = new URL(sandbox.cloud.endpoints.proxy);
    const socket = createConnection(Number(port), hostname);
    socket.write('CONNECT graph.microsoft.com:443 HTTP/1.1\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    const secured = connectTls({ socket, servername: 'graph.microsoft.com' });
    secured.write(
      'GET / HTTP/1.1\r\nHost: graph.microsoft.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    const [line] = await new Promise<string[]>((resolve) =>
      secured.once('data', (chunk) => resolve(String(chunk).split('\r\n'))),
    );
    secured.destroy();
    expect(line).toBe('HTTP/1.1 501 websocket is not simulated');
  });

  test('streams both ways, and tells the service when the caller hangs up', async () => {
    const { world, neighbours } = sandbox.cloud;
    let hungUp = false;
    const streaming: Service = {
      name: 'kubernetes',
      matches: (host) => host === 'streaming.hcp.eastasia.azmk8s.io',
      fetch: (request) => {
        request.signal.addEventListener('abort', () => {
          hungUp = true;
        });
        return new Response(request.body, { headers: { 'content-type': 'application/json;stream=watch' } });
      },
    };
    const proxy = await startProxy(world, [streaming], neighbours.certificates);
    const restore = http.setGlobalProxyFromEnv({ HTTPS_PROXY: proxy.url });
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const stop = new AbortController();
    const request: RequestInit = { method: 'POST', body: readable, duplex: 'half', signal: stop.signal };
    const answering = fetch('https://streaming.hcp.eastasia.azmk8s.io/watch', request);
    const texts: string[] = [];
    for (const text of ['{"type":"ADDED"}', '{"type":"MODIFIED"}']) {
      await writer.write(Buffer.from(text));
      const reader = (await answering).body?.getReader();
      texts.push(Buffer.from((await reader?.read())?.value ?? []).toString());
      reader?.releaseLock();
    }
    expect(texts).toEqual(['{"type":"ADDED"}', '{"type":"MODIFIED"}']);
    stop.abort();
    await expect.poll(() => hungUp).toBe(true);
    restore();
    await proxy.close();
  });

  test('carries a process that knows only the environment', async () => {
    const script = `
      const { DefaultAzureCredential } = require('@azure/identity');
      new DefaultAzureCredential().getToken('https://vault.azure.net/.default').then(async ({ token }) => {
        const answer = await fetch('https://graph.microsoft.com/v1.0/applications', {
          headers: { authorization: 'Bearer ' + token },
        });
        console.log(JSON.stringify({ parts: token.split('.').length, body: await answer.json() }));
      });`;
    const { stdout } = await run(process.execPath, ['-e', script], {
      env: { PATH: process.env['PATH'], ...sandbox.environment },
    });
    // The token is good, but not for this audience.
    expect(JSON.parse(stdout)).toMatchObject({
      parts: 3,
      body: { error: { code: 'InvalidAuthenticationToken' } },
    });
  });
});

describe('the identity endpoint', () => {
  const ask = (query: string, header?: string): Promise<Response> =>
    fetch(`${sandbox.cloud.endpoints.identity.endpoint}?${query}`, {
      headers: header === undefined ? {} : { 'x-identity-header': header },
    });
  const good = 'api-version=2019-08-01&resource=https://vault.azure.net';

  test('refuses a wrong header, an unknown identity and none at all', async () => {
    const { header } = sandbox.cloud.endpoints.identity;
    const { clientId } = sandbox.cloud.world.settings.controlPlane;
    expect((await ask(`${good}&client_id=${clientId}`, 'wrong')).status).toBe(400);
    const other = await ask(`${good}&client_id=11111111-1111-4111-8111-111111111111`, header);
    expect(other.status).toBe(400);
    expect(await other.json()).toMatchObject({
      statusCode: 400,
      message: 'Unable to load the proper Managed Identity.',
    });
    expect((await ask(good, header)).status).toBe(400);
    expect((await ask(`${good}&client_id=${clientId}`, header)).status).toBe(200);
  });

  test('gives a token whose life is measured in virtual time', async () => {
    const { header } = sandbox.cloud.endpoints.identity;
    const { clientId } = sandbox.cloud.world.settings.controlPlane;
    const answer = await ask(`${good}&client_id=${clientId}`, header);
    const { access_token, expires_on } = (await answer.json()) as {
      access_token: string;
      expires_on: string;
    };
    expect(Number(expires_on) * 1000).toBeGreaterThan(sandbox.cloud.world.clock.now());
    const call = (): Promise<Response> =>
      fetch('https://graph.microsoft.com/v1.0/applications', {
        headers: { authorization: `Bearer ${access_token}` },
      });
    expect(await (await call()).text()).toContain('wrong audience');
    sandbox.pass(25 * 3_600_000);
    expect(await (await call()).text()).toContain('expiry');
  });
});

describe('a fault', () => {
  test('answers in the envelope of the service it strikes, as often as it is told to', async () => {
    faults([
      {
        id: 'busy',
        service: 'cloudflare',
        times: 1,
        fault: { kind: 'answer', status: 429, code: '971', retryAfterSeconds: 7 },
      },
    ]);
    const struck = await fetch('https://api.cloudflare.com/client/v4/zones');
    expect(struck.status).toBe(429);
    expect(struck.headers.get('retry-after')).toBe('7');
    expect(await struck.json()).toMatchObject({ success: false, errors: [{ code: 971 }] });
    expect((await fetch('https://api.cloudflare.com/client/v4/zones')).status).toBe(400);
  });

  test('cuts the connection before or after the service acted', async () => {
    const post = (): Promise<Response> =>
      fetch(TENANT_DOCUMENT.replace('/v2.0/.well-known/openid-configuration', '/oauth2/v2.0/token'), {
        method: 'POST',
        body: '',
      });
    for (const kind of ['cut-before', 'cut-after']) {
      faults([{ id: kind, service: 'entra', fault: { kind } }]);
      await expect(post()).rejects.toThrow('fetch failed');
      expect(sandbox.cloud.world.calls.since(0).calls.at(-1)).toMatchObject({ service: 'entra', status: 0 });
    }
    faults([]);
    expect((await post()).status).toBe(400);
  });

  test('truncates the body', async () => {
    faults([{ id: 'half', service: 'entra', fault: { kind: 'truncate' } }]);
    const answer = await fetch(TENANT_DOCUMENT);
    await expect(answer.text()).rejects.toThrow('terminated');
  });

  test('delays by virtual time', async () => {
    faults([{ id: 'late', service: 'entra', fault: { kind: 'delay', milliseconds: 3_600_000 } }]);
    const answered = fetch(TENANT_DOCUMENT);
    const early = await Promise.race([
      answered.then(() => 'answered'),
      new Promise((resolve) => setTimeout(resolve, 100, 'waiting')),
    ]);
    expect(early).toBe('waiting');
    sandbox.pass(3_600_000);
    expect((await answered).status).toBe(200);
  });
});

import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCertificateAuthority } from '../../sandbox/cloud/certificate-authority.ts';
import { requestLogin } from '../../src/clients/entra-token.ts';
import type { Cloud } from '../../src/config.ts';
import { FailureError } from '../../src/graph/failure.ts';
import { makeDirectory } from '../a-directory.ts';

const login = { tenantId: 'the/tenant', clientId: 'the-client', clientSecret: 'hunter2 & more' };
let answered: { readonly status: number; readonly body: string } = { status: 200, body: '{}' };
const asked: { url: string; form: URLSearchParams }[] = [];
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk: Buffer) => {
    body += chunk.toString();
  });
  request.on('end', () => {
    asked.push({ url: request.url ?? '', form: new URLSearchParams(body) });
    response.writeHead(answered.status, { 'content-type': 'application/json' }).end(answered.body);
  });
});
let cloud: Cloud;

beforeAll(async () => {
  const authority = await openCertificateAuthority(makeDirectory('entra-token-'));
  const { certPem, keyPem } = await authority.issueServerCertificate(['localhost']);
  server.setSecureContext({ cert: certPem, key: keyPem });
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), authority.pem]);
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  cloud = {
    authority: `https://localhost:${(server.address() as AddressInfo).port}`,
    graph: 'https://graph.microsoft.us',
  } as Partial<Cloud> as Cloud;
});
afterAll(() => void server.close());

const failureOf = (): Promise<unknown> =>
  requestLogin(cloud, login).then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a login as an application', () => {
  test('asks for a token of that cloud as the application would, and keeps nothing of it', async () => {
    answered = { status: 200, body: '{"access_token":"a-token"}' };
    expect(await requestLogin(cloud, login)).toEqual({ isAccepted: true });
    expect(asked.map(({ url }) => url)).toEqual(['/the%2Ftenant/oauth2/v2.0/token']);
    expect(Object.fromEntries(asked[0]?.form ?? [])).toEqual({
      grant_type: 'client_credentials',
      client_id: 'the-client',
      client_secret: 'hunter2 & more',
      scope: 'https://graph.microsoft.us/.default',
    });
  });

  test('that is refused tells the number and nothing else', async () => {
    answered = {
      status: 401,
      body: '{"error":"invalid_client","error_description":"hunter2","error_codes":[7000215]}',
    };
    expect(await requestLogin(cloud, login)).toEqual({ isAccepted: false, code: 'AADSTS7000215' });
  });

  test.each([
    ['a busy service', 429, '{"error_codes":[90055]}'],
    ['a broken service', 503, '{"error_codes":[90033]}'],
    ['a proxy in between', 502, '<html>hunter2</html>'],
    ['no reason', 400, '{}'],
  ])('says nothing about the secret in case of %s', async (_, status, body) => {
    answered = { status, body };
    const error = await failureOf();
    expect(error).toBeInstanceOf(FailureError);
    expect(error).toMatchObject({ failure: { kind: 'retryable', code: 'EntraRefused' } });
    expect(String(error)).not.toContain('hunter2');
  });

  test('says nothing about the secret when nobody answers', async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const error = await failureOf();
    expect(error).toMatchObject({ failure: { kind: 'retryable', code: 'EntraUnreachable' } });
    expect(String(error)).not.toContain('hunter2');
  });
});

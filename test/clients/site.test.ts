import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { beforeAll, describe, expect, test } from 'vitest';
import { openCertificateAuthority } from '../../sandbox/cloud/certificate-authority.ts';
import { requestSite } from '../../src/clients/site.ts';
import { makeDirectory } from '../a-directory.ts';

let status = 200;
let more: Record<string, string> = {};
const asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(`${request.method} ${request.url}`);
  response.writeHead(status, { location: '/elsewhere', ...more }).end('<html></html>');
});
let host = '';

beforeAll(async () => {
  const authority = await openCertificateAuthority(makeDirectory('site-'));
  const { certPem, keyPem } = await authority.issueServerCertificate(['localhost']);
  server.setSecureContext({ cert: certPem, key: keyPem });
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), authority.pem]);
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  host = `localhost:${(server.address() as AddressInfo).port}`;
});

describe('the public site', () => {
  test.each([
    [200, true],
    [302, true],
    [404, false],
    [500, false],
    [530, false],
  ])('that answers %s', async (answered, isServed) => {
    status = answered;
    asked.length = 0;
    expect(await requestSite(host)).toEqual({ isServed, said: `HTTP ${answered}` });
    // A redirect is not followed: it says enough.
    expect(asked).toEqual(['GET /']);
  });

  test.each([403, 503])('that challenges whoever has no browser, with HTTP %s', async (answered) => {
    status = answered;
    more = { 'cf-mitigated': 'challenge' };
    expect(await requestSite(host)).toEqual({
      isServed: false,
      said: `HTTP ${answered}`,
      isChallenged: true,
    });
    more = {};
  });

  test('that is nowhere does not throw', async () => {
    expect(await requestSite('no such host')).toEqual({
      isServed: false,
      said: 'no answer (ERR_INVALID_URL)',
    });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const gone = { isServed: false, said: expect.stringMatching(/^no answer \([A-Z_]+\)$/) };
    expect(await requestSite(host)).toEqual(gone);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { withoutSite, withSite } from '../../../src/resources/cloudflare/ingress-rules.ts';

const host = 'chat.example.com';
const service = 'http://open-webui.open-webui.svc.cluster.local:80';
const end = { service: 'http_status:404' };
const other = { hostname: 'wiki.example.com', service: 'http://wiki', originRequest: { noTLSVerify: true } };

const rules = fc.array(
  fc.record(
    {
      hostname: fc.constantFrom(host, 'wiki.example.com', '*.example.com', '*'),
      path: fc.constantFrom('/admin', '/api'),
      service: fc.constantFrom('http://wiki', 'http_status:404', 'http_status:503', service),
    },
    { requiredKeys: ['service'] },
  ),
);

describe('cloudflare/ingress', () => {
  test('of a new tunnel is our rule and a 404 for the rest', () => {
    expect(withSite([], host, service)).toEqual([{ hostname: host, service }, end]);
  });

  test("puts ours before others' wildcards and keeps theirs as they are", () => {
    const wildcard = { hostname: '*.example.com', service: 'http://all' };
    expect(withSite([wildcard, other, { service: 'http_status:503' }], host, service)).toEqual([
      { hostname: host, service },
      wildcard,
      other,
      end,
    ]);
  });

  test('mends its own rule without losing what was set on it', () => {
    const originRequest = { connectTimeout: 10 };
    const wrong = { hostname: host, service: 'http://open-webui', originRequest };
    expect(withSite([wrong, end], host, service)[0]).toEqual({ hostname: host, service, originRequest });
  });

  test('lets nothing else answer for our host', () => {
    const diversion = { hostname: host, path: '/admin', service: 'http://elsewhere' };
    expect(withSite([diversion, end], host, service)).toEqual([{ hostname: host, service }, end]);
  });

  test('is what it makes of itself, whatever was there, and ends in one catch-all', () => {
    fc.assert(
      fc.property(rules, (given) => {
        const once = withSite(given, host, service);
        expect(withSite(once, host, service)).toEqual(once);
        expect(once.filter(({ hostname, path }) => !path && (!hostname || hostname === '*'))).toEqual([
          once.at(-1),
        ]);
      }),
    );
  });

  test('taking our host out leaves the others and a last rule', () => {
    expect(withoutSite([{ hostname: host, service }, other, end], host)).toEqual([other, end]);
    expect(withoutSite([{ hostname: host, service }], host)).toEqual([end]);
  });
});

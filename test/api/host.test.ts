import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostProcess } from '../host/host-process.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';

let azurite: Azurite;
let host: HostProcess;
beforeAll(async () => {
  azurite = await Azurite.start();
  host = await HostProcess.start(new URL('./app', import.meta.url).pathname, {
    environment: { AzureWebJobsStorage: azurite.connectionString },
  });
});
afterAll(async () => {
  await host.end();
  await azurite.dispose();
});

const withKey = (init: RequestInit = {}): RequestInit => ({
  ...init,
  headers: {
    'x-functions-key': host.ready.functionsKey,
    'content-type': 'application/json',
    ...init.headers,
  },
});

describe('the API on a functions host', () => {
  test('hands a PUT over to the engine and lets it be followed', async () => {
    const put = await host.fetch(
      '/api/deployments/openwebui',
      withKey({ method: 'PUT', body: JSON.stringify(minimalSpec) }),
    );
    expect(put.status).toBe(202);
    const location = put.headers.get('operation-location') ?? '';
    expect(location).toMatch(new RegExp(`^${host.origin}/api/operations/`));

    const operation = await fetch(location, withKey());
    expect(operation.status).toBe(200);
    expect(await operation.json()).toMatchObject({ state: 'accepted', deployment: { name: 'openwebui' } });
    expect((await host.finished('openwebui')).output).toBe(location.split('/').at(-1));

    const deployment = await host.fetch('/api/deployments/openwebui', withKey());
    expect(deployment.headers.get('etag')).toBe(put.headers.get('etag'));
    expect(await deployment.json()).toMatchObject({ name: 'openwebui', spec: minimalSpec });
    const list = await host.fetch('/api/deployments', withKey());
    expect(await list.json()).toMatchObject({ deployments: [{ name: 'openwebui' }] });
  });

  test.each(['/api/deployments', '/api/deployments/openwebui', '/api/operations/20261123T184501-7f3a9c21'])(
    '%s needs a key',
    async (path) => {
      expect((await host.fetch(path)).status).toBe(401);
    },
  );

  test('the schema needs none', async () => {
    const answer = await host.fetch('/api/schema');
    expect(answer.headers.get('content-type')).toBe('application/schema+json');
    expect(await answer.json()).toHaveProperty('properties.postgres');
  });

  test('a problem is one over the wire, too', async () => {
    const answer = await host.fetch(
      '/api/deployments/openwebui',
      withKey({ method: 'PUT', body: '{"a": }' }),
    );
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(await answer.json()).toMatchObject({
      type: '/problems/malformed-body',
      correlationId: expect.any(String),
    });
  });

  test('ten megabytes are refused', async () => {
    const body = JSON.stringify({ a: 'x'.repeat(10_000_000) });
    const answer = await host.fetch('/api/deployments/openwebui', withKey({ method: 'PUT', body }));
    expect(answer.status).toBe(413);
  });

  test('other methods find nothing', async () => {
    const answer = await host.fetch('/api/deployments/openwebui', withKey({ method: 'POST', body: '{}' }));
    expect([404, 405]).toContain(answer.status);
  });
});

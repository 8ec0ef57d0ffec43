import { request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostProcess } from './host-process.ts';

let host: HostProcess;
beforeAll(async () => {
  host = await HostProcess.start('doors', { environment: { FROM_BOTH: 'environment' } });
});
afterAll(async () => {
  expect(await host.end()).toBe(0);
  expect(host.output).toContain('appTerminate ran');
});

describe('the start', () => {
  test('says what it is, lists the functions, runs the appStart hooks and keeps the keys to itself', () => {
    expect(host.output).toContain('Not for production');
    expect(host.output).toMatch(/\tliteral: \[GET\] http:\/\/localhost:\d+\/v1\/things\/special/);
    expect(host.output).toMatch(/\tonEvent: eventGridTrigger/);
    expect(host.output).toContain('appStart ran');
    expect(host.output).not.toContain(host.ready.masterKey);
  });

  test('a timer whose setting is missing is in error, and nothing else', () => {
    expect(host.output).toContain(
      "The 'broken' function is in error: '%NOT_SET%' does not resolve to a value.",
    );
  });

  test('a second function of the same name is refused', async () => {
    await expect(HostProcess.start('duplicate')).rejects.toThrow('has already been registered');
  });

  test('settings come from the file, where the environment does not have them', async () => {
    expect(await (await host.fetch('/v1/setting')).text()).toBe('file environment');
  });
});

describe('routes', () => {
  test.each([
    { path: '/v1/things/special', gives: 'literal' },
    { path: '/v1/THINGS/Special', gives: 'literal' },
    { path: '/v1/things/special/', gives: 'literal' },
    { path: '/v1/things/42', gives: '["int","42"]' },
    { path: '/v1/things/a%20b', gives: '["any","a b"]' },
    { path: '/v1/maybe', gives: '{}' },
    { path: '/v1/maybe/x', gives: '{"id":"x"}' },
    { path: '/v1/files', gives: '{}' },
    { path: '/v1/files/a/b/c.txt', gives: '{"path":"a/b/c.txt"}' },
    { path: '/v1/named', gives: 'named' },
  ])('GET $path is $gives', async ({ path, gives }) => {
    const answer = await host.fetch(path);
    expect([answer.status, await answer.text()]).toEqual([200, gives]);
  });

  test.each([
    { method: 'GET', path: '/v1/unknown' },
    { method: 'GET', path: '/api/named' },
    { method: 'GET', path: '/v1/maybe/x/y' },
    { method: 'DELETE', path: '/v1/things/42' },
    { method: 'HEAD', path: '/v1/named' },
    { method: 'GET', path: '/runtime/webhooks/unknown' },
  ])('$method $path is 404 with an empty body: the method is part of the route', async ({ method, path }) => {
    expect((await host.fetch(path, { method })).status).toBe(404);
  });

  test('the same route serves another method with another function', async () => {
    expect(await (await host.fetch('/v1/things/42', { method: 'PUT' })).text()).toBe('write');
  });

  test('the root is a page that says it is a development tool', async () => {
    expect(await (await host.fetch('/')).text()).toContain('development tool');
  });
});

describe('authorization levels', () => {
  const codes = (): Record<string, string> => ({
    none: '',
    wrong: 'wrong',
    function: host.ready.functionsKey,
    master: host.ready.masterKey,
    system: host.ready.systemKeys.eventgrid_extension,
  });

  test.each([
    { name: 'named', key: 'none', status: 200 },
    { name: 'locked', key: 'none', status: 401 },
    { name: 'locked', key: 'wrong', status: 401 },
    { name: 'locked', key: 'system', status: 401 },
    { name: 'locked', key: 'function', status: 200 },
    { name: 'locked', key: 'master', status: 200 },
    { name: 'adminOnly', key: 'none', status: 401 },
    { name: 'adminOnly', key: 'function', status: 401 },
    { name: 'adminOnly', key: 'master', status: 200 },
  ])('$name with the key "$key" is $status', async ({ name, key, status }) => {
    const code = codes()[key] ?? '';
    const inQuery = await host.fetch(`/v1/${name}?code=${code}`);
    const inHeader = await host.fetch(`/v1/${name}`, { headers: { 'x-functions-key': code } });
    expect([inQuery.status, inHeader.status]).toEqual([status, status]);
    if (status === 401) expect(await inQuery.text()).toBe('');
  });
});

describe('requests and responses', () => {
  test('carry body, headers, query and cookies', async () => {
    const answer = await host.fetch('/v1/echo?q=1&q=2', {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: 'gr\u00fc\u00dfe',
    });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('x-made')).toBe('here');
    expect(answer.headers.getSetCookie()).toEqual(['taste=good; path=/v1; samesite=strict; httponly']);
    expect(await answer.json()).toEqual({
      body: 'gr\u00fc\u00dfe',
      type: 'text/plain',
      query: '1,2',
      url: '/v1/echo',
    });
  });

  test('a function that returns nothing is 204, one that throws is 500 with an empty body', async () => {
    expect((await host.fetch('/v1/nothing')).status).toBe(204);
    const failed = await host.fetch('/v1/fails');
    expect([failed.status, await failed.text()]).toEqual([500, '']);
    expect(host.output).toContain("Executed 'Functions.fails' (Failed");
  });

  test('a function that takes longer than functionTimeout is cut off', async () => {
    expect((await host.fetch('/v1/slow')).status).toBe(500);
    expect(host.output).toContain('Timeout value of 1 s was exceeded by function: Functions.slow');
  });

  test('registering a function once the app has started is an error', async () => {
    expect((await host.fetch('/v1/late')).status).toBe(500);
    expect(host.output).toContain('A function can only be registered during app startup.');
  });

  test('hooks may replace the handler and the result', async () => {
    const answer = await host.fetch('/v1/hooked');
    expect([await answer.text(), answer.headers.get('x-hook')]).toEqual(['hooked', 'preInvocation']);
  });

  test('a body beyond 100 MB is refused before it is read', async () => {
    const status = await new Promise((resolve, reject) => {
      const upload = request(`${host.origin}/v1/echo`, {
        method: 'POST',
        headers: { 'content-length': 104_857_601 },
      });
      upload.once('response', (answer) => {
        resolve(answer.statusCode);
        upload.destroy();
      });
      upload.once('error', reject);
      upload.flushHeaders();
    });
    expect(status).toBe(413);
  });

  test('survives a client that speaks nonsense', async () => {
    await new Promise<void>((resolve) => {
      const socket = connect(host.ready.port, '127.0.0.1', () => socket.end('nonsense\r\n\r\n'));
      socket.on('data', () => undefined);
      socket.once('close', () => resolve());
    });
    expect((await host.fetch('/v1/named')).status).toBe(200);
  });
});

describe('Event Grid', () => {
  const post = (
    query: string,
    headers: Record<string, string>,
    body?: unknown,
    path = '/runtime/webhooks/EventGrid',
  ): Promise<Response> =>
    host.fetch(`${path}?${query}&code=${host.ready.systemKeys.eventgrid_extension}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const notification = { 'aeg-event-type': 'Notification' };
  const gridEvent = (id: string, subject = 's'): Record<string, unknown> => ({
    id,
    subject,
    eventType: 'Test.Happened',
    eventTime: '2026-01-01T00:00:00Z',
    dataVersion: '1',
    data: { a: 1 },
  });
  const cloudEvent = (id: string): Record<string, unknown> => ({
    id,
    specversion: '1.0',
    source: '/s',
    type: 'Test.Happened',
    data: {},
  });
  const seen = async (): Promise<string[]> => (await (await host.fetch('/v1/events')).json()) as string[];

  test('delivers a batch as one invocation for each event, in either schema, on a path in any case', async () => {
    expect(
      (await post('functionName=onEvent', notification, [gridEvent('e1'), gridEvent('e2')])).status,
    ).toBe(202);
    expect(
      (await post('functionName=ONEVENT', notification, cloudEvent('c1'), '/RUNTIME/webhooks/eventgrid'))
        .status,
    ).toBe(202);
    expect(
      (await post('functionName=onEvent', notification, [cloudEvent('c2'), cloudEvent('c3')])).status,
    ).toBe(202);
    expect((await seen()).sort()).toEqual(['c1', 'c2', 'c3', 'e1', 'e2']);
    expect(host.output).toMatch(/\[Function\.onEvent\] information: an event came/);
  });

  test('answers 500 when one of a batch failed, so that it is delivered again', async () => {
    expect(
      (await post('functionName=onEvent', notification, [gridEvent('p1', 'poison'), gridEvent('e9')])).status,
    ).toBe(500);
    expect(await seen()).toContain('e9');
  });

  test('does the handshakes of both schemas', async () => {
    const validation = await post('functionName=onEvent', { 'aeg-event-type': 'SubscriptionValidation' }, [
      { ...gridEvent('v'), data: { validationCode: 'abc-123' } },
    ]);
    expect([validation.status, await validation.json()]).toEqual([200, { validationResponse: 'abc-123' }]);
    const code = host.ready.systemKeys.eventgrid_extension;
    const options = await host.fetch(`/runtime/webhooks/EventGrid?functionName=onEvent&code=${code}`, {
      method: 'OPTIONS',
      headers: { 'WebHook-Request-Origin': 'eventgrid.azure.net' },
    });
    expect([options.status, options.headers.get('webhook-allowed-origin')]).toEqual([
      200,
      'eventgrid.azure.net',
    ]);
  });

  test.each([
    {
      reason: 'no such function',
      query: 'functionName=nobody',
      headers: notification,
      body: [],
      status: 404,
    },
    {
      reason: 'not an Event Grid function',
      query: 'functionName=named',
      headers: notification,
      body: [],
      status: 404,
    },
    { reason: 'no event type header', query: 'functionName=onEvent', headers: {}, body: [], status: 400 },
    { reason: 'not events', query: 'functionName=onEvent', headers: notification, body: 5, status: 400 },
  ])('$status: $reason', async ({ query, headers, body, status }) => {
    expect((await post(query, headers as Record<string, string>, body)).status).toBe(status);
  });

  test('needs its own system key', async () => {
    const open = (code: string): Promise<number> =>
      host
        .fetch(`/runtime/webhooks/EventGrid?functionName=onEvent&code=${code}`, {
          method: 'POST',
          headers: notification,
        })
        .then((answer) => answer.status);
    expect(await open('')).toBe(401);
    expect(await open(host.ready.systemKeys.durabletask_extension)).toBe(401);
  });
});

describe('the admin API', () => {
  const get = (path: string, key = host.ready.masterKey): Promise<Response> =>
    host.fetch(path, { headers: { 'x-functions-key': key } });

  test('tells the status in full only with the master key', async () => {
    expect(await (await get('/admin/host/status', '')).json()).toEqual({});
    expect(await (await get('/admin/host/status')).json()).toMatchObject({ state: 'Running' });
  });

  test('lists functions with their bindings and URLs', async () => {
    expect((await get('/admin/functions', host.ready.functionsKey)).status).toBe(401);
    const list = (await (await get('/admin/functions')).json()) as { name: string }[];
    expect(list.map((entry) => entry.name)).toContain('onEvent');
    expect(await (await get('/admin/functions/number')).json()).toMatchObject({
      name: 'number',
      isDisabled: false,
      invoke_url_template: `${host.origin}/v1/things/{id:int}`,
      config: {
        bindings: expect.arrayContaining([
          expect.objectContaining({ type: 'httpTrigger', methods: ['GET'] }),
        ]),
      },
    });
    expect((await get('/admin/functions/nobody')).status).toBe(404);
  });

  test('gives the keys', async () => {
    const { systemKeys, functionsKey } = host.ready;
    expect(await (await get('/admin/host/systemkeys/eventgrid_extension')).json()).toMatchObject({
      value: systemKeys.eventgrid_extension,
    });
    expect(await (await get('/admin/host/keys')).json()).toMatchObject({
      keys: [{ name: 'default', value: functionsKey }],
    });
    expect((await get('/admin/host/systemkeys/other')).status).toBe(404);
  });

  test('runs a timer by hand, and only what can be', async () => {
    const run = (name: string, body: string, key = host.ready.masterKey): Promise<number> =>
      host
        .fetch(`/admin/functions/${name}`, { method: 'POST', body, headers: { 'x-functions-key': key } })
        .then((answer) => answer.status);
    expect(await run('never', '{}', host.ready.functionsKey)).toBe(401);
    expect(await run('never', '{}')).toBe(202);
    expect(await run('never', 'not json')).toBe(400);
    expect(await run('named', '{}')).toBe(400);
    expect(await run('nobody', '{}')).toBe(404);
    await expect.poll(async () => (await host.fetch('/v1/byHand')).text()).toBe('1');
  });
});

describe('keys', () => {
  test('stay the same from start to start', async () => {
    const first = await HostProcess.start('doors-streamed');
    await first.end();
    const second = await HostProcess.start('doors-streamed', { folder: first.folder });
    await second.end();
    expect({ ...second.ready, port: 0, pid: 0 }).toEqual({ ...first.ready, port: 0, pid: 0 });
  });
});

describe('HTTP streams', () => {
  let streamed: HostProcess;
  beforeAll(async () => {
    streamed = await HostProcess.start('doors-streamed');
  });
  afterAll(async () => {
    expect(await streamed.end()).toBe(0);
  });

  test('an answer begins before it has ended', async () => {
    const started = performance.now();
    const answer = await streamed.fetch('/api/count/4');
    const first = await answer.body?.getReader().read();
    expect(new TextDecoder().decode(first?.value)).toBe('1\n');
    expect(performance.now() - started).toBeLessThan(350);
    expect(await (await streamed.fetch('/api/count/3')).text()).toBe('1\n2\n3\n');
  });

  test('a request is read as it comes', async () => {
    const body = new Uint8Array(3_000_000);
    const answer = await streamed.fetch('/api/size?q=1&q=2', { method: 'POST', body });
    expect(await answer.json()).toEqual({ size: 3_000_000, query: '1' });
  });

  test('failures and nothing are 500 and 204', async () => {
    expect((await streamed.fetch('/api/fails')).status).toBe(500);
    expect((await streamed.fetch('/api/nothing')).status).toBe(204);
  });
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostProcess } from './host-process.ts';

let host: HostProcess;
beforeAll(async () => {
  host = await HostProcess.start('sub-orchestrations');
});
afterAll(async () => {
  await host.end();
});

const json = { 'content-type': 'application/json' };

describe('authorization', () => {
  test('needs the system key or the master key from outside, and none on the loopback twin', async () => {
    const open = (path: string): Promise<number> => host.fetch(path).then((answer) => answer.status);
    const { systemKeys, masterKey, functionsKey } = host.ready;
    const path = '/runtime/webhooks/durabletask/instances/';
    expect(await open(path)).toBe(401);
    expect(await open(`${path}?code=${functionsKey}`)).toBe(401);
    expect(await open(`${path}?code=${systemKeys.eventgrid_extension}`)).toBe(401);
    expect(await open(`${path}?code=${systemKeys.durabletask_extension}`)).toBe(200);
    expect(await open(`${path}?code=${masterKey}`)).toBe(200);
    expect(await open('/durabletask/instances/')).toBe(200);
  });
});

describe('start', () => {
  const start = (path: string, init: RequestInit = {}): Promise<Response> =>
    host.manage(`orchestrators/${path}`, { method: 'POST', headers: json, ...init });

  test('answers 202 with the management payload', async () => {
    const answer = await start('waits/started');
    expect(answer.status).toBe(202);
    const payload = (await answer.json()) as Record<string, string>;
    expect(payload).toMatchObject({ id: 'started' });
    expect(answer.headers.get('location')).toBe(payload['statusQueryGetUri']);
    expect((await fetch(String(payload['statusQueryGetUri']))).status).toBe(202);
    expect(
      (await fetch(String(payload['terminatePostUri']).replace('{text}', 'x'), { method: 'POST' })).status,
    ).toBe(202);
  });

  test.each([
    { reason: 'an unknown orchestrator', path: 'nobody', status: 400 },
    { reason: 'an activity is no orchestrator', path: 'step', status: 400 },
    { reason: 'an id of an entity', path: 'waits/@a@b', status: 400 },
    { reason: 'an id with a character that cannot be', path: 'waits/a%23b', status: 400 },
    { reason: 'an id that is too long', path: `waits/${'x'.repeat(101)}`, status: 400 },
    { reason: 'a name and an id are all there is', path: 'waits/a/b', status: 404 },
    { reason: 'a foreign task hub', path: 'waits?taskHub=Other', status: 400 },
  ])('refuses $path with $status: $reason', async ({ path, status }) => {
    expect((await start(path)).status).toBe(status);
  });

  test('refuses a body that is not JSON', async () => {
    const answer = await start('waits', { body: '{"a":' });
    expect([answer.status, await answer.json()]).toEqual([400, { Message: 'Invalid JSON content' }]);
  });

  test('refuses an id whose instance is not finished (409), and replaces one that is', async () => {
    await host.startInstance('waits', 1, 'single');
    const answer = await start('waits/single');
    expect(answer.status).toBe(409);
    expect(await answer.json()).toMatchObject({ Message: expect.stringContaining('already exists') });
    await host.raise('single', 'go', 'first');
    expect((await host.finished('single')).output).toBe('first');
    await host.startInstance('provision', 'x', 'single');
    expect(await host.finished('single')).toMatchObject({
      name: 'provision',
      input: 'x',
      runtimeStatus: 'Completed',
    });
  });

  test('can wait for the end', async () => {
    const answer = await start('provision?timeout=5&pollingInterval=0.05', { body: '"w"' });
    expect([answer.status, await answer.json()]).toEqual([200, 'w:package w:send w:wait']);
  });
});

describe('an unknown instance', () => {
  test.each([
    { method: 'GET', path: 'instances/unknown', status: 404 },
    { method: 'DELETE', path: 'instances/unknown', status: 404 },
    { method: 'POST', path: 'instances/unknown/raiseEvent/go', status: 404 },
    { method: 'POST', path: 'instances/unknown/terminate', status: 404 },
    { method: 'POST', path: 'instances/unknown/suspend', status: 404 },
    { method: 'POST', path: 'instances/unknown/resume', status: 404 },
    { method: 'POST', path: 'instances/unknown/rewind', status: 404 },
    { method: 'POST', path: 'instances/unknown/restart', status: 400 },
    { method: 'POST', path: 'instances/unknown/explode', status: 404 },
    { method: 'GET', path: 'instances/unknown/terminate', status: 404 },
    { method: 'PUT', path: 'instances/unknown', status: 404 },
    { method: 'GET', path: 'orchestrators/waits', status: 404 },
    { method: 'GET', path: 'elsewhere', status: 404 },
  ])('$method $path is $status', async ({ method, path, status }) => {
    const init = method === 'POST' ? { method, headers: json, body: '1' } : { method };
    expect((await host.manage(path, init)).status).toBe(status);
  });
});

describe('a finished instance', () => {
  test('cannot be told anything any more (410), only be rewound if it failed (412)', async () => {
    const { instanceId } = await host.run('provision', 'q');
    expect(await host.raise(instanceId, 'go', 1)).toBe(410);
    for (const verb of ['terminate', 'suspend', 'resume']) {
      expect(await host.post(`instances/${instanceId}/${verb}?reason=late`)).toBe(410);
    }
    expect(await host.post(`instances/${instanceId}/rewind?reason=late`)).toBe(412);
  });

  test('answers 200, and 500 on request when it failed', async () => {
    await host.run('breakIt', 'cracked');
    const { instanceId, runtimeStatus } = await host.run('provision', 'cracked');
    expect(runtimeStatus).toBe('Failed');
    const look = (query: string): Promise<number> =>
      host.manage(`instances/${instanceId}${query}`).then((answer) => answer.status);
    expect(await look('')).toBe(200);
    expect(await look('?returnInternalServerErrorOnFailure=true')).toBe(500);
  });

  test('is restarted under a new id or its own', async () => {
    const { instanceId } = await host.run('provision', 'again');
    const restart = async (query: string): Promise<string> => {
      const answer = await host.manage(`instances/${instanceId}/restart${query}`, { method: 'POST' });
      return ((await answer.json()) as { id: string }).id;
    };
    const fresh = await restart('');
    expect(fresh).not.toBe(instanceId);
    expect((await host.finished(fresh)).output).toBe('again:package again:send again:wait');
    expect(await restart('?restartWithNewInstanceId=false')).toBe(instanceId);
    expect((await host.finished(instanceId)).runtimeStatus).toBe('Completed');
  });

  test('is rewound when it failed, and runs only what failed again', async () => {
    await host.run('breakIt', 'r');
    const { instanceId } = await host.run('provision', 'r');
    await host.run('mendIt', 'r');
    expect(await host.post(`instances/${instanceId}/rewind?reason=mended`)).toBe(202);
    expect((await host.finished(instanceId)).output).toBe('r:package r:send r:wait');
  });
});

describe('a running instance', () => {
  test('answers 202 with Location and Retry-After', async () => {
    const id = await host.startInstance('waits');
    const answer = await host.manage(`instances/${id}`);
    expect(answer.status).toBe(202);
    expect(answer.headers.get('retry-after')).toBe('5');
    expect(answer.headers.get('location')).toContain(`/instances/${id}`);
    await host.post(`instances/${id}/terminate`);
  });

  test('takes JSON events only', async () => {
    const id = await host.startInstance('waits');
    const raise = (init: RequestInit): Promise<number> =>
      host
        .manage(`instances/${id}/raiseEvent/go`, { method: 'POST', ...init })
        .then((answer) => answer.status);
    expect(await raise({ body: '1', headers: { 'content-type': 'text/plain' } })).toBe(400);
    expect(await raise({ body: '{', headers: json })).toBe(400);
    expect(await raise({ body: '{"a":[1]}', headers: json })).toBe(202);
    expect((await host.finished(id)).output).toEqual({ a: [1] });
  });

  test('is terminated with the reason as its output', async () => {
    const id = await host.startInstance('waits');
    await host.statusWhen(id, (status) => status.runtimeStatus === 'Running');
    expect(await host.post(`instances/${id}/terminate?reason=no%20more`)).toBe(202);
    expect(await host.finished(id)).toMatchObject({ runtimeStatus: 'Terminated', output: 'no more' });
  });

  test('does not go on while it is suspended, and then does', async () => {
    const id = await host.startInstance('waits');
    expect(await host.post(`instances/${id}/suspend?reason=wait`)).toBe(202);
    await host.statusWhen(id, (status) => status.runtimeStatus === 'Suspended');
    expect(await host.raise(id, 'go', 'kept')).toBe(202);
    const other = await host.run('provision', 'meanwhile');
    expect(other.runtimeStatus).toBe('Completed');
    expect((await host.status(id)).runtimeStatus).toBe('Suspended');
    expect(await host.post(`instances/${id}/resume?reason=go`)).toBe(202);
    expect(await host.finished(id)).toMatchObject({ runtimeStatus: 'Completed', output: 'kept' });
  });

  test('cannot be purged (412), a finished one can, once', async () => {
    const id = await host.startInstance('waits');
    const purge = (): Promise<Response> => host.manage(`instances/${id}`, { method: 'DELETE' });
    expect((await purge()).status).toBe(412);
    await host.raise(id, 'go', 1);
    await host.finished(id);
    const answer = await purge();
    expect([answer.status, await answer.json()]).toEqual([200, { instancesDeleted: 1 }]);
    expect((await purge()).status).toBe(404);
  });
});

describe('many instances', () => {
  interface Row {
    readonly instanceId: string;
    readonly runtimeStatus: string;
    readonly input: unknown;
  }

  test('are listed by prefix, status and time, page by page', async () => {
    for (const index of [1, 2, 3, 4, 5])
      await host.startInstance('provision', `page-${index}`, `page-${index}`);
    await host.finished('page-5');
    await host.startInstance('waits', undefined, 'page-6');
    const ids: string[] = [];
    let token: string | null = null;
    let pages = 0;
    do {
      const answer: Response = await host.manage(
        'instances/?instanceIdPrefix=page-&runtimeStatus=Completed&top=2',
        {
          headers: token ? { 'x-ms-continuation-token': token } : {},
        },
      );
      ids.push(...((await answer.json()) as Row[]).map((row) => row.instanceId));
      token = answer.headers.get('x-ms-continuation-token');
      pages++;
    } while (token);
    expect([pages, ids.sort()]).toEqual([3, [1, 2, 3, 4, 5].map((index) => `page-${index}`)]);
    const later = new Date(Date.now() + 60_000).toISOString();
    const none = await host.manage(`instances/?createdTimeFrom=${later}`);
    expect(await none.json()).toEqual([]);
    expect(
      (await host.manage('instances/', { headers: { 'x-ms-continuation-token': 'nonsense' } })).status,
    ).toBe(400);
    await host.post('instances/page-6/terminate');
    await host.finished('page-6');
  });

  test('are purged by the same filters', async () => {
    const purge = (query: string): Promise<Response> =>
      host.manage(`instances/${query}`, { method: 'DELETE' });
    expect((await purge('')).status).toBe(400);
    const from = 'createdTimeFrom=2020-01-01T00:00:00Z';
    expect((await purge(`?${from}&createdTimeTo=2020-01-02T00:00:00Z`)).status).toBe(404);
    const answer = await purge(`?${from}&runtimeStatus=Completed`);
    expect(answer.status).toBe(200);
    expect(((await answer.json()) as { instancesDeleted: number }).instancesDeleted).toBeGreaterThan(4);
    const left = (await (await host.manage('instances/?runtimeStatus=Completed')).json()) as Row[];
    expect(left).toEqual([]);
  });
});

describe('overridableExistingInstanceStates', () => {
  test('AnyState replaces a running instance', async () => {
    const any = await HostProcess.start('any-state');
    try {
      await any.startInstance('waits', 1, 'same');
      await any.statusWhen('same', (status) => status.runtimeStatus === 'Running');
      await any.startInstance('provision', 'new', 'same');
      expect(await any.finished('same')).toMatchObject({ name: 'provision', runtimeStatus: 'Completed' });
    } finally {
      await any.end();
    }
  });

  test('anything else is refused at the start', async () => {
    await expect(HostProcess.start('bad-state')).rejects.toThrow('must be NonRunningStates or AnyState');
  });
});

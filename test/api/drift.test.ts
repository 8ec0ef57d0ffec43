import type { HttpHandler } from '@azure/functions';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { getDrift } from '../../src/api/get-drift.ts';
import { postAccept } from '../../src/api/post-accept.ts';
import { postPause, postResume } from '../../src/api/post-pause.ts';
import { postRepair } from '../../src/api/post-repair.ts';
import type { ApiDependencies } from '../../src/api/respond.ts';
import type { DeploymentSpecInput } from '../../src/spec/spec.ts';
import type { DriftRecord } from '../../src/store/drift.ts';
import { LARGEST_SPEC_CHARACTERS, type Store } from '../../src/store/store.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';
import { type Answer, Api, call } from './requests.ts';

const now = new Date('2026-11-24T10:00:00.000Z');
let azurite: Azurite;
let store: Store;
let dependencies: ApiDependencies;
let api: Api;
let name: string;
/** What is asked for of it. */
let given: DeploymentSpecInput;
let count = 0;
beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
  dependencies = { store, now: () => now, wake: async () => {} };
  api = new Api(dependencies);
});
afterAll(() => azurite.dispose());
beforeEach(async () => {
  count += 1;
  name = `chat-${count}`;
  given = { ...minimalSpec, tunnel: { ...minimalSpec.tunnel, hostName: `${name}.example.com` } };
  await store.putDeployment(name, given, now);
});

const handlers = { repair: postRepair, accept: postAccept, pause: postPause, resume: postResume };
const post = (what: keyof typeof handlers, body?: unknown, of = name): Promise<Answer> => {
  const handler: HttpHandler = handlers[what](dependencies);
  const options =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  return call(handler, 'POST', `/api/deployments/${of}/${what}`, { name: of }, options);
};
/** As findings name the call, without a body. */
const repairOf = (resources: string): Promise<Answer> =>
  call(
    postRepair(dependencies),
    'POST',
    `/api/deployments/${name}/repair`,
    { name },
    { query: { resources } },
  );
const drift = (query: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  call(getDrift(dependencies), 'GET', `/api/deployments/${name}/drift`, { name }, { query });

const quota: DriftRecord = {
  resource: 'azure/file-share',
  path: 'shareQuota',
  wanted: 50,
  found: 100,
  since: '2026-11-24T09:00:00.000Z',
  lastSeenAt: '2026-11-24T09:30:00.000Z',
  state: 'reported',
  policy: 'report',
  repairs: [],
};
const somebody = { name: 'somebody@example.com', how: 'event' } as const;
const proxied: DriftRecord = {
  ...quota,
  resource: 'cloudflare/dns-record',
  path: 'proxied',
  wanted: true,
  found: false,
};
const spec = async () => (await store.findDeployment(name))?.spec;
const taken = () => store.inbox.take(name, 'run', 0);

describe('GET …/drift', () => {
  test('tells what is different and what was, as far as it is asked for', async () => {
    await store.drift.put(name, [quota, { ...proxied, state: 'repaired', operationId: 'op' }]);
    expect((await drift()).body.drift).toHaveLength(2);
    expect((await drift({ state: 'unsettled' })).body.drift).toEqual([quota]);
    expect((await drift({ state: 'repaired' })).body.drift[0].operation.url).toContain('/api/operations/op');
    expect(await drift({ state: 'odd' })).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'state' }] },
    });
  });
});

describe('POST …/repair', () => {
  test('has everything looked at, and overrides rules for what is named, or for all that holds no data', async () => {
    const repairAfter = async () => (await store.findDeployment(name))?.repairAfter;
    const at = now.toISOString();
    expect((await post('repair', { resources: ['cloudflare/dns-record'] })).status).toBe(202);
    expect(await repairAfter()).toEqual({ 'cloudflare/dns-record': at });
    expect(await taken()).toMatchObject([{ kind: 'repair', look: 'all' }]);
    expect((await repairOf('azure/file-share,kubernetes/ollama')).status).toBe(202);
    expect(await repairAfter()).toEqual({
      'cloudflare/dns-record': at,
      'azure/file-share': at,
      'kubernetes/ollama': at,
    });
    await store.changeDeployment(name, () => ({ repairAfter: {} }));
    expect((await post('repair')).status).toBe(202);
    expect(await repairAfter()).toHaveProperty(['kubernetes/open-webui'], at);
    expect(await repairAfter()).not.toHaveProperty(['azure/file-share']);
    expect(await repairAfter()).not.toHaveProperty(['azure/postgres-database']);
  });

  test('takes an empty body, however it comes, for none', async () => {
    for (const what of ['repair', 'resume'] as const) {
      const path = `/api/deployments/${name}/${what}`;
      const answer = await call(handlers[what](dependencies), 'POST', path, { name }, { body: '' });
      expect(answer.status, what).toBe(202);
    }
    const pause = await call(postPause(dependencies), 'POST', '/api/x', { name }, { body: '' });
    expect(pause).toMatchObject({ status: 400, body: { detail: 'the body is empty.' } });
  });

  test('refuses resources there are not, and changes nothing', async () => {
    const answer = await post('repair', { resources: ['azure/nothing'] });
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ field: 'resources[0]' }] } });
    expect(await repairOf('azure/file-share,azure/nothing')).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'resources[1]' }] },
    });
    expect((await store.findDeployment(name))?.repairAfter).toEqual({});
    expect(await post('repair', undefined, 'nobody')).toMatchObject({ status: 404 });
  });
});

describe('POST …/accept', () => {
  const accept = (...records: readonly Pick<DriftRecord, 'resource' | 'path'>[]): Promise<Answer> =>
    post('accept', { differences: records.map(({ resource, path }) => ({ resource, path })) });

  test('makes what was found the spec, under a new revision, and looks at everything', async () => {
    await store.drift.put(name, [quota]);
    expect(await accept(quota)).toMatchObject({ status: 202, body: { deployment: { revision: 2 } } });
    expect(await spec()).toEqual({ ...given, storage: { quotaGiB: 100 } });
    expect((await drift()).body.drift).toMatchObject([{ state: 'adopted' }]);
    expect(await taken()).toMatchObject([{ kind: 'provision', look: 'all' }]);
  });

  test('refuses what was too long to be kept, and says what to do', async () => {
    const template: DriftRecord = {
      ...quota,
      resource: 'kubernetes/config',
      path: 'ConfigMap open-webui-config: data.RAG_TEMPLATE',
      ...{ wanted: 'short', found: 'x'.repeat(5_000) },
    };
    await store.drift.put(name, [template]);
    expect(await accept(template)).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'differences[0]', message: expect.stringContaining('PUT the spec') }] },
    });
    expect(await spec()).toEqual(given);
  });

  test.each([
    ['leaves open what has another value by then', { found: 200 }, { state: 'reported', found: 200 }],
    [
      'keeps who made it, should that be known by then',
      { actor: somebody },
      { state: 'adopted', actor: somebody },
    ],
  ] as const)('%s', async (_, meanwhile, known) => {
    await store.drift.put(name, [quota]);
    const racing: Store = {
      ...store,
      putDeployment: async (...asked) => {
        const put = await store.putDeployment(...asked);
        await store.drift.put(name, [{ ...quota, ...meanwhile }]);
        return put;
      },
    };
    const body = JSON.stringify({ differences: [{ resource: quota.resource, path: quota.path }] });
    const headers = { 'content-type': 'application/json' };
    const handler = postAccept({ ...dependencies, store: racing });
    const path = `/api/deployments/${name}/accept`;
    expect((await call(handler, 'POST', path, { name }, { body, headers })).status).toBe(202);
    expect((await drift()).body.drift).toMatchObject([known]);
  });

  test('names each that has no place in the spec or is not open, and takes none of them', async () => {
    await store.drift.put(name, [quota, proxied]);
    const answer = await accept(quota, proxied, { resource: 'azure/cluster', path: 'sku.tier' });
    expect(answer.status).toBe(400);
    expect(answer.body.errors.map(({ field }: { field: string }) => field)).toEqual([
      'differences[1]',
      'differences[2]',
    ]);
    expect(await spec()).toEqual(given);
    expect(await taken()).toEqual([]);
  });
});

describe('POST …/accept of what a PUT of the spec would be refused', () => {
  const accept = (): Promise<Answer> =>
    post('accept', { differences: [{ resource: quota.resource, path: quota.path }] });
  const unchanged = async (given: unknown): Promise<void> => {
    expect(await spec()).toEqual(given);
    expect((await drift()).body.drift).toMatchObject([{ state: 'reported' }]);
    expect(await taken()).toEqual([]);
  };

  test('names what another deployment has', async () => {
    const shared = { ...given, vault: { name: `kv-shared-${count}` } };
    await store.putDeployment(name, shared, now);
    await store.putDeployment(`${name}-other`, shared, now);
    await store.drift.put(name, [quota]);
    const answer = await accept();
    expect(answer.status).toBe(409);
    expect(answer.body.errors).toContainEqual({
      field: 'vault.name',
      message: `is taken by the deployment ${name}-other`,
    });
    await unchanged(shared);
  });

  test('says that it would be too long', async () => {
    const pad = (length: number) => ({ ...given, webui: { config: { PAD: 'x'.repeat(length) } } });
    const full = pad(LARGEST_SPEC_CHARACTERS - JSON.stringify(pad(0)).length);
    await store.putDeployment(name, full, now);
    await store.drift.put(name, [quota]);
    expect(await accept()).toMatchObject({ status: 413, body: { errors: [{ field: 'differences' }] } });
    await unchanged(full);
  });

  test('keeps to the state that it is about', async () => {
    await store.drift.put(name, [quota]);
    const body = JSON.stringify({ differences: [{ resource: quota.resource, path: quota.path }] });
    const headers = { 'content-type': 'application/json', 'if-match': '"another"' };
    const path = `/api/deployments/${name}/accept`;
    const answer = await call(postAccept(dependencies), 'POST', path, { name }, { body, headers });
    expect(answer.status).toBe(412);
    await unchanged(given);
  });
});

describe('POST …/pause and …/resume', () => {
  test('switch automation off for a while and on again, and show it meanwhile', async () => {
    expect((await post('pause', { reason: 'a migration', minutes: 60 })).status).toBe(202);
    const resources = ['azure/cluster'];
    await post('pause', { resources, reason: 'an upgrade', until: '2026-11-24T14:00:00+02:00' });
    expect((await api.deployment(name)).body.pauses).toEqual([
      { reason: 'a migration', since: now.toISOString(), until: '2026-11-24T11:00:00.000Z' },
      {
        resource: 'azure/cluster',
        reason: 'an upgrade',
        since: now.toISOString(),
        until: '2026-11-24T12:00:00.000Z',
      },
    ]);
    expect((await post('resume', { resources })).status).toBe(202);
    expect((await api.deployment(name)).body.pauses).toHaveLength(1);
    expect((await post('resume')).status).toBe(202);
    expect((await api.deployment(name)).body.pauses).toEqual([]);
  });

  test('is named in the answer to whatever is asked for meanwhile', async () => {
    const answer = await post('pause', { reason: 'a migration', minutes: 5 });
    expect(answer.body.pauses).toMatchObject([{ reason: 'a migration' }]);
    expect((await post('repair')).body.pauses).toMatchObject([{ reason: 'a migration' }]);
    expect((await post('resume')).body).not.toHaveProperty('pauses');
  });

  test('has what each pause held back looked at when it ends, also when two end together', async () => {
    const until = '2026-11-24T12:00:00.000Z';
    await post('pause', { resources: ['azure/cluster'], reason: 'an upgrade', until });
    await post('pause', { resources: ['kubernetes/open-webui'], reason: 'a release', until });
    const ends = (await taken()).filter(({ id }) => id.startsWith('pause-ends-'));
    expect(ends.flatMap(({ look }) => look).toSorted()).toEqual(['azure/cluster', 'kubernetes/open-webui']);
  });

  test.each([
    ['no reason', { minutes: 5 }, 'reason'],
    ['an empty reason', { reason: ' ', minutes: 5 }, 'reason'],
    ['no end', { reason: 'x' }, 'minutes'],
    ['two ends', { reason: 'x', minutes: 5, until: '2026-11-24T11:00:00Z' }, 'minutes'],
    ['more than 7 days', { reason: 'x', minutes: 10_081 }, 'minutes'],
    ['an end in the past', { reason: 'x', until: '2026-11-24T09:00:00Z' }, 'until'],
    ['an end after 7 days', { reason: 'x', until: '2026-12-24T09:00:00Z' }, 'until'],
    ['a resource there is not', { reason: 'x', minutes: 5, resources: ['x'] }, 'resources[0]'],
  ])('a pause with %s is refused, and nothing is paused', async (_, body, field) => {
    const answer = await post('pause', body);
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ field }] } });
    expect((await store.findDeployment(name))?.pauses).toEqual([]);
  });

  test('resuming what is not paused by itself is refused', async () => {
    await post('pause', { reason: 'x', minutes: 5 });
    expect(await post('resume', { resources: ['azure/cluster'] })).toMatchObject({ status: 400 });
    expect((await store.findDeployment(name))?.pauses).toHaveLength(1);
  });
});

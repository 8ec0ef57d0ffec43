import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';
import { Api, INVOCATION_ID } from './requests.ts';

let azurite: Azurite;
let store: Store;
let api: Api;
/** Whose runs were woken. */
let asked: string[] = [];
/** While it is set the engine cannot be asked. */
let engineError: Error | undefined;

beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
  api = new Api({
    store,
    wake: async (_context, deployment) => {
      if (engineError) throw engineError;
      asked.push(deployment);
    },
  });
});
afterAll(() => azurite.dispose());

let count = 0;
/** A deployment of its own, with a host name of its own. */
function newDeployment() {
  count += 1;
  const name = `deployment-${count}`;
  return {
    name,
    spec: { ...minimalSpec, tunnel: { ...minimalSpec.tunnel, hostName: `${name}.yourdomain.com` } },
  };
}
const fieldsOf = (body: { errors: { field: string }[] }): string[] => body.errors.map(({ field }) => field);
const accepted = 202;

describe('PUT of a deployment', () => {
  test('is accepted, stored as given, and handed to the engine', async () => {
    asked = [];
    const { name, spec } = newDeployment();
    const answer = await api.putSpec(name, spec);
    expect(answer.status).toBe(accepted);
    const { id } = answer.body.operation;
    const url = `https://func-openwebui-ctl.azurewebsites.net/api/operations/${id}`;
    expect(id).toMatch(/^\d{8}T\d{6}-[\da-f]{8}$/);
    expect(answer.headers.get('operation-location')).toBe(url);
    expect(answer.body).toEqual({
      operation: { id, state: 'accepted', url },
      deployment: {
        name,
        revision: 1,
        createdAt: expect.any(String),
        updatedAt: expect.any(String),
        url: `https://func-openwebui-ctl.azurewebsites.net/api/deployments/${name}`,
      },
    });
    expect(asked).toEqual([name]);
    expect(await store.inbox.take(name, 'run', 0)).toEqual([
      expect.objectContaining({ id, operationId: id, look: 'all', kind: 'provision' }),
    ]);
    expect(await store.findDeployment(name)).toMatchObject({ spec, revision: 1, lastOperationId: id });
    expect(await store.findOperation(id)).toMatchObject({
      deployment: name,
      state: 'accepted',
      revision: 1,
      cause: { kind: 'request', what: `PUT /api/deployments/${name}`, id: INVOCATION_ID },
    });
  });

  test('takes YAML as well', async () => {
    const { name, spec } = newDeployment();
    const yaml = `# mine
subscriptionId: ${spec.subscriptionId}
tenantId: ${spec.tenantId}
registry: {name: yourorg}
tunnel:
  accountId: '${spec.tunnel.accountId}'
  zoneId: '${spec.tunnel.zoneId}'
  hostName: ${spec.tunnel.hostName}
`;
    const answer = await api.put(name, { body: yaml, headers: { 'content-type': 'application/yaml' } });
    expect(answer.status).toBe(accepted);
    expect((await store.findDeployment(name))?.spec).toEqual(spec);
  });

  test('of the same spec keeps the revision and has an operation of its own', async () => {
    const { name, spec } = newDeployment();
    const first = await api.putSpec(name, spec);
    const second = await api.putSpec(name, spec);
    expect(second.body.deployment.revision).toBe(1);
    expect(second.body.operation.id).not.toBe(first.body.operation.id);
    expect(second.headers.get('etag')).toBe(first.headers.get('etag'));
  });

  test('of another spec makes a new revision', async () => {
    const { name, spec } = newDeployment();
    await api.putSpec(name, spec);
    const answer = await api.putSpec(name, { ...spec, webui: { replicas: 2 } });
    expect(answer.body.deployment.revision).toBe(2);
  });
});

describe('preconditions', () => {
  test('If-Match lets the current tag through, and no older one', async () => {
    const { name, spec } = newDeployment();
    const first = (await api.putSpec(name, spec)).headers.get('etag') ?? '';
    const changed = { ...spec, webui: { replicas: 2 } };
    expect((await api.putSpec(name, changed, { 'if-match': `"x", ${first}` })).status).toBe(accepted);
    const refused = await api.putSpec(name, spec, { 'if-match': first });
    expect(refused.status).toBe(412);
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    expect(refused.body).toMatchObject({ type: '/problems/precondition-failed', status: 412 });
    expect((await store.findDeployment(name))?.spec).toEqual(changed);
  });

  test.each([`W/"1"`, 'nonsense', ''])('If-Match %j matches nothing', async (header) => {
    const { name, spec } = newDeployment();
    await api.putSpec(name, spec);
    expect((await api.putSpec(name, spec, { 'if-match': header })).status).toBe(412);
  });

  test('If-Match * needs a deployment, If-None-Match * needs there to be none', async () => {
    const { name, spec } = newDeployment();
    expect((await api.putSpec(name, spec, { 'if-match': '*' })).status).toBe(412);
    expect((await api.putSpec(name, spec, { 'if-none-match': '*' })).status).toBe(accepted);
    expect((await api.putSpec(name, spec, { 'if-none-match': '*' })).status).toBe(412);
    expect((await api.putSpec(name, spec, { 'if-match': '*' })).status).toBe(accepted);
  });

  test('that fail leave no operation behind and do not bother the engine', async () => {
    const { name, spec } = newDeployment();
    asked = [];
    await api.putSpec(name, spec, { 'if-match': '*' });
    expect(asked).toEqual([]);
    expect(await store.findDeployment(name)).toBeUndefined();
  });
});

describe('what is refused', () => {
  test('names every field at fault, as problem details', async () => {
    const { name, spec } = newDeployment();
    const answer = await api.putSpec(name, {
      ...spec,
      colour: 'red',
      postgres: { highAvailability: 'SameZone' },
    });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body).toEqual({
      type: '/problems/invalid-spec',
      title: 'The spec is not valid',
      status: 400,
      detail: expect.any(String),
      instance: `/api/deployments/${name}`,
      correlationId: INVOCATION_ID,
      errors: [
        { field: 'colour', message: 'is not a field of the spec' },
        { field: 'postgres.highAvailability', message: expect.stringContaining('Burstable') },
      ],
    });
    expect(await store.findDeployment(name)).toBeUndefined();
  });

  test('a rule about a resource that there is not', async () => {
    const { name, spec } = newDeployment();
    const rules = [
      { resource: 'azure/postgres-server', policy: 'report' },
      { resource: 'azure/postgresql-server', policy: 'report' },
    ];
    const answer = await api.putSpec(name, { ...spec, drift: { rules } });
    expect(answer.status).toBe(400);
    expect(fieldsOf(answer.body)).toEqual(['drift.rules[1].resource']);
    const both = await api.putSpec(name, { ...spec, colour: 'red', drift: { rules } });
    expect(fieldsOf(both.body)).toEqual(['colour', 'drift.rules[1].resource']);
    expect(await store.findDeployment(name)).toBeUndefined();
  });

  test.each(['A', 'Open-WebUI', 'a--b', '../x', 'x'.repeat(25), "o'clock", '☃', ''])(
    'the name %j',
    async (name) => {
      const answer = await api.putSpec(name, minimalSpec);
      expect(answer.status).toBe(400);
      expect(fieldsOf(answer.body)).toEqual(['name']);
    },
  );

  test('malformed text, with line and column', async () => {
    const answer = await api.put('openwebui', {
      body: '{"a": }',
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({
      type: '/problems/malformed-body',
      detail: 'line 1, column 7: the JSON needs a value.',
    });
  });

  test('no body at all', async () => {
    expect(await api.put('openwebui')).toMatchObject({
      status: 400,
      body: { type: '/problems/malformed-body' },
    });
  });

  test('a form that is not understood', async () => {
    const answer = await api.put('openwebui', {
      body: '<a/>',
      headers: { 'content-type': 'application/xml' },
    });
    expect(answer).toMatchObject({ status: 415, body: { type: '/problems/unsupported-body' } });
  });

  test('ten megabytes, at once', async () => {
    const body = `{"a":"${'x'.repeat(10_000_000)}"}`;
    const begin = performance.now();
    const answer = await api.put('openwebui', { body, headers: { 'content-type': 'application/json' } });
    expect(answer).toMatchObject({ status: 413, body: { type: '/problems/too-large' } });
    expect(performance.now() - begin).toBeLessThan(1_000);
  });

  test('a valid spec that is too large to be stored', async () => {
    const { name, spec } = newDeployment();
    const config = Object.fromEntries(
      Array.from({ length: 40 }, (_, n) => [`BANNER_${n}`, 'x'.repeat(1000)]),
    );
    const answer = await api.putSpec(name, { ...spec, webui: { config } });
    expect(answer).toMatchObject({ status: 413, body: { type: '/problems/too-large' } });
    expect(await store.findDeployment(name)).toBeUndefined();
  });

  test('what another deployment has', async () => {
    const one = newDeployment();
    const two = newDeployment();
    await api.putSpec(one.name, one.spec);
    const answer = await api.putSpec(two.name, one.spec);
    expect(answer).toMatchObject({
      status: 409,
      body: {
        type: '/problems/name-taken',
        errors: [{ field: 'tunnel.hostName', message: `is taken by the deployment ${one.name}` }],
      },
    });
    expect((await api.putSpec(two.name, two.spec)).status).toBe(accepted);
  });
});

describe('when things go wrong behind the door', () => {
  test('a spec whose work cannot be started is stored all the same, and the answer says so', async () => {
    const { name, spec } = newDeployment();
    engineError = new Error('the engine is away: AccountKey=hunter2');
    const answer = await api.putSpec(name, spec);
    engineError = undefined;
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('10');
    expect(answer.body).toMatchObject({ type: '/problems/not-started' });
    expect(JSON.stringify(answer.body)).not.toContain('hunter2');
    expect(answer.errors).toHaveLength(1);

    const record = await store.findDeployment(name);
    expect(record).toMatchObject({ spec, revision: 1 });
    expect(await store.findOperation(record?.lastOperationId ?? '')).toMatchObject({
      state: 'failed',
      failure: { kind: 'retryable', code: 'NotStarted' },
    });
    expect((await api.putSpec(name, spec)).body.deployment.revision).toBe(1);
  });

  test('a store that does not answer is an error without internals, logged once', async () => {
    const own = await Azurite.start();
    const away = new Api({ store: own.openStore(), wake: async () => undefined });
    await own.dispose();
    for (const answer of [
      await away.putSpec('openwebui', minimalSpec),
      await away.deployments(),
      await away.deployment('openwebui'),
      await away.operation('20261123T184501-7f3a9c21'),
    ]) {
      expect(answer.status).toBe(500);
      expect(answer.body).toMatchObject({ type: '/problems/unexpected', correlationId: INVOCATION_ID });
      expect(JSON.stringify(answer.body)).not.toMatch(/127\.0\.0\.1|ECONN|at .*\.ts/);
      expect(answer.errors).toHaveLength(1);
    }
  });
});

describe('whatever is sent', () => {
  const fuzzSpec = { ...minimalSpec, tunnel: { ...minimalSpec.tunnel, hostName: 'fuzz.yourdomain.com' } };
  const specText = JSON.stringify(fuzzSpec);
  const edited = fc
    .tuple(fc.nat(specText.length), fc.nat(12), fc.string({ unit: 'grapheme', maxLength: 8 }))
    .map(([from, length, text]) => specText.slice(0, from) + text + specText.slice(from + length));
  const bodies = fc.oneof(
    fc.json(),
    // Well-formed, with any text where any is allowed: what is accepted has to be storable.
    fc
      .tuple(fc.string({ unit: 'binary', maxLength: 50 }), fc.string({ unit: 'binary', maxLength: 256 }))
      .map(([name, value]) => JSON.stringify({ ...fuzzSpec, tags: { [name]: value, Note: value } })),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.stringMatching(/^[-a-c:{}[\],&*!|>%@"'#?. \n\t0-9~]{0,60}$/),
    fc.uint8Array({ maxLength: 200 }),
    edited,
    fc
      .record({ ...minimalFuzz(), extra: fc.jsonValue() }, { requiredKeys: [] })
      .map((more) => JSON.stringify({ ...fuzzSpec, ...more })),
  );
  const contentTypes = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(undefined, 'application/json', 'application/yaml') },
    { weight: 1, arbitrary: fc.constantFrom('text/plain', 'a/b; charset=x') },
  );
  const names = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom('fuzz') },
    { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 30 }) },
  );

  test('the answer is 202 or the caller’s mistake', async () => {
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(names, bodies, contentTypes, async (name, body, contentType) => {
        const headers = contentType === undefined ? {} : { 'content-type': contentType };
        const answer = await api.put(name, { body, headers });
        expect(answer.errors).toEqual([]);
        expect([202, 400, 409, 412, 413, 415]).toContain(answer.status);
        seen.add(answer.status);
      }),
      { numRuns: 1_500 },
    );
    expect([...seen]).toEqual(expect.arrayContaining([202, 400, 415]));
  });

  test('asking for anything by any name gives an answer or 404', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 40 }), async (name) => {
        for (const answer of [await api.deployment(name), await api.operation(name)]) {
          expect([200, 404]).toContain(answer.status);
        }
      }),
      { numRuns: 200 },
    );
  });
});

/** Sections of the spec filled with anything. */
function minimalFuzz() {
  const anything = fc.jsonValue({ maxDepth: 3 });
  return {
    tags: fc.oneof(anything, fc.dictionary(fc.string(), fc.string())),
    network: anything,
    cluster: fc.oneof(
      anything,
      fc.record({ nodePools: anything, tolerations: anything, nodeSelector: anything }),
    ),
    postgres: fc.oneof(
      anything,
      fc.record({ parameters: fc.dictionary(fc.string(), fc.string()), sku: anything }),
    ),
    webui: fc.oneof(
      anything,
      fc.record({ config: fc.dictionary(fc.string(), fc.string()), redisUrl: anything }),
    ),
    ollama: anything,
  };
}

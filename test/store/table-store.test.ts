import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Finding } from '../../src/graph/finding.ts';
import type { ResourceKey } from '../../src/graph/resource.ts';
import { ConflictError, type OperationRecord, type StepRecord, type Store } from '../../src/store/store.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from './azurite.ts';

let azurite: Azurite;
let store: Store;
beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
});
afterAll(() => azurite.dispose());

let count = 0;
/** Tables are shared, names are not. */
function newName(): string {
  count += 1;
  return `deployment-${count}`;
}
function newId(): string {
  count += 1;
  return `20261123T184501-${String(count).padStart(8, '0')}`;
}

const monday = new Date('2026-11-23T18:45:01.000Z');
const tuesday = new Date('2026-11-24T08:00:00.000Z');
const small = minimalSpec;
const large = { ...minimalSpec, webui: { replicas: 5 } };

const step = (key: ResourceKey, ordinal: number, more: Partial<StepRecord> = {}): StepRecord => ({
  key,
  title: key,
  ordinal,
  state: 'pending',
  did: 'nothing',
  looks: 0,
  waitsFor: [],
  ...more,
});

async function newOperation(deployment: string, more: Partial<OperationRecord> = {}): Promise<string> {
  const id = newId();
  await store.createOperation({
    id,
    deployment,
    kind: 'provision',
    cause: { kind: 'request', what: `PUT /api/deployments/${deployment}`, id: 'abc' },
    revision: 1,
    requestedAt: monday.toISOString(),
    ...more,
  });
  return id;
}

describe('a deployment', () => {
  test('is not there before it is put', async () => {
    expect(await store.findDeployment(newName())).toBeUndefined();
  });

  test('is kept as given, without defaults', async () => {
    const name = newName();
    const put = await store.putDeployment(name, small, monday);
    expect(put).toEqual({
      name,
      spec: small,
      revision: 1,
      createdAt: monday.toISOString(),
      updatedAt: monday.toISOString(),
      rotateAfter: {},
      quarantine: [],
      wishes: { restartAfter: {}, unwantedModels: [], debugPods: [] },
      pauses: [],
      repairAfter: {},
      missedEvents: 0,
      etag: expect.stringMatching(/^"[\w-]+"$/),
    });
    expect(await store.findDeployment(name)).toEqual(put);
  });

  test('has a new revision for each change and keeps its birthday', async () => {
    const name = newName();
    const first = await store.putDeployment(name, small, monday);
    const second = await store.putDeployment(name, large, tuesday);
    expect(second).toMatchObject({
      spec: large,
      revision: 2,
      createdAt: monday.toISOString(),
      updatedAt: tuesday.toISOString(),
    });
    expect(second.etag).not.toBe(first.etag);
  });

  test('stays at its revision when the same is put again, in whatever order', async () => {
    const name = newName();
    const first = await store.putDeployment(name, small, monday);
    const reordered = Object.fromEntries(Object.entries(small).reverse()) as typeof small;
    expect(await store.putDeployment(name, reordered, tuesday)).toEqual(first);
  });

  test('keeps its tag when an operation is entered', async () => {
    const name = newName();
    const { etag } = await store.putDeployment(name, small, monday);
    const id = await newOperation(name);
    expect(await store.findDeployment(name)).toMatchObject({ etag, lastOperationId: id });
    expect(await store.putDeployment(name, large, tuesday, { ifMatch: [etag] })).toMatchObject({
      revision: 2,
      lastOperationId: id,
    });
  });

  test('holds text that looks like something else', async () => {
    const name = newName();
    const spec = {
      ...small,
      tags: { Quote: "it's ' or 1 eq 1", Date: '2026-11-23T18:45:01Z', Snow: '☃ 😀' },
    };
    await store.putDeployment(name, spec, monday);
    expect((await store.findDeployment(name))?.spec).toEqual(spec);
  });

  test('keeps as many quarantined images as fit, the newest', async () => {
    const name = newName();
    await store.putDeployment(name, small, monday);
    const image = (number: number) => ({
      digest: `sha256:${String(number).padStart(64, '0')}`,
      repository: 'open-webui',
      reason: '"\u0007'.repeat(10_000),
      since: monday.toISOString(),
    });
    for (const most of [100, 1_000]) {
      const quarantine = Array.from({ length: most }, (_, number) => image(number));
      const { quarantine: kept } = await store.changeDeployment(name, () => ({ quarantine }));
      expect((await store.findDeployment(name))?.quarantine).toEqual(kept);
      expect(kept.length).toBeGreaterThan(10);
      expect(kept.map(({ digest }) => digest)).toEqual(
        quarantine.slice(-kept.length).map(({ digest }) => digest),
      );
    }
  });

  test('is listed among the others by name, without their looks', async () => {
    const names = [newName(), newName()];
    for (const name of names) {
      await store.putDeployment(name, small, monday);
      await store.recordSteps(name, [], [step('azure/key-vault', 0)]);
    }
    const listed = (await store.listDeployments()).map(({ name }) => name);
    expect(listed.filter((name) => names.includes(name))).toEqual(names.toSorted());
    expect(new Set(listed).size).toBe(listed.length);
  });
});

describe('preconditions', () => {
  const refused = async (write: Promise<unknown>): Promise<void> => {
    await expect(write).rejects.toThrow(ConflictError);
  };

  test('If-Match holds for the current tag and for *, among others', async () => {
    const name = newName();
    const { etag } = await store.putDeployment(name, small, monday);
    const second = await store.putDeployment(name, large, monday, { ifMatch: ['"other"', etag] });
    expect(second.revision).toBe(2);
    expect(await store.putDeployment(name, small, monday, { ifMatch: ['*'] })).toMatchObject({ revision: 3 });
  });

  test('If-Match fails for an older tag and for what is not there, and writes nothing', async () => {
    const name = newName();
    await refused(store.putDeployment(name, small, monday, { ifMatch: ['*'] }));
    expect(await store.findDeployment(name)).toBeUndefined();
    const { etag } = await store.putDeployment(name, small, monday);
    const current = await store.putDeployment(name, large, monday);
    await refused(store.putDeployment(name, small, monday, { ifMatch: [etag] }));
    await refused(store.putDeployment(name, small, monday, { ifMatch: [] }));
    expect(await store.findDeployment(name)).toEqual(current);
  });

  test('If-None-Match * makes a deployment once', async () => {
    const name = newName();
    expect(await store.putDeployment(name, small, monday, { ifNoneMatch: ['*'] })).toMatchObject({
      revision: 1,
    });
    await refused(store.putDeployment(name, large, monday, { ifNoneMatch: ['*'] }));
    await refused(store.putDeployment(name, small, monday, { ifNoneMatch: ['*'] }));
  });
});

describe('writers at the same moment', () => {
  const specs = Array.from({ length: 6 }, (_, n) => ({ ...minimalSpec, webui: { replicas: n + 1 } }));

  test('without preconditions all get their turn, each with a revision of its own', async () => {
    const name = newName();
    const records = await Promise.all(
      specs.map((spec) => azurite.openStore().putDeployment(name, spec, monday)),
    );
    expect(records.map(({ revision }) => revision).toSorted()).toEqual([1, 2, 3, 4, 5, 6]);
    const last = records.find(({ revision }) => revision === 6);
    expect(await store.findDeployment(name)).toEqual(last);
  });

  test.each(['ifMatch', 'ifNoneMatch'] as const)(
    'with %s one wins and the others are told',
    async (condition) => {
      const name = newName();
      const precondition =
        condition === 'ifMatch'
          ? {
              ifMatch: [(await store.putDeployment(name, { ...small, location: 'westeurope' }, monday)).etag],
            }
          : { ifNoneMatch: ['*'] };
      const outcomes = await Promise.allSettled(
        specs.map((spec) => azurite.openStore().putDeployment(name, spec, tuesday, precondition)),
      );
      const won = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
      const lost = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
      expect(won).toHaveLength(1);
      expect(lost.every((error) => error instanceof ConflictError)).toBe(true);
      expect(await store.findDeployment(name)).toEqual(won[0]);
    },
  );
});

describe('an operation', () => {
  test('is accepted, runs from its first step on, and ends', async () => {
    const name = newName();
    await store.putDeployment(name, small, monday);
    const id = await newOperation(name);
    expect(await store.findOperation(id)).toEqual({
      id,
      deployment: name,
      kind: 'provision',
      cause: { kind: 'request', what: `PUT /api/deployments/${name}`, id: 'abc' },
      revision: 1,
      state: 'accepted',
      requestedAt: monday.toISOString(),
      receipts: [],
      steps: [],
    });
    await store.recordSteps(name, [id], [step('azure/key-vault', 0)]);
    expect(await store.findOperation(id)).toMatchObject({ state: 'running' });
    await store.recordOutcome(id, { state: 'succeeded', at: tuesday.toISOString() });
    expect(await store.findOperation(id)).toMatchObject({
      state: 'succeeded',
      finishedAt: tuesday.toISOString(),
    });
  });

  test('keeps as many receipts as fit, in their order', async () => {
    const name = newName();
    await store.putDeployment(name, small, monday);
    const id = await newOperation(name);
    const receipt = (number: number) => ({
      secret: 'webui-secret-key',
      version: String(number).padStart(32, '0'),
      announcedVersion: 'v'.repeat(2_000),
      kubernetesSecret: { name: 'open-webui-secrets', resourceVersion: '1234' },
      workloads: [{ name: 'open-webui', revision: '2', pods: ['open-webui-zd95qdk974-89b48'] }],
      seconds: 60,
    });
    const receipts = Array.from({ length: 100 }, (_, number) => receipt(number));
    await store.recordOutcome(id, { state: 'succeeded', at: tuesday.toISOString(), receipts });
    const found = await store.findOperation(id);
    expect(found?.state).toBe('succeeded');
    expect(found?.receipts.length).toBeGreaterThan(10);
    expect(found?.receipts).toEqual(receipts.slice(0, found?.receipts.length));
  });

  test('keeps the beginning of a failure that is told in very many words', async () => {
    const name = newName();
    await store.putDeployment(name, small, monday);
    const id = await newOperation(name);
    const failure = { kind: 'fatal', code: 'Odd', message: '\u0007'.repeat(100_000) } as const;
    await store.recordOutcome(id, { state: 'failed', at: monday.toISOString(), failure });
    expect((await store.findOperation(id))?.failure?.message).toHaveLength(4_000);
  });

  test('keeps its failure, and loses it when it succeeds after all', async () => {
    const name = newName();
    await store.putDeployment(name, small, monday);
    const id = await newOperation(name);
    const failure = {
      kind: 'fatal',
      code: 'QuotaExceeded',
      message: 'no cores left',
      key: 'azure/cluster',
    } as const;
    await store.recordOutcome(id, { state: 'failed', at: monday.toISOString(), failure });
    expect(await store.findOperation(id)).toMatchObject({ state: 'failed', failure });
    await store.recordOutcome(id, { state: 'succeeded', at: tuesday.toISOString() });
    expect(await store.findOperation(id)).not.toHaveProperty('failure');
  });

  test('is not there for an unknown id, and none is made of an outcome', async () => {
    const id = newId();
    await store.recordOutcome(id, { state: 'succeeded', at: monday.toISOString() });
    expect(await store.findOperation(id)).toBeUndefined();
  });

  test('cannot be entered for a deployment that is not there', async () => {
    await expect(newOperation(newName())).rejects.toThrow('there is no deployment');
  });
});

describe('steps', () => {
  const keys = [
    'azure/resource-group',
    'azure/network',
    'cloudflare/tunnel',
    'kubernetes/open-webui',
  ] as const;

  test('come back in reading order, in whatever order they were told', async () => {
    const name = newName();
    await store.putDeployment(name, small, monday);
    const id = await newOperation(name);
    await store.recordSteps(name, [id], [step(keys[3], 3), step(keys[1], 1)]);
    await store.recordSteps(name, [id], [step(keys[2], 2), step(keys[0], 0)]);
    expect((await store.findOperation(id))?.steps.map(({ key }) => key)).toEqual(keys);
    expect((await store.lastLook(name)).map(({ key }) => key)).toEqual(keys);
  });

  test('overwrite earlier ones whole, and leave the others alone', async () => {
    const name = newName();
    await store.putDeployment(name, small, monday);
    const id = await newOperation(name);
    await store.recordSteps(
      name,
      [id],
      [step(keys[0], 0, { reason: 'wait' }), step(keys[1], 1, { reason: 'wait' })],
    );
    const ready = step(keys[0], 0, { state: 'ready', did: 'created', looks: 2, outputs: { id: '/x' } });
    await store.recordSteps(name, [id], [ready]);
    expect((await store.findOperation(id))?.steps).toEqual([ready, step(keys[1], 1, { reason: 'wait' })]);
  });

  test('are kept for every operation they were done for, and for the deployment', async () => {
    const name = newName();
    await store.putDeployment(name, small, monday);
    const ids = [await newOperation(name), await newOperation(name)];
    await store.recordSteps(name, ids, [step(keys[0], 0)]);
    for (const id of ids) expect((await store.findOperation(id))?.steps).toEqual([step(keys[0], 0)]);
    await store.recordSteps(name, [], [step(keys[0], 0, { state: 'failed' })]);
    expect((await store.findOperation(ids[0] ?? ''))?.steps).toEqual([step(keys[0], 0)]);
    expect(await store.lastLook(name)).toEqual([step(keys[0], 0, { state: 'failed' })]);
  });

  test('of which there are many fit, and none are no mistake', async () => {
    const name = newName();
    const many = Array.from({ length: 130 }, (_, n) => step(`azure/thing-${n}`, n));
    await store.recordSteps(name, [], []);
    await store.recordSteps(name, [], many);
    expect(await store.lastLook(name)).toEqual(many);
  });

  test('told twice in one breath count as the later', async () => {
    const name = newName();
    await store.recordSteps(name, [], [step(keys[0], 0), step(keys[0], 0, { state: 'ready' })]);
    expect(await store.lastLook(name)).toEqual([step(keys[0], 0, { state: 'ready' })]);
  });

  test('that are too long in every part are kept in short', async () => {
    const name = newName();
    const long = '"☃\u0007'.repeat(2_000);
    const notice = { severity: 'error', what: long, evidence: long, breaks: long, remedy: long } as const;
    const findings = Array.from({ length: 60 }, (_, n) => ({
      ...notice,
      id: `trouble-${n}`,
      resource: keys[0],
      since: monday.toISOString(),
    }));
    const worst = step(keys[0], 0, {
      state: 'failed',
      reason: long,
      failure: { kind: 'fatal', code: 'Quota', message: long },
      outputs: { id: 'i'.repeat(2_000) },
      wish: 'w'.repeat(2_000),
      findings,
      differences: Array.from({ length: 80 }, () => ({ path: long, wanted: long, found: long })),
    });
    await store.recordSteps(name, [], [worst]);
    const [look] = await store.lastLook(name);
    expect(look).toMatchObject({
      outputs: worst.outputs,
      wish: worst.wish,
      failure: { kind: 'fatal', code: 'Quota', message: expect.stringMatching(/^"☃.{397}…$/s) },
    });
    expect(look?.findings?.length).toBeGreaterThan(1);
    expect(look?.findings?.[0]).toMatchObject({ id: 'trouble-0', evidence: expect.stringMatching(/…$/) });
  });

  test('with long findings that fit keep every word of them', async () => {
    const name = newName();
    const text = 'x'.repeat(3_000);
    const finding: Finding = {
      ...{ id: 'drift-report', what: text, evidence: text, breaks: text, remedy: text },
      ...{ severity: 'warning', resource: keys[0], since: monday.toISOString() },
    };
    await store.recordSteps(name, [], [step(keys[0], 0, { findings: [finding] })]);
    expect((await store.lastLook(name))[0]?.findings).toEqual([finding]);
  });

  test('with very long differences keep their paths', async () => {
    const name = newName();
    const differences = Array.from({ length: 80 }, (_, n) => ({
      path: `p${n}`,
      wanted: 'x'.repeat(1000),
      found: null,
    }));
    await store.recordSteps(name, [], [step(keys[0], 0, { differences })]);
    const [look] = await store.lastLook(name);
    expect(look?.differences).toHaveLength(50);
    expect(look?.differences?.[0]).toMatchObject({ path: 'p0' });
  });
});

describe('the store', () => {
  test('remembers across a restart of the app and of the storage', async () => {
    const kept = await Azurite.start({ isKept: true });
    try {
      const before = await kept.openStore().putDeployment('openwebui', small, monday);
      await kept.stop();
      await kept.start();
      expect(await kept.openStore().findDeployment('openwebui')).toEqual(before);
    } finally {
      await kept.dispose();
    }
  });

  test('says so when it does not answer, and is found again', async () => {
    const own = await Azurite.start();
    try {
      const opened = own.openStore();
      await own.stop();
      await expect(opened.check()).rejects.toThrow();
      await own.start();
      await expect(opened.check()).resolves.toBeUndefined();
    } finally {
      await own.dispose();
    }
  });
});

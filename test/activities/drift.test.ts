import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { reconcileResource } from '../../src/activities/reconcile-resource.ts';
import { recordSteps } from '../../src/activities/record-steps.ts';
import type { Clients } from '../../src/clients/clients.ts';
import { type KubernetesApi, KubernetesError } from '../../src/clients/kubernetes-api.ts';
import type { Outputs, ResourceKey } from '../../src/graph/resource.ts';
import type { ReconcileResult } from '../../src/orchestrations/activities.ts';
import { advance, noProgress, toRecord } from '../../src/orchestrations/progress.ts';
import { openWebui } from '../../src/resources/kubernetes/open-webui.ts';
import type { DeploymentSpecInput } from '../../src/spec/spec.ts';
import { LARGEST_SPEC_CHARACTERS, type Store } from '../../src/store/store.ts';
import { type AnApiServer, startApiServer } from '../resources/kubernetes/an-api-server.ts';
import { known } from '../resources/kubernetes/known-outputs.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';

const key = 'kubernetes/open-webui-service';
const NAME = 'chat';
const SECONDS = 'Service open-webui: spec.sessionAffinityConfig.clientIP.timeoutSeconds';
const TYPE = 'Service open-webui: spec.type';
const service = { apiVersion: 'v1', kind: 'Service', name: 'open-webui', namespace: 'open-webui' };
const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'open-webui' } };
const minute = 60_000;

let azurite: Azurite;
let store: Store;
let server: AnApiServer;
let now: number;
/** What another writer does as soon as something was applied. */
let afterApply: () => void;
const clients: Clients = {
  ...({} as Clients),
  async kubernetes() {
    const api = await server.clients.kubernetes('', '');
    const apply: KubernetesApi['apply'] = async (...given) => {
      const applied = await api.apply(...given);
      afterApply();
      return applied;
    };
    return { ...api, apply };
  },
};
beforeAll(async () => {
  azurite = await Azurite.start();
  server = await startApiServer();
  await server.api.apply(namespace);
});
afterAll(async () => {
  await server.stop();
  await azurite.dispose();
});

/** A fresh store of a deployment whose service has been found as asked. */
beforeEach(async () => {
  await azurite.dispose();
  azurite = await Azurite.start();
  store = azurite.openStore();
  afterApply = () => undefined;
  now = Date.parse('2026-11-24T10:00:00Z');
  await store.putDeployment(NAME, minimalSpec, new Date(now));
  expect(await look()).toMatchObject({ kind: 'ready' });
  expect(await look()).toMatchObject({ kind: 'ready', did: 'nothing' });
  server.writes();
});

/** One look by the engine, told to the store. */
async function look(
  of: ResourceKey = key,
  outputs: Readonly<Partial<Record<ResourceKey, Outputs>>> = { 'kubernetes/namespace': {} },
  after = minute,
): Promise<ReconcileResult> {
  now += after;
  const input = { deployment: NAME, key: of, outputs, now };
  const result = await reconcileResource(store, () => clients)(input);
  const stack = { shape: [{ key: of, waitsFor: [] }], patience: {} };
  const steps = toRecord(advance(noProgress, of, result, { began: now, now }, stack));
  expect(await recordSteps(store)({ deployment: NAME, operations: [{ id: 'op' }], steps })).toEqual({
    ok: true,
  });
  return result;
}
const ask = (change: Partial<DeploymentSpecInput>): Promise<unknown> =>
  store.putDeployment(NAME, { ...minimalSpec, ...change }, new Date(now));
const rules = (
  ...all: readonly ['repair' | 'report' | 'adopt', string?][]
): Partial<DeploymentSpecInput> => ({
  drift: {
    rules: all.map(([policy, path]) => ({ resource: key, policy, ...(path === undefined ? {} : { path }) })),
  },
});
const changeSeconds = (timeoutSeconds: number): void =>
  server.edit(service, { spec: { sessionAffinityConfig: { clientIP: { timeoutSeconds } } } });
const drift = () => store.drift.list(NAME);
const findings = async () => (await store.findLook(NAME, key))?.findings ?? [];

describe('what somebody else changed', () => {
  test('is put right and remembered with its field, its values and who made it', async () => {
    changeSeconds(60);
    expect(await look()).toMatchObject({ kind: 'ready', did: 'repaired' });
    expect(await drift()).toEqual([
      expect.objectContaining({
        resource: key,
        path: SECONDS,
        wanted: 10_800,
        found: 60,
        state: 'repaired',
        policy: 'repair',
        repairs: [new Date(now).toISOString()],
        actor: { name: 'kubectl-edit', how: 'field-manager', at: expect.any(String) },
        operationId: 'op',
      }),
    ]);
    expect(await findings()).toEqual([]);
    server.writes();
    await look();
    expect(server.writes()).toEqual([]);
  });

  test('stays where a rule says report: nothing is written, and it is a finding until it is gone', async () => {
    await ask(rules(['report']));
    changeSeconds(60);
    const held = await look();
    expect(held).toMatchObject({ kind: 'ready', did: 'nothing', held: [SECONDS], outputs: {} });
    const [finding] = await findings();
    expect(finding).toMatchObject({
      id: 'drift-report',
      severity: 'warning',
      what: expect.stringContaining('changed by kubectl-edit'),
      repair: `POST /api/deployments/chat/repair?resources=${key}`,
    });
    await look();
    expect(await findings()).toEqual([finding]);
    const [first] = await drift();
    expect(first).toMatchObject({ state: 'reported', policy: 'report' });
    expect(server.writes()).toEqual([]);

    changeSeconds(10_800);
    await look();
    expect(await drift()).toMatchObject([{ state: 'gone', since: first?.since }]);
    expect(await findings()).toEqual([]);
  });

  test('holds what differs beside it, until a person asks for a repair', async () => {
    await ask(rules(['report', SECONDS]));
    changeSeconds(60);
    server.edit(service, { spec: { type: 'NodePort' } });
    expect(await look()).toMatchObject({ kind: 'ready', held: expect.arrayContaining([SECONDS, TYPE]) });
    expect((await findings()).map(({ id }) => id)).toEqual(['drift-report', 'drift-held']);
    expect(server.writes()).toEqual([]);
    await store.changeDeployment(NAME, () => ({ repairAfter: { [key]: new Date(now).toISOString() } }));
    expect(await look()).toMatchObject({ kind: 'ready', did: 'repaired' });
    expect((await drift()).map(({ state }) => state)).toEqual(['repaired', 'repaired']);
  });

  test('does not keep the spec from being changed', async () => {
    await ask(rules(['report']));
    changeSeconds(60);
    await look();
    await ask({ ...rules(['report']), webui: { sessionAffinitySeconds: 600 } });
    expect(await look()).toMatchObject({ kind: 'ready', did: 'repaired' });
  });

  test('stays reported when the spec changes elsewhere', async () => {
    await ask(rules(['report']));
    changeSeconds(60);
    await look();
    await ask({ ...rules(['report']), ollama: { models: ['llama3.2:1b'] } });
    expect(await look()).toMatchObject({ kind: 'ready', held: [SECONDS] });
    server.edit(service, { spec: { type: 'NodePort' } });
    expect(await look()).toMatchObject({ kind: 'ready', held: expect.arrayContaining([SECONDS, TYPE]) });
    expect(server.writes()).toEqual([]);
    server.edit(service, { spec: { type: 'ClusterIP' } });
    expect(await look()).toMatchObject({ held: [SECONDS] });
    expect((await drift()).map(({ state }) => state).sort()).toEqual(['gone', 'reported']);
  });

  test('is known for theirs though the spec was changed elsewhere before the next look', async () => {
    await ask(rules(['report']));
    changeSeconds(60);
    await ask({ ...rules(['report']), storage: { quotaGiB: 75 } });
    expect(await look()).toMatchObject({ kind: 'ready', held: [SECONDS] });
    expect(await drift()).toMatchObject([{ path: SECONDS, state: 'reported' }]);
    expect(server.writes()).toEqual([]);
  });

  test('is fought over when it is put right three times within an hour: the fourth time it stays', async () => {
    for (let times = 0; times < 3; times += 1) {
      changeSeconds(60 + times);
      expect(await look()).toMatchObject({ did: 'repaired' });
    }
    server.writes();
    changeSeconds(99);
    expect(await look()).toMatchObject({ kind: 'ready', did: 'nothing', held: [SECONDS] });
    expect(server.writes()).toEqual([]);
    expect(await drift()).toMatchObject([{ state: 'fought', found: 99 }]);
    const [finding] = await findings();
    expect(finding).toMatchObject({ id: 'drift-fought', severity: 'warning' });
    expect(finding?.what).toContain(SECONDS);
    expect(finding?.what).toContain('kubectl-edit');
    now += 24 * 60 * minute;
    expect(await look()).toMatchObject({ did: 'nothing', held: [SECONDS] });
    await store.changeDeployment(NAME, () => ({ repairAfter: { [key]: new Date(now).toISOString() } }));
    expect(await look()).toMatchObject({ did: 'repaired' });
    expect(await findings()).toEqual([]);
  });

  test('is fought over, too, by a writer that undoes each push at once, and three writes are all there is', async () => {
    afterApply = () => changeSeconds(60);
    changeSeconds(60);
    const pushes: number[] = [];
    for (let minutes = 0; minutes < 30; minutes += 1) {
      const { did } = await look();
      if (server.writes().length > 0) pushes.push(minutes);
      expect(did).toBe(pushes.includes(minutes) ? 'repaired' : 'nothing');
    }
    expect(pushes).toEqual([0, 2, 4]);
    expect(await drift()).toMatchObject([{ state: 'fought', repairs: { length: 3 } }]);
    expect(await findings()).toMatchObject([{ id: 'drift-fought' }]);
    await store.changeDeployment(NAME, () => ({ repairAfter: { [key]: new Date(now).toISOString() } }));
    for (let minutes = 0; minutes < 30; minutes += 1) await look();
    expect(server.writes()).toHaveLength(3);
    expect((await drift())[0]).toMatchObject({ state: 'fought' });
  });

  test('is no fight with a cloud that shows a push only later, which is pushed once', async () => {
    afterApply = () => changeSeconds(60);
    changeSeconds(60);
    await look();
    for (let looks = 0; looks < 20; looks += 1) {
      expect(await look(key, undefined, 5_000)).toMatchObject({ kind: 'waiting', did: 'nothing' });
    }
    expect(server.writes()).toHaveLength(1);
    const pushedAt = new Date(now - 20 * 5_000).toISOString();
    changeSeconds(10_800);
    expect(await look()).toMatchObject({ kind: 'ready', did: 'nothing' });
    expect(await drift()).toMatchObject([{ state: 'repaired', repairs: [pushedAt] }]);
  });

  test('is no fight with a cloud that refuses a push, which is tried at each look', async () => {
    changeSeconds(60);
    afterApply = () => {
      changeSeconds(60);
      throw new KubernetesError(500, 'InternalError', 'try again');
    };
    for (let looks = 0; looks < 10; looks += 1) expect(await look()).toMatchObject({ kind: 'failed' });
    expect(server.writes()).toHaveLength(10);
    expect(await drift()).toMatchObject([{ state: 'open', repairs: [] }]);
  });

  test('is taken into the spec where a rule says adopt, and everything is looked at then', async () => {
    await ask(rules(['adopt']));
    changeSeconds(60);
    expect(await look()).toMatchObject({ kind: 'waiting', reason: expect.stringContaining(SECONDS) });
    expect((await store.findDeployment(NAME))?.spec).toMatchObject({
      ...rules(['adopt']),
      webui: { sessionAffinitySeconds: 60 },
    });
    expect(server.writes()).toEqual([]);
    expect(await drift()).toMatchObject([{ state: 'adopted' }]);
    expect(await store.inbox.take(NAME, 'run', 0)).toMatchObject([{ look: 'all' }]);
    // What is applied last carries the mark of its wish, so the new one is written once.
    expect(await look()).toMatchObject({ kind: 'ready' });
    server.writes();
    expect(await look()).toMatchObject({ kind: 'ready', did: 'nothing' });
    expect(server.writes()).toEqual([]);
  });

  test('is only told where a rule says adopt and the spec has no place for it', async () => {
    await ask(rules(['adopt']));
    server.edit(service, { spec: { type: 'NodePort' } });
    expect(await look()).toMatchObject({ kind: 'ready', held: [TYPE] });
    expect(await findings()).toMatchObject([{ id: 'drift-adopt' }]);
    expect(await drift()).toMatchObject([{ state: 'reported', why: expect.stringContaining('no place') }]);
  });

  test('is only told where the spec cannot be stored with it, and why', async () => {
    const others = { ...minimalSpec, tunnel: { ...minimalSpec.tunnel, hostName: 'other.example.com' } };
    await store.putDeployment('other', { ...others, vault: { name: 'kv-shared' } }, new Date(now));
    const asked = { ...rules(['adopt']), vault: { name: 'kv-shared' } };
    const pad = (length: number) => ({ webui: { config: { PAD: 'x'.repeat(length) } } });
    const size = JSON.stringify({ ...minimalSpec, ...rules(['adopt']), ...pad(0) }).length;
    const full = { ...rules(['adopt']), ...pad(LARGEST_SPEC_CHARACTERS - size) };
    for (const [spec, why] of [
      [asked, 'vault.name is taken by the deployment other'],
      [full, 'too long'],
    ] as const) {
      await ask(spec);
      changeSeconds(10_800);
      await look();
      changeSeconds(60);
      server.writes();
      expect(await look()).toMatchObject({ kind: 'ready', held: [SECONDS] });
      expect((await drift())[0]).toMatchObject({ state: 'reported', why: expect.stringContaining(why) });
      expect((await store.findDeployment(NAME))?.spec).toEqual({ ...minimalSpec, ...spec });
      expect(server.writes()).toEqual([]);
    }
  });

  test('is made again when it was deleted, and not where a rule says report', async () => {
    await server.api.remove(service);
    expect(await look()).toMatchObject({ kind: 'ready', did: 'created' });
    expect(await drift()).toMatchObject([{ path: '', wanted: 'present', found: null, state: 'repaired' }]);
    await ask(rules(['report']));
    await server.api.remove(service);
    server.writes();
    const held = await look();
    expect(held).toMatchObject({ kind: 'failed', failure: { kind: 'fatal', code: 'HeldBack' } });
    expect(server.writes()).toEqual([]);
    await ask({});
    expect(await look()).toMatchObject({ did: 'created' });
  });
});

describe('a pause', () => {
  const pause = (resource?: ResourceKey) =>
    store.changeDeployment(NAME, () => ({
      pauses: [
        {
          ...(resource ? { resource } : {}),
          reason: 'a migration',
          since: new Date(now).toISOString(),
          until: new Date(now + 30 * minute).toISOString(),
        },
      ],
    }));

  test('looks and tells and writes nothing, also of what the spec has changed', async () => {
    await pause();
    changeSeconds(60);
    await ask({ webui: { sessionAffinitySeconds: 600 } });
    expect(await look()).toMatchObject({ kind: 'ready', held: expect.arrayContaining([SECONDS]) });
    expect(await findings()).toMatchObject([{ id: 'drift-paused', severity: 'info' }]);
    expect(server.writes()).toEqual([]);
    now += 31 * minute;
    expect(await look()).toMatchObject({ kind: 'ready', did: 'repaired' });
  });

  test('of another resource holds nothing back', async () => {
    await pause('azure/key-vault');
    changeSeconds(60);
    expect(await look()).toMatchObject({ did: 'repaired' });
  });

  test('ends the work at what is not there, and says why', async () => {
    await pause(key);
    await server.api.remove(service);
    expect(await look()).toMatchObject({
      kind: 'failed',
      failure: { kind: 'fatal', code: 'Paused', message: expect.stringContaining('a migration') },
    });
    now += 31 * minute;
    await look();
  });
});

describe('what the control plane asks for otherwise', () => {
  test('is no drift: a changed spec is pushed and leaves no record', async () => {
    await ask({ webui: { sessionAffinitySeconds: 600 }, ...rules(['report']) });
    expect(await look()).toMatchObject({ did: 'repaired' });
    expect(await drift()).toEqual([]);
  });

  test('is no drift: other outputs of what it depends on are pushed and leave no record', async () => {
    await ask(rules(['report']));
    changeSeconds(60);
    expect(await look(key, { 'kubernetes/namespace': { other: 'x' } })).toMatchObject({ did: 'repaired' });
    expect(await drift()).toEqual([]);
  });
});

describe('what an autoscaler has set', () => {
  const webui = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'open-webui', namespace: 'open-webui' };
  const outputs = Object.fromEntries(
    Object.entries(openWebui.dependsOn).map(([name, dependency]) => [
      dependency.key,
      (known as Readonly<Record<string, Outputs>>)[name] ?? {},
    ]),
  );
  const lookAtWebui = () => look('kubernetes/open-webui', outputs);
  const replicas = async (): Promise<unknown> =>
    ((await server.api.find(webui)) as { spec?: { replicas?: number } } | undefined)?.spec?.replicas;
  const rolledOut = async (count: number): Promise<void> => {
    const found = await server.api.find(webui);
    const [replicas, observedGeneration] = [count, found?.metadata.generation];
    await server.setStatus(webui, {
      ...{ replicas, observedGeneration },
      ...{ updatedReplicas: replicas, readyReplicas: replicas, availableReplicas: replicas },
    });
  };

  test('is neither written nor remembered, and what a person scales is both', async () => {
    await lookAtWebui();
    await rolledOut(1);
    await lookAtWebui();
    await rolledOut(3);
    expect(await lookAtWebui()).toMatchObject({ kind: 'ready' });
    server.writes();
    server.edit(webui, { spec: { replicas: 2 } }, 'kubectl', 'scale');
    await rolledOut(2);
    await lookAtWebui();
    await rolledOut(3);
    expect(await lookAtWebui()).toMatchObject({ kind: 'ready' });
    expect(server.writes()).toHaveLength(1);
    const remembered = await drift();
    expect(remembered).toMatchObject([
      { path: 'Deployment open-webui: spec.replicas', wanted: 3, found: 2, actor: { name: 'kubectl' } },
    ]);

    const autoscaler = { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler' };
    await server.api.apply({
      ...autoscaler,
      metadata: { name: 'busy', namespace: 'open-webui' },
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'open-webui' },
        maxReplicas: 9,
      },
    });
    server.writes();
    server.edit(webui, { spec: { replicas: 7 } }, 'kube-controller-manager', 'scale');
    await rolledOut(7);
    expect(await lookAtWebui()).toMatchObject({ kind: 'ready', did: 'nothing' });
    expect(server.writes()).toEqual([]);
    expect(await replicas()).toBe(7);
    expect(await drift()).toEqual(remembered);
  });
});

/** Replicas of cloudflared beside an autoscaler that comes, sets them and goes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { workloadChecks } from '../../../src/checks/kubernetes/workloads.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import { KubernetesError } from '../../../src/clients/kubernetes-api.ts';
import { cloudflared } from '../../../src/resources/kubernetes/cloudflared.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { type AnApiServer, startApiServer } from './an-api-server.ts';
import { known } from './known-outputs.ts';

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  name: 'cloudflared',
  namespace: 'open-webui',
};
const autoscaler = {
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  name: 'busy',
  namespace: 'open-webui',
};

let server: AnApiServer;
let lists = 0;
let isRefused = false;
beforeAll(async () => {
  server = await startApiServer();
  await server.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'open-webui' } });
});
afterAll(() => server?.stop());

const scope = (): Scope => ({
  ...specOf(),
  ...surroundings(),
  now: new Date(),
  clients: {
    kubernetes: async () => ({
      ...server.api,
      list: (kind, selector) => {
        if (kind.kind !== autoscaler.kind) return server.api.list(kind, selector);
        lists += 1;
        return isRefused
          ? Promise.reject(new KubernetesError(403, 'Forbidden', 'no'))
          : server.api.list(kind, selector);
      },
    }),
  } as Partial<Clients> as Clients,
});
type Deps = Parameters<typeof cloudflared.observe>[1];
const deps = { ...known, namespace: {}, registryPull: {}, ingress: {}, dnsRecord: {} } as unknown as Deps;
const observe = () => cloudflared.observe(scope(), deps);
const replicas = async (): Promise<unknown> =>
  ((await server.api.find(deployment)) as { spec?: { replicas?: number } } | undefined)?.spec?.replicas;

/** Until it is as wished, as the engine does it, with all pods ready at once. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) {
    const seen = await observe();
    if (seen.state === 'ready') return;
    if (seen.state !== 'changing') await cloudflared.ensure(scope(), deps, seen);
    await rollOut();
  }
}
async function rollOut(): Promise<void> {
  const count = await replicas();
  const found = await server.api.find(deployment);
  await server.setStatus(deployment, {
    ...{ observedGeneration: found?.metadata.generation, replicas: count, updatedReplicas: count },
    ...{ readyReplicas: count, availableReplicas: count },
  });
}
const scaledTo = async (count: number): Promise<void> => {
  server.edit(deployment, { spec: { replicas: count } }, 'kube-controller-manager', 'scale');
  await rollOut();
};
const aim = (name: string) =>
  server.api.apply({
    ...{ apiVersion: autoscaler.apiVersion, kind: autoscaler.kind },
    metadata: { name: autoscaler.name, namespace: autoscaler.namespace },
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name }, maxReplicas: 9 },
  });
const told = async (): Promise<readonly string[]> => {
  const check = workloadChecks.find(({ id }) => id === 'cloudflared-runs');
  const findings = (await check?.run({ ...scope(), known: {} })) ?? [];
  return findings.map(({ id }) => id);
};

describe('the replicas of a workload', () => {
  test('cost no call where no autoscaler has ever been', async () => {
    await settle();
    expect(await observe()).toMatchObject({ state: 'ready' });
    expect(await replicas()).toBe(2);
    expect(lists).toBe(0);
  });

  test('are left to an autoscaler that has set them, without a write', async () => {
    await aim('cloudflared');
    await scaledTo(5);
    server.writes();
    lists = 0;
    expect(await observe()).toMatchObject({ state: 'ready' });
    expect(lists).toBe(1);
    expect(await told()).toEqual([]);
    expect(server.writes()).toEqual([]);
    expect(await replicas()).toBe(5);
  });

  test('are nobody else’s while nobody may look for autoscalers', async () => {
    isRefused = true;
    await expect(observe()).rejects.toThrow(KubernetesError);
    await expect(told()).rejects.toThrow(KubernetesError);
    isRefused = false;
  });

  test('are put back once the autoscaler has gone, or looks after another', async () => {
    await aim('another');
    expect(await observe()).toMatchObject({ state: 'drifted' });
    expect(await told()).toEqual(['replicas-differ']);
    await aim('cloudflared');
    expect(await observe()).toMatchObject({ state: 'ready' });
    await server.api.remove(autoscaler);
    expect(await observe()).toMatchObject({ state: 'drifted' });
    expect(await told()).toEqual(['replicas-differ']);
    await settle();
    expect(await replicas()).toBe(2);
    expect(await told()).toEqual([]);
  });
});

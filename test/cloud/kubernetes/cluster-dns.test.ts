/** CoreDNS as AKS has it, and what becomes of names without it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { call } from './client.ts';
import { CLUSTER_ID, eventually, type SmallWorld, startSmallWorld } from './small-world.ts';

const COREDNS = '/apis/apps/v1/namespaces/kube-system/deployments/coredns';
let world: SmallWorld;

beforeAll(async () => {
  world = await startSmallWorld({ speed: 300 });
});
afterAll(() => world.stop());

const readyPods = async (): Promise<number> => {
  const { body } = await call(world, 'GET', COREDNS);
  return (body['status'] as { readyReplicas?: number } | undefined)?.readyReplicas ?? 0;
};
const scale = (replicas: number) =>
  call(world, 'PATCH', COREDNS, { body: { spec: { replicas } }, type: 'application/merge-patch+json' });
const answer = (): string => {
  const said = world.kubernetes.answer(CLUSTER_ID, 'https://kubernetes.default.svc.cluster.local');
  return said.ok ? 'somebody answers' : said.reason;
};

test('names resolve while a pod of CoreDNS is ready, and only then', async () => {
  await eventually(readyPods, (count) => count === 2);
  expect(answer()).toContain('connect: connection refused');
  await scale(0);
  await eventually(answer, (said) => said.includes(' on 10.0.0.10:53: '));
  await scale(2);
  await eventually(answer, (said) => said.includes('connect: connection refused'));
});

test('what of CoreDNS somebody deletes is put back by the add-on manager', async () => {
  for (const path of [COREDNS, '/api/v1/namespaces/kube-system/services/kube-dns']) {
    await call(world, 'DELETE', path);
    await eventually(
      async () => (await call(world, 'GET', path)).status,
      (status) => status === 200,
    );
  }
  await eventually(readyPods, (count) => count === 2);
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Behaviour, Software } from '../../../sandbox/cloud/neighbours.ts';
import { call } from './client.ts';
import { eventually, REGISTRY, type SmallWorld, startSmallWorld } from './small-world.ts';
import { apply, deployment, NAMESPACE, readyReplicas, service } from './stack.ts';

let world: SmallWorld;
beforeAll(async () => {
  world = await startSmallWorld({ speed: 500 });
  await apply(world, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
});
afterAll(() => world.stop());

async function run(name: string, software: Software, behaviour: Behaviour, container: object): Promise<void> {
  const image = `${REGISTRY}/${name}:bad`;
  world.state.images.set(image, software);
  world.state.behaviours.set(image, behaviour);
  await apply(world, deployment(name, { image, ...container }));
}

async function containerOf(
  name: string,
): Promise<{ restartCount: number; state: Record<string, { reason?: string }> } | undefined> {
  const { body } = await call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=app=${name}`);
  const pods = body['items'] as {
    status?: { containerStatuses?: { restartCount: number; state: Record<string, { reason?: string }> }[] };
  }[];
  return pods[0]?.status?.containerStatuses?.[0];
}

describe('a bad build', () => {
  test('that crashes ends soon after each start, and the kubelet waits longer each time', async () => {
    await run('crashing', 'valkey', 'crashes', { readinessProbe: { tcpSocket: { port: 6379 } } });
    await eventually(
      () => containerOf('crashing'),
      (found) => (found?.restartCount ?? 0) >= 3 && found?.state['waiting']?.reason === 'CrashLoopBackOff',
    );
    expect(await readyReplicas(world, 'crashing')).toBe(0);
  });

  test.each([
    ['a port', 'valkey', { tcpSocket: { port: 6379 } }],
    ['a command', 'valkey', { exec: { command: ['valkey-cli', 'ping'] } }],
    ['a page', 'ollama', { httpGet: { path: '/', port: 11434 } }],
  ] as const)('that never gets ready runs and is not, by %s', async (_, software, readinessProbe) => {
    const name = `silent-${Object.keys(readinessProbe)[0]?.toLowerCase()}`;
    await run(name, software, 'never-ready', { readinessProbe });
    await eventually(
      () => containerOf(name),
      (found) => found?.state['running'] !== undefined,
    );
    await world.world.clock.wait(120_000);
    expect(await containerOf(name)).toMatchObject({ restartCount: 0, state: { running: {} } });
    expect(await readyReplicas(world, name)).toBe(0);
  });

  test('with a broken page is ready all the same, and answers with errors', async () => {
    await run('broken', 'ollama', 'broken-page', { readinessProbe: { httpGet: { path: '/', port: 11434 } } });
    await apply(world, service('broken', 80, 11434));
    await eventually(
      () => readyReplicas(world, 'broken'),
      (count) => count === 1,
    );
    const page = (path: string) =>
      call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/services/broken:80/proxy${path}`);
    expect((await page('/')).status).toBe(200);
    expect((await page('/api/tags')).status).toBe(500);
  });
});

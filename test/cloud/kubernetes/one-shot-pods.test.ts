import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { at } from '../../../sandbox/cloud/kubernetes/object.ts';
import { proofPod } from '../../../src/resources/kinds/database-login-pod.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import { specOf } from '../../resources/spec.ts';
import { call } from './client.ts';
import { eventually, REGISTRY, type SmallWorld, startSmallWorld } from './small-world.ts';
import { apply, DATABASE_PASSWORD, databaseUrl, type Manifest, NAMESPACE, prepareOutside } from './stack.ts';

const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const SLEEPER = `${REGISTRY}/netshoot:v1`;
let world: SmallWorld;

beforeAll(async () => {
  world = await startSmallWorld({ withDatabase: true, speed: 300 });
  await prepareOutside(world);
  await apply(world, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  await eventually(
    () => call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/default`),
    ({ status }) => status === 200,
  );
});
afterAll(() => world.stop());

const once = (name: string, container: object, spec: object = {}): Manifest => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { restartPolicy: 'Never', ...spec, containers: [{ name: 'main', image: SLEEPER, ...container }] },
});
const bodyOf = async (name: string): Promise<Record<string, unknown>> =>
  (await call(world, 'GET', `${PODS}/${name}`)).body;
const reaches = (name: string, phase: string): Promise<Record<string, unknown>> =>
  eventually(
    () => bodyOf(name),
    (body) => at(body, 'status', 'phase') === phase,
  );
const stateOf = (pod: unknown): unknown =>
  at((at(pod, 'status', 'containerStatuses') as unknown[])[0], 'state');

async function putUrl(value: string): Promise<void> {
  await apply(world, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'open-webui-database-login' },
    data: { DATABASE_URL: Buffer.from(value).toString('base64') },
  });
}
/** The control plane's own pod, run with this URL until it ends. */
async function login(url: string, phase: string): Promise<Record<string, unknown>> {
  await putUrl(url);
  const gone = `${PODS}/open-webui-database-login`;
  await call(world, 'DELETE', gone);
  await eventually(
    () => call(world, 'GET', gone),
    ({ status }) => status === 404,
  );
  const pod = proofPod(specOf() as Partial<Scope> as Scope, 'v1', `${REGISTRY}/open-webui:v1`);
  await apply(world, pod as unknown as Manifest);
  return reaches('open-webui-database-login', phase);
}
const logOf = async (name: string): Promise<string> =>
  String((await call(world, 'GET', `${PODS}/${name}/log`)).body['text'] ?? '');

describe('a pod that runs once', () => {
  test('succeeds when its command has ended well, and is not started again', async () => {
    await apply(world, once('errand', { command: ['sleep', '5'] }));
    const pod = await reaches('errand', 'Succeeded');
    expect(stateOf(pod)).toMatchObject({ terminated: { exitCode: 0, reason: 'Completed' } });
    expect(at(pod, 'status', 'conditions')).toContainEqual(
      expect.objectContaining({ type: 'Ready', status: 'False', reason: 'PodCompleted' }),
    );
    expect(at((at(pod, 'status', 'containerStatuses') as unknown[])[0], 'restartCount')).toBe(0);
  });

  test('fails when its time is up', async () => {
    await apply(world, once('endless', { command: ['sleep', 'infinity'] }, { activeDeadlineSeconds: 60 }));
    const pod = await reaches('endless', 'Failed');
    expect(pod['status']).toMatchObject({
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
    });
    expect(stateOf(pod)).toMatchObject({ terminated: { exitCode: 137 } });
  });

  test('fails by its deadline even when it never got to run', async () => {
    const missing = { image: `${REGISTRY}/nothing:v1` };
    await apply(world, once('imageless', missing, { activeDeadlineSeconds: 60 }));
    expect(at(await reaches('imageless', 'Failed'), 'status', 'reason')).toBe('DeadlineExceeded');
  });

  test('cannot be changed', async () => {
    await expect(apply(world, once('errand', { command: ['sleep', '6'] }))).rejects.toThrow(
      /^422 .*pod updates may not change fields other than/,
    );
  });

  test('goes at once when it is deleted after its end', async () => {
    await call(world, 'DELETE', `${PODS}/errand`);
    expect((await call(world, 'GET', `${PODS}/errand`)).status).toBe(404);
  });

  test('is lost when its node is switched off under it, and goes on elsewhere in no case', async () => {
    await apply(world, once('unlucky', { command: ['sleep', 'infinity'] }));
    await reaches('unlucky', 'Running');
    const { cluster } = world.state;
    world.state.cluster = { ...cluster, isRunning: false };
    world.world.touch();
    await eventually(
      () => world.world.table('kubernetes/interrupted-pods').entries().length,
      (count) => count > 0,
    );
    world.state.cluster = cluster;
    world.world.touch();
    const pod = await reaches('unlucky', 'Failed');
    expect(stateOf(pod)).toMatchObject({ terminated: { exitCode: 137, reason: 'ContainerStatusUnknown' } });
  });

  test('goes with the node that is deleted', async () => {
    await apply(world, once('doomed', { command: ['sleep', 'infinity'] }));
    const node = String(at(await reaches('doomed', 'Running'), 'spec', 'nodeName'));
    const { cluster } = world.state;
    world.state.cluster = {
      ...cluster,
      nodePools: cluster.nodePools.map((pool) => ({
        ...pool,
        vmssName: 'aks-other-00000000-vmss',
        count: 2,
      })),
    };
    world.world.touch();
    await eventually(
      () => call(world, 'GET', `${PODS}/doomed`),
      ({ status }) => status === 404,
    );
    expect(node).toMatch(/^aks-system/);
    world.state.cluster = cluster;
    world.world.touch();
  });
});

describe('the proof of a connection string', () => {
  test('succeeds when the string logs in', async () => {
    const pod = await login(databaseUrl(DATABASE_PASSWORD), 'Succeeded');
    expect(stateOf(pod)).toMatchObject({ terminated: { exitCode: 0 } });
    await eventually(
      () => world.state.openConnections.size,
      (count) => count === 0,
    );
  });

  test('fails at once when the password is wrong, and says nothing of it', async () => {
    const pod = await login(databaseUrl('not-the-Password-1'), 'Failed');
    expect(stateOf(pod)).toMatchObject({
      terminated: { exitCode: 1, reason: 'Error', message: 'password authentication failed\n' },
    });
    const told = `${JSON.stringify(pod)}${await logOf('open-webui-database-login')}`;
    expect(told).not.toContain('not-the-Password-1');
    expect(told).not.toContain('postgresql://');
  });

  test('is patient while the server cannot be reached, and no longer', async () => {
    world.state.databaseFault = 'connection to server timed out';
    const pod = await login(databaseUrl(DATABASE_PASSWORD), 'Failed');
    expect(stateOf(pod)).toMatchObject({ terminated: { message: 'timeout expired\n'.repeat(3) } });
    world.state.databaseFault = undefined;
  });

  test('is the only Python that is known', async () => {
    const image = `${REGISTRY}/open-webui:v1`;
    const container = {
      image,
      command: ['python', '-c', 'print(1)'],
      terminationMessagePolicy: 'FallbackToLogsOnError',
    };
    await apply(world, once('snake', container));
    expect(stateOf(await reaches('snake', 'Failed'))).toMatchObject({
      terminated: { exitCode: 2, message: 'this Python program is not simulated\n' },
    });
  });

  test('gets no traffic that is meant for Open WebUI', async () => {
    const pod = await login(databaseUrl(DATABASE_PASSWORD), 'Succeeded');
    expect(at(pod, 'metadata', 'labels', 'app')).toBe('open-webui-database-login');
  });
});

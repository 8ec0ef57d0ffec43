import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { kubectl } from './client.ts';
import { REGISTRY, type SmallWorld, startSmallWorld } from './small-world.ts';
import { deployment, service } from './stack.ts';

let world: SmallWorld;

const WEB = deployment('web', {
  image: `${REGISTRY}/ollama:v1`,
  ports: [{ name: 'http', containerPort: 11434 }],
  readinessProbe: { httpGet: { path: '/', port: 'http' } },
});

async function ok(...args: string[]): Promise<string> {
  const ran = await kubectl(world, args);
  expect(ran.err + ran.out, `kubectl ${args.join(' ')}`).not.toMatch(/^error/im);
  expect(ran.code).toBe(0);
  return ran.out;
}

beforeAll(async () => {
  world = await startSmallWorld();
  const documents = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'open-webui' } },
    WEB,
    service('web', 80, 'http'),
  ];
  const applied = await kubectl(
    world,
    ['apply', '-f', '-'],
    documents.map((one) => stringify(one)).join('---\n'),
  );
  expect(applied.err).toBe('');
  await ok('rollout', 'status', 'deployment/web', '--timeout=30s');
});
afterAll(() => world.stop());

describe('the real kubectl', () => {
  test('finds the server and its version', async () => {
    expect(await ok('version')).toContain('Server Version: v1.34.2');
  });

  test('prints the columns of the server', async () => {
    const pods = await ok('get', 'pods', '-o', 'wide');
    expect(pods).toMatch(/^NAME\s+READY\s+STATUS\s+RESTARTS\s+AGE\s+IP\s+NODE/);
    expect(pods).toMatch(/^web-\S+\s+1\/1\s+Running\s+0\s/m);
    expect(await ok('get', 'deploy,rs,svc,ep')).toMatch(/deployment.apps\/web\s+1\/1\s+1\s+1/);
    expect(await ok('get', 'nodes')).toMatch(
      /aks-system-12345678-vmss000000\s+Ready\s+<none>\s+\S+\s+v1.34.2/,
    );
    expect(await ok('get', 'sc')).toMatch(/default \(default\)\s+disk.csi.azure.com/);
  });

  test('describes pods, deployments and nodes', async () => {
    expect(await ok('describe', 'deployment', 'web')).toContain('Scaled up replica set web-');
    const pods = await ok('describe', 'pods');
    expect(pods).toContain('Successfully assigned open-webui/web-');
    expect(pods).toContain('Successfully pulled image');
    expect(await ok('describe', 'node', 'aks-system-12345678-vmss000000')).toContain('agentpool=system');
  });

  test('refuses a misspelt field on the server', async () => {
    const wrong = { ...WEB, spec: { ...(WEB['spec'] as object), replicaz: 3 } };
    const ran = await kubectl(world, ['apply', '-f', '-'], stringify(wrong));
    expect(ran.code).toBe(1);
    expect(ran.err).toContain('unknown field "spec.replicaz"');
  });

  test('applies again without a change, on the client and on the server', async () => {
    const again = await kubectl(world, ['apply', '-f', '-'], stringify(WEB));
    expect(again.out).toBe('deployment.apps/web unchanged\n');
    const onServer = await kubectl(
      world,
      ['apply', '--server-side', '--force-conflicts', '-f', '-'],
      stringify(WEB),
    );
    expect(onServer.out).toBe('deployment.apps/web serverside-applied\n');
  });

  test('scales, restarts, waits, and goes back', async () => {
    expect(await ok('scale', 'deployment/web', '--replicas=2')).toBe('deployment.apps/web scaled\n');
    await ok('rollout', 'status', 'deployment/web', '--timeout=30s');
    expect(await ok('get', 'deployment', 'web', '-o', 'jsonpath={.status.readyReplicas}')).toBe('2');
    await ok('rollout', 'restart', 'deployment/web');
    await ok('rollout', 'status', 'deployment/web', '--timeout=30s');
    expect(await ok('rollout', 'history', 'deployment/web')).toMatch(/1\s+<none>\n2\s+<none>/);
    await ok('rollout', 'undo', 'deployment/web');
    await ok('rollout', 'status', 'deployment/web', '--timeout=30s');
    expect(await ok('get', 'deployment', 'web', '-o', 'yaml')).toContain(
      'deployment.kubernetes.io/revision: "3"',
    );
    await ok('wait', '--for=condition=Available', 'deployment/web', '--timeout=30s');
  });

  test('reads logs and annotates', async () => {
    expect(await ok('logs', 'deployment/web', '--tail=1')).toContain('Listening on [::]:11434');
    expect(await ok('annotate', 'deployment', 'web', 'note=hello')).toBe('deployment.apps/web annotated\n');
    expect(await ok('get', 'deployment', 'web', '-o', 'jsonpath={.metadata.annotations.note}')).toBe('hello');
  });

  test('reaches a Service through the API server', async () => {
    expect(await ok('get', '--raw', '/api/v1/namespaces/open-webui/services/web:80/proxy/')).toBe(
      'Ollama is running',
    );
  });

  test('deletes, and waits until it is gone', async () => {
    const configMap = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'passing' },
      data: { a: '1' },
    };
    await kubectl(world, ['apply', '-f', '-'], stringify(configMap));
    expect(await ok('delete', 'configmap', 'passing')).toContain('configmap "passing" deleted');
    const pod = (await ok('get', 'pods', '-o', 'name')).split('\n')[0] ?? '';
    expect(await ok('delete', pod)).toContain('deleted');
  });

  test('hears why it may not', async () => {
    const ran = await kubectl(world, ['get', 'pods'], '', 'forged');
    expect(ran.code).toBe(1);
    expect(ran.err).toContain('You must be logged in to the server');
  });
});

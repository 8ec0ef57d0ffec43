import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseShell } from '../../../sandbox/cloud/kubernetes/shell-line.ts';
import { call } from './client.ts';
import { CLUSTER_ID, eventually, type SmallWorld, startSmallWorld } from './small-world.ts';

let world: SmallWorld;

beforeAll(async () => {
  // Helm gives up after five virtual minutes: slow enough for a busy machine to keep up.
  world = await startSmallWorld({ speed: 200 });
  await eventually(
    async () => (await call(world, 'GET', '/api/v1/nodes')).body['items'],
    (items) => Array.isArray(items) && items.length === 2,
  );
});
afterAll(() => world.stop());

const run = (command: string) => world.kubernetes.runCommand(CLUSTER_ID, command);
const CHARTS = 'https://charts.external-secrets.io';

describe('a shell line', () => {
  test('is split into words as a shell does', () => {
    expect(parseShell(`a 'b c' "d \\"e\\"" f\\ g --h='{"i":["j"]}' && k; l`)).toEqual([
      { words: ['a', 'b c', 'd "e"', 'f g', '--h={"i":["j"]}'], onlyAfterSuccess: false },
      { words: ['k'], onlyAfterSuccess: true },
      { words: ['l'], onlyAfterSuccess: false },
    ]);
  });

  test('is refused when it means more than the sandbox understands', () => {
    expect(() => parseShell('a | b')).toThrow(SyntaxError);
    expect(() => parseShell("a 'b")).toThrow(SyntaxError);
  });
});

describe('the command pod', () => {
  test('knows no other programs', async () => {
    expect(await run('curl https://example.com')).toEqual({
      exitCode: 127,
      logs: 'sh: curl: command not found\n',
    });
    expect(await run('terraform apply && helm list')).toMatchObject({ exitCode: 127 });
  });

  test('needs a node and a running cluster', async () => {
    const { cluster } = world.state;
    world.state.cluster = { ...cluster, isRunning: false };
    expect(await run('helm list')).toMatchObject({ exitCode: 1 });
    world.state.cluster = cluster;
  });

  test('refuses charts, versions and values that do not exist', async () => {
    expect((await run('helm upgrade --install a external-secrets/external-secrets')).logs).toContain(
      'repo external-secrets not found',
    );
    expect((await run('helm repo add x https://charts.example.com')).logs).toContain(
      'is not a valid chart repository',
    );
    expect((await run(`helm install a external-secrets --repo ${CHARTS} --version 0.9.0`)).logs).toContain(
      'version "0.9.0" not found',
    );
    const wrong = await run(
      `helm install a external-secrets --repo ${CHARTS} -n a --create-namespace --set instalCRDs=true`,
    );
    expect(wrong.logs).toContain('Additional property instalCRDs is not allowed');
    expect((await run(`helm install a external-secrets --repo ${CHARTS} -n missing`)).logs).toContain(
      'namespaces "missing" not found',
    );
  });

  test('installs, lists, upgrades and removes External Secrets', async () => {
    const install =
      `helm repo add external-secrets ${CHARTS} && helm repo update && ` +
      'helm upgrade --install external-secrets external-secrets/external-secrets -n external-secrets --create-namespace --version 2.9.0 --wait';
    const first = await run(install);
    expect(first).toMatchObject({ exitCode: 0 });
    expect(first.logs).toContain('Release "external-secrets" does not exist. Installing it now.');
    expect((await call(world, 'GET', '/apis/external-secrets.io/v1')).status).toBe(200);
    const listed = JSON.parse((await run('helm list -A -o json')).logs) as unknown;
    expect(listed).toEqual([
      expect.objectContaining({
        name: 'external-secrets',
        namespace: 'external-secrets',
        revision: '1',
        status: 'deployed',
        chart: 'external-secrets-2.9.0',
        app_version: 'v2.9.0',
      }),
    ]);
    const pods = await run('kubectl get pods -n external-secrets');
    expect(pods.logs.match(/1\/1\s+Running/g)?.length).toBe(3);
    expect((await run('kubectl get crd externalsecrets.external-secrets.io -o name')).logs).toBe(
      'customresourcedefinition.apiextensions.k8s.io/externalsecrets.external-secrets.io\n',
    );
    const again = await run(
      `${install} --set-json 'global.tolerations=[{"key":"platform","operator":"Exists"}]'`,
    );
    expect(again.logs).toContain('has been upgraded');
    const deployment = await call(
      world,
      'GET',
      '/apis/apps/v1/namespaces/external-secrets/deployments/external-secrets-webhook',
    );
    expect(JSON.stringify(deployment.body['spec'])).toContain(
      '"tolerations":[{"key":"platform","operator":"Exists"}]',
    );
    expect(JSON.parse((await run('helm list -A -o json')).logs)).toEqual([
      expect.objectContaining({ revision: '2' }),
    ]);
    expect(await run('helm uninstall external-secrets -n external-secrets')).toMatchObject({ exitCode: 0 });
    await eventually(
      () => call(world, 'GET', '/apis/external-secrets.io/v1'),
      ({ status }) => status === 404,
    );
    expect(JSON.parse((await run('helm list -A -o json')).logs)).toEqual([]);
  });

  test('gives up waiting for what does not become available', async () => {
    const never = await run(
      `helm upgrade --install es external-secrets --repo ${CHARTS} -n es --create-namespace --set image.repository=acrowui.azurecr.io/nothing --wait --timeout 2m`,
    );
    expect(never).toMatchObject({ exitCode: 1 });
    expect(never.logs).toContain('context deadline exceeded');
  });

  test('installs Reloader with the strategy that is asked for', async () => {
    const { exitCode } = await run(
      'helm upgrade --install reloader oci://ghcr.io/stakater/charts/reloader --version 2.2.17 -n reloader --create-namespace --set reloader.reloadStrategy=annotations --wait',
    );
    expect(exitCode).toBe(0);
    const deployment = await call(
      world,
      'GET',
      '/apis/apps/v1/namespaces/reloader/deployments/reloader-reloader',
    );
    expect(JSON.stringify(deployment.body['spec'])).toContain('"args":["--reload-strategy=annotations"]');
  });
});

import { AppsV1Api, CoreV1Api, Watch } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { at } from '../../../sandbox/cloud/kubernetes/object.ts';
import { call, kubeConfigOf, objectApi } from './client.ts';
import { CLUSTER_ID, eventually, FQDN, type SmallWorld, startSmallWorld } from './small-world.ts';

let world: SmallWorld;

beforeAll(async () => {
  world = await startSmallWorld();
  await call(world, 'POST', '/api/v1/namespaces', { body: { metadata: { name: 'lab' } } });
  await eventually(
    () => call(world, 'GET', '/api/v1/namespaces/lab/serviceaccounts/default'),
    ({ status }) => status === 200,
  );
});
afterAll(() => world.stop());

const CONFIG_MAPS = '/api/v1/namespaces/lab/configmaps';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/lab/deployments';

function deployment(name: string, spec: object = {}, container: object = {}) {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'main', image: 'acrowui.azurecr.io/netshoot:v1', ...container }] },
      },
      ...spec,
    },
  };
}

const apply = (path: string, body: object, manager = 'one', force = false) =>
  call(world, 'PATCH', `${path}?fieldManager=${manager}${force ? '&force=true' : ''}`, {
    body,
    type: 'application/apply-patch+yaml',
  });

describe('who may', () => {
  test('refuses callers without a valid token with 401', async () => {
    const answer = await call(world, 'GET', '/api/v1/pods', { token: 'forged' });
    expect(answer.status).toBe(401);
    expect(answer.body).toMatchObject({ kind: 'Status', reason: 'Unauthorized' });
  });

  test('refuses callers without an Azure role with 403 in the authorizer’s words', async () => {
    world.state.isAdmin = false;
    const answer = await call(world, 'GET', '/api/v1/namespaces/lab/pods');
    world.state.isAdmin = true;
    expect(answer.status).toBe(403);
    expect(answer.body['message']).toMatch(
      /^pods is forbidden: User "operator@yourdomain.com" cannot list resource "pods" in API group "" in the namespace "lab": User does not have access to the resource in Azure/,
    );
  });

  test('takes the static token of local accounts until they are disabled', async () => {
    const { token } = world.kubernetes.credentials(CLUSTER_ID);
    expect((await call(world, 'GET', '/api/v1/nodes', { token })).status).toBe(200);
    const { cluster } = world.state;
    world.state.cluster = { ...cluster, localAccountsDisabled: true };
    expect((await call(world, 'GET', '/api/v1/nodes', { token })).status).toBe(401);
    world.state.cluster = cluster;
  });

  test('has no host name while the cluster is stopped', () => {
    const { cluster } = world.state;
    expect(world.kubernetes.matches(FQDN)).toBe(true);
    world.state.cluster = { ...cluster, isRunning: false };
    expect(world.kubernetes.matches(FQDN)).toBe(false);
    world.state.cluster = cluster;
    expect(world.kubernetes.matches('other.hcp.eastasia.azmk8s.io')).toBe(false);
  });
});

describe('discovery', () => {
  test('lists kinds of a group version and refuses groups that are not served', async () => {
    const { body } = await call(world, 'GET', '/apis/apps/v1');
    expect(body).toMatchObject({ kind: 'APIResourceList', groupVersion: 'apps/v1' });
    expect(JSON.stringify(body)).toContain('"deployments/scale"');
    expect((await call(world, 'GET', '/apis/external-secrets.io/v1')).status).toBe(404);
    expect((await call(world, 'GET', '/apis/batch/v1/namespaces/lab/jobs')).status).toBe(404);
  });

  test('serves the version, health and OpenAPI with field validation', async () => {
    expect((await call(world, 'GET', '/version')).body).toMatchObject({ gitVersion: 'v1.34.2' });
    expect((await call(world, 'GET', '/readyz')).body).toEqual({ text: 'ok' });
    const { body } = await call(world, 'GET', '/openapi/v3/apis/apps/v1');
    const parameters = at(
      body,
      'paths',
      '/apis/apps/v1/namespaces/{namespace}/deployments/{name}',
      'patch',
      'parameters',
    );
    expect(parameters).toContainEqual(expect.objectContaining({ name: 'fieldValidation' }));
  });
});

describe('objects', () => {
  test('are created with defaults, read, and refused twice', async () => {
    const created = await call(world, 'POST', DEPLOYMENTS, { body: deployment('plain') });
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({
      metadata: { namespace: 'lab', generation: 1 },
      spec: {
        progressDeadlineSeconds: 600,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%' } },
      },
    });
    const again = await call(world, 'POST', DEPLOYMENTS, { body: deployment('plain') });
    expect(again.body).toMatchObject({
      code: 409,
      reason: 'AlreadyExists',
      message: 'deployments.apps "plain" already exists',
    });
  });

  test('need their namespace', async () => {
    const answer = await call(world, 'POST', '/api/v1/namespaces/nowhere/configmaps', {
      body: { metadata: { name: 'a' } },
    });
    expect(answer.body).toMatchObject({ code: 404, message: 'namespaces "nowhere" not found' });
  });

  test('refuse an update of an older version', async () => {
    const first = await call(world, 'POST', CONFIG_MAPS, {
      body: { metadata: { name: 'versions' }, data: { a: '1' } },
    });
    await call(world, 'PATCH', `${CONFIG_MAPS}/versions`, {
      body: { data: { a: '2' } },
      type: 'application/merge-patch+json',
    });
    const stale = await call(world, 'PUT', `${CONFIG_MAPS}/versions`, { body: first.body });
    expect(stale.body).toMatchObject({ code: 409, reason: 'Conflict' });
    expect(stale.body['message']).toContain('the object has been modified');
  });

  test('count generations for changes of the spec only', async () => {
    await call(world, 'POST', DEPLOYMENTS, { body: deployment('counted') });
    const merge = (body: object) =>
      call(world, 'PATCH', `${DEPLOYMENTS}/counted`, { body, type: 'application/merge-patch+json' });
    expect(at((await merge({ metadata: { labels: { a: 'b' } } })).body, 'metadata', 'generation')).toBe(1);
    expect(at((await merge({ spec: { paused: true } })).body, 'metadata', 'generation')).toBe(2);
  });

  test('are refused with causes when they make no sense', async () => {
    const body = deployment(
      'wrong',
      { selector: { matchLabels: { app: 'other' } } },
      { ports: [{ containerPort: 99_999 }] },
    );
    const answer = await call(world, 'POST', DEPLOYMENTS, { body });
    expect(answer.status).toBe(422);
    expect(at(answer.body, 'details', 'causes')).toEqual([
      expect.objectContaining({ field: 'spec.template.metadata.labels' }),
      expect.objectContaining({ field: 'spec.template.spec.containers[0].ports[0].containerPort' }),
    ]);
  });

  test('keep what is immutable', async () => {
    await call(world, 'POST', DEPLOYMENTS, { body: deployment('fixed') });
    const answer = await call(world, 'PATCH', `${DEPLOYMENTS}/fixed`, {
      body: {
        spec: { selector: { matchLabels: { app: 'x' } }, template: { metadata: { labels: { app: 'x' } } } },
      },
      type: 'application/merge-patch+json',
    });
    expect(answer.status).toBe(422);
    expect(answer.body['message']).toContain('field is immutable');
  });

  test('answer unknown fields with 400 when strict, with a warning otherwise', async () => {
    const body = { metadata: { name: 'unknown-field' }, dta: {} };
    const strict = await call(world, 'POST', `${CONFIG_MAPS}?fieldValidation=Strict`, { body });
    expect(strict.status).toBe(400);
    expect(strict.body['message']).toContain('strict decoding error: unknown field "dta"');
    const lenient = await call(world, 'POST', CONFIG_MAPS, { body });
    expect(lenient.status).toBe(201);
    expect(lenient.headers.get('warning')).toContain('unknown field');
    expect(lenient.body).not.toHaveProperty('dta');
  });

  test('change nothing in a dry run', async () => {
    const answer = await call(world, 'POST', `${CONFIG_MAPS}?dryRun=All`, {
      body: { metadata: { name: 'dry' } },
    });
    expect(answer.status).toBe(201);
    expect((await call(world, 'GET', `${CONFIG_MAPS}/dry`)).status).toBe(404);
  });

  test('with finalizers stay until the last one is gone', async () => {
    await call(world, 'POST', CONFIG_MAPS, {
      body: { metadata: { name: 'held', finalizers: ['example.com/hold'] } },
    });
    const going = await call(world, 'DELETE', `${CONFIG_MAPS}/held`);
    expect(at(going.body, 'metadata', 'deletionTimestamp')).toBeTypeOf('string');
    await call(world, 'PATCH', `${CONFIG_MAPS}/held`, {
      body: { metadata: { finalizers: null } },
      type: 'application/merge-patch+json',
    });
    expect((await call(world, 'GET', `${CONFIG_MAPS}/held`)).status).toBe(404);
  });

  test('go with their owner', async () => {
    const owner = await call(world, 'POST', CONFIG_MAPS, { body: { metadata: { name: 'owner' } } });
    const uid = at(owner.body, 'metadata', 'uid');
    const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid }];
    await call(world, 'POST', CONFIG_MAPS, { body: { metadata: { name: 'owned', ownerReferences } } });
    await call(world, 'DELETE', `${CONFIG_MAPS}/owner`);
    const found = await eventually(
      () => call(world, 'GET', `${CONFIG_MAPS}/owned`),
      ({ status }) => status === 404,
    );
    expect(found.status).toBe(404);
  });

  test('go with their namespace, which takes nothing new meanwhile', async () => {
    await call(world, 'POST', '/api/v1/namespaces', { body: { metadata: { name: 'short-lived' } } });
    const path = '/api/v1/namespaces/short-lived/configmaps';
    await call(world, 'POST', path, {
      body: { metadata: { name: 'held', finalizers: ['example.com/hold'] } },
    });
    await call(world, 'DELETE', '/api/v1/namespaces/short-lived');
    const refused = await call(world, 'POST', path, { body: { metadata: { name: 'late' } } });
    expect(refused.body).toMatchObject({ code: 403, reason: 'Forbidden' });
    expect(refused.body['message']).toContain('because it is being terminated');
    await call(world, 'PATCH', `${path}/held`, {
      body: { metadata: { finalizers: null } },
      type: 'application/merge-patch+json',
    });
    const gone = await eventually(
      () => call(world, 'GET', '/api/v1/namespaces/short-lived'),
      ({ status }) => status === 404,
    );
    expect(gone.body).toMatchObject({ reason: 'NotFound' });
  });

  test('keep secrets as base64 and take stringData', async () => {
    const made = await call(world, 'POST', '/api/v1/namespaces/lab/secrets', {
      body: { metadata: { name: 'words' }, stringData: { word: 'hello' } },
    });
    expect(made.body).toMatchObject({ data: { word: 'aGVsbG8=' }, type: 'Opaque' });
    const broken = await call(world, 'POST', '/api/v1/namespaces/lab/secrets', {
      body: { metadata: { name: 'broken' }, data: { word: 'not base64!' } },
    });
    expect(broken.status).toBe(422);
  });
});

describe('patches', () => {
  test('merge keyed lists strategically and replace them by merge patch', async () => {
    await call(world, 'POST', DEPLOYMENTS, {
      body: deployment('patched', {}, { env: [{ name: 'A', value: '1' }] }),
    });
    const strategic = await call(world, 'PATCH', `${DEPLOYMENTS}/patched`, {
      body: {
        spec: { template: { spec: { containers: [{ name: 'main', env: [{ name: 'B', value: '2' }] }] } } },
      },
      type: 'application/strategic-merge-patch+json',
    });
    expect(at(strategic.body, 'spec', 'template', 'spec', 'containers')).toEqual([
      expect.objectContaining({
        image: 'acrowui.azurecr.io/netshoot:v1',
        env: [
          { name: 'A', value: '1' },
          { name: 'B', value: '2' },
        ],
      }),
    ]);
    const removed = await call(world, 'PATCH', `${DEPLOYMENTS}/patched`, {
      body: {
        spec: {
          template: { spec: { containers: [{ name: 'main', env: [{ name: 'A', $patch: 'delete' }] }] } },
        },
      },
      type: 'application/strategic-merge-patch+json',
    });
    expect(JSON.stringify(removed.body['spec'])).not.toContain('"A"');
  });

  test('test and change by JSON patch', async () => {
    await call(world, 'POST', CONFIG_MAPS, { body: { metadata: { name: 'pointed' }, data: { a: '1' } } });
    const patch = (body: object) =>
      call(world, 'PATCH', `${CONFIG_MAPS}/pointed`, { body, type: 'application/json-patch+json' });
    expect((await patch([{ op: 'test', path: '/data/a', value: '2' }])).status).toBe(422);
    const changed = await patch([
      { op: 'test', path: '/data/a', value: '1' },
      { op: 'add', path: '/metadata/labels', value: { 'example.com/b': '3' } },
      { op: 'replace', path: '/metadata/labels/example.com~1b', value: '4' },
      { op: 'remove', path: '/data/a' },
    ]);
    expect(changed.body['data']).toEqual({});
    expect(at(changed.body, 'metadata', 'labels')).toEqual({ 'example.com/b': '4' });
  });
});

describe('server-side apply', () => {
  test('creates, then does nothing when repeated', async () => {
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'applied' }, data: { a: '1' } };
    const created = await apply(`${CONFIG_MAPS}/applied`, object);
    expect(created.status).toBe(201);
    const again = await apply(`${CONFIG_MAPS}/applied`, object);
    expect(again.status).toBe(200);
    expect(again.body).toEqual(created.body);
    const changed = await apply(`${CONFIG_MAPS}/applied`, { ...object, data: { a: '2' } });
    expect(at(changed.body, 'metadata', 'resourceVersion')).not.toBe(
      at(created.body, 'metadata', 'resourceVersion'),
    );
  });

  test('wants a field manager', async () => {
    const answer = await call(world, 'PATCH', `${DEPLOYMENTS}/nobody`, {
      body: deployment('nobody'),
      type: 'application/apply-patch+yaml',
    });
    expect(answer.status).toBe(422);
    expect(answer.body['message']).toContain('fieldManager: Required value');
  });

  test('refuses fields that the schema does not declare', async () => {
    const answer = await apply(`${DEPLOYMENTS}/misspelt`, deployment('misspelt', { replicaz: 1 }));
    expect(answer.status).toBe(500);
    expect(answer.body['message']).toBe(
      'failed to create typed patch object (lab/misspelt; apps/v1, Kind=Deployment): .spec.replicaz: field not declared in schema',
    );
  });

  test('refuses to take another manager’s field unless forced, and then takes it', async () => {
    await apply(`${DEPLOYMENTS}/shared`, deployment('shared'));
    const other = await apply(`${DEPLOYMENTS}/shared`, deployment('shared', { replicas: 2 }), 'two');
    expect(other.body).toMatchObject({
      code: 409,
      reason: 'Conflict',
      message: 'Apply failed with 1 conflict: conflict with "one": .spec.replicas',
    });
    const forced = await apply(`${DEPLOYMENTS}/shared`, deployment('shared', { replicas: 2 }), 'two', true);
    expect(at(forced.body, 'spec', 'replicas')).toBe(2);
    const back = await apply(`${DEPLOYMENTS}/shared`, deployment('shared'), 'one');
    expect(back.body['message']).toContain('conflict with "two"');
  });

  test('leaves what others own and drops what its owner no longer states, defaults included', async () => {
    const probe = { readinessProbe: { httpGet: { path: '/', port: 80 } } };
    await apply(
      `${DEPLOYMENTS}/dropping`,
      deployment('dropping', {}, { ...probe, env: [{ name: 'A', value: '1' }] }),
    );
    await call(world, 'PATCH', `${DEPLOYMENTS}/dropping?fieldManager=reloader`, {
      body: {
        spec: {
          template: { spec: { containers: [{ name: 'main', env: [{ name: 'STAKATER', value: 'x' }] }] } },
        },
      },
      type: 'application/strategic-merge-patch+json',
    });
    const after = await apply(`${DEPLOYMENTS}/dropping`, deployment('dropping'));
    const [container] = at(after.body, 'spec', 'template', 'spec', 'containers') as [Record<string, unknown>];
    expect(container).not.toHaveProperty('readinessProbe');
    expect(container['env']).toEqual([{ name: 'STAKATER', value: 'x' }]);
  });

  test('names the manager and time of an update it conflicts with', async () => {
    await call(world, 'POST', `${CONFIG_MAPS}?fieldManager=kubectl-create`, {
      body: { metadata: { name: 'updated' }, data: { a: '1' } },
    });
    const answer = await apply(`${CONFIG_MAPS}/updated`, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'updated' },
      data: { a: '2' },
    });
    expect(answer.body['message']).toBe(
      'Apply failed with 1 conflict: conflict with "kubectl-create" using v1: .data.a',
    );
  });

  test('works through the client library', async () => {
    const api = objectApi(world);
    const object = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'library', namespace: 'lab' },
      data: { a: '1' },
    };
    await api.patch(object, undefined, undefined, 'library', true, 'application/apply-patch+yaml' as never);
    const read = await api.read(object);
    expect(read).toMatchObject({ data: { a: '1' } });
    const [entry] = read.metadata?.managedFields ?? [];
    expect(entry).toMatchObject({
      manager: 'library',
      operation: 'Apply',
      fieldsV1: { 'f:data': { 'f:a': {} } },
    });
  });
});

describe('lists and watches', () => {
  test('select by labels and fields', async () => {
    for (const [name, color] of [
      ['red-one', 'red'],
      ['blue-one', 'blue'],
      ['grey-one', 'grey'],
    ]) {
      await call(world, 'POST', CONFIG_MAPS, { body: { metadata: { name, labels: { color } } } });
    }
    const names = async (query: string) => {
      const { body } = await call(world, 'GET', `${CONFIG_MAPS}?${query}`);
      return (body['items'] as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
    };
    expect(await names('labelSelector=color%20in%20(red,blue)')).toEqual(['blue-one', 'red-one']);
    expect(await names('labelSelector=color,color!=red,color!=blue')).toEqual(['grey-one']);
    expect(await names('fieldSelector=metadata.name=red-one')).toEqual(['red-one']);
    const refused = await call(world, 'GET', `${CONFIG_MAPS}?fieldSelector=data.a=1`);
    expect(refused.body).toMatchObject({ code: 400, message: 'field label not supported: data.a' });
  });

  test('come in pages', async () => {
    const first = await call(world, 'GET', '/apis/storage.k8s.io/v1/storageclasses?limit=4');
    expect((first.body['items'] as unknown[]).length).toBe(4);
    const token = String(at(first.body, 'metadata', 'continue'));
    const rest = await call(
      world,
      'GET',
      `/apis/storage.k8s.io/v1/storageclasses?limit=100&continue=${token}`,
    );
    expect((rest.body['items'] as unknown[]).length).toBe(5);
    expect(at(rest.body, 'metadata', 'continue')).toBeUndefined();
  });

  test('deliver changes in order through the client library', async () => {
    const seen: string[] = [];
    const watch = new Watch(kubeConfigOf(world));
    const ended = await watch.watch(
      CONFIG_MAPS,
      { labelSelector: 'watched=yes' },
      (type, object: { metadata: { name: string } }) => seen.push(`${type} ${object.metadata.name}`),
      () => undefined,
    );
    const body = { metadata: { name: 'watched', labels: { watched: 'yes' } } };
    await call(world, 'POST', CONFIG_MAPS, { body });
    await call(world, 'PATCH', `${CONFIG_MAPS}/watched`, {
      body: { data: { a: '1' } },
      type: 'application/merge-patch+json',
    });
    await call(world, 'PATCH', `${CONFIG_MAPS}/watched`, {
      body: { metadata: { labels: { watched: 'no' } } },
      type: 'application/merge-patch+json',
    });
    await eventually(
      () => seen,
      (events) => events.length === 3,
    );
    ended.abort();
    expect(seen).toEqual(['ADDED watched', 'MODIFIED watched', 'DELETED watched']);
  });

  test('answer 410 to a version that is no longer remembered', async () => {
    const answer = await call(world, 'GET', `${CONFIG_MAPS}?watch=1&resourceVersion=1`);
    expect(answer.body).toMatchObject({ code: 410, reason: 'Expired' });
  });

  test('are typed for the client library', async () => {
    const config = kubeConfigOf(world);
    const pods = await config.makeApiClient(CoreV1Api).listNamespacedPod({ namespace: 'default' });
    expect(pods.items).toEqual([]);
    const scale = await config
      .makeApiClient(AppsV1Api)
      .readNamespacedDeploymentScale({ name: 'plain', namespace: 'lab' });
    expect(scale.spec?.replicas).toBe(0);
    const missing = config
      .makeApiClient(CoreV1Api)
      .readNamespacedConfigMap({ name: 'none', namespace: 'lab' });
    await expect(missing).rejects.toMatchObject({ code: 404 });
  });
});

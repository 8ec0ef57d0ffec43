/** What people do with a deployment that runs, as the README lists it: each by one call, with its consequence and no other. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CloudClient } from '../../sandbox/cloud-client.ts';
import { ClusterApi } from './cluster-api.ts';
import { callsSince, isMutation, type Sample, sampleName, startSample } from './sample.ts';

const workloads = ['open-webui', 'ollama', 'cloudflared', 'redis'] as const;
type Rollouts = Readonly<Record<(typeof workloads)[number], number>>;

interface Deployment {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: { readonly replicas: number };
  readonly status: { readonly readyReplicas?: number };
}

describe('everyday operations', () => {
  let sample: Sample;
  let client: CloudClient;
  let cluster: ClusterApi;
  beforeAll(async () => {
    sample = await startSample({ speed: 120 });
    expect((await sample.ask()).failure).toBeUndefined();
    client = new CloudClient(sample.sandbox.endpoints);
    cluster = new ClusterApi(client, sample.sandbox.endpoints);
  }, 180_000);
  afterAll(async () => {
    client?.close();
    await sample?.stop();
  });

  const call: Sample['call'] = (...given) => sample.call(...given);
  const found = async (name: string): Promise<Deployment> =>
    (await cluster.get(`/apis/apps/v1/namespaces/open-webui/deployments/${name}`)) as Deployment;
  const claim = (name: string) =>
    cluster.get(`/api/v1/namespaces/open-webui/persistentvolumeclaims/${name}`) as Promise<{
      readonly spec: { readonly resources: { readonly requests: { readonly storage: string } } };
      readonly status: { readonly capacity: { readonly storage: string } };
    }>;
  const rollouts = async (): Promise<Rollouts> => {
    const counts = workloads.map(async (name) => [
      name,
      Number((await found(name)).metadata.annotations?.['deployment.kubernetes.io/revision']),
    ]);
    return Object.fromEntries(await Promise.all(counts)) as Rollouts;
  };
  /** Asks, waits for the operation to succeed, and compares how often each workload was rolled out meanwhile. */
  const asked = async (
    method: string,
    path: string,
    body: unknown,
    expected: Partial<Rollouts> = {},
  ): Promise<void> => {
    const before = await rollouts();
    const answer = await call(method, path, body);
    expect(answer, path).toMatchObject({ status: 202 });
    const operation = await sample.api.watch(answer.body.operation.id, () => {}, 100);
    expect(operation.failure).toBeUndefined();
    expect(operation).toMatchObject({
      state: 'succeeded',
      kind: 'maintenance',
      cause: { kind: 'request', what: `${method} /api/deployments/${sampleName}/${path}` },
    });
    const after = await rollouts();
    const changed = workloads.flatMap((name) =>
      after[name] === before[name] ? [] : [[name, after[name] - before[name]]],
    );
    expect(Object.fromEntries(changed), path).toEqual(expected);
  };

  test('scaling changes the number of pods, and starts none of the others anew', async () => {
    await asked('POST', 'scale', { replicas: 4 });
    expect(await found('open-webui')).toMatchObject({ spec: { replicas: 4 }, status: { readyReplicas: 4 } });
  }, 120_000);

  test('a model is pulled, listed and taken away', async () => {
    await asked('POST', 'models', { model: 'all-minilm:22m' });
    const listed = await call('GET', 'models');
    expect(listed).toMatchObject({ status: 200, body: { missing: [] } });
    expect(listed.body.models).toContainEqual(
      expect.objectContaining({ name: 'all-minilm:22m', isWished: true, size: expect.any(Number) }),
    );
    await asked('DELETE', 'models/all-minilm:22m', undefined);
    const { body } = await call('GET', 'models');
    expect(body.models.map(({ name }: { name: string }) => name)).not.toContain('all-minilm:22m');
  }, 120_000);

  test('a sync has the vault read once more, and restarts nobody', async () => {
    const path = '/apis/external-secrets.io/v1/namespaces/open-webui/externalsecrets/open-webui-secrets';
    const look = async () =>
      (await cluster.get(path)) as {
        readonly status: { readonly refreshTime: string };
      };
    const before = await look();
    await asked('POST', 'sync', undefined);
    const after = await look();
    expect(Date.parse(after.status.refreshTime)).toBeGreaterThan(Date.parse(before.status.refreshTime));
  }, 120_000);

  test.each(workloads)(
    'a restart replaces the pods of %s by one rollout',
    async (workload) => {
      await asked('POST', 'restart', { workload }, { [workload]: 1 });
    },
    120_000,
  );

  test('a changed setting reaches the pods by one rollout', async () => {
    await asked('PATCH', 'config', { DEFAULT_LOCALE: 'de' }, { 'open-webui': 1 });
    const map = await cluster.get('/api/v1/namespaces/open-webui/configmaps/open-webui-config');
    expect(map).toMatchObject({ data: { DEFAULT_LOCALE: 'de' } });
  }, 120_000);

  test('share and disk grow under the pods that use them', async () => {
    const share = await claim('open-webui-data');
    const { quota, disk } = { quota: 400, disk: 90 };
    await asked('POST', 'resize', { shareGiB: quota, ollamaGiB: disk });
    expect((await claim('ollama-data')).status.capacity.storage).toBe(`${disk}Gi`);
    expect((await claim('open-webui-data')).spec).toEqual(share.spec);
    expect(await cluster.get('/api/v1/persistentvolumes/open-webui-data')).toMatchObject({
      spec: { capacity: { storage: `${quota}Gi` } },
    });
    expect(await call('POST', 'resize', { ollamaGiB: 50 })).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'ollamaGiB' }] },
    });
  }, 120_000);

  test('all of it is told in the timeline, and then there is nothing left to do', async () => {
    const { body } = await call('GET', 'operations?top=5');
    expect(body.operations).toHaveLength(5);
    expect(body.operations[0]).toMatchObject({ kind: 'maintenance', state: 'succeeded' });
    const { body: told } = await call('GET', 'timeline?top=100');
    const causes = told.timeline.flatMap((entry: { kind: string; cause?: { what: string } }) =>
      entry.kind === 'operation' ? [entry.cause?.what.split('/').at(-1)] : [],
    );
    expect(causes).toEqual(
      expect.arrayContaining(['scale', 'models', 'sync', 'restart', 'config', 'resize']),
    );

    const { next } = await callsSince(sample, 0);
    const again = await call('POST', 'scale', { replicas: 4 });
    expect((await sample.api.watch(again.body.operation.id, () => {}, 100)).state).toBe('succeeded');
    expect((await callsSince(sample, next)).calls.filter(isMutation)).toEqual([]);
  }, 120_000);
});

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type {
  Dependencies,
  DependencyOutputs,
  Observed,
  Outputs,
  Resource,
} from '../../../src/graph/resource.ts';
import { dataVolume } from '../../../src/resources/kubernetes/data-volume.ts';
import { namespace } from '../../../src/resources/kubernetes/namespace.ts';
import { ollamaVolume } from '../../../src/resources/kubernetes/ollama-volume.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { type AnApiServer, startApiServer } from './an-api-server.ts';
import { known } from './known-outputs.ts';

type AnyResource = Resource<Scope, Dependencies, Outputs>;
const ollama = ollamaVolume as unknown as AnyResource;
const data = dataVolume as unknown as AnyResource;
const deps = known as unknown as DependencyOutputs<Dependencies>;

let server: AnApiServer;
const scope = (sizes: { readonly share?: number; readonly models?: number } = {}): Scope => ({
  ...specOf({ storage: { quotaGiB: sizes.share ?? 100 }, ollama: { storageGiB: sizes.models ?? 50 } }),
  clients: server.clients,
  now: new Date(),
  ...surroundings(),
});
async function push(resource: AnyResource, given: Scope): Promise<Observed<Outputs>> {
  const seen = await resource.observe(given, deps);
  if (['absent', 'drifted', 'failed'].includes(seen.state)) await resource.ensure(given, deps, seen);
  return resource.observe(given, deps);
}
const claim = (name: string) => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  name,
  namespace: 'open-webui',
});
const requested = async (name: string): Promise<unknown> => {
  const found = (await server.api.find(claim(name))) as unknown as {
    spec: { resources: { requests: { storage: string } } };
  };
  return found.spec.resources.requests.storage;
};
const bound = (name: string, storage: string) =>
  server.setStatus(claim(name), { phase: 'Bound', capacity: { storage } });
const storageClass = (allowVolumeExpansion: boolean) =>
  server.api.apply({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: 'managed-csi' },
    provisioner: 'disk.csi.azure.com',
    allowVolumeExpansion,
  });

beforeAll(async () => {
  server = await startApiServer();
  await storageClass(false);
  await namespace.ensure(scope(), {} as never, { state: 'absent' });
  await push(ollama, scope());
  await push(data, scope());
});
afterAll(() => server.stop());
beforeEach(() => void server.writes());

describe('the disk of the models', () => {
  test('keeps its size until a pod has it: the cluster refuses to grow it before', async () => {
    expect(await push(ollama, scope({ models: 80 }))).toMatchObject({ state: 'ready' });
    expect(await requested('ollama-data')).toBe('50Gi');
  });

  test('does not grow where its class does not allow that, and says so', async () => {
    await bound('ollama-data', '50Gi');
    await expect(push(ollama, scope({ models: 80 }))).rejects.toThrow(
      /storageclass that provisions the pvc must support resize/,
    );
  });

  test('grows by asking for more once, and is ready when there is more', async () => {
    await storageClass(true);
    expect(await push(ollama, scope({ models: 80 }))).toMatchObject({
      state: 'changing',
      reason: 'ollama-data grows from 50Gi to 80Gi',
    });
    server.writes();
    await server.setStatus(claim('ollama-data'), {
      conditions: [
        { type: 'FileSystemResizePending', status: 'True', message: 'Waiting for user to (re-)start a pod' },
      ],
    });
    expect(await push(ollama, scope({ models: 80 }))).toMatchObject({
      state: 'changing',
      reason: /FileSystemResizePending: Waiting for user/,
    });
    await server.setStatus(claim('ollama-data'), { conditions: null, capacity: { storage: '80Gi' } });
    expect(await push(ollama, scope({ models: 80 }))).toMatchObject({ state: 'ready' });
    expect(server.writes()).toEqual([]);
  });

  test('is left as it is when somebody has made it larger, without a write', async () => {
    server.edit(claim('ollama-data'), { spec: { resources: { requests: { storage: '0.1Ti' } } } });
    await server.setStatus(claim('ollama-data'), { capacity: { storage: '103Gi' } });
    expect(await push(ollama, scope({ models: 80 }))).toMatchObject({ state: 'ready' });
    expect(server.writes()).toEqual([]);
  });

  test('never shrinks: less is written down as the wish, and nothing more', async () => {
    expect(await push(ollama, scope({ models: 60 }))).toMatchObject({ state: 'ready' });
    expect(server.writes()).toHaveLength(1);
    expect(await push(ollama, scope({ models: 60 }))).toMatchObject({ state: 'ready' });
    expect(server.writes()).toEqual([]);
    expect(await requested('ollama-data')).toBe('0.1Ti');
  });
});

describe('the share', () => {
  test('grows by its quota: the claim stays as it was made, and the volume tells its size', async () => {
    await bound('open-webui-data', '100Gi');
    await push(data, scope({ share: 200 }));
    expect(server.writes()).toEqual(['PATCH /api/v1/persistentvolumes/open-webui-data']);
    expect(await requested('open-webui-data')).toBe('100Gi');
    await push(data, scope({ share: 200 }));
    expect(server.writes()).toEqual([]);
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DependencyOutputs, Observed, Outputs } from '../../../src/graph/resource.ts';
import { debugPods } from '../../../src/resources/kubernetes/debug-pods.ts';
import { type DebugPodKind, noWishes, type Scope } from '../../../src/resources/scope.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { type AnApiServer, startApiServer } from './an-api-server.ts';

const START = Date.now();
const minutes = (count: number): Date => new Date(START + count * 60_000);
const pods = '/api/v1/namespaces/open-webui/pods';
const image = (repository: string): string => `acr.azurecr.io/${repository}@sha256:${'a'.repeat(64)}`;

let server: AnApiServer;
type Deps = DependencyOutputs<typeof debugPods.dependsOn>;
const deps = {
  images: { netshoot: image('netshoot'), postgresClient: image('postgres') },
  postgresServer: { fqdn: 'psql-chat.postgres.database.azure.com' },
} as Partial<Deps> as Deps;
/** Somebody asked for these, at the start, for half an hour. */
const scope = (wanted: readonly DebugPodKind[], now = minutes(0)): Scope => ({
  ...specOf(),
  clients: server.clients,
  now,
  ...surroundings(),
  wishes: {
    ...noWishes,
    debugPods: wanted.map((kind) => ({ kind, until: minutes(30).toISOString() })),
  },
});
const observe = (wanted: readonly DebugPodKind[], now?: Date): Promise<Observed<Outputs>> =>
  debugPods.observe(scope(wanted, now), deps);
const ensure = (wanted: readonly DebugPodKind[], now?: Date): Promise<void> =>
  debugPods.ensure(scope(wanted, now), deps, { state: 'absent' });
const reference = (name: string) => ({ apiVersion: 'v1', kind: 'Pod', name, namespace: 'open-webui' });
const setReady = (name: string, phase = 'Running'): Promise<void> =>
  server.setStatus(reference(name), { phase, conditions: [{ type: 'Ready', status: 'True' }] });

beforeAll(async () => {
  server = await startApiServer();
  await server.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'open-webui' } });
  await server.api.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', namespace: 'open-webui' },
  });
});
afterAll(() => server.stop());
beforeEach(async () => {
  for (const name of ['debug-netshoot', 'debug-psql']) await server.api.remove(reference(name));
  server.writes();
});

describe('kubernetes/debug-pods', () => {
  test('is as asked, without a write, while nobody wants one', async () => {
    expect(await observe([])).toEqual({ state: 'ready', outputs: { pods: [] } });
    expect(server.writes()).toEqual([]);
  });

  test('starts what is wanted, waits for it, and tells what can be used', async () => {
    expect(await observe(['netshoot'])).toMatchObject({
      state: 'drifted',
      differences: [{ path: 'Pod debug-netshoot', wanted: 'present' }],
    });
    await ensure(['netshoot']);
    expect(server.writes()).toEqual([`PATCH ${pods}/debug-netshoot`]);
    expect(await observe(['netshoot'])).toMatchObject({ state: 'changing' });
    await setReady('debug-netshoot');
    expect(await observe(['netshoot'])).toEqual({ state: 'ready', outputs: { pods: ['debug-netshoot'] } });
  });

  test('waits for an image that is not in the registry yet', async () => {
    const without = { ...deps, images: { ...deps.images, postgresClient: '' } };
    await expect(debugPods.ensure(scope(['psql']), without, { state: 'absent' })).rejects.toMatchObject({
      failure: { kind: 'retryable', message: 'the image of debug-psql is not in the registry yet' },
    });
    expect(server.writes()).toEqual([]);
  });

  test('lets a pod end by itself at the time that was asked for', async () => {
    await ensure(['psql'], minutes(10));
    expect(await server.api.find(reference('debug-psql'))).toMatchObject({
      spec: { activeDeadlineSeconds: 1200, restartPolicy: 'Never' },
    });
  });

  test('gives psql all it needs to connect, the password only as a reference', async () => {
    await ensure(['psql']);
    const pod = (await server.api.find(reference('debug-psql'))) as unknown as {
      spec: { containers: { image: string; env: { name: string; value?: string; valueFrom?: object }[] }[] };
    };
    const [container] = pod.spec.containers;
    expect(container?.image).toBe(image('postgres'));
    expect(Object.fromEntries(container?.env.map(({ name, ...rest }) => [name, rest]) ?? [])).toEqual({
      PGHOST: { value: 'psql-chat.postgres.database.azure.com' },
      PGPORT: { value: '5432' },
      PGDATABASE: { value: 'openwebuidb' },
      PGUSER: { value: 'openwebuiadmin' },
      PGSSLMODE: { value: 'require' },
      PGPASSWORD: { valueFrom: { secretKeyRef: { name: 'open-webui-secrets', key: 'POSTGRES_PASSWORD' } } },
    });
  });

  test.each([
    { why: 'when its time is up', wanted: ['netshoot'] as const, now: minutes(31), phase: 'Running' },
    { why: 'when nobody wants it any more', wanted: [], now: minutes(5), phase: 'Running' },
    { why: 'when it has ended', wanted: ['netshoot'] as const, now: minutes(5), phase: 'Failed' },
  ])('takes a pod away $why', async ({ wanted, now, phase }) => {
    await ensure(['netshoot']);
    await setReady('debug-netshoot', phase);
    expect(await observe(wanted, now)).toMatchObject({
      state: 'drifted',
      differences: [{ path: 'Pod debug-netshoot', wanted: null, found: 'not wanted any more' }],
    });
    server.writes();
    await ensure(wanted, now);
    expect(server.writes()).toEqual([`DELETE ${pods}/debug-netshoot`]);
  });

  test('leaves a pod of that name alone that somebody else has made', async () => {
    await server.api.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'debug-netshoot', namespace: 'open-webui' },
      spec: { containers: [{ name: 'theirs', image: 'busybox' }] },
    });
    expect(await observe([])).toMatchObject({ state: 'foreign' });
  });
});

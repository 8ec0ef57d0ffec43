import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DependencyOutputs, Observed, Outputs } from '../../../src/graph/resource.ts';
import { shareWrite } from '../../../src/resources/kubernetes/share-write.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { type AnApiServer, startApiServer } from './an-api-server.ts';

const START = Date.now();
const minutes = (count: number): Date => new Date(START + count * 60_000);
const pod = { apiVersion: 'v1', kind: 'Pod', name: 'open-webui-share-write', namespace: 'open-webui' };
const POD_PATH = '/api/v1/namespaces/open-webui/pods/open-webui-share-write';

let server: AnApiServer;
let claim = 'open-webui-data';

type Deps = DependencyOutputs<typeof shareWrite.dependsOn>;
const deps = (): Deps => ({ dataVolume: { claim } }) as Partial<Deps> as Deps;
const scope = (now = minutes(0)): Scope => ({
  ...specOf(),
  clients: server.clients,
  now,
  ...surroundings(),
});
const observe = (now = minutes(0)): Promise<Observed<Outputs>> => shareWrite.observe(scope(now), deps());
const ensure = async (now = minutes(0)): Promise<void> =>
  shareWrite.ensure(scope(now), deps(), { state: 'absent' });

/** Open WebUI as it runs with a claim. */
const runWith = (claimName: string) =>
  server.api.apply({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'open-webui', namespace: 'open-webui' },
    spec: {
      selector: { matchLabels: { app: 'open-webui' } },
      template: {
        metadata: { labels: { app: 'open-webui' } },
        spec: {
          containers: [{ name: 'open-webui', image: 'acr.azurecr.io/open-webui@sha256:good' }],
          volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }],
        },
      },
    },
  });
const end = (phase: string, message = ''): Promise<void> =>
  server.setStatus(pod, {
    phase,
    containerStatuses: [
      {
        name: 'write',
        image: 'open-webui',
        imageID: '',
        ready: false,
        restartCount: 0,
        state: {
          terminated: {
            exitCode: phase === 'Succeeded' ? 0 : 1,
            message,
            finishedAt: `${minutes(0).toISOString().slice(0, 19)}Z`,
          },
        },
      },
    ],
  });

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
beforeEach(() => void server.writes());

describe('kubernetes/share-write', () => {
  test('has nothing to prove before there is an Open WebUI, nor while it uses that claim', async () => {
    expect(await observe()).toEqual({ state: 'ready', outputs: { provenClaim: null } });
    await runWith(claim);
    server.writes();
    expect(await observe()).toEqual({ state: 'ready', outputs: { provenClaim: claim } });
    expect(server.writes()).toEqual([]);
  });

  test('tries another claim in a pod of the image that serves, once', async () => {
    claim = 'open-webui-data-key2';
    expect(await observe()).toEqual({ state: 'absent' });
    await ensure();
    await ensure();
    expect(server.writes()).toEqual([`PATCH ${POD_PATH}`]);
    expect(await observe()).toMatchObject({ state: 'changing' });
    expect(await server.api.find(pod)).toMatchObject({
      metadata: { labels: { app: 'open-webui-share-write' } },
      spec: {
        restartPolicy: 'Never',
        containers: [{ image: 'acr.azurecr.io/open-webui@sha256:good' }],
        volumes: [{ persistentVolumeClaim: { claimName: 'open-webui-data-key2' } }],
      },
    });
  });

  test('stops here when the write fails, and tries again after a while', async () => {
    await end('Failed', 'Permission denied');
    expect(await observe()).toMatchObject({
      state: 'failed',
      code: 'ShareWriteFailed',
      message: expect.stringContaining('open-webui-data-key2 (Permission denied)'),
    });
    await expect(ensure(minutes(4))).rejects.toMatchObject({ failure: { kind: 'fatal' } });
    server.writes();
    await ensure(minutes(6));
    await ensure(minutes(6));
    expect(server.writes()).toEqual([`DELETE ${POD_PATH}`, `PATCH ${POD_PATH}`]);
  });

  test('is ready once a pod has written, and stays so without a write', async () => {
    await end('Succeeded');
    expect(await observe()).toEqual({ state: 'ready', outputs: { provenClaim: claim } });
    expect(server.writes().filter((call) => !call.endsWith('/status'))).toEqual([]);
  });

  test('does not take the proof of one claim for that of another', async () => {
    await runWith('open-webui-data-key2');
    claim = 'open-webui-data';
    expect(await observe()).toMatchObject({ state: 'drifted', outputs: { provenClaim: null } });
    server.writes();
    await ensure();
    expect(server.writes()).toEqual([`DELETE ${POD_PATH}`]);
    await ensure();
    await end('Succeeded');
  });

  test('leaves nothing lying about once the claim is in use', async () => {
    await runWith(claim);
    expect(await observe()).toMatchObject({ state: 'drifted' });
    await ensure();
    expect(await observe()).toEqual({ state: 'ready', outputs: { provenClaim: claim } });
    expect(await server.api.find(pod)).toBeUndefined();
  });

  test("does not touch a pod of that name that is somebody else's", async () => {
    await server.api.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: pod.name, namespace: pod.namespace },
      spec: { containers: [{ name: 'theirs', image: 'example.com/theirs:1' }] },
    });
    server.writes();
    expect(await observe()).toMatchObject({ state: 'foreign' });
    await shareWrite.remove(scope(), deps(), { state: 'absent' });
    expect(server.writes()).toEqual([]);
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { KubernetesObject } from '../../../src/clients/kubernetes-api.ts';
import type { DependencyOutputs, Observed } from '../../../src/graph/resource.ts';
import { manifestOf } from '../../../src/resources/kinds/kubernetes-object.ts';
import { databaseLogin } from '../../../src/resources/kubernetes/database-login.ts';
import type { Scope, SecretReference } from '../../../src/resources/scope.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { AVault } from './a-vault.ts';
import { type AnApiServer, startApiServer } from './an-api-server.ts';
import { sync } from './an-operator.ts';

const PROOF = 'open-webui-database-login';
const START = Date.now();
const minutes = (count: number): Date => new Date(START + count * 60_000);
const URL = 'postgresql://openwebui:the-password@psql.example.com/db';

let server: AnApiServer;
const vault = new AVault();
let current: SecretReference = vault.put('postgres-connection-string', URL, minutes(-60));

type Deps = DependencyOutputs<typeof databaseLogin.dependsOn>;
const deps = (): Deps =>
  ({
    addons: { externalSecretsApi: 'external-secrets.io/v1' },
    postgresConnectionString: { secret: current },
  }) as Partial<Deps> as Deps;
const scope = (now: Date): Scope => ({
  ...specOf({ cluster: { nodeSelector: { pool: 'ai' } } }),
  clients: { ...server.clients, ...vault.clients },
  now,
  ...surroundings(),
});
const observe = (now = minutes(0)): Promise<Observed<{ provenVersion: string | null }>> =>
  databaseLogin.observe(scope(now), deps());
const ensure = async (now = minutes(0)): Promise<void> =>
  databaseLogin.ensure(scope(now), deps(), await observe(now));

const inNamespace = (apiVersion: string, kind: string, name: string) => ({
  apiVersion,
  kind,
  name,
  namespace: 'open-webui',
});
const pod = inNamespace('v1', 'Pod', PROOF);
const externalSecret = inNamespace('external-secrets.io/v1', 'ExternalSecret', PROOF);
const secret = inNamespace('v1', 'Secret', PROOF);

/** What Open WebUI has been handed: its ExternalSecret, as far as this proof looks at it. */
const handOut = ({ name: key, version }: SecretReference): Promise<KubernetesObject> =>
  server.api.apply({
    apiVersion: 'external-secrets.io/v1',
    kind: 'ExternalSecret',
    metadata: { name: 'open-webui-secrets', namespace: 'open-webui' },
    spec: { data: [{ secretKey: 'DATABASE_URL', remoteRef: { key, version } }] },
  });

/** Brings the proof as far as its pod. */
async function untilPod(now = minutes(0)): Promise<void> {
  await ensure(now);
  await sync(server, vault, PROOF);
  await ensure(now);
}
const end = (phase: string, message: string, finishedAt: Date): Promise<void> =>
  server.setStatus(pod, {
    phase,
    containerStatuses: [
      {
        name: 'login',
        image: 'open-webui',
        imageID: '',
        ready: false,
        restartCount: 0,
        state: {
          terminated: {
            exitCode: phase === 'Succeeded' ? 0 : 1,
            message,
            finishedAt: `${finishedAt.toISOString().slice(0, 19)}Z`,
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
beforeEach(() => {
  server.writes();
});

describe('kubernetes/database-login', () => {
  test('has nothing to prove before there is an Open WebUI', async () => {
    expect(await observe()).toEqual({ state: 'ready', outputs: { provenVersion: null } });
    expect(server.writes()).toEqual([]);
    await server.api.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: {
        name: 'open-webui',
        namespace: 'open-webui',
        annotations: { 'open-webui-control-plane/good-image': 'acr.azurecr.io/open-webui@sha256:good' },
      },
      spec: {
        selector: { matchLabels: { app: 'open-webui' } },
        template: {
          metadata: { labels: { app: 'open-webui' } },
          spec: {
            containers: [{ name: 'open-webui', image: 'acr.azurecr.io/open-webui@sha256:candidate' }],
          },
        },
      },
    });
  });

  test('has nothing to prove while Open WebUI has that very version', async () => {
    await handOut(current);
    server.writes();
    expect(await observe()).toEqual({ state: 'ready', outputs: { provenVersion: 'v1' } });
    expect(server.writes()).toEqual([]);
  });

  test('tries a new version in a pod of the image that serves, once its Secret has arrived', async () => {
    current = vault.put('postgres-connection-string', `${URL}?second`, minutes(0));
    expect(await observe()).toEqual({ state: 'absent' });
    await ensure();
    expect(server.writes()).toEqual([
      `PATCH /apis/external-secrets.io/v1/namespaces/open-webui/externalsecrets/${PROOF}`,
    ]);
    expect(await observe()).toMatchObject({ state: 'changing', reason: `${PROOF} has not been synced yet` });
    await ensure();
    expect(server.writes()).toEqual([]);

    await sync(server, vault, PROOF);
    server.writes();
    expect(await observe()).toMatchObject({
      state: 'drifted',
      differences: [{ path: `Pod ${PROOF}`, wanted: 'present', found: null }],
    });
    await ensure();
    expect(server.writes()).toEqual([`PATCH /api/v1/namespaces/open-webui/pods/${PROOF}`]);
    expect(await server.api.find(pod)).toMatchObject({
      metadata: { labels: { app: PROOF } },
      spec: {
        restartPolicy: 'Never',
        activeDeadlineSeconds: 120,
        nodeSelector: { pool: 'ai' },
        containers: [
          {
            image: 'acr.azurecr.io/open-webui@sha256:good',
            env: [
              { name: 'DATABASE_URL', valueFrom: { secretKeyRef: { name: PROOF, key: 'DATABASE_URL' } } },
            ],
            terminationMessagePolicy: 'FallbackToLogsOnError',
          },
        ],
      },
    });
    expect(await observe()).toMatchObject({
      state: 'changing',
      reason: 'a pod is trying whether the new connection string logs in',
    });
    await ensure();
    expect(server.writes()).toEqual([]);

    await end('Succeeded', '', minutes(1));
    expect(await observe()).toEqual({ state: 'ready', outputs: { provenVersion: 'v2' } });
    expect(server.writes()).toEqual([]);
  });

  test('leaves nothing lying about once the version is handed out', async () => {
    await handOut(current);
    server.writes();
    expect(await observe()).toMatchObject({
      state: 'drifted',
      differences: ['Pod', 'ExternalSecret', 'Secret'].map((kind) => ({
        path: `${kind} ${PROOF}`,
        wanted: null,
        found: 'leftover of an earlier proof',
      })),
    });
    await ensure();
    for (const reference of [pod, externalSecret, secret]) {
      expect(await server.api.find(reference), reference.kind).toBeUndefined();
    }
    server.writes();
    expect(await observe()).toEqual({ state: 'ready', outputs: { provenVersion: 'v2' } });
    await ensure();
    expect(server.writes()).toEqual([]);
  });

  test('stops at a version that does not log in, and says so without a value', async () => {
    current = vault.put('postgres-connection-string', `${URL}?third`, minutes(10));
    await untilPod();
    await end('Failed', 'timeout expired\npassword authentication failed\n', minutes(11));
    server.writes();
    const message =
      'the connection string in the vault (version v3) does not log in to the database (password authentication failed): it is not handed out, and the running pods keep the one they have';
    expect(await observe(minutes(12))).toEqual({ state: 'failed', code: 'DatabaseLoginFailed', message });
    await expect(ensure(minutes(12))).rejects.toMatchObject({
      failure: { kind: 'fatal', code: 'DatabaseLoginFailed', message },
    });
    expect(server.writes()).toEqual([]);

    await end('Failed', `OperationalError: could not parse ${URL}`, minutes(11));
    const seen = JSON.stringify(await observe(minutes(12)));
    expect(seen).toContain('the pod failed before it could say why');
    expect(seen).not.toContain('the-password');
  });

  test('tries it again after some minutes, in a new pod', async () => {
    const before = (await server.api.find(pod))?.metadata.uid;
    await ensure(minutes(17));
    expect(server.writes()).toEqual([`DELETE /api/v1/namespaces/open-webui/pods/${PROOF}`]);
    await ensure(minutes(17));
    expect(server.writes()).toEqual([`PATCH /api/v1/namespaces/open-webui/pods/${PROOF}`]);
    expect((await server.api.find(pod))?.metadata.uid).not.toBe(before);
  });

  test('a pod that never got anywhere is told by its deadline', async () => {
    await server.setStatus(pod, { phase: 'Failed', reason: 'DeadlineExceeded' });
    expect(await observe()).toMatchObject({ state: 'failed', message: /no answer within 120 seconds/ });
  });

  test('a newer version is proven at once, whatever became of the one before', async () => {
    current = vault.put('postgres-connection-string', `${URL}?fourth`, minutes(20));
    expect(await observe()).toMatchObject({
      state: 'drifted',
      differences: [{ path: `Pod ${PROOF}`, wanted: null, found: 'the proof of another version' }],
    });
    await untilPod();
    expect(await server.api.find(pod)).toMatchObject({
      metadata: { annotations: { 'open-webui-control-plane/proves': 'v4' } },
    });
    await end('Succeeded', '', minutes(21));
    expect(await observe()).toEqual({ state: 'ready', outputs: { provenVersion: 'v4' } });
  });

  test('does not believe a Secret that holds something else', async () => {
    current = vault.put('postgres-connection-string', `${URL}?fifth`, minutes(30));
    await ensure();
    await sync(server, vault, PROOF);
    await server.api.mergePatch(secret, { data: { DATABASE_URL: 'eA==' } });
    server.writes();
    expect(await observe()).toMatchObject({ state: 'changing', reason: /is not what the vault holds/ });
    await ensure();
    expect(server.writes()).toEqual([]);
  });

  test('removal takes the proof along, and leaves what is not ours', async () => {
    await databaseLogin.remove(scope(minutes(0)), deps(), { state: 'absent' });
    expect(await server.api.find(externalSecret)).toBeUndefined();
    await server.api.apply(
      manifestOf(
        {
          apiVersion: 'v1',
          kind: 'Secret',
          name: PROOF,
          body: () => ({}),
        },
        { ...specOf(), names: { ...specOf().names, deployment: 'another' } },
        {},
      ),
    );
    server.writes();
    expect(await observe()).toEqual({
      state: 'foreign',
      reason: `Secret ${PROOF} belongs to the deployment another`,
    });
    await databaseLogin.remove(scope(minutes(0)), deps(), { state: 'absent' });
    expect(server.writes()).toEqual([]);
  });
});

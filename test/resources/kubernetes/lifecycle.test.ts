import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KubernetesObject } from '../../../src/clients/kubernetes-api.ts';
import type {
  Dependencies,
  DependencyOutputs,
  Observed,
  Outputs,
  Resource,
} from '../../../src/graph/resource.ts';
import { cloudflared } from '../../../src/resources/kubernetes/cloudflared.ts';
import { config } from '../../../src/resources/kubernetes/config.ts';
import { dataVolume } from '../../../src/resources/kubernetes/data-volume.ts';
import { disruptionBudget } from '../../../src/resources/kubernetes/disruption-budget.ts';
import { externalSecrets } from '../../../src/resources/kubernetes/external-secrets.ts';
import { namespace } from '../../../src/resources/kubernetes/namespace.ts';
import { networkPolicy } from '../../../src/resources/kubernetes/network-policy.ts';
import { ollama } from '../../../src/resources/kubernetes/ollama.ts';
import { ollamaService } from '../../../src/resources/kubernetes/ollama-service.ts';
import { ollamaVolume } from '../../../src/resources/kubernetes/ollama-volume.ts';
import { openWebui } from '../../../src/resources/kubernetes/open-webui.ts';
import { openWebuiService } from '../../../src/resources/kubernetes/open-webui-service.ts';
import { redis } from '../../../src/resources/kubernetes/redis.ts';
import { secretStore } from '../../../src/resources/kubernetes/secret-store.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import type { DeploymentSpecInput } from '../../../src/spec/spec.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { type AnApiServer, startApiServer } from './an-api-server.ts';
import { known } from './known-outputs.ts';

type AnyResource = Resource<Scope, Dependencies, Outputs>;

let server: AnApiServer;
const scope = (change: Partial<DeploymentSpecInput> = {}): Scope => ({
  ...specOf({
    cluster: {
      tolerations: [{ key: 'platform', value: 'ai', effect: 'NoSchedule' }],
      nodeSelector: { pool: 'ai' },
    },
    webui: {
      resources: { requests: { cpu: '1000m', memory: '1.5Gi' }, limits: { cpu: '1.5', memory: '2048Mi' } },
    },
    ...change,
  }),
  clients: server.clients,
  now: new Date(),
  ...surroundings(),
});
const deps = known as unknown as DependencyOutputs<Dependencies>;

const observe = (resource: AnyResource, change?: Partial<DeploymentSpecInput>): Promise<Observed<Outputs>> =>
  resource.observe(scope(change), deps);
async function push(
  resource: AnyResource,
  change?: Partial<DeploymentSpecInput>,
): Promise<Observed<Outputs>> {
  const seen = await observe(resource, change);
  if (['absent', 'drifted', 'failed'].includes(seen.state)) await resource.ensure(scope(change), deps, seen);
  return observe(resource, change);
}

const all = [
  namespace,
  ollamaVolume,
  dataVolume,
  secretStore,
  externalSecrets,
  config,
  redis,
  ollama,
  ollamaService,
  openWebui,
  openWebuiService,
  cloudflared,
  disruptionBudget,
  networkPolicy,
] as unknown as readonly AnyResource[];

const inNamespace = (apiVersion: string, kind: string, name: string) => ({
  apiVersion,
  kind,
  name,
  namespace: 'open-webui',
});
const deployment = (name: string) => inNamespace('apps/v1', 'Deployment', name);
const rolledOut = async (name: string, replicas: number): Promise<void> => {
  const found = await server.api.find(deployment(name));
  await server.setStatus(deployment(name), {
    observedGeneration: found?.metadata.generation,
    replicas,
    updatedReplicas: replicas,
    readyReplicas: replicas,
    availableReplicas: replicas,
  });
};

beforeAll(async () => {
  server = await startApiServer();
});
afterAll(() => server.stop());

describe('kubernetes', () => {
  test('every manifest passes the API server, and nothing of it is found changed', async () => {
    for (const resource of all) {
      expect(await observe(resource), resource.key).toEqual({ state: 'absent' });
      expect((await push(resource)).state, resource.key).toMatch(/^(ready|changing)$/);
    }
    expect(server.writes()).toHaveLength(24);
    for (const resource of all) await push(resource);
    expect(server.writes()).toEqual([]);
  });

  test('what is there without status to speak of is ready at once', async () => {
    const plain = [
      namespace,
      config,
      ollamaVolume,
      ollamaService,
      openWebuiService,
      disruptionBudget,
      networkPolicy,
    ];
    for (const resource of plain as unknown as readonly AnyResource[]) {
      expect((await observe(resource)).state, resource.key).toBe('ready');
    }
  });

  test('the volume of the other key is ready for itself, beside the first', async () => {
    const volumes = async (): Promise<readonly string[]> =>
      (await server.api.list({ apiVersion: 'v1', kind: 'PersistentVolume' })).map(
        ({ metadata }) => metadata.name,
      );
    const deps = {
      ...known,
      storageCredentials: { ...known.storageCredentials, keyName: 'key2' },
    } as never;
    await dataVolume.ensure(scope(), deps, { state: 'absent' });
    server.writes();
    expect(await dataVolume.observe(scope(), deps)).toMatchObject({
      state: 'changing',
      reason: 'the claim open-webui-data-key2 is not bound to its volume yet',
    });
    await server.setStatus(inNamespace('v1', 'PersistentVolumeClaim', 'open-webui-data-key2'), {
      phase: 'Bound',
    });
    expect(await dataVolume.observe(scope(), deps)).toEqual({
      state: 'ready',
      outputs: { claim: 'open-webui-data-key2' },
    });
    expect(await volumes()).toEqual(['open-webui-data', 'open-webui-data-key2']);
    server.writes();
  });

  test('the data volume is ready once bound, and binds again to a claim made anew', async () => {
    const volume = { apiVersion: 'v1', kind: 'PersistentVolume', name: 'open-webui-data' };
    const claim = inNamespace('v1', 'PersistentVolumeClaim', 'open-webui-data');
    expect(await observe(dataVolume as unknown as AnyResource)).toMatchObject({ state: 'changing' });
    await server.setStatus(claim, { phase: 'Bound' });
    expect(await observe(dataVolume as unknown as AnyResource)).toMatchObject({ state: 'ready' });

    await server.setStatus(claim, { phase: 'Pending' });
    await server.setStatus(volume, { phase: 'Released' });
    await server.api.mergePatch(volume, {
      spec: { claimRef: { name: 'open-webui-data', uid: 'of-the-old-one' } },
    });
    expect(await push(dataVolume as unknown as AnyResource)).toMatchObject({ code: 'VolumeReleased' });
    const { spec } = (await server.api.find(volume)) as unknown as { spec: object };
    expect(spec).not.toHaveProperty('claimRef');
    server.writes();
  });

  test('the secret store is ready only when the operator calls it valid', async () => {
    const reference = inNamespace('external-secrets.io/v1', 'SecretStore', 'azure-key-vault');
    const condition = {
      type: 'Ready',
      status: 'False',
      reason: 'InvalidProviderConfig',
      message: 'no identity',
    };
    await server.setStatus(reference, { conditions: [condition] });
    expect(await observe(secretStore as unknown as AnyResource)).toEqual({
      state: 'changing',
      reason: 'secret store azure-key-vault: no identity',
    });
    await server.setStatus(reference, { conditions: [{ ...condition, status: 'True', reason: 'Valid' }] });
    expect(await observe(secretStore as unknown as AnyResource)).toMatchObject({ state: 'ready' });
  });

  test('Open WebUI starts with one replica, grows when that is ready, and then stays', async () => {
    const webui = openWebui as unknown as AnyResource;
    const replicas = async (): Promise<unknown> =>
      ((await server.api.find(deployment('open-webui'))) as unknown as { spec: { replicas: number } }).spec
        .replicas;
    expect(await replicas()).toBe(1);
    expect(await push(webui)).toMatchObject({
      state: 'changing',
      reason: expect.stringMatching(/^one replica first/),
    });
    await rolledOut('open-webui', 1);
    expect(await observe(webui)).toMatchObject({ state: 'drifted' });
    expect(await push(webui)).toMatchObject({ state: 'changing' });
    expect(await replicas()).toBe(3);
    await rolledOut('open-webui', 3);
    expect(await push(webui)).toMatchObject({ state: 'ready' });
    server.writes();
    await push(webui);
    expect(server.writes()).toEqual([]);
  });

  test('what somebody changed is put back, and what is beside it stays', async () => {
    const reference = deployment('open-webui');
    await server.api.mergePatch(reference, {
      metadata: { annotations: { 'their.example.com/note': 'keep' } },
      spec: { template: { metadata: { annotations: { 'reloader.stakater.com/last-reloaded-from': 'x' } } } },
    });
    await rolledOut('open-webui', 3);
    expect(await observe(openWebui as unknown as AnyResource)).toMatchObject({ state: 'ready' });

    await server.api.mergePatch(reference, { spec: { replicas: 5, progressDeadlineSeconds: 7 } });
    expect(await observe(openWebui as unknown as AnyResource)).toMatchObject({
      state: 'drifted',
      differences: [
        { path: 'Deployment open-webui: spec.replicas', wanted: 3, found: 5 },
        { path: 'Deployment open-webui: spec.progressDeadlineSeconds', wanted: 600, found: 7 },
      ],
    });
    await push(openWebui as unknown as AnyResource);
    const found = (await server.api.find(reference)) as KubernetesObject;
    expect(found).toMatchObject({
      metadata: { annotations: { 'their.example.com/note': 'keep' } },
      spec: {
        replicas: 3,
        template: { metadata: { annotations: { 'reloader.stakater.com/last-reloaded-from': 'x' } } },
      },
    });
  });

  test('a port with another number is put back, and ports that others added stay', async () => {
    const reference = inNamespace('v1', 'Service', 'ollama');
    const metrics = { name: 'metrics', port: 9090, targetPort: 9090, protocol: 'TCP' };
    const http = { name: 'http', port: 11_435, targetPort: 'http', protocol: 'TCP' };
    server.edit(reference, { spec: { ports: [http, metrics] } });
    expect(await observe(ollamaService as unknown as AnyResource)).toMatchObject({
      state: 'drifted',
      differences: [
        {
          path: 'Service ollama: spec.ports.http.port',
          ...{ wanted: 11_434, found: 11_435, by: { name: 'kubectl-edit' } },
        },
      ],
    });
    expect(await push(ollamaService as unknown as AnyResource)).toMatchObject({ state: 'ready' });
    expect(await server.api.find(reference)).toMatchObject({
      spec: { ports: [{ ...http, port: 11_434 }, metrics] },
    });

    const container = { spec: { template: { spec: { containers: [{ name: 'ollama' }] } } } };
    const found = (await server.api.find(deployment('ollama'))) as unknown as typeof container;
    const [first] = found.spec.template.spec.containers;
    const ports = [{ name: 'http', containerPort: 99, protocol: 'TCP' }];
    const sidecar = { name: 'sidecar', image: 'example.com/sidecar' };
    server.edit(deployment('ollama'), {
      spec: { template: { spec: { containers: [{ ...first, ports }, sidecar] } } },
    });
    await push(ollama as unknown as AnyResource);
    expect(await server.api.find(deployment('ollama'))).toMatchObject({
      spec: {
        template: {
          spec: { containers: [{ ports: [{ name: 'http', containerPort: 11_434 }] }, sidecar] },
        },
      },
    });
  });

  test('a setting that is no longer wished goes away, and one that somebody added stays', async () => {
    const reference = inNamespace('v1', 'ConfigMap', 'open-webui-config');
    await push(config as unknown as AnyResource, { webui: { config: { CUSTOM: 'x' } } });
    await server.api.mergePatch(reference, { data: { THEIRS: 'y' } });
    await push(config as unknown as AnyResource);
    const { data } = (await server.api.find(reference)) as unknown as { data: Record<string, string> };
    expect(data).not.toHaveProperty('CUSTOM');
    expect(data).toHaveProperty('THEIRS', 'y');
  });

  test('a part that somebody deleted comes back alone', async () => {
    await server.api.remove(inNamespace('networking.k8s.io/v1', 'NetworkPolicy', 'ollama'));
    server.writes();
    expect(await observe(networkPolicy as unknown as AnyResource)).toMatchObject({
      state: 'drifted',
      differences: [{ path: 'NetworkPolicy ollama', wanted: 'present', found: null }],
    });
    await push(networkPolicy as unknown as AnyResource);
    expect(server.writes()).toEqual([
      'PATCH /apis/networking.k8s.io/v1/namespaces/open-webui/networkpolicies/ollama',
    ]);
  });

  test('an object without our mark is not touched', async () => {
    const reference = inNamespace('v1', 'Service', 'open-webui');
    await server.api.mergePatch(reference, {
      metadata: { annotations: { 'open-webui-control-plane/deployment': 'another' } },
    });
    server.writes();
    expect(await push(openWebuiService as unknown as AnyResource)).toEqual({
      state: 'foreign',
      reason: 'Service open-webui belongs to the deployment another',
    });
    await openWebuiService.remove(scope(), known as never, { state: 'foreign', reason: '' });
    expect(server.writes()).toEqual([]);
    await server.api.mergePatch(reference, {
      metadata: { annotations: { 'open-webui-control-plane/deployment': 'chat' } },
    });
  });

  test('a crash loop is told in the words of the pod', async () => {
    await server.api.apply({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'default', namespace: 'open-webui' },
    });
    await server.api.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'ollama-x', namespace: 'open-webui', labels: { app: 'ollama' } },
      spec: { containers: [{ name: 'ollama', image: 'ollama' }] },
    });
    const found = await server.api.find(deployment('ollama'));
    await server.setStatus(deployment('ollama'), {
      observedGeneration: found?.metadata.generation,
      replicas: 1,
    });
    await server.setStatus(inNamespace('v1', 'Pod', 'ollama-x'), {
      containerStatuses: [
        {
          name: 'ollama',
          image: 'ollama',
          imageID: '',
          ready: false,
          restartCount: 0,
          state: { waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image' } },
        },
      ],
    });
    expect(await observe(ollama as unknown as AnyResource)).toEqual({
      state: 'changing',
      reason: 'pod ollama-x waits: ImagePullBackOff: Back-off pulling image',
    });
  });

  test('removal takes everything that is ours, in any order, twice without harm', async () => {
    for (let times = 0; times < 2; times += 1) {
      for (const resource of all.toReversed()) {
        if (resource === (namespace as unknown)) continue;
        await resource.remove(scope(), {}, { state: 'absent' });
      }
    }
    for (const resource of all) {
      if (resource === (namespace as unknown)) continue;
      expect((await observe(resource)).state, resource.key).toMatch(/^(absent|changing)$/);
    }
    for (const { metadata } of await server.api.list({ apiVersion: 'v1', kind: 'PersistentVolume' })) {
      expect(metadata.deletionTimestamp, metadata.name).toBeDefined();
    }
  });
});

/**
 * Faults that the simulated kubelet and operators do not have, or would mend at once: the API server alone shows what a
 * real one would then show.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Check, CheckFinding, CheckScope } from '../../../src/checks/check.ts';
import { clusterDns } from '../../../src/checks/kubernetes/cluster-dns.ts';
import { namespaceStays } from '../../../src/checks/kubernetes/namespace.ts';
import { nodesCarry } from '../../../src/checks/kubernetes/nodes.ts';
import { operatorsAvailable } from '../../../src/checks/kubernetes/operators.ts';
import { troubleInPods } from '../../../src/checks/kubernetes/pod-trouble.ts';
import { dataVolumeBound, ollamaVolumeBound } from '../../../src/checks/kubernetes/volumes.ts';
import { KubernetesError, type KubernetesObject } from '../../../src/clients/kubernetes-api.ts';
import { type AnApiServer, startApiServer } from '../../resources/kubernetes/an-api-server.ts';
import { specOf } from '../../resources/spec.ts';

let server: AnApiServer;
const scope = (): CheckScope => ({
  ...specOf(),
  clients: server.clients,
  now: new Date(Date.now() + 600_000),
  known: {},
});
const seen = async (check: Check): Promise<readonly string[]> =>
  (await check.run(scope())).map(({ resource, id }: CheckFinding) => `${resource} ${id}`);

const node = { apiVersion: 'v1', kind: 'Node', name: 'aks-system-1' };
const condition = (type: string, status: string) => ({
  type,
  status,
  reason: type,
  message: '',
  lastTransitionTime: new Date().toISOString(),
});

beforeAll(async () => {
  server = await startApiServer();
});
afterAll(() => server?.stop());

describe('checks of what the API server shows', () => {
  test('name a namespace that is missing', async () => {
    expect(await seen(namespaceStays)).toEqual(['kubernetes/namespace namespace-missing']);
    await server.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'open-webui' } });
    expect(await seen(namespaceStays)).toEqual([]);
  });

  test('name operators that are not installed', async () => {
    expect(await seen(operatorsAvailable)).toEqual([
      'kubernetes/addons external-secrets-missing',
      'kubernetes/addons reloader-missing',
    ]);
  });

  test('name nodes that are gone, and nodes under pressure', async () => {
    expect(await seen(nodesCarry)).toEqual(['azure/cluster no-node-ready']);
    await server.api.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: node.name } });
    await server.setStatus(node, { conditions: [condition('Ready', 'Unknown')] });
    expect(await seen(nodesCarry)).toEqual(['azure/cluster no-node-ready']);
    await server.setStatus(node, {
      conditions: [condition('Ready', 'True'), condition('DiskPressure', 'True')],
    });
    expect(await seen(nodesCarry)).toEqual(['azure/cluster disk-pressure']);
    await server.setStatus(node, { conditions: [condition('Ready', 'True')] });
    expect(await seen(nodesCarry)).toEqual([]);
  });

  test('name a claim that is missing, and its storage class', async () => {
    expect(await seen(ollamaVolumeBound)).toEqual(['kubernetes/ollama-volume claim-missing']);
    const name = 'ollama-data';
    await server.api.apply({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, namespace: 'open-webui' },
      spec: {
        accessModes: ['ReadWriteOnce'],
        storageClassName: 'managed-csi',
        resources: { requests: { storage: '1Gi' } },
      },
    });
    expect(await seen(ollamaVolumeBound)).toEqual(['kubernetes/ollama-volume storage-class-missing']);
    const claim = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace: 'open-webui' };
    await server.setStatus(claim, { phase: 'Lost' });
    expect(await seen(ollamaVolumeBound)).toEqual(['kubernetes/ollama-volume volume-lost']);
    await server.setStatus(claim, { phase: 'Bound' });
    expect(await seen(ollamaVolumeBound)).toEqual([]);
  });

  test('name a cluster in which nobody answers for names', async () => {
    const unanswered = ['azure/cluster names-do-not-resolve'];
    expect(await seen(clusterDns)).toEqual(unanswered);
    const slice = (ready: boolean): KubernetesObject => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: 'kube-dns-1',
        namespace: 'kube-system',
        labels: { 'kubernetes.io/service-name': 'kube-dns' },
      },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.244.0.5'], conditions: { ready } }],
      ports: [{ name: 'dns', port: 53, protocol: 'UDP' }],
    });
    await server.api.apply(slice(false));
    expect(await seen(clusterDns)).toEqual(unanswered);
    await server.api.apply(slice(true));
    expect(await seen(clusterDns)).toEqual([]);
  });

  test('look at the claim that Open WebUI mounts while it is not known which is in use', async () => {
    const missing = async () => (await dataVolumeBound.run(scope())).map(({ what }) => what);
    expect((await missing()).join()).toContain('open-webui-data ');
    const metadata = { name: 'open-webui', namespace: 'open-webui', labels: { app: 'open-webui' } };
    await server.api.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        selector: { matchLabels: metadata.labels },
        template: {
          metadata: { labels: metadata.labels },
          spec: {
            containers: [{ name: 'open-webui', image: 'r/open-webui:v1' }],
            volumes: [
              { name: 'tmp', emptyDir: {} },
              { name: 'data', persistentVolumeClaim: { claimName: 'open-webui-data-key2' } },
            ],
          },
        },
      },
    });
    expect((await missing()).join()).toContain('open-webui-data-key2 ');
  });

  test('say the same of a container that crashes, whether it waits or runs for a moment', async () => {
    const metadata = { name: 'cloudflared', namespace: 'open-webui', labels: { app: 'cloudflared' } };
    const containers = [{ name: 'cloudflared', image: 'r/cloudflared:v1' }];
    const deployment = (await server.api.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: { selector: { matchLabels: metadata.labels }, template: { metadata, spec: { containers } } },
    })) as KubernetesObject;
    const account = { name: 'default', namespace: 'open-webui' };
    await server.api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: account });
    await server.api.apply({ apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers } });
    const troubleIn = async (state: object) => {
      await server.setStatus(
        { apiVersion: 'v1', kind: 'Pod', name: 'cloudflared', namespace: 'open-webui' },
        {
          conditions: [condition('Ready', 'False')],
          containerStatuses: [
            {
              name: 'cloudflared',
              ready: false,
              started: true,
              restartCount: 1,
              state,
              lastState: { terminated: { exitCode: 137, finishedAt: new Date().toISOString() } },
            },
          ],
        },
      );
      return troubleInPods(scope(), server.api, deployment, 'kubernetes/cloudflared');
    };
    const waiting = await troubleIn({ waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } });
    expect(waiting).toMatchObject([{ id: 'crashes', what: 'crash again and again' }]);
    expect(await troubleIn({ running: {} })).toEqual(waiting);
  });

  test('throw what keeps them from looking', async () => {
    const refused = new KubernetesError(403, 'Forbidden', 'nodes is forbidden');
    const clients = {
      ...server.clients,
      kubernetes: async () => ({ ...server.api, list: () => Promise.reject(refused) }),
    };
    await expect(nodesCarry.run({ ...scope(), clients })).rejects.toBe(refused);
  });
});

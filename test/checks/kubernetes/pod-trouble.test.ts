/** What is said of pods in states that a simulated kubelet does not come into, or not for long. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { CheckScope } from '../../../src/checks/check.ts';
import { troubleInPods } from '../../../src/checks/kubernetes/pod-trouble.ts';
import { workloadChecks } from '../../../src/checks/kubernetes/workloads.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import {
  type KubernetesApi,
  KubernetesError,
  type KubernetesObject,
} from '../../../src/clients/kubernetes-api.ts';
import type { ResourceKey } from '../../../src/graph/resource.ts';
import { troubleOfPods } from '../../../src/resources/kinds/pods.ts';
import { specOf } from '../../resources/spec.ts';

afterEach(() => {
  vi.useRealTimers();
});

const NOW = Date.parse('2026-11-24T12:00:00Z');
const ago = (minutes: number): string => new Date(NOW - minutes * 60_000).toISOString();

const deployment: KubernetesObject = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'open-webui', uid: 'd' },
  spec: { replicas: 1, selector: { matchLabels: { app: 'web' } } },
};

const podOf = (status: object, name = 'web-1'): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: 'web' }, creationTimestamp: ago(600) },
  status,
});
const readiness = (status: 'True' | 'False') => ({
  type: 'Ready',
  status,
  lastTransitionTime: ago(30),
});
const containerOf = (state: object, more: object = {}) => ({
  name: 'web',
  ready: false,
  started: true,
  restartCount: 0,
  state,
  ...more,
});
const creating = podOf({
  phase: 'Pending',
  conditions: [readiness('False')],
  containerStatuses: [containerOf({ waiting: { reason: 'ContainerCreating' } })],
});
const unready = podOf({
  phase: 'Running',
  conditions: [readiness('False')],
  containerStatuses: [containerOf({ running: {} })],
});

const warning = (minutes: number, message: string, reason = 'FailedMount'): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: `web-1.${minutes}` },
  involvedObject: { name: 'web-1' },
  reason,
  message,
  lastTimestamp: ago(minutes),
});

interface World {
  readonly pods: readonly KubernetesObject[];
  readonly events?: readonly KubernetesObject[];
  readonly log?: () => Promise<string | undefined>;
}

const apiOf = ({ pods, events = [], log = async () => '' }: World): KubernetesApi =>
  ({
    find: async () => deployment,
    list: async ({ kind }) => (kind === 'Pod' ? pods : kind === 'Event' ? events : []),
    log,
  }) as Partial<KubernetesApi> as KubernetesApi;
const scopeOf = (world: World): CheckScope => ({
  ...specOf(),
  now: new Date(NOW),
  known: {},
  clients: { kubernetes: async () => apiOf(world) } as Partial<Clients> as Clients,
});
const troubles = (world: World, resource: ResourceKey = 'kubernetes/open-webui') =>
  troubleInPods(scopeOf(world), apiOf(world), deployment, resource);
const told = async (world: World, resource?: ResourceKey): Promise<readonly string[]> =>
  (await troubles(world, resource)).map(({ resource: whose, id }) => `${whose} ${id}`);

const SHARE_115 =
  'MountVolume.MountDevice failed for volume "open-webui-data" : rpc error: code = Internal desc = mount error(115): Operation now in progress';
const LATE =
  'MountVolume.MountDevice failed for volume "open-webui-data" : rpc error: code = DeadlineExceeded desc = context deadline exceeded';
const STILL =
  'MountVolume.MountDevice failed for volume "open-webui-data" : rpc error: code = Aborted desc = An operation with the given Volume ID rg#st#share already exists';
const UNATTACHED =
  'Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[]: timed out waiting for the condition';

describe('a pod that waits for a mount', () => {
  test('is told of by the text that names the cause, whichever came last', async () => {
    const unreachable = ['azure/storage-endpoint storage-unreachable'];
    const texts = [
      [warning(2, SHARE_115), warning(1, LATE), warning(0, STILL)],
      [warning(1, SHARE_115), warning(3, LATE), warning(0, UNATTACHED)],
    ];
    const found = await Promise.all(texts.map((events) => troubles({ pods: [creating], events })));
    expect(found[0]?.map(({ resource, id }) => `${resource} ${id}`)).toEqual(unreachable);
    expect(found[1]).toEqual(found[0]);
  });

  test('is told of in the same words where no text names a cause', async () => {
    const one = await troubles({ pods: [creating], events: [warning(0, LATE), warning(1, STILL)] });
    const other = await troubles({ pods: [creating], events: [warning(0, STILL), warning(2, LATE)] });
    expect(await told({ pods: [creating], events: [warning(0, UNATTACHED)] })).toEqual([
      'kubernetes/data-volume mount-failed',
    ]);
    expect(one).toMatchObject([{ id: 'mount-failed', resource: 'kubernetes/data-volume' }]);
    expect(other).toEqual(one);
  });

  test('is not told of by what has not come again for minutes', async () => {
    expect(await told({ pods: [creating], events: [warning(6, SHARE_115)] })).toEqual([]);
    const { lastTimestamp: _, ...event } = warning(6, SHARE_115);
    const again = { ...event, eventTime: ago(60), series: { count: 7, lastObservedTime: ago(1) } };
    expect(await told({ pods: [creating], events: [again] })).toHaveLength(1);
  });

  test('is not told of once its mounts are done', async () => {
    const pulling = podOf({
      phase: 'Pending',
      conditions: [readiness('False'), { type: 'PodReadyToStartContainers', status: 'True' }],
      containerStatuses: [containerOf({ waiting: { reason: 'ContainerCreating' } })],
    });
    expect(await told({ pods: [pulling], events: [warning(1, SHARE_115)] })).toEqual([]);
  });

  test('is not one that gets no network, whatever words that uses', async () => {
    const said =
      'Failed to create pod sandbox: rpc error: open /run/cni: no such file or directory; dial unix: timed out';
    const events = [warning(1, said, 'FailedCreatePodSandBox')];
    expect(await told({ pods: [creating], events })).toEqual(['kubernetes/open-webui no-sandbox']);
  });

  test('waits for a share only where it mounts one', async () => {
    const share = [warning(1, SHARE_115)];
    expect(await told({ pods: [creating], events: share }, 'kubernetes/ollama')).toEqual([
      'kubernetes/ollama-volume mount-failed',
    ]);
    expect(await told({ pods: [creating], events: share }, 'kubernetes/addons')).toEqual([
      'kubernetes/addons mount-failed',
    ]);
    const held = [warning(1, 'Multi-Attach error for volume "pvc-1"', 'FailedAttachVolume')];
    expect(await told({ pods: [creating], events: held }, 'kubernetes/ollama')).toEqual([
      'kubernetes/ollama-volume disk-held-elsewhere',
    ]);
  });
});

describe('a pod that has ended for good', () => {
  const evicted = (phase: string) =>
    podOf(
      {
        phase,
        reason: 'Evicted',
        conditions: [readiness('False')],
        containerStatuses: [containerOf({ terminated: { exitCode: 137, finishedAt: ago(5) } })],
      },
      'web-0',
    );

  test.each(['Failed', 'Succeeded'])('is not judged when it has %s', async (phase) => {
    expect(await told({ pods: [evicted(phase)] })).toEqual([]);
  });

  test('is no reason why the others are not ready', async () => {
    const waits = podOf({
      phase: 'Failed',
      containerStatuses: [containerOf({ waiting: { reason: 'ImagePullBackOff' } })],
    });
    expect(await troubleOfPods(apiOf({ pods: [waits] }), deployment)).toBeUndefined();
  });
});

describe('a pod that is not ready', () => {
  test.each([
    new KubernetesError(400, 'BadRequest', 'container is waiting to start'),
    new KubernetesError(403, 'Forbidden', 'pods/log is forbidden'),
    new KubernetesError(500, 'InternalError', 'error dialing backend: No agent available'),
    new DOMException('The operation was aborted due to timeout', 'TimeoutError'),
  ])('is told of also where its log cannot be read: $message', async (error) => {
    const log = () => Promise.reject(error);
    expect(await told({ pods: [unready], log })).toEqual(['kubernetes/open-webui not-ready']);
  });

  test('is told of in time also where a node is silent about many of them', async () => {
    vi.useFakeTimers();
    const pods = Array.from({ length: 10 }, (_, index) => ({
      ...unready,
      metadata: { ...unready.metadata, name: `web-${index}` },
    }));
    const found = told({ pods, log: () => new Promise(() => undefined) });
    await vi.advanceTimersByTimeAsync(5_000);
    const all = await Promise.race([found, Promise.resolve('nothing was found')]);
    expect(all).toEqual(['kubernetes/open-webui not-ready']);
  });

  test('leaves it to the check to say that its pods cannot be listed', async () => {
    const refused = new KubernetesError(500, 'InternalError', 'etcdserver: no leader');
    const api = { ...apiOf({ pods: [] }), list: () => Promise.reject(refused) };
    const scope = scopeOf({ pods: [] });
    await expect(troubleInPods(scope, api, deployment, 'kubernetes/open-webui')).rejects.toBe(refused);
  });

  test('offers the rotation that its log asks for', async () => {
    const log = async () => 'FATAL: password authentication failed for user "openwebui"';
    const check = workloadChecks.find(({ id }) => id === 'open-webui-runs');
    const [finding] = (await check?.run(scopeOf({ pods: [unready], log }))) ?? [];
    expect(finding).toMatchObject({
      resource: 'azure/postgres-connection-string',
      repair: `POST /api/deployments/${specOf().names.deployment}/rotate?what=postgres-password`,
    });
  });
});

describe('a pod that crashes', () => {
  test('is told of by what its container left behind where its log cannot be read', async () => {
    const end = { exitCode: 1, finishedAt: ago(1), message: 'PermissionError: [Errno 13] Permission denied' };
    const pod = podOf({
      phase: 'Running',
      conditions: [readiness('False')],
      containerStatuses: [
        containerOf(
          { waiting: { reason: 'CrashLoopBackOff' } },
          { restartCount: 5, lastState: { terminated: end } },
        ),
      ],
    });
    const refused = new KubernetesError(500, 'InternalError', 'error dialing backend: No agent available');
    const log = () => Promise.reject(refused);
    expect(await told({ pods: [pod], log })).toEqual(['kubernetes/data-volume crashes']);
  });
});

describe('a pod that is ready', () => {
  const restarted = (startedAt: string, finishedAt: string) =>
    podOf({
      phase: 'Running',
      conditions: [readiness('True')],
      containerStatuses: [
        containerOf(
          { running: {} },
          {
            ready: true,
            restartCount: 3,
            lastState: { terminated: { exitCode: 1, startedAt, finishedAt } },
          },
        ),
      ],
    });

  test('crashes when it ended lately, and soon after its start', async () => {
    expect(await told({ pods: [restarted(ago(52), ago(50))] })).toEqual(['kubernetes/open-webui crashes']);
  });

  test('does not crash when it has been restarted a few times in its long life', async () => {
    expect(await told({ pods: [restarted(ago(20_000), ago(50))] })).toEqual([]);
  });
});

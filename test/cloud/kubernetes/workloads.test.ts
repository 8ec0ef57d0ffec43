import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { at } from '../../../sandbox/cloud/kubernetes/object.ts';
import { call } from './client.ts';
import { CLUSTER_ID, eventually, REGISTRY, type SmallWorld, startSmallWorld } from './small-world.ts';
import { apply, deployment, type Manifest, NAMESPACE, readyReplicas, service } from './stack.ts';

const WEB_URL = 'http://web.open-webui.svc.cluster.local:80';

let world: SmallWorld;

beforeAll(async () => {
  world = await startSmallWorld();
  await apply(world, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  await eventually(
    () => call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/default`),
    ({ status }) => status === 200,
  );
});
afterAll(() => world.stop());

interface PodView {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly spec: { readonly nodeName?: string };
  readonly status?: unknown;
}

async function podsOf(app: string): Promise<PodView[]> {
  const { body } = await call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=app=${app}`);
  return body['items'] as PodView[];
}

/** The reason the first container of an app's first pod waits for. */
async function waitingReason(app: string): Promise<string> {
  const [pod] = await podsOf(app);
  const [status] = (at(pod, 'status', 'containerStatuses') ?? []) as unknown[];
  return String(at(status, 'state', 'waiting', 'reason') ?? '');
}

async function eventsOf(app: string): Promise<string[]> {
  const { body } = await call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/events`);
  return (body['items'] as { involvedObject: { name: string }; reason: string; message: string }[])
    .filter(({ involvedObject }) => involvedObject.name.startsWith(app))
    .map(({ reason, message }) => `${reason}: ${message}`);
}

const merge = (path: string, body: object) =>
  call(world, 'PATCH', path, { body, type: 'application/merge-patch+json' });
const pathOf = (name: string): string => `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${name}`;
const sleeper = (
  name: string,
  container: object = {},
  options: Parameters<typeof deployment>[2] = {},
): Manifest =>
  deployment(
    name,
    { image: `${REGISTRY}/netshoot:v1`, command: ['sleep', 'infinity'], ...container },
    options,
  );

describe('images', () => {
  test('are pulled again once they are there', async () => {
    await apply(world, sleeper('late-image', { image: `${REGISTRY}/late:v1` }));
    expect(
      await eventually(
        () => waitingReason('late-image'),
        (reason) => reason === 'ImagePullBackOff',
      ),
    ).toBe('ImagePullBackOff');
    expect((await eventsOf('late-image')).join('\n')).toContain('late:v1: not found');
    world.state.images.set(`${REGISTRY}/late:v1`, 'other');
    expect(
      await eventually(
        () => readyReplicas(world, 'late-image'),
        (count) => count === 1,
      ),
    ).toBe(1);
  });

  test('need the kubelet identity’s right', async () => {
    world.state.mayPull = false;
    world.state.images.set(`${REGISTRY}/guarded:v1`, 'other');
    await apply(world, sleeper('guarded', { image: `${REGISTRY}/guarded:v1` }));
    await eventually(
      () => waitingReason('guarded'),
      (reason) => /ImagePull/.test(reason),
    );
    world.state.mayPull = true;
    expect(
      await eventually(
        () => readyReplicas(world, 'guarded'),
        (count) => count === 1,
      ),
    ).toBe(1);
  });
});

describe('settings', () => {
  test('that are missing keep the container from starting, until they are there', async () => {
    const env = [{ name: 'WORD', valueFrom: { secretKeyRef: { name: 'later', key: 'word' } } }];
    await apply(world, sleeper('unset', { env }));
    expect(
      await eventually(
        () => waitingReason('unset'),
        (reason) => reason === 'CreateContainerConfigError',
      ),
    ).toBeTruthy();
    expect((await eventsOf('unset')).join('\n')).toContain('Error: secret "later" not found');
    await call(world, 'POST', `/api/v1/namespaces/${NAMESPACE}/secrets`, {
      body: { metadata: { name: 'later' }, stringData: { word: 'x' } },
    });
    expect(
      await eventually(
        () => readyReplicas(world, 'unset'),
        (count) => count === 1,
      ),
    ).toBe(1);
  });
});

describe('scheduling', () => {
  test('says why a pod has no node', async () => {
    await apply(world, sleeper('greedy', { resources: { requests: { cpu: '64' } } }));
    const events = await eventually(
      () => eventsOf('greedy'),
      (all) => all.some((one) => one.startsWith('FailedScheduling')),
    );
    expect(events.join('\n')).toContain('0/2 nodes are available: 2 Insufficient cpu');
  });

  test('follows taints, tolerations and selectors onto a new pool', async () => {
    const { cluster } = world.state;
    const [system] = cluster.nodePools;
    if (!system) throw new Error('the world has a system pool');
    const extra = {
      ...system,
      name: 'apps',
      mode: 'User' as const,
      count: 1,
      vmssName: 'aks-apps-87654321-vmss',
      taints: ['workload=apps:NoSchedule'],
    };
    const manifest = sleeper('picky');
    const template = at(manifest, 'spec', 'template', 'spec') as Record<string, unknown>;
    template['nodeSelector'] = { agentpool: 'apps' };
    await apply(world, manifest);
    await eventually(
      () => eventsOf('picky'),
      (all) => all.some((one) => one.includes("didn't match Pod's node affinity/selector")),
    );
    world.state.cluster = { ...cluster, nodePools: [system, extra] };
    world.world.touch();
    await eventually(
      () => eventsOf('picky'),
      (all) => all.some((one) => one.includes('untolerated taint {workload: apps}')),
    );
    template['tolerations'] = [{ key: 'workload', operator: 'Equal', value: 'apps', effect: 'NoSchedule' }];
    await apply(world, manifest);
    await eventually(
      () => readyReplicas(world, 'picky'),
      (count) => count === 1,
    );
    expect((await podsOf('picky')).map(({ spec }) => spec.nodeName)).toContain(
      'aks-apps-87654321-vmss000000',
    );
    world.state.cluster = cluster;
    world.world.touch();
    await eventually(
      () => podsOf('picky'),
      (pods) => pods.every(({ spec }) => spec.nodeName === undefined),
    );
  });
});

describe('pod security', () => {
  test('keeps pods out of a namespace whose level they do not meet', async () => {
    const metadata = { name: 'strict', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } };
    await apply(world, { apiVersion: 'v1', kind: 'Namespace', metadata });
    await eventually(
      () => call(world, 'GET', '/api/v1/namespaces/strict/serviceaccounts/default'),
      ({ status }) => status === 200,
    );
    const container = { name: 'main', image: `${REGISTRY}/netshoot:v1`, command: ['sleep', 'infinity'] };
    const refused = await call(world, 'POST', '/api/v1/namespaces/strict/pods', {
      body: { metadata: { name: 'loose' }, spec: { containers: [container] } },
    });
    expect(refused.body).toMatchObject({ code: 403, reason: 'Forbidden' });
    expect(refused.body['message']).toContain(
      'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
    );
    const tight = {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    };
    const taken = await call(world, 'POST', '/api/v1/namespaces/strict/pods', {
      body: { metadata: { name: 'tight' }, spec: { containers: [{ ...container, securityContext: tight }] } },
    });
    expect(taken.status).toBe(201);
  });
});

describe('volumes', () => {
  test('of the disk class are made for the first consumer and keep what is in them', async () => {
    await apply(world, {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'models' },
      spec: {
        accessModes: ['ReadWriteOnce'],
        storageClassName: 'managed-csi',
        resources: { requests: { storage: '10Gi' } },
      },
    });
    const ollama = deployment(
      'shelf',
      {
        image: `${REGISTRY}/ollama:v1`,
        ports: [{ containerPort: 11434 }],
        readinessProbe: { httpGet: { path: '/', port: 11434 } },
        volumeMounts: [{ name: 'models', mountPath: '/root/.ollama' }],
      },
      { strategy: 'Recreate', volumes: [{ name: 'models', persistentVolumeClaim: { claimName: 'models' } }] },
    );
    await apply(world, ollama);
    await apply(world, service('shelf', 11434, 11434));
    await eventually(
      () => readyReplicas(world, 'shelf'),
      (count) => count === 1,
    );
    const proxy = `/api/v1/namespaces/${NAMESPACE}/services/shelf:11434/proxy`;
    const pulled = await call(world, 'POST', `${proxy}/api/pull`, {
      body: { model: 'llama3.2:1b', stream: false },
    });
    expect(pulled.body).toEqual({ status: 'success' });
    const running = async () =>
      (await call(world, 'GET', `${proxy}/api/ps`)).body['models'] as readonly { readonly name: string }[];
    expect(await running()).toEqual([]);
    const spoken = await call(world, 'POST', `${proxy}/api/generate`, {
      body: { model: 'llama3.2:1b', prompt: 'Hello', stream: false, keep_alive: -1 },
    });
    expect(spoken).toMatchObject({ status: 200, body: { done: true } });
    expect(await running()).toMatchObject([{ name: 'llama3.2:1b', context_length: 4096 }]);
    await call(world, 'POST', `${proxy}/api/generate`, {
      body: { model: 'llama3.2:1b', prompt: 'Hello', stream: false, keep_alive: '0s' },
    });
    expect(await running()).toEqual([]);
    const unknown = await call(world, 'POST', `${proxy}/api/pull`, {
      body: { model: 'no-such-model', stream: false },
    });
    expect(unknown).toMatchObject({
      status: 500,
      body: { error: 'pull model manifest: file does not exist' },
    });
    const tooLarge = await call(world, 'POST', `${proxy}/api/pull`, {
      body: { model: 'qwen2.5:72b', stream: false },
    });
    expect(String(tooLarge.body['error'])).toContain('no space left on device');
    const [before] = await podsOf('shelf');
    await call(world, 'DELETE', `/api/v1/namespaces/${NAMESPACE}/pods/${before?.metadata.name}`);
    await eventually(
      async () => (await podsOf('shelf')).some(({ metadata }) => metadata.uid === before?.metadata.uid),
      (isThere) => !isThere,
    );
    await eventually(
      () => readyReplicas(world, 'shelf'),
      (count) => count === 1,
    );
    const tags = await call(world, 'GET', `${proxy}/api/tags`);
    expect((tags.body['models'] as { name: string }[]).map(({ name }) => name)).toEqual(['llama3.2:1b']);
    expect(
      (await call(world, 'DELETE', `${proxy}/api/delete`, { body: { model: 'llama3.2:1b' } })).status,
    ).toBe(200);
  });

  test('that are bound cannot change, and a claim in use does not go', async () => {
    const path = `/api/v1/namespaces/${NAMESPACE}/persistentvolumeclaims/models`;
    const changed = await merge(path, { spec: { storageClassName: 'default' } });
    expect(changed.status).toBe(422);
    expect(changed.body['message']).toContain('spec is immutable after creation');
    await call(world, 'DELETE', path);
    const kept = await call(world, 'GET', path);
    expect(at(kept.body, 'metadata', 'deletionTimestamp')).toBeTypeOf('string');
  });

  test('without a fitting persistent volume leave the pod pending', async () => {
    await apply(world, {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'unbound' },
      spec: {
        accessModes: ['ReadWriteMany'],
        storageClassName: '',
        resources: { requests: { storage: '5Gi' } },
        selector: { matchLabels: { app: 'none' } },
      },
    });
    await apply(
      world,
      sleeper(
        'stuck',
        { volumeMounts: [{ name: 'd', mountPath: '/d' }] },
        { volumes: [{ name: 'd', persistentVolumeClaim: { claimName: 'unbound' } }] },
      ),
    );
    const events = await eventually(
      () => eventsOf('stuck'),
      (all) => all.some((one) => one.startsWith('FailedScheduling')),
    );
    expect(events.join('\n')).toContain('pod has unbound immediate PersistentVolumeClaims');
  });
});

describe('rollouts', () => {
  test('never go below what must be available and leave the old pods when the new ones do not come', async () => {
    const rolling = { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 }, type: 'RollingUpdate' };
    const good = deployment(
      'careful',
      { image: `${REGISTRY}/ollama:v1`, readinessProbe: { httpGet: { path: '/', port: 11434 } } },
      { replicas: 2 },
    );
    Object.assign(good['spec'] as object, { strategy: rolling, progressDeadlineSeconds: 60 });
    await apply(world, good);
    await eventually(
      () => readyReplicas(world, 'careful'),
      (count) => count === 2,
    );
    await merge(pathOf('careful'), {
      spec: { template: { spec: { containers: [{ name: 'careful', image: `${REGISTRY}/missing:v9` }] } } },
    });
    const stuck = await eventually(
      async () => (await call(world, 'GET', pathOf('careful'))).body,
      (body) => JSON.stringify(body['status']).includes('ProgressDeadlineExceeded'),
    );
    expect(stuck['status']).toMatchObject({ availableReplicas: 2, updatedReplicas: 1 });
  });

  test('restart what fails its liveness probe and back off what crashes', async () => {
    await apply(
      world,
      sleeper('unwell', { livenessProbe: { httpGet: { path: '/', port: 80 }, periodSeconds: 5 } }),
    );
    await apply(world, sleeper('short', { command: ['sleep', '5'] }));
    await eventually(
      () => waitingReason('short'),
      (reason) => reason === 'CrashLoopBackOff',
    );
    const events = await eventually(
      () => eventsOf('unwell'),
      (all) => all.some((one) => one.startsWith('Killing')),
    );
    expect(events.join('\n')).toContain('Container unwell failed liveness probe, will be restarted');
    const [pod] = await eventually(
      () => podsOf('unwell'),
      ([one]) => Number(at((at(one, 'status', 'containerStatuses') as unknown[])[0], 'restartCount')) > 0,
    );
    expect(pod?.spec.nodeName).toMatch(/^aks-system/);
  });

  test('recreate only after the old pod has gone', async () => {
    await apply(world, sleeper('lonely', {}, { strategy: 'Recreate' }));
    await eventually(
      () => readyReplicas(world, 'lonely'),
      (count) => count === 1,
    );
    const counts: number[] = [];
    await merge(pathOf('lonely'), { spec: { template: { metadata: { annotations: { again: 'yes' } } } } });
    await eventually(
      async () => {
        const pods = await podsOf('lonely');
        counts.push(pods.length);
        return pods;
      },
      (pods) => pods.length === 1 && at(pods[0], 'metadata', 'annotations', 'again') === 'yes',
    );
    expect(Math.max(...counts)).toBe(1);
  });
});

describe('services and budgets', () => {
  test('have ready endpoints only', async () => {
    await apply(
      world,
      deployment('web', {
        image: `${REGISTRY}/ollama:v1`,
        ports: [{ name: 'http', containerPort: 11434 }],
        readinessProbe: { httpGet: { path: '/', port: 'http' } },
      }),
    );
    await apply(world, service('web', 80, 'http'));
    const proxy = `/api/v1/namespaces/${NAMESPACE}/services/web:80/proxy/`;
    const early = await call(world, 'GET', proxy);
    expect(early.body).toMatchObject({ code: 503, message: 'no endpoints available for service "web"' });
    await eventually(
      () => readyReplicas(world, 'web'),
      (count) => count === 1,
    );
    expect((await call(world, 'GET', proxy)).body).toEqual({ text: 'Ollama is running' });
    const wrong = await call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/services/web:81/proxy/`);
    expect(wrong.status).toBe(503);
    expect(world.kubernetes.answer(CLUSTER_ID, WEB_URL)).toMatchObject({
      ok: true,
      software: 'ollama',
    });
    expect(
      world.kubernetes.answer(CLUSTER_ID, 'http://nothing.open-webui.svc.cluster.local:80'),
    ).toMatchObject({ ok: false });
  });

  test('keep their address', async () => {
    const path = `/api/v1/namespaces/${NAMESPACE}/services/web`;
    const before = await call(world, 'GET', path);
    const answer = await merge(path, { spec: { clusterIP: '10.0.9.9' } });
    expect(answer.status).toBe(422);
    expect(answer.body['message']).toContain('may not change once set');
    expect(at(before.body, 'spec', 'clusterIP')).toMatch(/^10\.0\./);
  });

  test('count disruptions', async () => {
    await apply(world, {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'web' },
      spec: { minAvailable: 1, selector: { matchLabels: { app: 'web' } } },
    });
    const budget = await eventually(
      async () =>
        (await call(world, 'GET', `/apis/policy/v1/namespaces/${NAMESPACE}/poddisruptionbudgets/web`)).body,
      (body) => at(body, 'status', 'currentHealthy') === 1,
    );
    expect(budget['status']).toMatchObject({ desiredHealthy: 1, disruptionsAllowed: 0 });
  });
});

describe('the cluster', () => {
  test('that is stopped runs nothing, and starts its pods again afterwards', async () => {
    await eventually(
      () => readyReplicas(world, 'web'),
      (count) => count === 1,
    );
    const { cluster } = world.state;
    world.state.cluster = { ...cluster, isRunning: false };
    world.world.touch();
    await eventually(
      () => world.world.table('kubernetes/interrupted-pods').entries().length,
      (count) => count > 0,
    );
    expect(world.kubernetes.answer(CLUSTER_ID, WEB_URL)).toMatchObject({ ok: false, code: 'Stopped' });
    world.state.cluster = cluster;
    world.world.touch();
    await eventually(
      () => world.kubernetes.answer(CLUSTER_ID, WEB_URL).ok,
      (isUp) => isUp,
    );
    const [pod] = await podsOf('web');
    expect(at((at(pod, 'status', 'containerStatuses') as unknown[])[0], 'restartCount')).toBe(1);
  });

  test('that is deleted leaves nothing behind for one of the same name', async () => {
    const { cluster } = world.state;
    world.state.cluster = { ...cluster, id: `${CLUSTER_ID}-2` };
    world.world.touch();
    await eventually(
      async () => (await call(world, 'GET', '/api/v1/namespaces')).body['items'],
      (items) => Array.isArray(items) && items.length >= 4,
    );
    world.state.cluster = cluster;
    world.world.touch();
    await eventually(
      async () => (await call(world, 'GET', '/api/v1/nodes')).body['items'],
      (items) => Array.isArray(items) && items.length === 2,
    );
    expect((await call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}`)).status).toBe(404);
  });
});

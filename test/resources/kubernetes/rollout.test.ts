import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { KubernetesObject } from '../../../src/clients/kubernetes-api.ts';
import type { SiteAnswer } from '../../../src/clients/site.ts';
import type { Notice } from '../../../src/graph/finding.ts';
import type {
  Dependencies,
  DependencyOutputs,
  Observed,
  Outputs,
  Resource,
} from '../../../src/graph/resource.ts';
import { cloudflared } from '../../../src/resources/kubernetes/cloudflared.ts';
import { namespace } from '../../../src/resources/kubernetes/namespace.ts';
import { openWebui } from '../../../src/resources/kubernetes/open-webui.ts';
import { openWebuiService } from '../../../src/resources/kubernetes/open-webui-service.ts';
import { redis } from '../../../src/resources/kubernetes/redis.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { type AnApiServer, startApiServer } from './an-api-server.ts';
import { known } from './known-outputs.ts';

type AnyResource = Resource<Scope, Dependencies, Outputs>;
const GOOD = 'open-webui-control-plane/good-image';
const REVISION = 'deployment.kubernetes.io/revision';
const repositories = { redis: 'valkey', cloudflared: 'cloudflared', 'open-webui': 'open-webui' } as const;
type Name = keyof typeof repositories;

let server: AnApiServer;
let around = surroundings();
let now = new Date('2026-11-23T10:00:00Z');
let site: SiteAnswer;
/** Status of Open WebUI's page inside the cluster. */
let page: number;

const imageOf = (name: Name, digest: string) =>
  `demoregistry.azurecr.io/${repositories[name]}@sha256:${digest}`;
const reference = (kind: string, name: string, apiVersion = 'apps/v1') => ({
  apiVersion,
  kind,
  name,
  namespace: 'open-webui',
});

/** What may be in a pod of the template as it is now. */
interface PodState {
  readonly ready?: true;
  readonly running?: true;
  readonly waiting?: { readonly reason: string; readonly message?: string };
  readonly restarts?: number;
  readonly unscheduled?: string;
}

/** One workload, its simulated controllers, and the candidate its image is followed to. */
class Subject {
  readonly name: Name;
  readonly #resource: AnyResource;
  #candidate = '';

  constructor(name: Name, resource: unknown) {
    this.name = name;
    this.#resource = resource as AnyResource;
  }

  /** `''` when the registry has nothing left that may run. */
  push(digest: string): void {
    this.#candidate = digest === '' ? '' : imageOf(this.name, digest);
  }

  #deps(): DependencyOutputs<Dependencies> {
    const key = { redis: 'redis', cloudflared: 'cloudflared', 'open-webui': 'openWebui' }[this.name];
    const images = { ...known.images, [key]: this.#candidate };
    return { ...known, images } as unknown as DependencyOutputs<Dependencies>;
  }

  observe(): Promise<Observed<Outputs>> {
    return this.#resource.observe(scope(), this.#deps());
  }

  /** One turn of the engine. */
  async turn(): Promise<Observed<Outputs>> {
    const seen = await this.observe();
    if (!['absent', 'drifted', 'failed'].includes(seen.state)) return seen;
    await this.#resource.ensure(scope(), this.#deps(), seen);
    return this.observe();
  }

  async find(): Promise<KubernetesObject> {
    const found = await server.api.find(reference('Deployment', this.name));
    if (!found) throw new Error(`no Deployment ${this.name}`);
    return found;
  }

  /** The image that runs and the one known to be good, by digest. */
  async images(): Promise<{
    readonly runs: string;
    readonly good: string | undefined;
    readonly replicas: number;
  }> {
    const { metadata, spec } = (await this.find()) as unknown as {
      metadata: { annotations: Record<string, string> };
      spec: { replicas: number; template: { spec: { containers: [{ image: string }] } } };
    };
    const digest = (image: string | undefined) => image?.split('sha256:')[1];
    return {
      runs: digest(spec.template.spec.containers[0].image) ?? '',
      good: digest(metadata.annotations[GOOD]),
      replicas: spec.replicas,
    };
  }

  /** Controllers have seen the template: a ReplicaSet of its own, and these pods. */
  async pods(
    states: readonly PodState[],
    progress: { reason: string; at?: Date } = { reason: 'ReplicaSetUpdated' },
  ) {
    const found = await this.find();
    const { runs } = await this.images();
    const hash = `of${runs}`;
    const sets = await server.api.list(reference('ReplicaSet', ''), { labels: `app=${this.name}` });
    const own = sets.find(({ metadata }) => metadata.name === `${this.name}-${hash}`);
    const current = found.metadata.annotations?.[REVISION];
    const isCurrent = own !== undefined && own.metadata.annotations?.[REVISION] === current;
    const revision = isCurrent ? current : String(Number(current ?? 0) + 1);
    const labels = { app: this.name, 'pod-template-hash': hash };
    const containers = [{ name: this.name, image: imageOf(this.name, runs) }];
    await server.api.apply({
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${this.name}-${hash}`,
        namespace: 'open-webui',
        labels,
        annotations: { [REVISION]: revision ?? '' },
        ...{
          ownerReferences: [
            { apiVersion: 'apps/v1', kind: 'Deployment', name: this.name, uid: found.metadata.uid },
          ],
        },
      },
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
    });
    if (current !== revision) {
      await server.api.mergePatch(reference('Deployment', this.name), {
        metadata: { annotations: { [REVISION]: revision } },
      });
    }
    for (const [index, state] of states.entries()) {
      const pod = reference('Pod', `${this.name}-${hash}-${index}`, 'v1');
      if (!(await server.api.find(pod))) {
        await server.api.apply({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: pod.name, namespace: 'open-webui', labels },
          spec: { containers },
        });
      }
      await server.setStatus(pod, podStatus(this.name, state));
    }
    const ready = states.filter((state) => state.ready).length;
    const { replicas } = await this.images();
    const isDone = ready === replicas;
    await server.setStatus(reference('Deployment', this.name), {
      observedGeneration: (await this.find()).metadata.generation,
      replicas: isDone ? replicas : replicas + 1,
      updatedReplicas: states.length,
      readyReplicas: isDone ? replicas : replicas,
      conditions: [
        {
          type: 'Progressing',
          status: progress.reason === 'ProgressDeadlineExceeded' ? 'False' : 'True',
          reason: isDone ? 'NewReplicaSetAvailable' : progress.reason,
          message: 'the controller says so',
          lastUpdateTime: (progress.at ?? now).toISOString(),
        },
      ],
    });
  }

  /** As many ready pods as are wished. */
  async rollOut(): Promise<void> {
    const { replicas } = await this.images();
    await this.pods(Array.from({ length: replicas }, () => ({ ready: true }) as const));
  }

  /** Runs a digest to the end. */
  async prove(digest: string): Promise<void> {
    this.push(digest);
    await this.turn();
    await this.rollOut();
    if ((await this.turn()).state === 'ready') return;
    await this.rollOut();
    expect(await this.turn()).toMatchObject({ state: 'ready' });
  }
}

const podStatus = (name: string, { ready, running, waiting, restarts = 0, unscheduled }: PodState) => ({
  conditions: [
    { type: 'Ready', status: ready ? 'True' : 'False' },
    ...(unscheduled === undefined
      ? []
      : [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: unscheduled }]),
  ],
  containerStatuses:
    unscheduled === undefined
      ? [
          {
            name,
            image: '',
            imageID: '',
            ready: ready === true,
            restartCount: restarts,
            state: waiting
              ? { waiting }
              : ready || running
                ? { running: { startedAt: '2026-11-23T10:00:00Z' } }
                : {},
            lastState:
              restarts > 0 ? { terminated: { exitCode: 1, reason: 'Error', message: 'no such module' } } : {},
          },
        ]
      : [],
});
const crashing = (restarts: number): PodState => ({
  waiting: { reason: 'CrashLoopBackOff', message: 'back-off' },
  restarts,
});
const minutesLater = (minutes: number) => {
  now = new Date(now.getTime() + minutes * 60_000);
};

function scope(): Scope {
  return {
    ...specOf(),
    clients: { ...server.clients, site: async () => site },
    now,
    ...around,
  };
}
const quarantined = () => around.quarantined.map(({ digest }) => digest);

/** A subject whose image `a` is good. */
async function withGood(name: Name, resource: unknown): Promise<Subject> {
  const subject = new Subject(name, resource);
  await server.api.remove(reference('Deployment', name));
  for (const kind of ['ReplicaSet', 'Pod']) {
    const apiVersion = kind === 'Pod' ? 'v1' : 'apps/v1';
    const listed = await server.api.list(reference(kind, '', apiVersion), { labels: `app=${name}` });
    for (const { metadata } of listed) await server.api.remove(reference(kind, metadata.name, apiVersion));
  }
  await subject.prove('a');
  expect(await subject.images()).toMatchObject({ runs: 'a', good: 'a' });
  server.writes();
  return subject;
}

beforeAll(async () => {
  server = await startApiServer(async () =>
    page === 503
      ? Response.json(
          { kind: 'Status', reason: 'ServiceUnavailable', message: 'no endpoints' },
          { status: 503 },
        )
      : new Response('', { status: page }),
  );
  const deps = known as unknown as DependencyOutputs<Dependencies>;
  for (const resource of [namespace, openWebuiService] as unknown as readonly AnyResource[]) {
    await resource.ensure(scope(), deps, { state: 'absent' });
  }
  await server.api.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default', namespace: 'open-webui' },
  });
});
afterAll(() => server.stop());
beforeEach(() => {
  around = surroundings();
  site = { isServed: true, said: 'HTTP 200' };
  page = 200;
  now = new Date(Date.now());
});

describe('a guarded image', () => {
  test('that is the first is told of when it crashes, and there is nothing to fall back to', async () => {
    const subject = new Subject('redis', redis);
    subject.push('a');
    await subject.turn();
    await subject.pods([crashing(7)]);
    expect(await subject.turn()).toMatchObject({
      state: 'changing',
      reason: expect.stringContaining('crashes again and again'),
    });
    expect(quarantined()).toEqual([]);
    expect((await subject.images()).good).toBeUndefined();
  });

  test('that runs is good, and tells what runs; nothing more is written', async () => {
    const subject = await withGood('redis', redis);
    const seen = await subject.turn();
    expect(seen).toEqual({
      state: 'ready',
      outputs: { image: imageOf('redis', 'a'), revision: '1', pods: ['redis-ofa-0'] },
      notices: [],
    });
    expect(await subject.turn()).toEqual(seen);
    expect(server.writes()).toEqual([]);
  });

  test('that is newer is tried, while the good one stays on record until it is proven', async () => {
    const subject = await withGood('redis', redis);
    subject.push('b');
    expect(await subject.turn()).toMatchObject({ state: 'changing' });
    expect(await subject.images()).toMatchObject({ runs: 'b', good: 'a' });
    await subject.pods([{ running: true }]);
    expect(await subject.turn()).toMatchObject({ state: 'changing' });
    await subject.rollOut();
    server.writes();
    expect(await subject.turn()).toMatchObject({ state: 'ready', outputs: { image: imageOf('redis', 'b') } });
    expect(await subject.images()).toMatchObject({ runs: 'b', good: 'b' });
    await subject.turn();
    expect(server.writes()).toHaveLength(1);
  });

  test('that crashes again and again gives way to the good one and is not tried again', async () => {
    const subject = await withGood('redis', redis);
    subject.push('b');
    await subject.turn();
    await subject.pods([crashing(2)]);
    expect(await subject.turn()).toMatchObject({ state: 'changing' });
    await subject.pods([crashing(3)]);
    expect(await subject.observe()).toMatchObject({
      state: 'failed',
      code: 'ImageRejected',
      message: `${imageOf('redis', 'b')} crashes again and again: exit code 1, no such module`,
    });
    expect(await subject.turn()).toMatchObject({ state: 'changing' });
    expect(around.quarantined).toEqual([
      {
        digest: 'sha256:b',
        repository: 'valkey',
        reason: 'It crashes again and again: exit code 1, no such module.',
      },
    ]);
    expect(await subject.images()).toMatchObject({ runs: 'a', good: 'a' });
    await subject.rollOut();
    server.writes();
    const seen = await subject.turn();
    expect(seen).toMatchObject({
      state: 'ready',
      notices: [
        {
          id: 'image-quarantined',
          severity: 'warning',
          evidence: 'sha256:b: It crashes again and again: exit code 1, no such module.',
          remedy: expect.stringContaining('DELETE /api/deployments/chat/quarantine/sha256:b'),
        },
      ],
    });
    // The candidate is still the quarantined one, or there is none left: the good one stays either way.
    subject.push('');
    expect(await subject.turn()).toEqual(seen);
    expect(server.writes()).toEqual([]);
  });

  test('is told in a notice of some length, however many were given up before it', async () => {
    const subject = await withGood('redis', redis);
    for (let number = 10; number < 40; number += 1) {
      const reason = `It ${'crashes '.repeat(200)}.`;
      await around.quarantine.add({ digest: `sha256:b${number}`, repository: 'valkey', reason });
    }
    const { notices: [notice] = [] } = (await subject.observe()) as { notices?: readonly Notice[] };
    expect(notice?.evidence.match(/sha256:\w+/g)).toEqual([35, 36, 37, 38, 39].map((n) => `sha256:b${n}`));
    expect(notice?.evidence).toContain('GET /api/deployments/chat tells of 25 more');
    expect(notice?.remedy.match(/DELETE/g)).toHaveLength(5);
    expect(notice?.evidence.length).toBeLessThan(3_000);
  });

  test('that was quarantined before this process died gives way all the same', async () => {
    const subject = await withGood('redis', redis);
    subject.push('b');
    await subject.turn();
    await around.quarantine.add({ digest: 'sha256:b', repository: 'valkey', reason: 'It crashes.' });
    expect(await subject.observe()).toMatchObject({ state: 'drifted' });
    await subject.turn();
    expect(await subject.images()).toMatchObject({ runs: 'a', good: 'a' });
  });

  test('is tried once more when a person lifts the quarantine', async () => {
    const subject = await withGood('redis', redis);
    await around.quarantine.add({ digest: 'sha256:b', repository: 'valkey', reason: 'It crashes.' });
    subject.push('b');
    await subject.turn();
    expect(await subject.images()).toMatchObject({ runs: 'a' });
    around = surroundings();
    await subject.turn();
    expect(await subject.images()).toMatchObject({ runs: 'b', good: 'a' });
  });

  test('gives way unjudged to a newer one', async () => {
    const subject = await withGood('redis', redis);
    subject.push('b');
    await subject.turn();
    await subject.pods([crashing(5)]);
    subject.push('c');
    await subject.turn();
    expect(await subject.images()).toMatchObject({ runs: 'c', good: 'a' });
    expect(quarantined()).toEqual([]);
    await subject.rollOut();
    await subject.turn();
    expect(await subject.images()).toMatchObject({ runs: 'c', good: 'c' });
  });

  test('that runs without getting ready is given up at the deadline', async () => {
    const subject = await withGood('redis', redis);
    subject.push('b');
    await subject.turn();
    await subject.pods([{ running: true }], { reason: 'ProgressDeadlineExceeded' });
    await subject.turn();
    expect(around.quarantined).toMatchObject([{ reason: 'It runs and does not get ready in time.' }]);
    expect(await subject.images()).toMatchObject({ runs: 'a', good: 'a' });
  });

  test('is not blamed for nodes without room', async () => {
    const subject = await withGood('redis', redis);
    subject.push('b');
    await subject.turn();
    await subject.pods([{ unscheduled: '0/3 nodes are available' }], { reason: 'ProgressDeadlineExceeded' });
    expect(await subject.turn()).toMatchObject({
      state: 'failed',
      code: 'ProgressDeadlineExceeded',
      message: 'pod redis-ofb-0 cannot be scheduled: 0/3 nodes are available',
    });
    expect(quarantined()).toEqual([]);
  });

  test('is not blamed for what the pods of the template before it do', async () => {
    const subject = await withGood('redis', redis);
    await subject.pods([crashing(9)]);
    subject.push('b');
    await subject.turn();
    await subject.pods([{ running: true }]);
    await subject.turn();
    expect(quarantined()).toEqual([]);
    expect(await subject.images()).toMatchObject({ runs: 'b' });
  });

  test.each([
    ['is given up after five minutes', 'not found', 6, true],
    ['has five minutes', 'not found', 4, false],
    ['is not blamed for a registry that does not let the nodes in', '401 Unauthorized', 60, false],
    ['is not blamed for a registry out of reach', 'dial tcp: lookup x: no such host', 60, false],
  ])('that cannot be pulled %s', async (_, message, minutes, isGivenUp) => {
    const subject = await withGood('redis', redis);
    subject.push('b');
    await subject.turn();
    await subject.pods([{ waiting: { reason: 'ImagePullBackOff', message: `Back-off: ${message}` } }]);
    minutesLater(minutes);
    await subject.turn();
    expect(quarantined()).toEqual(isGivenUp ? ['sha256:b'] : []);
  });

  test('is asked for in words when everything is quarantined and nothing was good', async () => {
    const subject = new Subject('redis', redis);
    await server.api.remove(reference('Deployment', 'redis'));
    subject.push('');
    await expect(subject.observe()).rejects.toMatchObject({ failure: { kind: 'fatal', code: 'NoImage' } });
  });
});

describe('a new image of Open WebUI', () => {
  test('starts beside all replicas that serve; only the very first start is of one', async () => {
    const subject = new Subject('open-webui', openWebui);
    subject.push('a');
    await subject.turn();
    expect(await subject.images()).toMatchObject({ replicas: 1 });
    await subject.rollOut();
    await subject.turn();
    expect(await subject.images()).toMatchObject({ replicas: 3, good: 'a' });
    await subject.rollOut();
    expect(await subject.turn()).toMatchObject({ state: 'ready' });
    subject.push('b');
    await subject.turn();
    expect(await subject.images()).toMatchObject({ runs: 'b', replicas: 3, good: 'a' });
    expect((await subject.find())['spec']).toMatchObject({
      progressDeadlineSeconds: 600,
      strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    });
  });

  test('that serves no page is given up two minutes after it is rolled out', async () => {
    const subject = await withGood('open-webui', openWebui);
    site = { isServed: false, said: 'HTTP 500' };
    page = 500;
    subject.push('b');
    await subject.turn();
    await subject.rollOut();
    expect(await subject.turn()).toMatchObject({
      state: 'changing',
      reason: expect.stringContaining('is ready and serves no page: it answers HTTP 500, the site HTTP 500'),
    });
    minutesLater(1.9);
    expect(await subject.turn()).toMatchObject({ state: 'changing' });
    minutesLater(0.2);
    await subject.turn();
    expect(quarantined()).toEqual(['sha256:b']);
    expect(await subject.images()).toMatchObject({ runs: 'a', good: 'a' });
  });

  test('that recovers within two minutes is good', async () => {
    const subject = await withGood('open-webui', openWebui);
    site = { isServed: false, said: 'HTTP 500' };
    page = 500;
    subject.push('b');
    await subject.turn();
    await subject.rollOut();
    await subject.turn();
    site = { isServed: true, said: 'HTTP 200' };
    expect(await subject.turn()).toMatchObject({ state: 'ready' });
    expect(await subject.images()).toMatchObject({ runs: 'b', good: 'b' });
  });

  test('is not judged while somebody has scaled it to nothing, which is put right first', async () => {
    const subject = await withGood('open-webui', openWebui);
    subject.push('b');
    await subject.turn();
    site = { isServed: false, said: 'HTTP 502' };
    page = 503;
    await server.api.mergePatch(reference('Deployment', 'open-webui'), { spec: { replicas: 0 } });
    await subject.pods([]);
    minutesLater(10);
    expect(await subject.turn()).toMatchObject({ state: 'changing' });
    expect(await subject.images()).toMatchObject({ runs: 'b', good: 'a', replicas: 3 });
    expect(quarantined()).toEqual([]);
  });

  test('is not proven while the cluster does not tell whether it serves', async () => {
    const subject = await withGood('open-webui', openWebui);
    subject.push('b');
    await subject.turn();
    site = { isServed: false, said: 'HTTP 502' };
    page = 503;
    await subject.rollOut();
    await expect(subject.observe()).rejects.toMatchObject({ status: 503 });
  });

  test('is not blamed for a site that breaks before it', async () => {
    const subject = await withGood('open-webui', openWebui);
    site = { isServed: false, said: 'HTTP 530' };
    subject.push('b');
    await subject.turn();
    await subject.rollOut();
    minutesLater(10);
    expect(await subject.turn()).toMatchObject({ state: 'ready' });
    expect(quarantined()).toEqual([]);
  });
});

describe('a new image of cloudflared', () => {
  test('that delivers nothing of what Open WebUI answers is given up', async () => {
    const subject = await withGood('cloudflared', cloudflared);
    site = { isServed: false, said: 'HTTP 530' };
    subject.push('b');
    await subject.turn();
    await subject.rollOut();
    minutesLater(2.1);
    await subject.turn();
    expect(around.quarantined).toMatchObject([
      {
        digest: 'sha256:b',
        repository: 'cloudflared',
        reason: 'It is ready and delivers nothing: Open WebUI answers in the cluster, the site HTTP 530.',
      },
    ]);
  });

  test('is not blamed for an Open WebUI that answers nobody', async () => {
    const subject = await withGood('cloudflared', cloudflared);
    site = { isServed: false, said: 'HTTP 500' };
    page = 500;
    subject.push('b');
    await subject.turn();
    await subject.rollOut();
    minutesLater(10);
    expect(await subject.turn()).toMatchObject({ state: 'ready' });
    expect(quarantined()).toEqual([]);
  });
});

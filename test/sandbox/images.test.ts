/** Images pushed to a stack in use, good and bad: the right digest serves at every step, and nobody notices. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Behaviour } from '../../sandbox/cloud/neighbours.ts';
import type { ReceivedEvent } from '../../sandbox/control-plane.ts';
import { pushImage } from '../cloud/push-image.ts';
import { kubectl } from '../kubectl.ts';
import { callsSince, isMutation, type Sample, sampleName, sampleSpec, startSample } from './sample.ts';
import { startUsers, type Users } from './users.ts';

const SPEED = 60;
/** Slow enough for a pause of the control plane to be seen in what a newer push takes. */
const SLOW = 4;
const host = 'yourorg.azurecr.io';
const repository = 'open-webui';

interface State {
  readonly quarantine: readonly { readonly digest: string; readonly reason: string }[];
  readonly findings: readonly { readonly id: string; readonly remedy: string }[];
  readonly resources: readonly { readonly key: string }[];
  readonly lastOperation?: { readonly id: string; readonly state: string };
}

/** What the Kubernetes API tells of every change of one kind of object, from now on. */
class Watch {
  /** Without repetitions. */
  readonly seen: { readonly text: string; readonly at: number }[] = [];
  readonly #child: ChildProcess;

  constructor(kubeconfig: string, kind: string, jsonpath: string, selection: readonly string[] = []) {
    const options = [
      '--kubeconfig',
      kubeconfig,
      '-n',
      'open-webui',
      '--watch',
      '-o',
      `jsonpath=${jsonpath}{"\\n"}`,
    ];
    this.#child = spawn(kubectl(), ['get', kind, ...selection, ...options], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { stdout } = this.#child;
    if (!stdout) throw new Error('kubectl has no output');
    createInterface({ input: stdout }).on('line', (text) => {
      if (this.seen.at(-1)?.text !== text) this.seen.push({ text, at: performance.now() });
    });
  }

  get texts(): readonly string[] {
    return this.seen.map(({ text }) => text);
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null;
  }

  async stop(): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill();
    await once(this.#child, 'exit');
  }
}

describe('images of a stack in use', () => {
  let sample: Sample;
  let users: Users;
  let deployments: Watch;
  let replicaSets: Watch;
  /** The digests that are expected to have been in the Deployment so far, in this order. */
  const deployed: string[] = [];
  const pushed: Record<string, string> = {};

  const state = async (): Promise<State> => (await sample.api.deployment(sampleName)) as unknown as State;
  const push = async (
    tag: string,
    label = tag,
    behaviour?: Behaviour,
    into = repository,
  ): Promise<string> => {
    const image = { host, repository: into, tag, software: 'open-webui' as const, label };
    return pushImage(sample.clouds, { ...image, ...(behaviour ? { behaviour } : {}) });
  };
  const digests = (): string[] => deployments.texts.map((text) => text.split('@')[1] ?? '');
  const eventOf = async (digest: string, tag: string): Promise<ReceivedEvent | undefined> =>
    (await sample.api.events(sampleName)).find(
      (event) => event.subject.endsWith(`:${tag}`) && (event as { version?: string }).version === digest,
    );
  /** The event has been dealt with (one whose image does not serve has failed), and all pods run that digest. */
  const settled = async (tag: string, event: string, serving: string): Promise<void> => {
    await expect
      .poll(async () => (await eventOf(event, tag))?.outcome, { timeout: 60_000, interval: 100 })
      .toMatch(event === serving ? /acted|nothing-differed/ : /failed/);
    await expect
      .poll(async () => (await state()).lastOperation?.state, { timeout: 60_000 })
      .toBe('succeeded');
    // Of the ReplicaSets that have pods there is one, complete, of that image.
    const current = new Map(
      replicaSets.texts.map((text) => {
        const [name = '', image = '', replicas = '', ready = ''] = text.split(' ');
        return [name, { image, replicas: Number(replicas), ready: Number(ready) }];
      }),
    );
    expect([...current.values()].filter(({ replicas }) => replicas > 0)).toEqual([
      { image: `${host}/${repository}@${serving}`, replicas: 3, ready: 3 },
    ]);
  };
  const setSpeed = async (speed: number): Promise<void> => {
    const answer = await fetch(`${sample.sandbox.endpoints.sandbox}/clock`, {
      method: 'PUT',
      body: JSON.stringify({ speed }),
    });
    expect(answer.status).toBe(200);
  };

  beforeAll(async () => {
    sample = await startSample({ speed: SPEED });
    const operation = await sample.ask(sampleSpec.replace('models: []', 'models: ["smollm2:135m"]'));
    expect(operation.failure).toBeUndefined();
    const { endpoints } = sample.sandbox;
    deployments = new Watch(
      endpoints.kubeconfig,
      'deployment/open-webui',
      '{.spec.template.spec.containers[0].image}',
    );
    replicaSets = new Watch(
      endpoints.kubeconfig,
      'replicasets',
      '{.metadata.name} {.spec.template.spec.containers[0].image} {.spec.replicas} {.status.readyReplicas}',
      ['-l', 'app=open-webui'],
    );
    await vi.waitFor(() => expect(digests()).toHaveLength(1), { timeout: 20_000 });
    deployed.push(...digests());
    users = startUsers(endpoints, { host: 'open-webui.yourdomain.com', concurrency: 3, perSecond: 30 });
  }, 180_000);
  afterAll(async () => {
    await users?.stop();
    await deployments?.stop();
    await replicaSets?.stop();
    await sample?.stop();
  });

  test('follow a good push', async () => {
    const good = await push('v0.6.37');
    deployed.push(good);
    await settled('v0.6.37', good, good);
    expect(digests()).toEqual(deployed);
    expect((await state()).quarantine).toEqual([]);
  }, 60_000);

  test('go back to the last good one after a bad push, which is quarantined and told of', async () => {
    const [, good = ''] = deployed;
    const bad = await push('v0.6.38', 'bad', 'crashes');
    pushed['bad'] = bad;
    deployed.push(bad, good);
    await settled('v0.6.38', bad, good);
    expect(digests()).toEqual(deployed);
    const { quarantine, findings } = await state();
    expect(quarantine).toMatchObject([{ digest: bad, reason: 'It crashes again and again: exit code 1.' }]);
    expect(findings.filter(({ id }) => id === 'image-quarantined')).toMatchObject([
      { remedy: expect.stringContaining(`/quarantine/${bad}`) },
    ]);
  }, 60_000);

  test('do not wait for a bad one when a newer one is pushed', async () => {
    const bad = await push('v0.6.39', 'never ready', 'never-ready');
    deployed.push(bad);
    await expect.poll(() => digests().at(-1), { timeout: 30_000, interval: 20 }).toBe(bad);
    await setSpeed(SLOW);
    const good = await push('v0.6.40');
    const began = performance.now();
    deployed.push(good);
    await expect.poll(() => digests().at(-1), { timeout: 30_000, interval: 20 }).toBe(good);
    const applied = Math.round((deployments.seen.at(-1)?.at ?? Number.NaN) - began);
    await setSpeed(SPEED);
    await settled('v0.6.40', good, good);
    const event = await eventOf(good, 'v0.6.40');
    const delivery = Date.parse(event?.receivedAt ?? '') - Date.parse(event?.occurredAt ?? '');
    console.log(
      `a newer push replaced the one that was being rolled out after ${applied} ms, of which its event took about ${Math.round(delivery / SLOW)} ms to arrive`,
    );
    // Ten seconds of the clouds pass between two looks at a rollout, of which none was waited for.
    expect(applied - delivery / SLOW).toBeLessThan(10_000 / SLOW);
    expect(digests()).toEqual(deployed);
    expect((await state()).quarantine.map(({ digest }) => digest)).toEqual([pushed['bad']]);
    pushed['good'] = good;
  }, 60_000);

  test('are not tried again under another tag once they have failed', async () => {
    const { next } = await callsSince(sample, 0);
    const known = (await state()).lastOperation?.id;
    const bad = await push('v0.6.41', 'bad', 'crashes');
    expect(bad).toBe(pushed['bad']);
    await settled('v0.6.41', bad, pushed['good'] ?? '');
    expect(digests()).toEqual(deployed);
    expect((await state()).quarantine.map(({ digest }) => digest)).toEqual([bad]);
    expect((await state()).lastOperation?.id).toBe(known);
    const others = (await callsSince(sample, next)).calls.filter(isMutation);
    expect(others.filter(({ service }) => service !== 'registry')).toEqual([]);
  }, 60_000);

  test('of other repositories, without a tag, deleted, or outside the range lead to no operation', async () => {
    const known = (await state()).lastOperation?.id;
    const elsewhere = await push('v1', 'child', undefined, 'somebody-elses');
    await push(elsewhere, 'child');
    await push('v0.7.0', 'too new');
    await push('latest', 'no version');
    await expect
      .poll(async () => (await eventOf(elsewhere, 'v1'))?.outcome, { timeout: 30_000 })
      .toBe('ignored');
    const pending = async (): Promise<unknown> =>
      ((await (await fetch(`${sample.sandbox.endpoints.sandbox}/events`)).json()) as { pending: unknown })
        .pending;
    await expect.poll(pending, { timeout: 30_000 }).toBe(0);
    const outcomes = async (): Promise<string[]> =>
      (await sample.api.events(sampleName))
        .filter(({ subject }) => /child|:v0\.7\.0$|:latest$|somebody-elses/.test(subject))
        .map(({ outcome }) => outcome);
    await expect.poll(outcomes, { timeout: 30_000 }).not.toContain('pending');
    expect(await outcomes()).not.toContain('acted');
    expect((await state()).lastOperation?.id).toBe(known);
    expect(digests()).toEqual(deployed);
  }, 60_000);

  test('that a person wants tried again are, and fail again', async () => {
    const bad = pushed['bad'] ?? '';
    await expect(sample.api.liftQuarantine(sampleName, `sha256:${'0'.repeat(64)}`)).rejects.toThrow(/^404 /);
    const id = await sample.api.liftQuarantine(sampleName, bad);
    const operation = await sample.api.watch(id, () => {}, 100);
    expect(operation).toMatchObject({ state: 'succeeded' });
    deployed.push(bad, pushed['good'] ?? '');
    expect(digests()).toEqual(deployed);
    expect((await state()).quarantine.map(({ digest }) => digest)).toEqual([bad]);
  }, 60_000);

  test('were changed without a failed page', async () => {
    const { failures, failedLogins, failedChats, logins, chats } = await users.stop();
    console.log(`${logins} sign-ins and ${chats} chats meanwhile`);
    expect(failures).toEqual([]);
    expect({ failedLogins, failedChats }).toEqual({ failedLogins: 0, failedChats: 0 });
    expect(chats).toBeGreaterThan(100);
  });

  test('were in pods only while they were in the Deployment', () => {
    // Both watches went on all the time; a ReplicaSet of the bad image was filled twice, with one pod.
    expect([deployments.isRunning, replicaSets.isRunning]).toEqual([true, true]);
    const fillings = replicaSets.texts
      .filter((text) => text.includes(pushed['bad'] ?? 'none'))
      .map((text) => Number(text.split(' ')[2]))
      .filter((replicas, index, all) => replicas !== all[index - 1]);
    expect(fillings.filter((replicas) => replicas > 0)).toEqual([1, 1]);
  });

  test('have every resource of the stack still told of', async () => {
    expect((await state()).resources.length).toBeGreaterThan(50);
  });
});

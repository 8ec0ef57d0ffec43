/** The guarded image where controllers and programs really run: good and bad builds of Open WebUI, one after another. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Behaviour } from '../../../sandbox/cloud/neighbours.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import type { KubernetesApi } from '../../../src/clients/kubernetes-api.ts';
import { kubernetesApi } from '../../../src/clients/kubernetes-client.ts';
import type { DependencyOutputs, Observed } from '../../../src/graph/resource.ts';
import type { Rollout } from '../../../src/resources/kinds/rollout.ts';
import { openWebui } from '../../../src/resources/kubernetes/open-webui.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import { FQDN, REGISTRY, type SmallWorld, startSmallWorld } from '../../cloud/kubernetes/small-world.ts';
import { apply, installOperators, objectsOf, prepareOutside } from '../../cloud/kubernetes/stack.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { known } from './known-outputs.ts';

let world: SmallWorld;
let api: KubernetesApi;
let candidate = '';
/** Whether the page came at each look since this was last emptied. */
let pages: boolean[] = [];
const around = surroundings();
const service = { namespace: 'open-webui', name: 'open-webui', port: 80 };

const serves = async (): Promise<boolean> => {
  try {
    return (await api.requestService(service, { method: 'GET', path: '/' })).status === 200;
  } catch {
    return false;
  }
};

const scope = (): Scope => ({
  ...specOf(),
  clients: {
    kubernetes: async () => api,
    site: async () =>
      (await serves()) ? { isServed: true, said: 'HTTP 200' } : { isServed: false, said: 'HTTP 500' },
  } as Partial<Clients> as Clients,
  now: new Date(world.world.clock.now()),
  ...around,
});

/** Makes an image the one that is followed; the same label is the same digest. */
function push(label: string, behaviour?: Behaviour): string {
  const digest = `sha256:${createHash('sha256').update(label).digest('hex')}`;
  candidate = `${REGISTRY}/open-webui@${digest}`;
  world.state.images.set(candidate, 'open-webui');
  if (behaviour) world.state.behaviours.set(candidate, behaviour);
  return digest;
}

/** One turn of the engine, and five seconds. */
async function turn(): Promise<Observed<Rollout>> {
  const deps = {
    ...known,
    images: { ...known.images, openWebui: candidate },
  } as unknown as DependencyOutputs<typeof openWebui.dependsOn>;
  const seen = await openWebui.observe(scope(), deps);
  pages.push(await serves());
  if (['absent', 'drifted', 'failed'].includes(seen.state)) await openWebui.ensure(scope(), deps, seen);
  await world.world.clock.wait(5_000);
  return seen;
}

async function until(holds: (seen: Observed<Rollout>) => boolean): Promise<Observed<Rollout>> {
  const deadline = world.world.clock.now() + 3_600_000;
  for (;;) {
    const seen = await turn();
    if (holds(seen)) return seen;
    if (world.world.clock.now() > deadline) throw new Error(`still ${JSON.stringify(seen)}`);
  }
}

/** Turns until it is ready; the digest that runs then, and in how many pods. */
async function settled(): Promise<readonly [string, number]> {
  const seen = await until(({ state }) => state === 'ready');
  if (seen.state !== 'ready') throw new Error('unreachable');
  const { image, pods } = seen.outputs;
  return [image.split('@')[1] ?? '', pods.length];
}

beforeAll(async () => {
  world = await startSmallWorld({ withDatabase: true, speed: 500 });
  await prepareOutside(world);
  await installOperators(world);
  for (const object of objectsOf()) {
    if (object.kind !== 'Deployment' || object.metadata.name !== 'open-webui') await apply(world, object);
  }
  const server = `https://${FQDN}`;
  const certificateAuthority = Buffer.from(world.certificateAuthority).toString('base64');
  api = await kubernetesApi(
    { server, certificateAuthority, user: { kind: 'token', token: 'operator' } },
    async () => '',
    world.proxy.url,
  );
}, 120_000);
afterAll(() => world.stop());

describe('Open WebUI under good and bad images', () => {
  let good = '';
  let crashing = '';

  test('starts with one replica and grows', async () => {
    good = push('first');
    expect(await settled()).toEqual([good, 3]);
  }, 120_000);

  test('a build that crashes is taken back and quarantined, and users notice nothing', async () => {
    pages = [];
    crashing = push('crashing', 'crashes');
    expect(await settled()).toEqual([good, 3]);
    expect(around.quarantined.map(({ digest }) => digest)).toEqual([crashing]);
    expect(new Set(pages)).toEqual(new Set([true]));
  }, 120_000);

  test('the same digest is not tried again, under whatever tag', async () => {
    push('crashing');
    const revision = await until(({ state }) => state === 'ready');
    for (let looks = 0; looks < 5; looks += 1) expect(await turn()).toEqual(revision);
  }, 120_000);

  test('a good build that is pushed while a bad one rolls takes its place at once', async () => {
    pages = [];
    push('also crashing', 'crashes');
    await until(({ state }) => state === 'changing');
    good = push('second');
    expect(await settled()).toEqual([good, 3]);
    expect(around.quarantined).toHaveLength(1);
    expect(new Set(pages)).toEqual(new Set([true]));
  }, 120_000);

  test('a build that never gets ready is taken back at the deadline, and users notice nothing', async () => {
    pages = [];
    const silent = push('never ready', 'never-ready');
    expect(await settled()).toEqual([good, 3]);
    expect(around.quarantined.at(-1)).toMatchObject({
      digest: silent,
      reason: 'It runs and does not get ready in time.',
    });
    expect(new Set(pages)).toEqual(new Set([true]));
  }, 120_000);

  test('a build that is healthy and serves errors is taken back', async () => {
    const broken = push('broken page', 'broken-page');
    expect(await settled()).toEqual([good, 3]);
    expect(around.quarantined.at(-1)).toMatchObject({
      digest: broken,
      reason: expect.stringContaining('serves no page'),
    });
    expect(await serves()).toBe(true);
  }, 120_000);
});

/**
 * Node pools come, go, change and lose the identity, while Event Grid loses and repeats events. What is expected is worked
 * out from the clouds alone: from the scale sets as they were, the calls they saw and the events they sent. Over 300 lines
 * because one sandbox serves all of it.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CloudClient } from '../../sandbox/cloud-client.ts';
import { Operator } from '../../sandbox/operator.ts';
import { kubectl } from '../kubectl.ts';
import { runTimer } from './run-timer.ts';
import { callsSince, type Sample, sampleName, startSample } from './sample.ts';

const SUBSCRIPTION = '/subscriptions/50b5c419-0000-4000-8000-000000000001';
const GROUP = `${SUBSCRIPTION}/resourceGroups/rg-openwebui`;
const CLUSTER = `${GROUP}/providers/Microsoft.ContainerService/managedClusters/aks-openwebui`;
const NODE_GROUP = `${SUBSCRIPTION}/resourceGroups/MC_rg-openwebui_aks-openwebui_eastasia`;
const SCALE_SETS = `${NODE_GROUP}/providers/Microsoft.Compute/virtualMachineScaleSets`;
const IDENTITIES = `${GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities`;
const OURS = `${IDENTITIES}/uai-openwebui`.toLowerCase();
const FOREIGN = `${IDENTITIES}/uai-of-somebody`;
const COMPUTE = 'api-version=2025-04-01';
const CONTAINERS = 'api-version=2025-05-01';
const EVENT_GRID = 'api-version=2025-02-15';

const run = promisify(execFile);

interface ScaleSet {
  readonly name: string;
  readonly pool: string;
  readonly state: string;
  readonly identities: readonly string[];
}
interface Pool {
  readonly name: string;
  readonly properties: { readonly provisioningState: string; readonly count: number };
}
interface SentEvent {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly dropped?: true;
}
interface Seen {
  readonly findings: readonly { id: string; severity: string; since: string; resource: string }[];
  readonly missedEvents: number;
  readonly sweptAt?: string;
}

const holdsOurs = ({ identities }: ScaleSet): boolean => identities.includes(OURS);

/** Mulberry32: the same choices for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('the identity on the nodes', () => {
  let sample: Sample;
  let operator: Operator;
  let client: CloudClient;
  const seed = Number(process.env['NODE_POOLS_SEED'] ?? Date.now() % 1_000_000);

  beforeAll(async () => {
    // Swept by hand only, so that nothing but events and these sweeps repairs anything.
    sample = await startSample({ speed: 100, settings: { SWEEP_SCHEDULE: '0 0 0 1 1 *' } });
    client = new CloudClient(sample.sandbox.endpoints);
    operator = new Operator(client);
    expect((await sample.ask()).state).toBe('succeeded');
    await sample.clouds.arm(`${FOREIGN}?api-version=2023-01-31`, {
      method: 'PUT',
      body: { location: 'eastasia' },
    });
  }, 180_000);

  afterAll(async () => {
    client?.close();
    await sample?.stop();
  });

  const door = async (path: string, body?: object, method = 'PUT'): Promise<unknown> => {
    const answer = await fetch(`${sample.sandbox.endpoints.sandbox}${path}`, {
      ...(body
        ? { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
        : {}),
    });
    expect(answer.ok, path).toBe(true);
    return answer.json();
  };
  const sent = async () =>
    (await door('/events')) as { pending: number; emitted: SentEvent[]; dropped: SentEvent[] };
  const deployment = async () => (await sample.api.deployment(sampleName)) as unknown as Seen;

  const scaleSets = async (): Promise<ScaleSet[]> => {
    const answer = await sample.clouds.arm(`${SCALE_SETS}?${COMPUTE}`);
    const { value } = answer.body as {
      value: {
        name: string;
        tags: Record<string, string>;
        identity?: { userAssignedIdentities?: object };
        properties: { provisioningState: string };
      }[];
    };
    return value.map(({ name, tags, identity, properties }) => ({
      name,
      pool: tags['aks-managed-poolName'] ?? '',
      state: properties.provisioningState,
      identities: Object.keys(identity?.userAssignedIdentities ?? {}).map((id) => id.toLowerCase()),
    }));
  };
  const pools = async (): Promise<readonly Pool[]> =>
    ((await sample.clouds.arm(`${CLUSTER}/agentPools?${CONTAINERS}`)).body as { value: Pool[] }).value;
  const pool = (name: string, method: string, properties?: object, action = '') =>
    sample.clouds.arm(`${CLUSTER}/agentPools/${name}${action}?${CONTAINERS}`, {
      method,
      ...(properties ? { body: { properties } } : {}),
    });
  const newPool = {
    mode: 'User',
    count: 1,
    osType: 'Linux',
    vmSize: 'Standard_D4s_v5',
    vnetSubnetID: `${GROUP}/providers/Microsoft.Network/virtualNetworks/vnet-aks/subnets/snet-aks`,
  };

  /** AKS is done, no event is on its way, and nothing is being worked on. */
  const quiet = () =>
    expect
      .poll(
        async () => {
          const states = [
            ...(await pools()).map(({ properties }) => properties.provisioningState),
            ...(await scaleSets()).map(({ state }) => state),
          ];
          const { pending } = await sent();
          const open = (await sample.api.events(sampleName)).filter(({ outcome }) => outcome === 'pending');
          return {
            moving: states.filter((state) => state !== 'Succeeded').length,
            pending,
            open: open.length,
          };
        },
        { timeout: 60_000, interval: 100 },
      )
      .toEqual({ moving: 0, pending: 0, open: 0 });

  const startSweep = async (): Promise<string | undefined> => {
    const { sweptAt } = await deployment();
    await runTimer(sample, 'sweep');
    return sweptAt;
  };
  const swept = (before: string | undefined) =>
    expect
      .poll(async () => (await deployment()).sweptAt, { timeout: 60_000, interval: 100 })
      .not.toBe(before);
  const sweep = async (): Promise<void> => {
    await swept(await startSweep());
    await quiet();
  };
  const lacking = async () => (await scaleSets()).filter((one) => !holdsOurs(one));
  const removeOurs = (name: string) =>
    sample.clouds.arm(`${SCALE_SETS}/${name}?${COMPUTE}`, {
      method: 'PATCH',
      body: { identity: { type: 'UserAssigned', userAssignedIdentities: { [OURS]: null } } },
    });
  const addForeign = (name: string) =>
    sample.clouds.arm(`${SCALE_SETS}/${name}?${COMPUTE}`, {
      method: 'PATCH',
      body: { identity: { type: 'UserAssigned', userAssignedIdentities: { [FOREIGN]: {} } } },
    });

  test('is on every scale set at the end, whatever happens to pools and events', {
    timeout: 240_000,
  }, async () => {
    await quiet();
    console.info(`seed ${seed} (NODE_POOLS_SEED)`);
    const random = randomOf(seed);
    const { next: firstCall } = await callsSince(sample, 0);
    const looks: { readonly at: number; readonly sets: readonly ScaleSet[] }[] = [];
    const ending = new AbortController();
    const now = async () => ((await door('/clock')) as { now: number }).now;
    // The time before the look: what it shows was so then or later.
    const watching = (async () => {
      while (!ending.signal.aborted) {
        const at = await now();
        looks.push({ at, sets: await scaleSets() });
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
    })();
    await door('/events', { dropShare: 0.2, repeatShare: 0.2, reorder: true, seed });

    let expected = (await deployment()).missedEvents;
    /** Once from each: whoever does so again and again is in a fight, and a fight ends repairs (docs/decisions/0012). */
    const takenFrom = new Set<string>();
    /** Those that lack it now were told by nobody: the sweep has to find and count each. */
    const settleAccounts = async (): Promise<void> => {
      await quiet();
      const found = await lacking();
      const { emitted } = await sent();
      for (const { name, pool: ofPool } of found) {
        const good =
          looks.findLast(({ sets }) => sets.some((one) => one.name === name && holdsOurs(one)))?.at ?? 0;
        const told = emitted.filter(
          ({ subject, time, dropped }) =>
            !dropped &&
            Date.parse(time) > good &&
            [`/${name}`, `/agentpools/${ofPool}`].some((end) =>
              subject.toLowerCase().endsWith(end.toLowerCase()),
            ),
        );
        expect(told, `${name} lacks the identity although it was told`).toEqual([]);
      }
      expected += found.length;
      await sweep();
      expect((await lacking()).map(({ name }) => name)).toEqual([]);
      expect((await deployment()).missedEvents, `after ${found.map(({ name }) => name).join()}`).toBe(
        expected,
      );
    };

    type Deed = 'add' | 'scale' | 'upgrade' | 'remove';
    const plans = new Map<string, Deed[]>(
      Array.from({ length: 10 }, (_, index) => {
        const middle: Deed[] = random() < 0.5 ? ['scale', 'upgrade'] : ['upgrade', 'scale'];
        return [`np${index}`, ['add', ...middle, ...(index % 3 === 0 ? (['remove'] as const) : [])]];
      }),
    );
    const act: Record<Deed, (name: string) => Promise<unknown>> = {
      add: (name) => pool(name, 'PUT', newPool),
      scale: (name) => pool(name, 'PUT', { ...newPool, count: 2 }),
      upgrade: (name) => pool(name, 'POST', undefined, '/upgradeNodeImageVersion'),
      remove: (name) => pool(name, 'DELETE'),
    };
    const done: Record<Deed, number> = { add: 0, scale: 0, upgrade: 0, remove: 0 };
    while (plans.size > 0) {
      await door('/dials', { 'upgrade-drops-foreign-identities': random() < 0.7 });
      const names = [...plans.keys()].sort(() => random() - 0.5).slice(0, 1 + Math.floor(random() * 6));
      for (const name of names) {
        const deed = plans.get(name)?.shift();
        if (!deed) continue;
        await act[deed](name);
        done[deed] += 1;
        if (plans.get(name)?.length === 0) plans.delete(name);
      }
      if (random() < 0.4) {
        await settleAccounts();
        const some = (await scaleSets()).filter(() => random() < 0.5);
        for (const { name } of some) await addForeign(name);
        await quiet();
        // Somebody takes ours away, here and there, and leaves theirs.
        for (const { name } of some.filter(() => random() < 0.7)) {
          if (takenFrom.has(name)) continue;
          takenFrom.add(name);
          await removeOurs(name);
        }
      }
      await quiet();
    }
    await settleAccounts();

    // One that nobody tells of at all, found by a sweep of whose repair everybody tells.
    await door('/dials', { 'upgrade-drops-foreign-identities': true });
    await door('/events', { dropShare: 1 });
    await pool('np1', 'POST', undefined, '/upgradeNodeImageVersion');
    await quiet();
    expect(await lacking()).toHaveLength(1);
    await door('/events', {});
    await settleAccounts();

    // One that AKS is at work on while the sweep looks.
    await door('/events', { dropShare: 1 });
    await pool('np2', 'POST', undefined, '/upgradeNodeImageVersion');
    const before = await startSweep();
    await swept(before);
    await quiet();
    expected += 1;
    expect(await lacking()).toEqual([]);
    expect((await deployment()).missedEvents).toBe(expected);
    await door('/events', {});

    ending.abort();
    await watching;
    const { calls } = await callsSince(sample, firstCall);
    const patches = calls.filter(
      ({ method, path, status }) =>
        method === 'PATCH' && /\/virtualMachineScaleSets\//i.test(path) && status < 300,
    );
    const { controlPlane } = await callers(sample);
    const ours = patches.filter(({ caller }) => caller === controlPlane);
    const { emitted, dropped } = await sent();
    let foreignKept = 0;
    for (const { path, time } of ours) {
      const name = /virtualMachineScaleSets\/([^?/]+)/i.exec(path)?.[1] ?? '';
      const at = Date.parse(time);
      const of = ({ sets }: { sets: readonly ScaleSet[] }) => sets.find((one) => one.name === name);
      const then = looks.findLast((look) => look.at < at && of(look));
      const after = looks.find((look) => look.at > at && of(look)?.identities.includes(OURS));
      const had = then && of(then);
      if (had) expect(holdsOurs(had), `${name} at ${time} had it`).toBe(false);
      const lost = (had?.identities ?? []).filter((id) => after && !of(after)?.identities.includes(id));
      expect(lost, `${name} at ${time}`).toEqual([]);
      if (had?.identities.includes(FOREIGN.toLowerCase())) foreignKept += 1;
    }
    console.info(
      `pools: ${JSON.stringify(done)}; events: ${emitted.length} sent, ${dropped.length} lost, ${expected} of them mattered; ` +
        `our PATCHes: ${ours.length}, ${foreignKept} where somebody else's identity was`,
    );
    expect(ours.length).toBeGreaterThan(9);
  });

  test('lets External Secrets sync from a node of a new pool', { timeout: 120_000 }, async () => {
    // The spec's node selector decides where the operators may run.
    await pool('proof', 'PUT', { ...newPool, nodeLabels: { platform: 'open-webui' } });
    await quiet();
    expect(await lacking()).toEqual([]);
    const cluster = async (...args: string[]) =>
      (await run(kubectl(), ['--kubeconfig', sample.sandbox.endpoints.kubeconfig, ...args])).stdout;
    const nodes = (await cluster('get', 'nodes', '-o', 'name')).trim().split('\n');
    await cluster('cordon', ...nodes.filter((node) => !node.includes('aks-proof-')));
    await cluster('delete', 'pods', '-n', 'external-secrets', '--all');
    const operators = async () =>
      (
        await cluster(
          'get',
          'pods',
          '-n',
          'external-secrets',
          '-o',
          'jsonpath={range .items[*]}{.status.phase} {.spec.nodeName} {.status.conditions[0].message}{"\\n"}{end}',
        )
      )
        .trim()
        .split('\n');
    const onNewPool = expect.stringMatching(/^Running aks-proof-/);
    await expect.poll(operators, { timeout: 30_000 }).toEqual([onNewPool, onNewPool, onNewPool]);
    const value = `from-the-new-pool-${seed}`;
    const version = await operator.setSecret('kv-openwebui', 'webui-secret-key', value);
    expect(version).not.toBe('');
    await expect
      .poll(() => cluster('get', 'secrets', '-n', 'open-webui', '-o', 'json'), {
        timeout: 60_000,
        interval: 200,
      })
      .toContain(Buffer.from(value).toString('base64'));
    expect(await operators()).toEqual([onNewPool, onNewPool, onNewPool]);
    await cluster('uncordon', ...nodes);
    await quiet();
  });

  test('is not put there again because of our own echo, nor of anybody who writes something else', async () => {
    const { next } = await callsSince(sample, 0);
    const [first] = await scaleSets();
    const name = first?.name ?? '';
    const earlier = new Set((await sample.api.events(sampleName)).map(({ id }) => id));
    await sample.clouds.arm(`${SCALE_SETS}/${name}?${COMPUTE}`, {
      method: 'PATCH',
      body: { identity: { type: 'UserAssigned', userAssignedIdentities: { [FOREIGN]: {} } } },
    });
    const about = async () =>
      (await sample.api.events(sampleName)).filter(
        ({ id, subject }) => !earlier.has(id) && subject.endsWith(`/${name}`),
      );
    await expect
      .poll(async () => (await about()).map(({ outcome }) => outcome), { timeout: 20_000 })
      .toEqual(['nothing-differed']);
    expect((await about())[0]?.operation).toBeUndefined();
    const { controlPlane } = await callers(sample);
    const { calls } = await callsSince(sample, next);
    expect(
      calls.filter(
        ({ caller, method }) => caller === controlPlane && ['PATCH', 'PUT', 'DELETE'].includes(method),
      ),
    ).toEqual([]);
  });

  test('cannot be put on a pool without scale set, which is a finding until the pool is gone', {
    timeout: 90_000,
  }, async () => {
    const finding = async () => (await deployment()).findings.find(({ id }) => id === 'PoolWithoutScaleSet');
    await pool('vms', 'PUT', { ...newPool, type: 'VirtualMachines' });
    await expect
      .poll(finding, { timeout: 30_000, interval: 100 })
      .toMatchObject({ severity: 'error', resource: 'azure/node-identity' });
    const first = await finding();
    for (let times = 0; times < 2; times += 1) {
      await sweep();
      expect(await finding()).toEqual(first);
    }
    await pool('vms', 'DELETE');
    await expect.poll(finding, { timeout: 30_000, interval: 100 }).toBeUndefined();
    await quiet();
  });

  test('is told by subscriptions that a sweep mends', { timeout: 90_000 }, async () => {
    const nodes = `${NODE_GROUP}/providers/Microsoft.EventGrid/eventSubscriptions/open-webui-open-webui-nodes?${EVENT_GRID}`;
    const pushes = `${GROUP}/providers/Microsoft.ContainerService/managedClusters/aks-openwebui/providers/Microsoft.EventGrid/eventSubscriptions/open-webui-open-webui-cluster?${EVENT_GRID}`;
    const filterOf = async () =>
      ((await sample.clouds.arm(pushes)).body as { properties: { filter: { includedEventTypes: string[] } } })
        .properties.filter.includedEventTypes;
    const wanted = await filterOf();
    await sample.clouds.arm(pushes, {
      method: 'PATCH',
      body: { filter: { includedEventTypes: [wanted[0]] } },
    });
    await sample.clouds.arm(nodes, { method: 'DELETE' });
    await expect.poll(filterOf, { timeout: 20_000 }).toHaveLength(1);
    await expect
      .poll(
        () =>
          sample.clouds.arm(nodes).then(
            () => true,
            () => false,
          ),
        { timeout: 20_000 },
      )
      .toBe(false);
    await sweep();
    expect((await filterOf()).toSorted()).toEqual(wanted.toSorted());
    const earlier = new Set((await sample.api.events(sampleName)).map(({ id }) => id));
    const [first] = await scaleSets();
    await addForeign(first?.name ?? '');
    await expect
      .poll(
        async () =>
          (await sample.api.events(sampleName)).some(
            ({ id, subject }) => !earlier.has(id) && subject.endsWith(`/${first?.name}`),
          ),
        { timeout: 20_000 },
      )
      .toBe(true);
    await quiet();
  });

  test.each([
    ['new-kubernetes-version', 'new-version', 'info'],
    ['support-ending', 'support-ending', 'warning'],
    ['support-ended', 'support-ended', 'error'],
  ])(
    'the news %s of AKS becomes the finding %s within seconds, by its event alone',
    async (kind, id, severity) => {
      const told = async () =>
        (await deployment()).findings.filter(
          (one) => one.resource === 'azure/cluster-version' && one.id === id,
        );
      const before = await told();
      const began = performance.now();
      await door('/announcements', { kind }, 'POST');
      // An older piece of news of the kind may have been told already: this one says something else.
      await expect.poll(told, { timeout: 5_000, interval: 50 }).not.toEqual(before);
      expect(await told()).toEqual([expect.objectContaining({ id, severity })]);
      console.info(`${id}: ${Math.round(performance.now() - began)} ms after the announcement`);
    },
  );
});

/** Who calls as the control plane: it is the one that reads what Helm of AKS's run command did, and all else of ARM. */
async function callers(sample: Sample): Promise<{ controlPlane: string }> {
  const { calls } = await callsSince(sample, 0);
  const found = calls.find(
    ({ method, path, status }) =>
      method === 'PUT' && /managedClusters\/aks-openwebui\?/i.test(path) && status < 300,
  );
  return { controlPlane: found?.caller ?? '' };
}

/**
 * What a check and a sweep of many deployments cost one app: calls, time and memory for 1, 10 and 100 of them, in one
 * subscription, so that they share what the Resource Manager grants. They are provisioned with the clock sped up; what is
 * measured runs in real time, where a second of the clouds' limits is a second.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostHeap } from './host-heap.ts';
import { runTimer } from './run-timer.ts';
import { callsSince, isMutation, type RecordedCall, type Sample, sampleSpec, startSample } from './sample.ts';

const SIZES = (process.env['SCALE'] ?? '1,10,100').split(',').map(Number);
/** A kept directory is gone on with: a hundred stacks take half an hour, and several on a busy machine. */
const KEPT = process.env['SCALE_DIRECTORY'];
/**
 * Stacks that are made at the same time, and virtual seconds per real second meanwhile: slow enough that what waits for a
 * cloud does not ask again and again while the processor is needed elsewhere.
 */
const AT_ONCE = Number(process.env['SCALE_AT_ONCE'] ?? 8);
const SPEED = Number(process.env['SCALE_SPEED'] ?? 20);
/** As a person would: on a machine that is too slow for it now and then one of a hundred runs out of time. */
const TRIES = 3;
/** Real milliseconds between two looks of ours at an operation: each costs the host a read of all its steps. */
const LOOK_EVERY = 5_000;

/**
 * The least memory of a plan that Functions runs Node on besides the smallest of Flex Consumption:
 * https://learn.microsoft.com/azure/azure-functions/functions-scale#service-limits. Here it holds the host, too.
 */
const MOST_MEMORY = 1.5 * 2 ** 30;
/** A check that finds connections still open is spared credentials and discovery, which are some twenty-five calls. */
const SLACK = 30;

const MINUTE = 60_000;

const nameOf = (number: number): string => `fleet-${String(number).padStart(3, '0')}`;
const names = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => nameOf(index + 1));

/** The sample under another name and with one replica. What is unique in Azure has its default name. */
const specOf = (name: string): string =>
  sampleSpec
    .replace('resourceGroup: rg-openwebui\n', '')
    .replace(/^ {2}name: (aks|uai|kv)-openwebui\n/gm, '')
    .replace('  account: stopenwebui\n', '')
    .replace('  server: psql-openwebui\n', '')
    .replace('hostName: open-webui.', `hostName: ${name}.`)
    .replace('name: yourorg', `name: ${name.replace('-', '')}`)
    .replace('replicas: 3', 'replicas: 1');

interface Seen {
  readonly sweptAt?: string;
  readonly health: { readonly checkedAt?: string };
}

interface Known {
  readonly name: string;
  readonly state: string;
  readonly lastOperation?: { readonly id: string };
}

interface Health {
  readonly status: string;
  readonly why?: string;
  readonly findings: readonly object[];
  readonly systems: readonly {
    readonly checks: readonly { readonly id: string; readonly state: string; readonly why?: string }[];
  }[];
}

interface Figures {
  readonly deployments: number;
  readonly what: 'check' | 'sweep';
  readonly seconds: number;
  readonly calls: Readonly<Record<string, number>>;
  readonly total: number;
  readonly refused: number;
  readonly writes: number;
  readonly heap: number;
  readonly memory: number;
  readonly history: number;
}

describe('one app with many deployments', () => {
  let sample: Sample;
  const hostHeap = new HostHeap();
  const table: Figures[] = [];

  beforeAll(async () => {
    sample = await startSample({
      speed: SPEED,
      ...(KEPT === undefined ? {} : { directory: KEPT }),
      settings: hostHeap.settings,
    });
  }, 2 * MINUTE);
  afterAll(async () => {
    console.log(table.map(lineOf).join('\n'));
    await sample?.stop();
    hostHeap.dispose();
  });

  const get = async <T>(path: string): Promise<T> => {
    const { functions, functionsKey } = sample.sandbox.endpoints;
    const answer = await fetch(`${functions}${path}`, { headers: { 'x-functions-key': functionsKey } });
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
    return (await answer.json()) as T;
  };
  const seen = (name: string): Promise<Seen> => get<Seen>(`/api/deployments/${name}`);

  const setSpeed = async (speed: number): Promise<void> => {
    const answer = await fetch(`${sample.sandbox.endpoints.sandbox}/clock`, {
      method: 'PUT',
      body: JSON.stringify({ speed }),
    });
    expect(answer.ok).toBe(true);
  };

  /** Asks for those that are not there, and waits for all. */
  async function provision(wanted: readonly string[]): Promise<void> {
    const { deployments } = await get<{ deployments: readonly Known[] }>('/api/deployments');
    const known = new Map(deployments.map((deployment) => [deployment.name, deployment]));
    const left = wanted.filter((name) => known.get(name)?.state !== 'ready');
    const work = async (): Promise<void> => {
      for (let name = left.shift(); name !== undefined; name = left.shift()) {
        let id = known.get(name)?.lastOperation?.id ?? (await sample.api.put(name, specOf(name)));
        let { failure } = await sample.api.watch(id, () => {}, LOOK_EVERY);
        for (let times = 1; failure && times < TRIES; times += 1) {
          id = await sample.api.put(name, specOf(name));
          ({ failure } = await sample.api.watch(id, () => {}, LOOK_EVERY));
        }
        expect(failure, name).toBeUndefined();
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  /** That people are told of a newer Kubernetes is no look, and no write to a cloud of theirs. */
  const ours = ({ service, caller }: RecordedCall): boolean =>
    service === 'cloudflare' ||
    service === 'postgresql' ||
    (caller === 'id-openwebui-ctl' && service !== 'notifications');

  async function quiet(): Promise<void> {
    await expect
      .poll(
        async () => {
          const { next } = await callsSince(sample, Number.MAX_SAFE_INTEGER);
          await pause(3_000);
          return (await callsSince(sample, next)).calls.filter(ours).length;
        },
        { timeout: 5 * MINUTE, interval: 100 },
      )
      .toBe(0);
  }

  const historyOf = async (instance: string): Promise<{ status: string; events: number }> => {
    const ready = readFileSync(join(sample.sandbox.directory, 'host.ready.json'), 'utf8');
    const { systemKeys } = JSON.parse(ready) as { systemKeys: { durabletask_extension: string } };
    const answer = await get<{ runtimeStatus: string; historyEvents?: readonly unknown[] | null }>(
      `/runtime/webhooks/durabletask/instances/${instance}?showHistory=true&code=${encodeURIComponent(systemKeys.durabletask_extension)}`,
    );
    return { status: answer.runtimeStatus, events: answer.historyEvents?.length ?? 0 };
  };

  async function measure(what: Figures['what'], wanted: readonly string[]): Promise<Figures> {
    const { next } = await callsSince(sample, Number.MAX_SAFE_INTEGER);
    const memoryBefore = hostHeap.all().length;
    const timer = what === 'check' ? 'checkAll' : 'sweep';
    const instance = what === 'check' ? 'check' : 'deployment';
    const at = async (name: string): Promise<string | undefined> => {
      const { sweptAt, health } = await seen(name);
      return what === 'check' ? health.checkedAt : sweptAt;
    };
    const before = new Map<string, string | undefined>();
    for (const name of wanted) before.set(name, await at(name));
    const began = performance.now();
    await runTimer(sample, timer);
    for (const name of wanted) {
      await expect.poll(() => at(name), { timeout: 30 * MINUTE, interval: 500 }).not.toBe(before.get(name));
    }
    const seconds = (performance.now() - began) / 1000;
    let history = 0;
    for (const name of wanted) {
      await expect
        .poll(async () => (await historyOf(`${instance}-${name}`)).status, { timeout: MINUTE, interval: 500 })
        .toBe('Completed');
      history = Math.max(history, (await historyOf(`${instance}-${name}`)).events);
    }
    const { calls } = await callsSince(sample, next);
    const own = calls.filter(ours);
    const samples = hostHeap.all().slice(memoryBefore);
    const perDeployment = Object.fromEntries(
      Object.entries(Object.groupBy(own, ({ service }) => service)).map(([service, some = []]) => [
        service,
        some.length / wanted.length,
      ]),
    );
    return {
      deployments: wanted.length,
      what,
      seconds,
      calls: perDeployment,
      total: own.length / wanted.length,
      refused: calls.filter(({ status }) => status === 429).length,
      writes: own.filter(isMutation).length,
      heap: Math.max(...samples.map(({ heap }) => heap)),
      memory: Math.max(...samples.map((memory) => memory.process)),
      history,
    };
  }

  /** Those that are not healthy, and why; nothing is healthy by default. */
  async function unhealthy(wanted: readonly string[]): Promise<readonly object[]> {
    const found: object[] = [];
    for (const name of wanted) {
      const { status, why, findings, systems } = await get<Health>(`/api/deployments/${name}/health`);
      const unmade = systems.flatMap(({ checks }) => checks.filter(({ state }) => state === 'unknown'));
      if (status !== 'healthy') found.push({ name, status, why, findings, unmade });
    }
    return found;
  }

  const first = (what: Figures['what']): Figures | undefined =>
    table.find((figures) => figures.what === what);

  for (const size of SIZES) {
    test(`${size} are checked and swept: nothing is refused, written or found`, {
      timeout: 180 * MINUTE,
    }, async () => {
      await setSpeed(SPEED);
      await provision(names(size));
      await quiet();
      await setSpeed(1);
      for (const what of ['check', 'sweep'] as const) {
        const figures = await measure(what, names(size));
        table.push(figures);
        console.log(lineOf(figures));
      }
      expect(await unhealthy(names(size))).toEqual([]);
      for (const what of ['check', 'sweep'] as const) {
        const figures = table.findLast((one) => one.what === what);
        expect(figures).toMatchObject({ deployments: size, refused: 0, writes: 0 });
        expect(figures?.total).toBeLessThanOrEqual((first(what)?.total ?? 0) + SLACK);
        expect(figures?.memory).toBeLessThan(MOST_MEMORY);
      }
    });
  }
});

function lineOf(figures: Figures): string {
  const { deployments, what, seconds, calls, total, refused, writes, heap, memory, history } = figures;
  const services = Object.entries(calls)
    .toSorted(([one], [other]) => one.localeCompare(other))
    .map(([service, count]) => `${service} ${count.toFixed(1)}`)
    .join(', ');
  const mega = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`;
  return `${deployments} × ${what}: ${seconds.toFixed(1)} s; ${total.toFixed(1)} calls each (${services}); ${refused} × 429, ${writes} writes; heap ${mega(heap)}, memory ${mega(memory)}; history ${history} events`;
}

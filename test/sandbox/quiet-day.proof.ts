/**
 * A stack that nobody touches, for 24 hours of the clouds with the timers as they are when nobody has set them: nothing is
 * found, nothing is written, nobody is told anything. Prints what looking costs.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HostHeap, type Memory } from './host-heap.ts';
import { isMutation, type RecordedCall, type Sample, sampleName, startSample } from './sample.ts';
import { ownCalls, position, quiet, sweep } from './sweep.ts';

/** While the stack is made, and at least; faster where the machine carries it. */
const SPEED = 60;
const FASTEST = 300;
/** Part of the time between two checks that one may take. */
const ROOM = 0.4;

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const BETWEEN_CHECKS = 5 * MINUTE;
const BETWEEN_SWEEPS = 30 * MINUTE;
/**
 * Parts of what a real day has. A check that is due while the one before is still at work joins it: on a machine that has
 * become busier since its speed was measured every second one is lost. A sweep has six times as much room.
 */
const FEWEST_CHECKS = 0.5;
const FEWEST_SWEEPS = 0.9;
/** Bytes that the host's heap may hold more after a day: what it leaves behind does not add up. */
const MOST_GROWTH = 25 * 2 ** 20;

interface Health {
  readonly status: string;
  readonly checkedAt?: string;
  readonly findings: readonly { readonly resource: string; readonly id: string }[];
  readonly systems: readonly {
    readonly checks: readonly { readonly id: string; readonly state: string; readonly why?: string }[];
  }[];
}

let sample: Sample;
const hostHeap = new HostHeap();
beforeAll(async () => {
  // Left empty: the schedules are those of somebody who sets none.
  sample = await startSample({
    speed: SPEED,
    settings: { SWEEP_SCHEDULE: '', CHECK_SCHEDULE: '', ...hostHeap.settings },
  });
  expect((await sample.ask()).failure).toBeUndefined();
}, 600_000);
afterAll(async () => {
  await sample?.stop();
  hostHeap.dispose();
});

const door = async (path: string, body?: object): Promise<unknown> => {
  const answer = await fetch(`${sample.sandbox.endpoints.sandbox}${path}`, {
    ...(body === undefined ? {} : { method: 'PUT', body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
};
const now = async (): Promise<number> => ((await door('/clock')) as { now: number }).now;
const health = async (): Promise<Health> => (await sample.call('GET', 'health')).body;
const told = async (): Promise<number> => ((await door('/notifications')) as readonly object[]).length;
const sweptAt = async (): Promise<string> =>
  ((await sample.api.deployment(sampleName)) as { sweptAt?: string }).sweptAt ?? '';
const unmade = ({ systems }: Health): readonly string[] =>
  systems.flatMap(({ checks }) =>
    checks.filter(({ state }) => state === 'unknown').map(({ id, why }) => `${id}: ${why}`),
  );

/** Nothing is left over from making the stack, and how many real milliseconds a check takes. */
async function settle(): Promise<number> {
  await sweep(sample);
  let took = 0;
  await expect
    .poll(
      async () => {
        const began = performance.now();
        const { after } = (await sample.call('POST', 'check')).body as { after: string };
        await expect
          .poll(async () => (await health()).checkedAt ?? '', { timeout: 3 * MINUTE, interval: 50 })
          .satisfies((at: string) => at >= after);
        took = performance.now() - began;
        const { status, findings } = await health();
        return { status, findings };
      },
      { timeout: 5 * MINUTE, interval: 1_000 },
    )
    .toEqual({ status: 'healthy', findings: [] });
  await quiet(sample);
  return took;
}

test('a day on which nothing happens costs looks, and nothing else', { timeout: 2_400_000 }, async () => {
  const took = await settle();
  const speed = Math.max(SPEED, Math.min(FASTEST, Math.floor((BETWEEN_CHECKS * ROOM) / took)));
  const [began, realBegan] = [await now(), performance.now()];
  let mark = await position(sample);
  const toldBefore = await told();
  const memoryBefore = await hostHeap.live(sample);
  await door('/clock', { speed });

  const calls: RecordedCall[] = [];
  const [checked, swept] = [new Set<string>(), new Set<string>()];
  const found = new Map<string, number>();
  const unknown = new Map<string, number>();
  const count = (into: Map<string, number>, names: readonly string[]): void => {
    for (const name of names) into.set(name, (into.get(name) ?? 0) + 1);
  };
  const startChecked = (await health()).checkedAt ?? '';
  const startSwept = await sweptAt();
  while ((await now()) < began + DAY) {
    const seen = await health();
    const at = seen.checkedAt ?? '';
    if (at > startChecked && !checked.has(at)) {
      checked.add(at);
      count(
        found,
        seen.findings.map(({ resource, id }) => `${resource} ${id}`),
      );
      count(unknown, unmade(seen));
    }
    const last = await sweptAt();
    if (last > startSwept) swept.add(last);
    const next = await position(sample);
    calls.push(...(await ownCalls(sample, mark)));
    mark = next;
    await pause(100);
  }
  await door('/clock', { speed: SPEED });
  const seconds = Math.round((performance.now() - realBegan) / 1000);
  await quiet(sample);
  const memoryAfter = await hostHeap.live(sample);
  const entries = (await sample.call('GET', 'timeline?top=200')).body.timeline as readonly {
    at: string;
    kind: string;
    what: string;
  }[];
  const happened = entries.filter(({ at }) => Date.parse(at) > began);
  const writes = calls.filter(isMutation).map(({ method, host, path }) => `${method} ${host}${path}`);
  const refused = calls.filter(({ status }) => status === 429).length;
  const toldSince = (await told()) - toldBefore;

  const mega = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`;
  const inMega = (memory: Memory): string => `${mega(memory.heap)} of ${mega(memory.process)}`;
  const { ofChecks, ofSweeps } = costs(calls, checked, swept);
  console.log(
    [
      `quiet day: 24 h in ${seconds} s (${speed} times as fast; a check takes ${Math.round(took)} ms): ` +
        `${checked.size} of ${DAY / BETWEEN_CHECKS} checks, ${swept.size} of ${DAY / BETWEEN_SWEEPS} sweeps; ` +
        `${sum(found)} findings, ${sum(unknown)} checks not made, ${toldSince} notifications, ` +
        `${happened.length} entries in the timeline, ${writes.length} writes, ${refused} × 429`,
      `calls per check: ${inWords(ofChecks)}`,
      `calls per sweep: ${inWords(ofSweeps)}`,
      `heap of the host, of all its memory: ${inMega(memoryBefore)} before, ${inMega(memoryAfter)} after`,
    ].join('\n'),
  );
  expect({
    found: Object.fromEntries(found),
    unknown: Object.fromEntries(unknown),
    writes,
    happened,
    toldSince,
    refused,
  }).toEqual({ found: {}, unknown: {}, writes: [], happened: [], toldSince: 0, refused: 0 });
  expect(checked.size).toBeGreaterThanOrEqual(FEWEST_CHECKS * (DAY / BETWEEN_CHECKS));
  expect(swept.size).toBeGreaterThanOrEqual(FEWEST_SWEEPS * (DAY / BETWEEN_SWEEPS));
  expect(memoryAfter.heap - memoryBefore.heap).toBeLessThan(MOST_GROWTH);
});

const sum = (of: ReadonlyMap<string, number>): number => [...of.values()].reduce((all, one) => all + one, 0);

type Counts = Readonly<Record<string, number>>;

/**
 * Calls do not say on whose behalf they are made. From one check to the next there is one check, and where there is a sweep,
 * too, what is more than a usual check is the sweep's.
 */
function costs(
  calls: readonly RecordedCall[],
  checked: Iterable<string>,
  swept: Iterable<string>,
): { ofChecks: readonly Counts[]; ofSweeps: readonly Counts[] } {
  const services = [...new Set(calls.map(({ service }) => service))].toSorted();
  const starts = [...checked].map((at) => Date.parse(at)).toSorted((one, other) => one - other);
  const windows = starts.slice(0, -1).map((from, index) => {
    const to = starts[index + 1] ?? from;
    const own = calls.filter(({ time }) => Date.parse(time) >= from && Date.parse(time) < to);
    const count = (name: string): number =>
      own.filter(({ service }) => name === 'all' || service === name).length;
    return { from, to, counts: Object.fromEntries(['all', ...services].map((name) => [name, count(name)])) };
  });
  // A sweep begins with its tick, and says when it was over.
  const sweeps = [...swept].map((at) => {
    const to = Date.parse(at);
    return { from: Math.floor(to / BETWEEN_SWEEPS) * BETWEEN_SWEEPS, to };
  });
  const overlap = (one: { from: number; to: number }, other: { from: number; to: number }): boolean =>
    one.from <= other.to && one.to >= other.from;
  const ofChecks = windows
    .filter((window) => !sweeps.some((sweep) => overlap(window, sweep)))
    .map(({ counts }) => counts);
  const usual = (name: string): number =>
    percentile(
      ofChecks.map((one) => one[name] ?? 0),
      0.5,
    );
  const ofSweeps = sweeps.map((sweep) => {
    const shared = windows.filter((window) => overlap(window, sweep));
    return Object.fromEntries(
      ['all', ...services].map((name) => [
        name,
        shared.reduce((sum, { counts }) => sum + (counts[name] ?? 0) - usual(name), 0),
      ]),
    );
  });
  return { ofChecks, ofSweeps };
}

function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

function inWords(all: readonly Counts[]): string {
  const of = (name: string): readonly number[] => all.map((one) => one[name] ?? 0);
  return Object.keys(all[0] ?? {})
    .map((name) => `${name} ${percentile(of(name), 0.5)} (at most ${Math.max(...of(name))})`)
    .join(', ');
}

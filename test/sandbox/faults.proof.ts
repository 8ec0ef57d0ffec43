/**
 * Every entry of the published project's chapters on verifying, using and troubleshooting, broken one at a time in a whole
 * stack through the clouds' own protocols. The check has to name the right resource and cause first, in words that stay;
 * when it is mended nothing is left of it. All events are lost, and no sweep comes, so that nobody mends it before it is
 * looked at: what the control plane can repair is repaired by the call that the finding names and by nothing else, and
 * while people mend things by hand automation is paused.
 *
 * FAULTS=pattern runs only those whose sentence or finding fits.
 */
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fault, gatherHands, type Hands } from './faults/fault.ts';
import { faults } from './faults/index.ts';
import { elsewhere, seedEntries } from './faults/seed-entries.ts';
import { type Sample, sampleSpec, startSample } from './sample.ts';

const SPEED = 60;
/** Real milliseconds for one check, for a fault to show, and for a stack to be well again; most take a second or two. */
const CHECK_WITHIN = 120_000;
const SHOWS_WITHIN = 180_000;
const WELL_WITHIN = 240_000;
const ROW_WITHIN = 900_000;

interface Finding {
  readonly id: string;
  readonly resource: string;
  readonly what: string;
  readonly evidence: string;
  readonly since: string;
  readonly lastSeenAt?: string;
  readonly repair?: string;
}

interface Health {
  readonly status: string;
  readonly why?: string;
  readonly checkedAt?: string;
  readonly findings: readonly Finding[];
}

const wanted = faults.filter(({ what, finding }) =>
  new RegExp(process.env['FAULTS'] ?? '', 'i').test(`${what} ${finding}`),
);

describe('a whole stack in which one thing is broken', () => {
  let sample: Sample;
  let hands: Hands;
  let isWell = false;
  let isPaused = false;
  const began = performance.now();
  const hits: Fault[] = [];
  const repaired: Fault[] = [];
  const trouble = { misses: [] as string[], falseAlarms: [] as string[], left: [] as string[] };
  /** What was first while a fault was only beginning to show. */
  const onTheWay: string[] = [];

  const start = async (): Promise<void> => {
    sample = await startSample({ speed: SPEED });
    const { failure } = await sample.ask(
      sampleSpec.replace('models: []', 'models: [tinyllama, all-minilm:22m]'),
    );
    if (failure) throw new Error(`cannot be provisioned: ${JSON.stringify(failure)}`);
    hands = await gatherHands(sample);
    await hands.door('PUT', '/events', { dropShare: 1 });
    isPaused = false;
    await untilWell();
    isWell = true;
  };
  const stop = async (): Promise<void> => {
    hands?.close();
    await sample?.stop();
  };

  beforeAll(start, ROW_WITHIN);
  afterAll(async () => {
    const { misses, falseAlarms, left } = trouble;
    const seconds = Math.round((performance.now() - began) / 1000);
    console.log(
      [
        `faults: ${wanted.length} broken, ${hits.length} hits, ${misses.length} misses, ${falseAlarms.length} false alarms, ${left.length} left after mending; ` +
          `${repaired.length} mended by the call that the finding names, ${onTheWay.length} with something else first while they began to show; ${seconds} s`,
        ...misses.map((miss) => `  miss: ${miss}`),
        ...falseAlarms.map((alarm) => `  false alarm: ${alarm}`),
        ...left.map((rest) => `  left: ${rest}`),
        ...onTheWay.map((first) => `  at first: ${first}`),
      ].join('\n'),
    );
    await stop();
  }, 120_000);

  const health = async (): Promise<Health> => (await sample.call('GET', 'health')).body;
  const check = async (): Promise<Health> => {
    const { status, body } = await sample.call('POST', 'check');
    expect(status).toBe(202);
    const deadline = performance.now() + CHECK_WITHIN;
    for (;;) {
      const seen = await health();
      if ((seen.checkedAt ?? '') >= body.after) return seen;
      if (performance.now() > deadline) throw new Error('a check does not come to its end');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  /** Asks for something and waits until it is done. */
  const done = async (path: string, body?: object): Promise<void> => {
    const answer = await sample.call('POST', path, body);
    expect(answer, path).toMatchObject({ status: 202 });
    await sample.api.watch(answer.body.operation.id, () => {}, 100);
  };
  const switchAutomation = async (wish: 'on' | 'paused'): Promise<void> => {
    if (isPaused === (wish === 'paused')) return;
    if (isPaused) await done('resume');
    else await done('pause', { reason: 'somebody works at it by hand', minutes: 7 * 24 * 60 });
    isPaused = !isPaused;
  };
  const named = ({ resource, id }: Pick<Finding, 'resource' | 'id'>): string => `${resource} ${id}`;
  const wordsOf = ({ lastSeenAt: _, ...words }: Finding): object => words;
  const inWords = ({ status, why, findings }: Health): string =>
    findings.length === 0
      ? `${status} ${why ?? ''}`
      : findings.map((finding) => `${named(finding)} (${finding.evidence})`).join(' | ');

  /** Checks until it is so; answers the last health, whether or not it came about in time. */
  async function checkUntil(
    isSo: (seen: Health) => boolean,
    within: number,
    onOther: (seen: Health) => void = () => {},
  ): Promise<Health> {
    const deadline = performance.now() + within;
    for (;;) {
      const seen = await check();
      if (isSo(seen) || performance.now() > deadline) return seen;
      onOther(seen);
    }
  }
  const isHealthy = ({ status, findings }: Health): boolean => status === 'healthy' && findings.length === 0;
  const untilWell = async (): Promise<void> => {
    const seen = await checkUntil(isHealthy, WELL_WITHIN);
    if (!isHealthy(seen)) throw new Error(inWords(seen));
  };

  async function repair({ repair: call = '' }: Finding): Promise<void> {
    const [method = '', path = ''] = call.split(' ');
    if (method === '') throw new Error('the finding names no call that repairs it');
    const answer = await sample.call(method, path.replace(/^\/api/, ''));
    expect(answer, path).toMatchObject({ status: 202 });
    const { failure } = await sample.api.watch(answer.body.operation.id, () => {}, 100);
    if (failure) throw new Error(`${call} fails: ${JSON.stringify(failure)}`);
  }

  test('has nothing wrong before', () => {
    expect(isWell).toBe(true);
  });

  test.each(wanted)('$what', { timeout: ROW_WITHIN }, async (fault) => {
    if (!isWell) {
      await stop();
      await start();
    }
    await switchAutomation(fault.mend === 'repair' ? 'on' : 'paused');
    const before = await check();
    if (!isHealthy(before)) trouble.falseAlarms.push(`before "${fault.what}": ${inWords(before)}`);
    isWell = false;
    let wrong = await broken(fault);
    const rest = await mended(fault, wrong.finding);
    if (rest !== undefined) {
      trouble.left.push(`${fault.what}: ${rest}`);
      console.info(`${fault.what}: left: ${rest}`);
      wrong = { ...wrong, words: wrong.words ?? rest };
      await recover();
    }
    isWell = true;
    expect(wrong.words, fault.what).toBeUndefined();
  });

  /** Breaks it, and says what is wrong with what is told of it. */
  async function broken(
    fault: Fault,
  ): Promise<{ readonly words?: string; readonly finding?: Finding | undefined }> {
    const isIt = ({ findings: [first] }: Health): boolean =>
      first !== undefined && [fault.finding, fault.orElse].includes(named(first));
    const others = new Set<string>();
    const noted = ({ findings: [first] }: Health): void => void (first && others.add(named(first)));
    const miss = (words: string) => {
      console.info(`${fault.what}: ${words}`);
      trouble.misses.push(`${fault.what} (${fault.finding}): ${words}`);
      return { words };
    };
    try {
      await fault.break(hands);
      const seen = await checkUntil(isIt, SHOWS_WITHIN, noted);
      const [first] = seen.findings;
      if (!first || !isIt(seen)) return { ...miss(inWords(seen)), finding: first };
      const [again] = (await check()).findings;
      if (!again || !isDeepStrictEqual(wordsOf(again), wordsOf(first))) {
        return { ...miss(`then in other words: ${JSON.stringify([first, again])}`), finding: first };
      }
      hits.push(fault);
      if (others.size > 0) onTheWay.push(`${fault.what}: ${[...others].join(', ')}`);
      return { finding: first };
    } catch (error) {
      return miss(String(error));
    }
  }

  /** Mends it, and says what is left. */
  async function mended(fault: Fault, finding: Finding | undefined): Promise<string | undefined> {
    try {
      if (fault.mend === 'repair') {
        if (!finding) throw new Error('nothing was found that could be repaired');
        await fault.beforeRepair?.(hands);
        await repair(finding);
      } else {
        await fault.mend(hands);
      }
      await fault.tidy?.(hands);
      const seen = await checkUntil(isHealthy, WELL_WITHIN);
      if (!isHealthy(seen)) return inWords(seen);
      if (fault.mend === 'repair') repaired.push(fault);
      return undefined;
    } catch (error) {
      return String(error);
    }
  }

  /** What a person does who does not know better; a stack that is lost is thrown away by the next row. */
  async function recover(): Promise<void> {
    await hands.door('PUT', '/faults', []);
    await switchAutomation('on');
    await done('repair');
    await untilWell();
  }

  test('each entry of the published chapters is broken at least once', () => {
    const covered = new Set([...faults.map(({ seed }) => seed), ...elsewhere]);
    expect(seedEntries.filter((entry) => !covered.has(entry))).toEqual([]);
    expect(new Set(faults.map(({ what }) => what)).size).toBe(faults.length);
    expect(faults.length).toBeGreaterThanOrEqual(45);
  });
});

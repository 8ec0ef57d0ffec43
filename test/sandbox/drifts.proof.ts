/**
 * Forty changes by others, ten in each cloud, four at a time: each is remembered with its field and, where the cloud tells,
 * who made it; it is put right, told or taken into the spec as the rules ask; and nothing else is written.
 */
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { armSeeds } from './drifts/arm.ts';
import { cloudflareSeeds } from './drifts/cloudflare.ts';
import { entraSeeds } from './drifts/entra.ts';
import { kubernetesSeeds } from './drifts/kubernetes.ts';
import { gatherPeople, type Json, type People } from './drifts/people.ts';
import { at, type Seed } from './drifts/seed.ts';
import { isMutation, type Sample, sampleName, sampleSpec, startSample } from './sample.ts';
import { ownCalls, position, quiet, sweep } from './sweep.ts';

const SPEED = 60;
/** Real milliseconds until a change that takes the cloud a while is there. */
const SHOWS_WITHIN = 120_000;
/** The clouds' logs show a write minutes later. */
const MOST_SWEEPS_FOR_NAMES = 8;

interface DriftRecord {
  readonly resource: string;
  readonly path: string;
  readonly wanted: Json;
  readonly found: Json;
  readonly since: string;
  readonly lastSeenAt: string;
  readonly state: string;
  readonly policy: string;
  readonly actor?: { readonly name: string; readonly how: string };
}

/** What has become of a seed; `wrong` in words. */
interface Outcome {
  readonly seed: Seed;
  readonly since: number;
  record?: DriftRecord;
  isRightField: boolean;
  isAsRuled: boolean;
  readonly wrong: string[];
}

let sample: Sample;
let people: People;
let clouds: readonly (readonly Seed[])[];
beforeAll(async () => {
  sample = await startSample({ speed: SPEED });
  expect((await sample.ask()).failure).toBeUndefined();
  people = await gatherPeople(sample);
  clouds = [
    await cloudflareSeeds(people),
    kubernetesSeeds(people),
    await entraSeeds(people),
    await armSeeds(people),
  ];
}, 600_000);
afterAll(async () => {
  people?.close();
  await sample?.stop();
});

const now = async (): Promise<number> => {
  const answer = await fetch(`${sample.sandbox.endpoints.sandbox}/clock`);
  return ((await answer.json()) as { now: number }).now;
};
const drift = async (): Promise<readonly DriftRecord[]> => {
  const { functions, functionsKey } = sample.sandbox.endpoints;
  const answer = await fetch(`${functions}/api/deployments/${sampleName}/drift`, {
    headers: { 'x-functions-key': functionsKey },
  });
  return ((await answer.json()) as { drift: readonly DriftRecord[] }).drift;
};
/** The record of a seed: no older than it, though a field that differed before is still the same record. */
const recordOf = (
  { seed: { resource, path }, since }: Outcome,
  all: readonly DriftRecord[],
): DriftRecord | undefined =>
  all.find(
    (record) =>
      record.resource === resource && record.path === path && Date.parse(record.lastSeenAt) >= since,
  );

/** Changes one thing in each cloud at the same time, has all looked at, and judges; answers writes elsewhere. */
async function carryOut(seeds: readonly Seed[], outcomes: Outcome[]): Promise<readonly string[]> {
  await quiet(sample);
  const since = await now();
  const round = seeds.map(
    (seed): Outcome => ({ seed, since, isRightField: false, isAsRuled: false, wrong: [] }),
  );
  outcomes.push(...round);
  const mark = await position(sample);
  for (const outcome of round) {
    try {
      await outcome.seed.make();
      const isThere = async (): Promise<boolean> =>
        isDeepStrictEqual(await outcome.seed.read(), outcome.seed.found) ||
        recordOf(outcome, await drift()) !== undefined;
      await expect.poll(isThere, { timeout: SHOWS_WITHIN, interval: 100 }).toBe(true);
    } catch (error) {
      outcome.wrong.push(`cannot be made: ${String(error)}`);
    }
  }
  await sweep(sample);

  const records = await drift();
  const { spec } = await sample.api.deployment(sampleName);
  for (const outcome of round) {
    const { seed, wrong } = outcome;
    const record = recordOf(outcome, records);
    if (!record) {
      wrong.push('has no record');
      continue;
    }
    outcome.record = record;
    outcome.isRightField =
      isDeepStrictEqual(record.wanted, seed.wanted) && isDeepStrictEqual(record.found, seed.found);
    if (!outcome.isRightField) wrong.push(`is recorded as ${JSON.stringify(record)}`);
    const settled = { repair: 'repaired', report: 'reported', adopt: 'adopted' }[seed.policy];
    const expected = seed.policy === 'repair' ? seed.wanted : seed.found;
    const is = await seed.read();
    outcome.isAsRuled =
      record.state === settled &&
      record.policy === seed.policy &&
      isDeepStrictEqual(is, expected) &&
      (!seed.field || isDeepStrictEqual(at(spec, ...seed.field), seed.found));
    if (!outcome.isAsRuled) {
      const said = { state: record.state, policy: record.policy, is, expected };
      wrong.push(`is not as ruled: ${JSON.stringify(said)}`);
    }
  }
  const writes = (await ownCalls(sample, mark)).filter(isMutation);
  return writes
    .map(({ method, host, path }) => `${method} ${host}${path}`)
    .filter((write) => !seeds.some((seed) => seed.writes?.test(write)));
}

/** Whoever the clouds name; a log that lags is asked again with each sweep. */
async function nameActors(outcomes: readonly Outcome[]): Promise<void> {
  const all = await drift();
  for (const outcome of outcomes) {
    const { record } = outcome;
    if (!record || record.actor) continue;
    const latest = all.find(({ resource, path }) => resource === record.resource && path === record.path);
    if (latest && latest.since === record.since) outcome.record = { ...record, ...latest };
  }
}

const isNamedRight = ({ seed, record }: Outcome): boolean =>
  record !== undefined && record.actor?.name === seed.actor;

test('forty changes by others are remembered, and treated as the rules ask', {
  timeout: 1_200_000,
}, async () => {
  const outcomes: Outcome[] = [];
  const elsewhere: string[] = [];
  const unruled: string[] = [];
  const began = performance.now();
  const [rounds = []] = clouds;
  for (const [round] of rounds.entries()) {
    const seeds = clouds.flatMap((cloud) => cloud[round] ?? []);
    if (!hasRules && seeds.some(({ policy }) => policy !== 'repair')) {
      unruled.push(...(await putRules()));
    }
    elsewhere.push(...(await carryOut(seeds, outcomes)));
    await nameActors(outcomes);
  }
  // At least one: what is left as it is causes no writes afterwards, either.
  for (let time = 0; time < MOST_SWEEPS_FOR_NAMES; time += 1) {
    if (time > 0 && outcomes.every(isNamedRight)) break;
    const mark = await position(sample);
    await sweep(sample);
    await nameActors(outcomes);
    const writes = (await ownCalls(sample, mark)).filter(isMutation);
    elsewhere.push(...writes.map(({ method, host, path }) => `${method} ${host}${path}`));
  }

  const count = (is: (outcome: Outcome) => boolean): number => outcomes.filter(is).length;
  const ruled = (policy: Seed['policy']): number =>
    count(({ seed, isAsRuled }) => seed.policy === policy && isAsRuled);
  const named = (how: string): number => count(({ record }) => record?.actor?.how === how);
  const sources = outcomes.filter(({ seed }) => seed.actor !== undefined);
  console.log(
    `drifts: ${outcomes.length} seeded, ${count(({ record }) => record !== undefined)} recorded, ` +
      `${count(({ isRightField }) => isRightField)} right field, ` +
      `${sources.filter(isNamedRight).length} right actor (of ${sources.length} sources that have one: ` +
      `${named('field-manager')} field managers, ${named('activity-log')} activity log, ${named('audit-log')} audit logs, ` +
      `${named('event')} events), ` +
      `${ruled('repair')} repaired, ${ruled('report')} reported, ${ruled('adopt')} adopted, ` +
      `${elsewhere.length} writes elsewhere; ${((performance.now() - began) / 1000).toFixed(0)} s`,
  );
  const wrong = outcomes.flatMap((outcome) => {
    const { seed, record } = outcome;
    const words = isNamedRight(outcome)
      ? outcome.wrong
      : [...outcome.wrong, `names ${JSON.stringify(record?.actor)} instead of ${seed.actor}`];
    return words.map((word) => `${seed.what}: ${word}`);
  });
  expect({ wrong, elsewhere, unruled }).toEqual({ wrong: [], elsewhere: [], unruled: [] });
  expect(outcomes).toHaveLength(40);
});

let hasRules = false;
/** From here on: a rule for each field that is not to be put right. */
async function putRules(): Promise<readonly string[]> {
  hasRules = true;
  const rules = clouds.flat().filter(({ policy }) => policy !== 'repair');
  const lines = rules.map((rule) => {
    const { resource, path, policy } = rule;
    return `    - ${JSON.stringify({ resource, path, policy })}`;
  });
  const operation = await sample.ask(`${sampleSpec}\ndrift:\n  rules:\n${lines.join('\n')}\n`);
  return operation.failure === undefined ? [] : [`rules: ${operation.failure.message}`];
}

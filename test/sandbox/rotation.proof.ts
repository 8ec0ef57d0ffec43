/** Rotations under load: every new value is proven in use, in one rollout, and nobody who signs in notices. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { settings } from '../../sandbox/cloud/bootstrap.ts';
import type { ReceivedEvent } from '../../sandbox/control-plane.ts';
import { lookAtSite } from '../../sandbox/site.ts';
import { bareRotation, type Measured, tabulate } from './bare-rotation.ts';
import { type Burst, plan, Rotations, rotations, type Workload } from './rotations.ts';
import { runTimer } from './run-timer.ts';
import { callsSince, type Sample, sampleName, sampleSpec, startSample } from './sample.ts';
import { startUsers, type Users } from './users.ts';

const ROTATIONS = 100;
const SINGLES = 20;
/** Another one each time; `ROTATION_SEED` repeats a run. */
const seed = Number(process.env['ROTATION_SEED'] ?? Date.now() % 100_000);

const SPEED = 60;
/** While a burst is made: the clouds are as slow as we are, so that five requests are of one second on a busy machine, too. */
const BURST_SPEED = 1;
const BARE_REPETITIONS = 10;
/** Real milliseconds between two looks at the control plane. */
const LOOK_EVERY = 20;

const host = 'open-webui.yourdomain.com';
const spec = sampleSpec.replace('models: []', 'models: ["smollm2:135m"]');
const server = `/subscriptions/${settings.subscriptionId}/resourceGroups/rg-openwebui/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-openwebui?api-version=2024-08-01`;

const clockSchema = z.object({ now: z.number() });

describe('rotations under load', () => {
  let sample: Sample;
  let all: Rotations;
  let users: Users | undefined;
  /** Of single web UI keys that were set by hand: what the bare sequence of calls does, too. */
  const comparable: Measured[] = [];
  const others: Measured[] = [];
  const inBursts: Measured[] = [];
  /** From when on, in virtual milliseconds, the clock ran how fast. */
  const turns: { readonly at: number; readonly speed: number }[] = [{ at: 0, speed: SPEED }];

  beforeAll(async () => {
    sample = await startSample({ speed: SPEED });
    const operation = await sample.ask(spec);
    expect(operation.failure).toBeUndefined();
    all = new Rotations(sample);
    users = startUsers(sample.sandbox.endpoints, { host, concurrency: 3, perSecond: 12 });
  }, 240_000);

  afterAll(async () => {
    await users?.stop();
    all?.close();
    await sample?.stop();
  });

  const turnClock = async (speed: number): Promise<void> => {
    const answer = await fetch(`${sample.sandbox.endpoints.sandbox}/clock`, {
      method: 'PUT',
      body: JSON.stringify({ speed }),
      headers: { 'content-type': 'application/json' },
    });
    const { now } = clockSchema.parse(await answer.json());
    turns.push({ at: now, speed });
  };
  /** Real milliseconds between two moments of the clouds. */
  const realBetween = (from: number, until: number): number =>
    turns.reduce((sum, { at, speed }, index) => {
      const ends = Math.min(until, turns[index + 1]?.at ?? until);
      return sum + Math.max(0, ends - Math.max(from, at)) / speed;
    }, 0);
  const revisions = async (): Promise<Readonly<Record<Workload, number>>> => {
    const [webui, tunnel] = await Promise.all([all.revision('open-webui'), all.revision('cloudflared')]);
    return { 'open-webui': webui, cloudflared: tunnel };
  };

  /** Makes a burst and waits until all of it is proven; answers the receipts, one for each rotation. */
  async function carryOut(burst: Burst): Promise<number> {
    const secrets = burst.map(({ what }) => rotations[what].secret);
    const before = await Promise.all(secrets.map((name) => all.secret(name)));
    const earlier = await revisions();
    const { next } = await callsSince(sample, 0);
    if (burst.length > 1) await turnClock(BURST_SPEED);
    const entered = await all.make(burst);
    if (burst.length > 1) await turnClock(SPEED);
    for (const id of entered) {
      const { failure, state } = await sample.api.watch(id, () => {}, LOOK_EVERY);
      expect({ failure, state }).toEqual({ failure: undefined, state: 'succeeded' });
    }
    const after = await Promise.all(secrets.map((name) => all.secret(name)));
    const versions = after.map(({ version }) => version);
    expect(versions.filter((version, index) => version === before[index]?.version)).toEqual([]);

    const told = await proven(versions);
    const operations = [...entered, ...told.flatMap(({ operation }) => operation?.id ?? [])];
    const receipts = (await all.receipts([...new Set(operations)])).filter(({ version }) =>
      versions.includes(version),
    );
    for (const { kubernetesSecret, workloads, secret } of receipts) {
      expect(kubernetesSecret.resourceVersion, secret).toMatch(/^\d+$/);
      expect(workloads.every(({ pods }) => pods.length > 0) && workloads.length > 0, secret).toBe(true);
    }
    const rolled = (workload: Workload): number =>
      burst.some(({ what }) => rotations[what].workload === workload) ? 1 : 0;
    expect(await revisions(), JSON.stringify(burst)).toEqual({
      'open-webui': earlier['open-webui'] + rolled('open-webui'),
      cloudflared: earlier.cloudflared + rolled('cloudflared'),
    });

    const syncs = await all.syncsForced(next);
    const [first] = burst;
    const isComparable = first?.what === 'webui-secret-key' && first.byHand;
    const kept = burst.length > 1 ? inBursts : isComparable ? comparable : others;
    for (const { occurredAt, provenAt = '', version } of told) {
      const began = Date.parse(occurredAt);
      const holder = receipts.find((receipt) => receipt.version === version)?.kubernetesSecret.name;
      const sync = syncs.find(({ name, at }) => name === holder && at >= began);
      if (!sync) throw new Error(`${version} was never asked to be synced: ${JSON.stringify(syncs)}`);
      kept.push({
        toSync: realBetween(began, sync.at),
        toProof: realBetween(began, Date.parse(provenAt)),
      });
    }
    return receipts.length;
  }

  /** The events that told of these versions, once all of them are proven. */
  async function proven(versions: readonly string[]): Promise<readonly ReceivedEvent[]> {
    let told: readonly ReceivedEvent[] = [];
    const isProven = async (): Promise<boolean> => {
      told = await all.events(versions);
      const failed = told.filter(({ outcome }) => outcome === 'failed');
      if (failed.length > 0) throw new Error(JSON.stringify(failed));
      return (
        new Set(told.filter(({ provenAt }) => provenAt).map(({ version }) => version)).size ===
        versions.length
      );
    };
    await expect.poll(isProven, { timeout: 60_000, interval: LOOK_EVERY }).toBe(true);
    return told;
  }

  test('is proven a hundred times: a receipt for each, one rollout for each burst, no failed login, no mixed set', async () => {
    const bursts = plan(seed, ROTATIONS, SINGLES);
    console.log(`seed ${seed}: bursts of ${bursts.map(({ length }) => length).join(' ')}`);
    const began = performance.now();
    let receipts = 0;
    for (const burst of bursts) receipts += await carryOut(burst);
    console.log(`${receipts} receipts in ${Math.round((performance.now() - began) / 1000)} s`);
    expect(receipts).toBe(ROTATIONS);
    expect(await all.mixedSets()).toEqual([]);
    const counts = users?.counts;
    console.log(JSON.stringify(counts));
    expect(counts?.failures).toEqual([]);
    expect(counts?.failedLogins).toBe(0);
    expect(counts?.logins).toBeGreaterThan(ROTATIONS);
  }, 900_000);

  test('is measured against the bare sequence of calls that it needs', async () => {
    await sample.sandbox.killHost();
    const bare: Measured[] = [];
    while (bare.length < BARE_REPETITIONS) bare.push(await bareRotation(all));
    await sample.sandbox.startHost();
    expect((await sample.ask(spec)).failure).toBeUndefined();

    tabulate(bare, {
      'web UI key by hand, alone': comparable,
      'others, alone': others,
      'in bursts': inBursts,
    });
    expect(comparable.length).toBeGreaterThan(0);
  }, 240_000);

  test('stops at a password that does not log in: a finding says so, and the pods that run stay', async () => {
    const earlier = await revisions();
    const right = await all.secret('postgres-admin-password');
    const logins = users?.counts.logins ?? 0;
    const version = await all.setBare('postgres-admin-password', 'not-what-the-server-was-told-1');
    await expect.poll(() => findings(), { timeout: 60_000 }).toContain('DatabaseLoginFailed');
    const outcome = async () => (await all.events([version])).map((told) => told.outcome);
    await expect.poll(outcome, { timeout: 30_000 }).toEqual(['failed']);
    const [told] = await all.events([version]);
    expect(told?.reason).toMatch(
      /does not log in to the database .* the running pods keep the one they have$/,
    );
    expect(JSON.stringify(await sample.api.deployment(sampleName))).not.toContain('not-what-the-server');

    await expect.poll(() => users?.counts.logins ?? 0, { timeout: 60_000 }).toBeGreaterThan(logins + 10);
    expect(await revisions()).toEqual(earlier);
    expect(users?.counts.failures).toEqual([]);

    // Mended: the vault says again what the server knows.
    const mended = await all.setBare('postgres-admin-password', right.value);
    await proven([mended]);
    expect(await findings()).toEqual([]);
    // The same content as before restarts nobody.
    expect(await revisions()).toEqual(earlier);
    expect(users?.counts.failures).toEqual([]);
  }, 240_000);

  test('follows a person who changes the password in the vault first, and then of the server', async () => {
    const earlier = await all.revision('open-webui');
    const password = `by-hand-${randomBytes(12).toString('hex')}-A1`;
    await all.setBare('postgres-admin-password', password);
    await expect.poll(() => findings(), { timeout: 60_000 }).toContain('DatabaseLoginFailed');
    expect(await all.revision('open-webui')).toBe(earlier);
    expect(users?.counts.failures).toEqual([]);

    // From here on the pods that run have a password that the server does not take any more: nobody can help that.
    await users?.stop();
    await sample.clouds.arm(server, {
      method: 'PATCH',
      body: { properties: { administratorLoginPassword: password } },
    });
    // No event tells of the server's; the sweep comes after five minutes of the clouds, when a login is tried once more.
    const afterSweep = async () => {
      await runTimer(sample, 'sweep');
      return findings();
    };
    const interval = (6 * 60_000) / SPEED;
    await expect.poll(afterSweep, { timeout: 120_000, interval }).toEqual([]);
    await expect.poll(() => all.revision('open-webui'), { timeout: 60_000 }).toBe(earlier + 1);
    await expect
      .poll(async () => (await lookAtSite(sample.sandbox.endpoints.sandbox)).ok, { timeout: 60_000 })
      .toBe(true);
    expect(await all.mixedSets()).toEqual([]);
  }, 240_000);

  test('puts a connection string right that somebody broke, before anybody is handed it', async () => {
    users = startUsers(sample.sandbox.endpoints, { host, concurrency: 3, perSecond: 12 });
    const earlier = await revisions();
    const right = await all.secret('postgres-connection-string');
    const broken = await all.set('postgres-connection-string', right.value.replace('openwebuidb', 'nowhere'));
    await proven([broken]);
    const now = await all.secret('postgres-connection-string');
    expect(now.value === right.value && now.version !== broken).toBe(true);
    expect(await revisions()).toEqual(earlier);
    expect((await users.stop()).failures).toEqual([]);
  }, 120_000);

  const findings = async (): Promise<readonly string[]> =>
    ((await sample.api.deployment(sampleName)).findings ?? [])
      .filter(({ severity }) => severity === 'error')
      .map(({ id }) => id);
});

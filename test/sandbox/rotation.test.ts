/** Rotations under load: every new value is proven in use, in one rollout, and nobody who signs in notices. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { settings } from '../../sandbox/cloud/bootstrap.ts';
import type { ReceivedEvent } from '../../sandbox/control-plane.ts';
import { lookAtSite } from '../../sandbox/site.ts';
import { type Burst, plan, Rotations, rotations, type Workload } from './rotations.ts';
import { callsSince, type Sample, sampleName, sampleSpec, startSample } from './sample.ts';
import { startUsers, type Users } from './users.ts';

const ROTATIONS = 100;
const SINGLES = 16;
/** Another one each time; `ROTATION_SEED` repeats a run. */
const seed = Number(process.env['ROTATION_SEED'] ?? Date.now() % 100_000);

const SPEED = 60;
/** While a burst is made: a second of the clouds is a quarter of one of ours, enough to send five requests in it. */
const BURST_SPEED = 4;
const BARE_REPETITIONS = 10;
/** Real milliseconds between two looks, of the test at the control plane and of the bare sequence at the cluster. */
const LOOK_EVERY = 20;

const host = 'open-webui.yourdomain.com';
const server = `/subscriptions/${settings.subscriptionId}/resourceGroups/rg-openwebui/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-openwebui?api-version=2024-08-01`;

/** Virtual milliseconds. */
interface Measured {
  readonly toSync: number;
  readonly toProof: number;
}

describe('rotations under load', () => {
  let sample: Sample;
  let all: Rotations;
  let users: Users | undefined;
  const singles: Measured[] = [];
  const inBursts: Measured[] = [];

  beforeAll(async () => {
    sample = await startSample({ speed: SPEED });
    const operation = await sample.ask(sampleSpec.replace('models: []', 'models: [all-minilm]'));
    expect(operation.failure).toBeUndefined();
    all = await Rotations.open(sample);
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
    expect(answer.status).toBe(200);
  };
  const revisions = async (): Promise<Readonly<Record<Workload, number>>> => {
    const [webui, tunnel] = await Promise.all([all.revision('open-webui'), all.revision('cloudflared')]);
    return { 'open-webui': webui, cloudflared: tunnel };
  };
  const failedLogins = (): number => users?.counts.failedLogins ?? -1;

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
    for (const { occurredAt, provenAt = '', version } of told) {
      const began = Date.parse(occurredAt);
      const holder = receipts.find((receipt) => receipt.version === version)?.kubernetesSecret.name;
      const sync = syncs.find(({ name, at }) => name === holder && at >= began);
      if (!sync) throw new Error(`${version} was never asked to be synced: ${JSON.stringify(syncs)}`);
      const measured = { toSync: sync.at - began, toProof: Date.parse(provenAt) - began };
      (burst.length === 1 && burst[0]?.byHand && burst[0].what === 'webui-secret-key' ? singles : inBursts).push(measured);
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
      return new Set(told.filter(({ provenAt }) => provenAt).map(({ version }) => version)).size === versions.length;
    };
    await expect.poll(isProven, { timeout: 60_000, interval: LOOK_EVERY }).toBe(true);
    return told;
  }

  test(`${ROTATIONS} rotations in random order: a receipt for each, one rollout for each burst, no failed login, no mixed set`, async () => {
    const bursts = plan(seed, ROTATIONS, SINGLES);
    console.log(`seed ${seed}: ${bursts.length} bursts of ${bursts.map(({ length }) => length).join(' ')}`);
    const began = performance.now();
    let receipts = 0;
    for (const burst of bursts) {
      const start = performance.now();
      receipts += await carryOut(burst);
      console.log(`${burst.map(({ what, byHand }) => `${what}${byHand ? ' by hand' : ''}`).join(', ')}: ${Math.round(performance.now() - start)} ms; ${JSON.stringify(users?.counts)}`);
    }
    console.log(`${receipts} receipts in ${Math.round((performance.now() - began) / 1000)} s`);
    expect(receipts).toBe(ROTATIONS);
    expect(await all.mixedSets()).toEqual([]);
    const counts = users?.counts;
    console.log(JSON.stringify(counts));
    expect(counts?.failures).toEqual([]);
    expect(counts?.logins).toBeGreaterThan(ROTATIONS);
    expect(counts?.failedLogins).toBe(0);
  }, 900_000);
});

/**
 * Rotations of a deployment's secrets, by hand in the clouds and on request, in an order that a seed decides; and what the
 * clouds and the control plane say has become of them.
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { CloudClient } from '../../sandbox/cloud-client.ts';
import type { Receipt, ReceivedEvent } from '../../sandbox/control-plane.ts';
import { Operator } from '../../sandbox/operator.ts';
import { ClusterApi } from './cluster-api.ts';
import { callsSince, type Sample, sampleName } from './sample.ts';

export const VAULT = 'kv-openwebui';

/** What can be asked for: the vault's secret that it is about, and the workload that starts anew for it. */
export const rotations = {
  'webui-secret-key': { secret: 'webui-secret-key', workload: 'open-webui' },
  'client-secret': { secret: 'openwebui-client-secret', workload: 'open-webui' },
  // The connection string follows it; both together are one rotation.
  'postgres-password': { secret: 'postgres-admin-password', workload: 'open-webui' },
  'storage-key': { secret: 'storage-account-key', workload: 'open-webui' },
  'tunnel-token': { secret: 'cf-tunnel-token', workload: 'cloudflared' },
} as const;
export type What = keyof typeof rotations;
const whats = Object.keys(rotations) as What[];
export type Workload = 'open-webui' | 'cloudflared';

export interface Rotation {
  readonly what: What;
  /** As a person does it, in the clouds; else by the control plane's own door. */
  readonly byHand: boolean;
}
/** Rotations that are made at the same moment. */
export type Burst = readonly Rotation[];

/** Which of them a person can do without anybody else having to follow. */
const handy: readonly What[] = ['webui-secret-key', 'client-secret'];
const LARGEST_BURST = 5;

/** So many rotations: the given number of them one at a time, the rest in bursts of 3 to 5; shuffled. */
export function plan(seed: number, total: number, singles: number): readonly Burst[] {
  const random = randomOf(seed);
  const among = (count: number): number => Math.floor(random() * count);
  const draw = (size: number): Burst => {
    const left: What[] = [...whats];
    return Array.from({ length: size }, () => {
      const [what = 'webui-secret-key'] = left.splice(among(left.length), 1);
      return { what, byHand: handy.includes(what) && random() < 0.6 };
    });
  };
  // Half of those made one at a time are the kind that is measured against a script.
  const bursts: Burst[] = Array.from({ length: singles }, () =>
    random() < 0.5 ? [{ what: 'webui-secret-key', byHand: true }] : draw(1),
  );
  for (let left = total - singles; left > 0; ) {
    const size = Math.min(left, 3 + among(LARGEST_BURST - 2));
    bursts.push(draw(size));
    left -= size;
  }
  return bursts
    .map((burst) => ({ burst, at: random() }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ burst }) => burst);
}

/** Mulberry32: small, and the same on every machine. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const secretSchema = z.object({ id: z.string(), value: z.string() });
const versionOf = (id: string): string => id.split('/').at(-1) ?? '';

const setsSchema = z.array(
  z.object({ namespace: z.string(), pod: z.string(), startedAt: z.string(), isMixed: z.boolean() }),
);
const deploymentSchema = z.object({
  metadata: z.object({ annotations: z.record(z.string(), z.string()) }),
});
const applicationsSchema = z.object({ value: z.array(z.object({ id: z.string() })).min(1) });

/** Sandbox and control plane, as somebody sees them who rotates secrets and wants to know what has come of it. */
export class Rotations {
  readonly #sample: Sample;
  readonly #client: CloudClient;
  readonly #operator: Operator;
  readonly cluster: ClusterApi;

  constructor(sample: Sample) {
    this.#sample = sample;
    this.#client = new CloudClient(sample.sandbox.endpoints);
    this.#operator = new Operator(this.#client);
    this.cluster = new ClusterApi(this.#client, sample.sandbox.endpoints);
  }

  close(): void {
    this.#client.close();
  }

  /** All at once; answers the operations that were entered for it. */
  async make(burst: Burst): Promise<readonly string[]> {
    const asked = burst.filter(({ byHand }) => !byHand).map(({ what }) => what);
    const values = await Promise.all(
      burst
        .filter(({ byHand }) => byHand)
        .map(async ({ what }) => ({ what, value: await this.#value(what) })),
    );
    // What takes its time is done: from here on all of it happens in the same second.
    const [entered] = await Promise.all([
      asked.length > 0 ? this.#sample.api.rotate(sampleName, asked) : undefined,
      ...values.map(({ what, value }) => this.set(rotations[what].secret, value)),
    ]);
    return entered === undefined ? [] : [entered];
  }

  /** A new version in the vault, by the operator, with all that is said about the one before; answers the version. */
  set(secret: string, value: string): Promise<string> {
    return this.#operator.setSecret(VAULT, secret, value);
  }

  /** As `az keyvault secret set` does it: with nothing of what the vault says about the version before. */
  async setBare(secret: string, value: string): Promise<string> {
    const path = `/secrets/${secret}?api-version=7.5`;
    const answer = await this.#sample.clouds.vault(VAULT, path, { method: 'PUT', body: { value } });
    return versionOf(secretSchema.parse(answer.body).id);
  }

  async #value(what: What): Promise<string> {
    if (what !== 'client-secret') return randomBytes(32).toString('base64');
    const found = await this.#sample.clouds.graph("/applications?$filter=displayName eq 'open-webui-app'");
    const [application] = applicationsSchema.parse(found.body).value;
    const added = await this.#sample.clouds.graph(`/applications/${application?.id}/addPassword`, {
      method: 'POST',
      body: { passwordCredential: { displayName: 'made by hand' } },
    });
    return z.object({ secretText: z.string() }).parse(added.body).secretText;
  }

  async secret(name: string): Promise<{ readonly version: string; readonly value: string }> {
    const answer = await this.#sample.clouds.vault(VAULT, `/secrets/${name}?api-version=7.5`);
    const { id, value } = secretSchema.parse(answer.body);
    return { version: versionOf(id), value };
  }

  /** How often a workload has been rolled out. */
  async revision(workload: Workload): Promise<number> {
    const found = await this.cluster.get(`/apis/apps/v1/namespaces/open-webui/deployments/${workload}`);
    const { metadata } = deploymentSchema.parse(found);
    return Number(metadata.annotations['deployment.kubernetes.io/revision']);
  }

  /** What the events about these versions have led to, once all of them have come. */
  async events(versions: readonly string[]): Promise<readonly ReceivedEvent[]> {
    const all = await this.#sample.api.events(sampleName);
    return all.filter(({ version }) => version !== undefined && versions.includes(version));
  }

  /** Each once: operations of the same run tell the same. */
  async receipts(operations: readonly string[]): Promise<readonly Receipt[]> {
    const all = await Promise.all(operations.map((id) => this.#sample.api.operation(id)));
    const byVersion = new Map(
      all.flatMap(({ receipts = [] }) =>
        receipts.map((receipt) => [`${receipt.secret}/${receipt.version}`, receipt] as const),
      ),
    );
    return [...byVersion.values()];
  }

  /** Starts of Open WebUI with secrets that were never current together. */
  async mixedSets(): Promise<readonly z.output<typeof setsSchema>[number][]> {
    const answer = await fetch(`${this.#sample.sandbox.endpoints.sandbox}/pods`);
    return setsSchema.parse(await answer.json()).filter(({ isMixed }) => isMixed);
  }

  /** When each ExternalSecret was applied since a position in the record of calls, virtual milliseconds. */
  async syncsForced(position: number): Promise<readonly { readonly name: string; readonly at: number }[]> {
    const { calls } = await callsSince(this.#sample, position);
    return calls.flatMap(({ method, path, time, status, caller }) => {
      const [, name] = /\/externalsecrets\/([^/?]+)\?/.exec(path) ?? [];
      const isApply = method === 'PATCH' && status === 200 && caller !== '' && path.includes('force=true');
      return isApply && name !== undefined ? [{ name, at: Date.parse(time) }] : [];
    });
  }
}

/**
 * A rotation as a person would script it, with nothing but the calls that it needs: what the control plane's time is
 * measured against.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import type { Rotations } from './rotations.ts';

/** From an event on, real milliseconds. */
export interface Measured {
  /** Until the ExternalSecret was applied. */
  readonly toSync: number;
  readonly toProof: number;
}

/** Real milliseconds between two looks. */
const LOOK_EVERY = 20;

const externalSecretSchema = z.object({
  metadata: z.object({ generation: z.number() }),
  spec: z.object({
    data: z.array(z.object({ secretKey: z.string(), remoteRef: z.record(z.string(), z.unknown()) })),
  }),
  status: z.object({ syncedResourceVersion: z.string() }),
});
const rolloutSchema = z.object({
  metadata: z.object({ generation: z.number() }),
  spec: z.object({ replicas: z.number() }),
  status: z.object({
    observedGeneration: z.number(),
    replicas: z.number(),
    updatedReplicas: z.number().default(0),
    readyReplicas: z.number().default(0),
  }),
});

/** What a person would script for a new web UI key, call by call; nobody else does anything meanwhile. */
export async function bareRotation(all: Rotations): Promise<Measured> {
  const externalSecret =
    '/apis/external-secrets.io/v1/namespaces/open-webui/externalsecrets/open-webui-secrets';
  const deployment = '/apis/apps/v1/namespaces/open-webui/deployments/open-webui';
  const looked = async <T>(look: () => Promise<T>, isThere: (seen: T) => boolean): Promise<void> => {
    while (!isThere(await look())) await pause(LOOK_EVERY);
  };
  const value = randomBytes(32).toString('base64');
  await all.set('webui-secret-key', value);
  const began = performance.now();
  const { version } = await all.secret('webui-secret-key');
  const { spec } = externalSecretSchema.parse(await all.cluster.get(externalSecret));
  const data = spec.data.map((entry) =>
    entry.secretKey === 'WEBUI_SECRET_KEY' ? { ...entry, remoteRef: { ...entry.remoteRef, version } } : entry,
  );
  await all.cluster.patch(externalSecret, { spec: { data } });
  const toSync = performance.now() - began;
  await looked(
    async () => externalSecretSchema.parse(await all.cluster.get(externalSecret)),
    ({ metadata, status }) => status.syncedResourceVersion.startsWith(`${metadata.generation}-`),
  );
  const annotations = { 'rotated-to': version };
  await all.cluster.patch(deployment, { spec: { template: { metadata: { annotations } } } });
  await looked(
    async () => rolloutSchema.parse(await all.cluster.get(deployment)),
    ({ metadata, spec: { replicas }, status }) =>
      status.observedGeneration === metadata.generation &&
      [status.replicas, status.updatedReplicas, status.readyReplicas].every((count) => count === replicas),
  );
  return { toSync, toProof: performance.now() - began };
}

const percentile = (measured: readonly Measured[], what: keyof Measured, percent: number): number => {
  const sorted = measured.map((one) => one[what]).toSorted((one, other) => one - other);
  return sorted[Math.ceil((percent / 100) * sorted.length) - 1] ?? Number.NaN;
};

/** Prints real milliseconds, and how many times the bare sequence's median they are. */
export function tabulate(
  bare: readonly Measured[],
  others: Readonly<Record<string, readonly Measured[]>>,
): void {
  const cell = (measured: readonly Measured[], what: keyof Measured, percent: number): string => {
    const milliseconds = percentile(measured, what, percent);
    return `${Math.round(milliseconds)} ms, ${(milliseconds / percentile(bare, what, 50)).toFixed(1)}x`;
  };
  console.table(
    Object.entries({ 'the bare sequence': bare, ...others }).map(([name, measured]) => ({
      what: `${name} (${measured.length})`,
      'event to sync, p50': cell(measured, 'toSync', 50),
      'event to sync, p95': cell(measured, 'toSync', 95),
      'event to proof, p50': cell(measured, 'toProof', 50),
      'event to proof, p95': cell(measured, 'toProof', 95),
    })),
  );
}

/**
 * What a run has proven about new values of secrets: the vault's version, the Kubernetes Secret that was found to hold
 * exactly that value, and the pods that were started with it.
 */
import { z } from 'zod';
import type { RecordOutcomeInput, StepProgress } from '../orchestrations/activities.ts';
import type { EventRecord } from '../store/inbox.ts';
import type { Receipt } from '../store/store.ts';

const externalSecretsOutputs = z.object({
  synced: z.record(
    z.string(),
    z.object({
      resourceVersion: z.string(),
      keys: z.record(z.string(), z.object({ secret: z.string(), version: z.string() })),
    }),
  ),
});
const workloadOutputs = z.object({ revision: z.string(), pods: z.array(z.string()) });

/** Kubernetes Secrets by the workload that uses them. */
const users = {
  'kubernetes/open-webui': ['open-webui-secrets', 'open-webui-storage'],
  'kubernetes/cloudflared': ['cloudflared-token'],
} as const;

interface Arrival {
  readonly secret: string;
  readonly version: string;
  readonly kubernetesSecret: Receipt['kubernetesSecret'];
}

/** A receipt for each event about a secret that has arrived, and for each version that came without an event. */
export function receiptsOf(
  { before, found, at, operations }: RecordOutcomeInput,
  events: readonly EventRecord[],
): readonly Receipt[] {
  if (operations.length === 0) return [];
  const step = found.find(({ key }) => key === 'kubernetes/external-secrets');
  const now = arrivals(step?.outputs);
  const then = new Map(
    arrivals(before['kubernetes/external-secrets']?.outputs).map(({ secret, version }) => [secret, version]),
  );
  const receipt = (arrival: Arrival, since: number): Receipt => ({
    ...arrival,
    workloads: workloadsOf(found, arrival.kubernetesSecret.name),
    seconds: Math.max(0, Math.round((at - since) / 1000)),
  });
  const told = events.flatMap((event): Receipt[] => {
    const arrival = now.find(({ secret }) => secret === event.subject);
    if (!arrival || event.version === undefined) return [];
    const overtaken = event.version === arrival.version ? {} : { announcedVersion: event.version };
    return [{ ...receipt(arrival, Date.parse(event.occurredAt)), ...overtaken }];
  });
  const untold = now
    .filter(({ secret, version }) => then.has(secret) && then.get(secret) !== version)
    .filter(({ secret }) => !told.some((known) => known.secret === secret))
    .map((arrival) => receipt(arrival, step?.startedAt ?? at));
  // The store keeps as many as it can, from the first on: those of what has been overtaken say least.
  const isOvertaken = ({ announcedVersion }: Receipt): number => (announcedVersion === undefined ? 0 : 1);
  return [...told, ...untold].toSorted((one, other) => isOvertaken(one) - isOvertaken(other));
}

function arrivals(outputs: unknown): readonly Arrival[] {
  const parsed = externalSecretsOutputs.safeParse(outputs);
  if (!parsed.success) return [];
  return Object.entries(parsed.data.synced).flatMap(([name, { resourceVersion, keys }]) =>
    Object.values(keys).map(({ secret, version }) => ({
      secret,
      version,
      kubernetesSecret: { name, resourceVersion },
    })),
  );
}

function workloadsOf(found: readonly StepProgress[], kubernetesSecret: string): Receipt['workloads'] {
  return Object.entries(users).flatMap(([key, secrets]) => {
    if (!(secrets as readonly string[]).includes(kubernetesSecret)) return [];
    const outputs = workloadOutputs.safeParse(found.find((step) => step.key === key)?.outputs);
    return outputs.success ? [{ name: key.replace('kubernetes/', ''), ...outputs.data }] : [];
  });
}

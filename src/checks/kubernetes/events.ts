/** What Kubernetes tells in events alone: it keeps them for an hour. */
import { z } from 'zod';
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';

const eventSchema = z.object({
  involvedObject: z.object({ uid: z.string().default(''), name: z.string().default('') }).prefault({}),
  reason: z.string().default(''),
  message: z.string().default(''),
  lastTimestamp: z.string().nullish(),
  eventTime: z.string().nullish(),
  /** Of a reporter that counts repeats of its own: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/ */
  series: z.object({ lastObservedTime: z.string().nullish() }).nullish(),
});
export type Warning = z.output<typeof eventSchema>;

/** When it was last seen. */
export const timeOf = ({ lastTimestamp, series, eventTime }: Warning): string =>
  lastTimestamp ?? series?.lastObservedTime ?? eventTime ?? '';

/** All warnings of a namespace, newest first. */
export async function warningsIn(api: KubernetesApi, namespace: string): Promise<readonly Warning[]> {
  const events = await api.list({ apiVersion: 'v1', kind: 'Event', namespace }, { fields: 'type=Warning' });
  return events
    .map((event) => eventSchema.parse(event))
    .toSorted((one, other) => timeOf(other).localeCompare(timeOf(one)));
}

export async function newestWarning(
  api: KubernetesApi,
  namespace: string,
  { metadata }: KubernetesObject,
): Promise<Warning | undefined> {
  const warnings = await warningsIn(api, namespace);
  return warnings.find(({ involvedObject: { uid, name } }) =>
    metadata.uid === undefined ? name === metadata.name : uid === metadata.uid,
  );
}

/** What all checks inside the cluster have in common. */
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import { KubernetesError } from '../../clients/kubernetes-api.ts';
import type { CheckScope } from '../check.ts';

/** Throws whatever keeps it from answering, also the cluster's absence: that is for others to find. */
export const clusterOf = ({ clients, names }: CheckScope): Promise<KubernetesApi> =>
  clients.kubernetes(names.resourceGroup, names.cluster);

/** What is younger than this may still be on its way. */
export const isOlderThan = (time: string | null | undefined, minutes: number, now: Date): boolean =>
  now.getTime() - Date.parse(time ?? '') >= minutes * 60_000;

/** A `list` of a kind that the server does not know: none of it is there. */
export async function listServed(
  api: KubernetesApi,
  kind: Parameters<KubernetesApi['list']>[0],
): Promise<readonly KubernetesObject[]> {
  try {
    return await api.list(kind);
  } catch (error) {
    if (error instanceof KubernetesError && error.reason === 'KindNotServed') return [];
    throw error;
  }
}

/**
 * One line of words that others wrote, without credentials in addresses, without the port that a connection happened to
 * go out from, and of a length that fits evidence.
 */
export const quoted = (words: string): string =>
  words
    .replaceAll(/(\w+:\/\/[^\s:/@]*):[^\s@]*@/g, '$1:…@')
    .replaceAll(/[\d.]+:\d+->/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .slice(0, 400);

import type { KubernetesApi } from '../../clients/kubernetes-api.ts';
import { within } from '../patience.ts';

/** A check has twenty seconds for all that it asks, and some look at several Deployments one after the other. */
const LOG_SECONDS = 3;

/**
 * A log explains a finding and is none itself: whatever keeps it from being read, the finding is told without its words. The
 * container has not begun, its node has forgotten it or is gone, or the API server does not get through to any node.
 */
export async function logOf(
  api: KubernetesApi,
  ...which: Parameters<KubernetesApi['log']>
): Promise<string | undefined> {
  try {
    const answer = await within(
      LOG_SECONDS,
      api.log(...which).then((log) => ({ log })),
    );
    return answer?.log;
  } catch {
    return undefined;
  }
}

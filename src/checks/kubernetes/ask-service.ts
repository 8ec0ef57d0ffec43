/**
 * Asks a Service or a pod of the cluster through the API server, for as long as a user would wait. That nobody is there to
 * answer is an answer; a refusal of the API server itself is not, and is thrown.
 */
import type { KubernetesApi, ProxyAnswer, ProxyRequest, ProxyTarget } from '../../clients/kubernetes-api.ts';
import { KubernetesError } from '../../clients/kubernetes-api.ts';
import { within } from '../patience.ts';

/** A check asks more than one question, and has twenty seconds for all of them. */
const PATIENCE_SECONDS = 5;

export type Asked =
  | { readonly isAnswered: true; readonly status: number; readonly body: unknown }
  | {
      readonly isAnswered: false;
      /** Words without addresses. */
      readonly said: string;
      /** There is no such Service, or no such pod. */
      readonly isMissing: boolean;
      /** Somebody may be there, and takes longer. */
      readonly isLate: boolean;
    };

const silent = (said: string, { isMissing = false, isLate = false } = {}): Asked => ({
  isAnswered: false,
  said,
  isMissing,
  isLate,
});

export const askService = (
  api: KubernetesApi,
  service: ProxyTarget,
  path: string,
  request: Omit<ProxyRequest, 'path'> = { method: 'GET' },
  patienceSeconds = PATIENCE_SECONDS,
): Promise<Asked> =>
  ask(
    api.requestService(service, { ...request, path }),
    `the Service ${service.name}`,
    path,
    patienceSeconds,
  );

/** Which pod it is goes into no words: its name is another with each roll-out. */
export const askPod = (api: KubernetesApi, pod: ProxyTarget, path: string): Promise<Asked> =>
  ask(api.requestPod(pod, { method: 'GET', path }), 'the pod', path, PATIENCE_SECONDS);

async function ask(
  asked: Promise<ProxyAnswer>,
  whom: string,
  path: string,
  patienceSeconds: number,
): Promise<Asked> {
  try {
    const answer = await within(patienceSeconds, asked);
    return answer
      ? { isAnswered: true, status: answer.status, body: answer.body }
      : silent(`no answer from ${path} within ${patienceSeconds} seconds`, { isLate: true });
  } catch (error) {
    return silenceIn(error, whom);
  }
}

/** https://github.com/kubernetes/kubernetes/blob/master/pkg/registry/core/service/storage/storage.go (ResourceLocation) */
function silenceIn(error: unknown, whom: string): Asked {
  if (!(error instanceof KubernetesError)) throw error;
  const { status, message } = error;
  if (status === 404) return silent(`there is no ${whom.replace(/^the /, '')}`, { isMissing: true });
  if (/no endpoints available/i.test(message)) return silent(`${whom} has no ready endpoint`);
  if (/no service port/i.test(message)) return silent(`${whom} has no such port`, { isMissing: true });
  if (/error trying to reach service|proxy error|dial tcp/i.test(message)) {
    return silent(`nobody listens behind ${whom}`);
  }
  throw error;
}

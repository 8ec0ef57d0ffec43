/**
 * Asks a Service of the cluster through the API server, for as long as a user would wait. That nobody is there to answer
 * is an answer; a refusal of the API server itself is not, and is thrown.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubernetesApi } from '../../clients/kubernetes-api.ts';
import { KubernetesError } from '../../clients/kubernetes-api.ts';

const PATIENCE_SECONDS = 10;

export type Asked =
  | { readonly isAnswered: true; readonly status: number; readonly body: unknown }
  | {
      readonly isAnswered: false;
      /** Words without addresses. */
      readonly said: string;
      /** There is no such Service. */
      readonly isMissing: boolean;
    };

const silent = (said: string, isMissing = false): Asked => ({ isAnswered: false, said, isMissing });

export async function askService(
  api: KubernetesApi,
  service: { readonly namespace: string; readonly name: string; readonly port: number },
  path: string,
): Promise<Asked> {
  const end = new AbortController();
  const asked = api.requestService(service, { method: 'GET', path });
  // What comes after the patience has ended is nobody's business any more.
  asked.catch(() => undefined);
  try {
    const late = sleep(PATIENCE_SECONDS * 1000, undefined, { signal: end.signal, ref: false });
    late.catch(() => undefined);
    const answer = await Promise.race([asked, late]);
    return answer
      ? { isAnswered: true, status: answer.status, body: answer.body }
      : silent(`no answer from ${path} within ${PATIENCE_SECONDS} seconds`);
  } catch (error) {
    return silenceIn(error, service.name);
  } finally {
    end.abort();
  }
}

/** https://github.com/kubernetes/kubernetes/blob/master/pkg/registry/core/service/storage/storage.go (ResourceLocation) */
function silenceIn(error: unknown, name: string): Asked {
  if (!(error instanceof KubernetesError)) throw error;
  const { status, message } = error;
  if (status === 404) return silent(`there is no Service ${name}`, true);
  if (/no endpoints available/i.test(message)) return silent(`the Service ${name} has no ready endpoint`);
  if (/no service port/i.test(message)) return silent(`the Service ${name} has no such port`, true);
  if (/error trying to reach service|proxy error|dial tcp/i.test(message)) {
    return silent(`nobody listens behind the Service ${name}`);
  }
  throw error;
}

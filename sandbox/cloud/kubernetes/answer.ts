/** What answers at a Service's URL inside a cluster: what cloudflared finds behind an ingress rule, and pods of others. */
import type { Answer, Software } from '../neighbours.ts';
import type { KubernetesCluster } from './cluster.ts';
import type { ServiceTraffic } from './service-traffic.ts';

/** Names without a namespace are looked up in the one cloudflared usually runs in. */
export const DEFAULT_NAMESPACE = 'open-webui';

export function answerAt(
  cluster: KubernetesCluster | undefined,
  text: string,
): Answer<{ pod: string; software: Software }> {
  if (!cluster?.resource) return { ok: false, code: 'NoCluster', reason: 'There is no such cluster.' };
  if (!cluster.resource.isRunning) return { ok: false, code: 'Stopped', reason: 'The cluster is stopped.' };
  const url = URL.parse(text);
  if (!url) return { ok: false, code: 'BadUrl', reason: `${text} is not a URL.` };
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  const answered = cluster.dial(url.hostname, port, DEFAULT_NAMESPACE);
  if ('refused' in answered) return { ok: false, code: 'Refused', reason: answered.refused };
  return { ok: true, pod: answered.pod.metadata.name, software: answered.software };
}

/** From the pod `client` in `namespace`; the path is the URL's unless another is given. */
export async function requestAt(
  traffic: ServiceTraffic,
  text: string,
  request: Request,
  from: { readonly client: string; readonly namespace: string; readonly path?: string },
): Promise<Answer<{ pod: string; response: Response }>> {
  const url = URL.parse(text);
  if (!url) return { ok: false, code: 'BadUrl', reason: `${text} is not a URL.` };
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  const reached = traffic.reach(url.hostname, port, from.namespace, from.client);
  if ('refused' in reached) return { ok: false, code: 'Refused', reason: reached.refused };
  const { pod, port: target, listener } = reached;
  const path = from.path ?? url.pathname + url.search;
  const response = await (listener.process.fetch?.(target, request, path) ??
    statusOnly(listener.process.status(target, path)));
  if (!response) return { ok: false, code: 'NotHttp', reason: `malformed HTTP response from ${url.host}` };
  return { ok: true, pod: pod.metadata.name, response };
}

function statusOnly(status: number | undefined): Response | undefined {
  return status === undefined ? undefined : new Response(null, { status });
}

/** What answers at a Service's URL inside a cluster: what cloudflared finds behind an ingress rule. */
import type { Answer, Software } from '../neighbours.ts';
import type { KubernetesCluster } from './cluster.ts';

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

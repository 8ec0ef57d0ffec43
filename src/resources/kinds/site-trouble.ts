/**
 * Whether the public site serves, and whose fault it is when it does not. A site breaks in many places, of which an
 * image is one: Open WebUI is to blame only when it answers no better to the API server, inside the cluster, and
 * cloudflared only when Open WebUI answers there and the site does not.
 */
import type { KubernetesApi } from '../../clients/kubernetes-api.ts';
import { KubernetesError } from '../../clients/kubernetes-api.ts';
import type { Scope } from '../scope.ts';

/** Of Open WebUI; throws what keeps the cluster from telling. */
export async function siteTrouble(
  { spec, names, clients }: Scope,
  api: KubernetesApi,
): Promise<string | undefined> {
  const site = await clients.site(spec.tunnel.hostName);
  if (site.isServed) return undefined;
  const status = await statusInCluster(api, names.namespace);
  return isSuccess(status)
    ? undefined
    : `is ready and serves no page: it answers HTTP ${status}, the site ${site.said}`;
}

/** Of cloudflared. */
export async function tunnelTrouble(
  { spec, names, clients }: Scope,
  api: KubernetesApi,
): Promise<string | undefined> {
  const site = await clients.site(spec.tunnel.hostName);
  // A challenge is Cloudflare's own answer, given before anything is delivered.
  if (site.isServed || site.isChallenged) return undefined;
  try {
    if (!isSuccess(await statusInCluster(api, names.namespace))) return undefined;
  } catch (error) {
    // Nothing to deliver to, which is no fault of the tunnel.
    if (error instanceof KubernetesError) return undefined;
    throw error;
  }
  return `is ready and delivers nothing: Open WebUI answers in the cluster, the site ${site.said}`;
}

async function statusInCluster(api: KubernetesApi, namespace: string): Promise<number> {
  const service = { namespace, name: 'open-webui', port: 80 };
  const { status } = await api.requestService(service, { method: 'GET', path: '/' });
  return status;
}

const isSuccess = (status: number): boolean => status >= 200 && status < 400;

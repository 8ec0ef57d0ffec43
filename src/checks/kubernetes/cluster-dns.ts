/** Somebody answers for names: everything in the cluster finds the rest, and the world outside, by asking CoreDNS. */
import type { Check } from '../check.ts';
import { clusterOf } from './cluster.ts';
import { DNS_REMEDY } from './last-words.ts';
import { readyEndpoints } from './services.ts';

/** As AKS calls both: https://learn.microsoft.com/azure/aks/coredns-custom */
const SERVICE = { namespace: 'kube-system', name: 'kube-dns' } as const;

export const clusterDns: Check = {
  id: 'cluster-dns',
  system: 'nodes',
  title: 'Names resolve in the cluster',
  async run(scope) {
    const api = await clusterOf(scope);
    const { namespace, name } = SERVICE;
    if ((await readyEndpoints(api, namespace, name)) > 0) return [];
    return [
      {
        id: 'names-do-not-resolve',
        resource: 'azure/cluster',
        severity: 'error',
        what: 'Names do not resolve in the cluster: no pod of CoreDNS is ready.',
        evidence: `kubectl get endpointslices -n ${namespace} -l kubernetes.io/service-name=${name} shows none that is ready`,
        breaks:
          'Pods find neither each other nor the database, the vault or the tunnel as soon as they look anew.',
        remedy: DNS_REMEDY,
      },
    ];
  },
};

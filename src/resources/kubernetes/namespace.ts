import { clusterAccess } from '../azure/cluster-access.ts';
import { kubernetesObjects } from '../kinds/kubernetes-object.ts';

/**
 * Where everything of the deployment lives. `baseline` is what Open WebUI's and Ollama's images can keep to, as they run
 * as root; what falls short of `restricted` is only told. https://kubernetes.io/docs/concepts/security/pod-security-standards/
 */
export const namespace = kubernetesObjects({
  key: 'kubernetes/namespace',
  title: 'Namespace',
  dependsOn: { clusterAccess },
  objects: ({ names }) => [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      name: names.namespace,
      isClusterScoped: true,
      labels: {
        'pod-security.kubernetes.io/enforce': 'baseline',
        'pod-security.kubernetes.io/warn': 'restricted',
        'pod-security.kubernetes.io/audit': 'restricted',
      },
      body: () => ({}),
    },
  ],
});

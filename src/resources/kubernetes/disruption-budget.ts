import { kubernetesObjects } from '../kinds/kubernetes-object.ts';
import { namespace } from './namespace.ts';

/** Draining nodes takes one replica of Open WebUI at a time. With a single one it would only keep nodes from draining. */
export const disruptionBudget = kubernetesObjects({
  key: 'kubernetes/disruption-budget',
  title: 'Disruption budget',
  dependsOn: { namespace },
  isWanted: ({ spec }) => spec.webui.replicas > 1,
  objects: () => [
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      name: 'open-webui',
      labels: { app: 'open-webui' },
      body: () => ({ spec: { maxUnavailable: 1, selector: { matchLabels: { app: 'open-webui' } } } }),
    },
  ],
});

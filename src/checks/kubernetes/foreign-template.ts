/**
 * Whether pods are in trouble for something in their template that is not as the control plane has made it. Then no one
 * has to change the spec or the nodes: what was changed is put back.
 */
import type { KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { ResourceKey } from '../../graph/resource.ts';
import { writerOf } from '../../resources/kinds/field-writer.ts';
import type { PodTrouble } from './pod-trouble.ts';

const POD = 'spec.template.spec';

/** Fields of the pod, or of its container, that can be the reason of a trouble. */
const reasons: Readonly<
  Record<string, { readonly ofPod?: readonly string[]; readonly ofContainer?: readonly string[] }>
> = {
  'out-of-memory': { ofContainer: ['resources'] },
  'insufficient-cpu': { ofContainer: ['resources'] },
  'insufficient-memory': { ofContainer: ['resources'] },
  'no-matching-node': { ofPod: ['nodeSelector', 'affinity'] },
  'untolerated-taint': { ofPod: ['tolerations', 'nodeSelector'] },
  'image-missing': { ofContainer: ['image'] },
  crashes: { ofContainer: ['image', 'command', 'args'] },
};

/** The containers of our Deployments have their names. */
export function putDownTo(
  deployment: KubernetesObject,
  resource: ResourceKey,
  trouble: PodTrouble,
): PodTrouble {
  const { ofPod = [], ofContainer = [] } = reasons[trouble.id] ?? {};
  const paths = [
    ...ofPod.map((field) => `${POD}.${field}`),
    ...ofContainer.map((field) => `${POD}.containers.${deployment.metadata.name}.${field}`),
  ];
  for (const path of paths) {
    const writer = writerOf(deployment, path);
    if (writer) {
      return {
        ...trouble,
        resource,
        evidence: `${trouble.evidence}; ${path} was set by ${writer.name}`,
        remedy: 'Have the control plane put back what was changed.',
        cure: 'repair',
      };
    }
  }
  return trouble;
}

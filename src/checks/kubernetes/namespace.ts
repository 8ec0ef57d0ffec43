import { phaseOf } from '../../resources/kubernetes/ollama-volume.ts';
import type { Check } from '../check.ts';
import { repairOf } from '../repair.ts';
import { clusterOf } from './cluster.ts';

/** First of all: with the namespace goes everything in it, and each of its parts would be missed by itself. */
export const namespaceStays: Check = {
  id: 'namespace-stays',
  system: 'cluster',
  title: 'The namespace is there and stays',
  async run(scope) {
    const api = await clusterOf(scope);
    const name = scope.names.namespace;
    const found = await api.find({ apiVersion: 'v1', kind: 'Namespace', name });
    const breaks = 'Nothing of the deployment runs.';
    if (!found) {
      return [
        {
          id: 'namespace-missing',
          resource: 'kubernetes/namespace',
          severity: 'error',
          what: `There is no namespace ${name}.`,
          evidence: `kubectl get namespace ${name} finds nothing`,
          breaks,
          remedy: 'Have the control plane make it and everything in it again.',
          repair: repairOf(scope),
        },
      ];
    }
    if (found.metadata.deletionTimestamp === undefined && phaseOf(found) !== 'Terminating') return [];
    return [
      {
        id: 'namespace-terminating',
        resource: 'kubernetes/namespace',
        severity: 'error',
        what: `The namespace ${name} is being deleted, and with it everything in it.`,
        evidence: 'its phase is Terminating',
        breaks,
        remedy: `Wait until it has gone (\`kubectl get namespace ${name} -o yaml\` names what holds it up), then have it made again.`,
        repair: repairOf(scope),
      },
    ];
  },
};

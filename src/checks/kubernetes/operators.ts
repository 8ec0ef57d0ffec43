/** The operators that the stack leans on: installed, wished to run, and running. */
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import { deploymentOf } from '../../resources/kinds/workload.ts';
import { type Addon, addonsOf, runs, servedApi } from '../../resources/kubernetes/addons.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { clusterOf, isOlderThan, quoted } from './cluster.ts';
import { troubleInPods } from './pod-trouble.ts';

const resource = 'kubernetes/addons' as const;
/** An operator that is being replaced is away for a moment. */
const AWAY_MINUTES = 2;

const breaksOf: Readonly<Record<string, string>> = {
  'external-secrets':
    'New versions of secrets do not reach the cluster; pods that run go on with what they have.',
  reloader: 'Workloads are not restarted when something changes that others mount into them.',
};

export const operatorsAvailable: Check = {
  id: 'operators-available',
  system: 'secrets',
  title: 'The operators are installed and available',
  async run(scope) {
    const api = await clusterOf(scope);
    const [deployments, served] = await Promise.all([
      api.list({ apiVersion: 'apps/v1', kind: 'Deployment' }),
      servedApi(api),
    ]);
    const findings = await Promise.all(
      addonsOf(scope.spec).map((addon) => {
        const found = deployments.filter((deployment) => runs(deployment, addon.image));
        const isMissing = found.length === 0 || (addon.name === 'external-secrets' && served === undefined);
        return isMissing ? [missing(scope, addon, found.length > 0)] : troubles(scope, api, addon, found);
      }),
    );
    return findings.flat();
  },
};

function missing(scope: CheckScope, { name, title, mode }: Addon, hasDeployment: boolean): CheckFinding {
  const isOurs = mode === 'install';
  return {
    id: `${name}-missing`,
    resource,
    severity: name === 'external-secrets' ? 'error' : 'warning',
    what: `${title} is not installed.`,
    evidence: hasDeployment
      ? 'its Deployment is there, but the cluster does not serve its kinds: kubectl get crd externalsecrets.external-secrets.io'
      : 'no Deployment in the cluster runs its image',
    breaks: breaksOf[name] ?? '',
    remedy: isOurs
      ? 'Have the control plane install it.'
      : `The spec says to expect it: install it, or set addons.${name === 'reloader' ? 'reloader' : 'externalSecrets'} to install.`,
    ...(isOurs ? { repair: repairOf(scope) } : {}),
  };
}

async function troubles(
  scope: CheckScope,
  api: KubernetesApi,
  { name, title }: Addon,
  deployments: readonly KubernetesObject[],
): Promise<readonly CheckFinding[]> {
  const findings: CheckFinding[] = [];
  for (const deployment of deployments) {
    const { metadata } = deployment;
    const { spec, status } = deploymentOf(deployment);
    const where = `-n ${metadata.namespace}`;
    const common = {
      resource,
      severity: name === 'external-secrets' ? 'error' : 'warning',
      breaks: breaksOf[name] ?? '',
    } as const;
    if (spec.replicas === 0) {
      findings.push({
        ...common,
        id: `${metadata.name}-scaled-to-zero`,
        what: `${title} is switched off: its Deployment ${metadata.name} has no replicas.`,
        evidence: 'spec.replicas is 0',
        remedy: `kubectl scale deployment ${metadata.name} ${where} --replicas=1`,
      });
      continue;
    }
    const available = status.conditions.find(({ type }) => type === 'Available');
    if (available?.status !== 'False' || !isOlderThan(available.lastTransitionTime, AWAY_MINUTES, scope.now))
      continue;
    const [trouble] = await troubleInPods(scope, api, deployment, resource);
    findings.push({
      ...common,
      id: `${metadata.name}-unavailable`,
      what: `${title} does not run: its Deployment ${metadata.name} has no available pod.`,
      evidence: trouble?.evidence ?? quoted(available.message),
      remedy:
        trouble?.remedy ??
        `kubectl describe pods ${where}; kubectl logs ${where} deployment/${metadata.name}`,
    });
  }
  return findings;
}

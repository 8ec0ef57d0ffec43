/**
 * Whether the Kubernetes API server answers the control plane. ARM has answered just before, so no answer at all is the
 * server's fault and a finding; a refusal is one only when the control plane's role is gone, else the role is under way
 * and nothing can be said.
 */
import { toFailure } from '../../clients/cloud-failure.ts';
import { KubernetesError } from '../../clients/kubernetes-api.ts';
import { clusterGrant } from '../../resources/azure/cluster-access.ts';
import { findGrant } from '../../resources/kinds/role-assignment.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { within } from '../patience.ts';
import { repairOf } from '../repair.ts';
import { neededCluster, told } from './parts.ts';

/** Less than a check has altogether, so that silence is found and does not become "unknown". */
const PATIENCE_SECONDS = 10;

/** Codes of calls that found nobody, or nobody in time. */
const silences = /^(E[A-Z]+|UND_ERR_\w+|ConnectionError|AbortError|TimeoutError)$/;

export const apiServer: Check = {
  id: 'api-server-answers',
  system: 'cluster',
  title: 'The Kubernetes API server answers the control plane',

  async run(scope) {
    const cluster = await neededCluster(scope);
    if (cluster.powerState?.code === 'Stopped') return [];
    const grant = await clusterGrant(scope, told(cluster.id, 'id of the cluster'));
    if (!(await findGrant(scope, grant))) return [roleMissing(scope, grant)];
    // Azure gives the credentials, so what goes wrong here says nothing about the server.
    const kubernetes = await scope.clients.kubernetes(scope.names.resourceGroup, scope.names.cluster);
    try {
      const answer = await within(PATIENCE_SECONDS, kubernetes.list({ apiVersion: 'v1', kind: 'Namespace' }));
      return answer ? [] : [silent(scope, `no answer within ${PATIENCE_SECONDS} seconds`, cluster.fqdn)];
    } catch (error) {
      const { code } = toFailure(error);
      const isDown = error instanceof KubernetesError ? error.status >= 500 : silences.test(code);
      if (!isDown) throw error;
      return [silent(scope, code, cluster.fqdn)];
    }
  },
};

const roleMissing = (
  scope: CheckScope,
  grant: { readonly role: string; readonly principalId: string },
): CheckFinding => ({
  id: 'control-plane-role-missing',
  resource: 'azure/cluster-access',
  severity: 'error',
  what: 'The control plane has lost its role on the cluster.',
  evidence: `No role assignment "${grant.role}" for the principal ${grant.principalId} on the cluster.`,
  breaks: 'Nothing for users at once; the control plane can neither see nor repair what runs in the cluster.',
  remedy: `Give it back: az role assignment create --role "${grant.role}" --assignee-object-id ${grant.principalId} --scope <id of the cluster>`,
  repair: repairOf(scope),
});

const silent = (scope: CheckScope, why: string, host: string | undefined): CheckFinding => ({
  id: 'api-server-silent',
  resource: 'azure/cluster',
  severity: 'error',
  what: 'The Kubernetes API server does not answer the control plane.',
  evidence: `${host ?? scope.names.cluster}: ${why}, although Azure reports the cluster as running.`,
  breaks: 'Pods that run go on running; nothing is restarted, scaled or deployed.',
  remedy:
    'Look at "Diagnose and solve problems" of the cluster in the portal, and at its authorised IP ranges (apiServerAccessProfile).',
});

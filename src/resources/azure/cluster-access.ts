/**
 * The control plane's own way into the cluster: with local accounts off and Azure RBAC on, the API server asks ARM for a
 * role. It does so with delay, so this is ready only once the API server has answered a call of ours.
 */
import { KubernetesError } from '../../clients/kubernetes-api.ts';
import { addGrant, findGrant, type Grant, removeGrant } from '../kinds/role-assignment.ts';
import { defineResource, type Scope } from '../scope.ts';
import { cluster } from './cluster.ts';

const LOOK_AGAIN_SECONDS = 15;

export const clusterGrant = async (scope: Pick<Scope, 'clients'>, clusterId: string): Promise<Grant> => ({
  role: 'Azure Kubernetes Service RBAC Cluster Admin',
  scope: clusterId,
  principalId: await scope.clients.ownPrincipalId(),
});

export const clusterAccess = defineResource<{ readonly cluster: typeof cluster }, Record<string, never>>({
  key: 'azure/cluster-access',
  title: 'Access to the cluster',
  dependsOn: { cluster },

  async observe(scope, deps) {
    if (!(await findGrant(scope, await clusterGrant(scope, deps.cluster.id)))) return { state: 'absent' };
    const kubernetes = await scope.clients.kubernetes(scope.names.resourceGroup, deps.cluster.name);
    try {
      await kubernetes.list({ apiVersion: 'v1', kind: 'Namespace' });
    } catch (error) {
      if (!(error instanceof KubernetesError) || (error.status !== 401 && error.status !== 403)) throw error;
      return {
        state: 'changing',
        reason: 'the role of the control plane has not reached the cluster yet',
        retryAfterSeconds: LOOK_AGAIN_SECONDS,
      };
    }
    return { state: 'ready', outputs: {} };
  },

  async ensure(scope, deps) {
    await addGrant(scope, await clusterGrant(scope, deps.cluster.id));
  },

  async remove(scope, deps) {
    if (deps.cluster) await removeGrant(scope, await clusterGrant(scope, deps.cluster.id));
  },
});

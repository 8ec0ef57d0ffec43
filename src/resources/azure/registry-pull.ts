import { roleAssignment } from '../kinds/role-assignment.ts';
import { cluster } from './cluster.ts';
import { registry } from './registry.ts';

/** Images are pulled by the kubelet's identity, which is not the cluster's. */
export const registryPull = roleAssignment({
  key: 'azure/registry-pull',
  title: "Nodes' role on the registry",
  dependsOn: { registry, cluster },
  grant: (deps) => ({
    role: 'AcrPull',
    scope: deps.registry.id,
    principalId: deps.cluster.kubeletPrincipalId,
    principalType: 'ServicePrincipal',
  }),
});

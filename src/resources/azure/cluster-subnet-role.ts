import { roleAssignment } from '../kinds/role-assignment.ts';
import { cluster } from './cluster.ts';
import { network } from './network.ts';

/** AKS joins nodes and load balancers to the subnet as its own identity, which does not own a network that we made. */
export const clusterSubnetRole = roleAssignment({
  key: 'azure/cluster-subnet-role',
  title: "Cluster's role on its subnet",
  dependsOn: { network, cluster },
  grant: (deps) => ({
    role: 'Network Contributor',
    scope: deps.network.aksSubnetId,
    principalId: deps.cluster.identityPrincipalId,
    principalType: 'ServicePrincipal',
  }),
});

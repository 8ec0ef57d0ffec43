/** The identity that External Secrets signs in with: it exists, and every node carries it. */
import { holdsIdentity, obstacle, poolOf, scaleSetsOf } from '../../resources/azure/node-identity.ts';
import type { Check, CheckFinding } from '../check.ts';
import { repairOf } from '../repair.ts';
import { findIdentity, neededCluster, told } from './parts.ts';

const breaks =
  'External Secrets cannot sign in to the vault from these nodes: secrets are not renewed there, and new pods may lack them.';

export const identityOnScaleSets: Check = {
  id: 'identity-on-scale-sets',
  system: 'nodes',
  title: 'The identity exists and is on every scale set of the cluster',

  async run(scope) {
    const { identity: name } = scope.names;
    const identity = await findIdentity(scope);
    if (!identity) {
      return [
        {
          id: 'identity-missing',
          resource: 'azure/identity',
          severity: 'error',
          what: `The user-assigned identity ${name} does not exist.`,
          evidence: `Azure answers 404 for it in the resource group ${scope.names.resourceGroup}.`,
          breaks,
          remedy: 'Have it made anew: it is another principal then, and its roles are given again.',
          repair: repairOf(scope),
        },
      ];
    }
    const cluster = await neededCluster(scope);
    const blocked = obstacle(cluster);
    const nodeGroup = told(cluster.nodeResourceGroup, 'node resource group');
    const scaleSets = await scaleSetsOf(scope, nodeGroup);
    const id = told(identity.id, 'id of the identity');
    const clientId = told(identity.clientId, 'client id of the identity');
    const settled = (pool: string | undefined): boolean =>
      !(cluster.agentPoolProfiles ?? []).some(
        ({ name: one, provisioningState }) =>
          one === pool && provisioningState !== 'Succeeded' && provisioningState !== 'Failed',
      );
    // While AKS works on a pool the identity cannot be put on it yet.
    const lacking = scaleSets
      .filter((scaleSet) => !holdsIdentity(scaleSet, { id, clientId }) && settled(poolOf(scaleSet)))
      .flatMap((scaleSet) => (scaleSet.name ? [{ name: scaleSet.name, pool: poolOf(scaleSet) }] : []))
      .toSorted((one, other) => one.name.localeCompare(other.name));
    const findings: CheckFinding[] = blocked
      ? [
          {
            id:
              blocked.code === 'NodeResourceGroupLocked'
                ? 'node-resource-group-locked'
                : 'pool-without-scale-set',
            resource: 'azure/node-identity',
            severity: lacking.length > 0 ? 'error' : 'warning',
            what: 'The identity cannot be put on every node of the cluster.',
            evidence: blocked.message,
            breaks,
            remedy:
              blocked.code === 'NodeResourceGroupLocked'
                ? `Unlock it: az aks update -g ${scope.names.resourceGroup} -n ${scope.names.cluster} --nrg-lockdown-restriction-level Unrestricted`
                : 'Move the pods to a pool of virtual machine scale sets, and remove the other.',
          },
        ]
      : [];
    if (lacking.length > 0) {
      const list = lacking.map((one) => `${one.name} (node pool ${one.pool})`).join(', ');
      findings.push({
        id: 'identity-not-on-scale-sets',
        resource: 'azure/node-identity',
        severity: 'error',
        what: `The identity ${name} is not on every scale set of the cluster.`,
        evidence: `identity.userAssignedIdentities lacks it, or has an earlier one of its name, on ${list}.`,
        breaks,
        remedy: lacking
          .map((one) => `az vmss identity assign -g ${nodeGroup} -n ${one.name} --identities ${id}`)
          .join('; '),
        ...(blocked ? {} : { repair: repairOf(scope) }),
      });
    }
    const bare = (cluster.agentPoolProfiles ?? []).filter(
      ({ name: pool, type, count, provisioningState }) =>
        (type === undefined || type === 'VirtualMachineScaleSets') &&
        count !== 0 &&
        provisioningState === 'Succeeded' &&
        !scaleSets.some((scaleSet) => poolOf(scaleSet) === pool),
    );
    for (const { name: pool } of bare) {
      findings.push({
        id: `node-pool-${pool}-without-scale-set`,
        resource: 'azure/node-identity',
        severity: 'error',
        what: `The node pool ${pool} has no scale set.`,
        evidence: `No scale set in ${nodeGroup} carries the tag aks-managed-poolName=${pool}.`,
        breaks: 'The pool has no nodes that could carry the identity; its pods stay pending.',
        remedy: `Somebody has deleted it below AKS: delete the node pool ${pool} and have it made anew.`,
      });
    }
    return findings;
  },
};

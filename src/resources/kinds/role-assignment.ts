/**
 * Role assignments: their names are GUIDs derived from scope, principal and role, so that creating one twice is
 * creating one; they carry our mark in the description, having no tags. An equal assignment under another name does as
 * well and is never removed. Role ids: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles.
 */
import type { RoleAssignment } from '@azure/arm-authorization';
import { hasCode, isNotFound } from '../../clients/cloud-failure.ts';
import type { Dependencies, DependencyOutputs, Resource, ResourceKey } from '../../graph/resource.ts';
import { markOf, stableGuid } from '../../naming.ts';
import { defineResource, type Scope } from '../scope.ts';

export const roles = {
  'Key Vault Secrets Officer': 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7',
  'Key Vault Secrets User': '4633458b-17de-408a-b874-0445c86b69e6',
  AcrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d',
  'Network Contributor': '4d97b98b-1d4f-4787-a291-c67834d212e7',
  'Azure Kubernetes Service RBAC Cluster Admin': 'b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b',
} as const;

export interface Grant {
  readonly role: keyof typeof roles;
  /** ARM id of what the role is on. */
  readonly scope: string;
  readonly principalId: string;
  /**
   * Said for identities that may be new: ARM then does not look the principal up in the directory, which would answer
   * PrincipalNotFound until it is replicated. Left out for the control plane itself, which may be a person.
   */
  readonly principalType?: 'ServicePrincipal';
}

const nameOf = (grant: Grant): string => stableGuid(grant.scope, grant.principalId, roles[grant.role]);
/** The SDK puts its own slash before a scope. */
const pathOf = (grant: Grant): string => grant.scope.replace(/^\//, '');

/** The assignment of exactly this role on exactly this scope, whatever its name. */
export async function findGrant(
  { clients }: Pick<Scope, 'clients'>,
  grant: Grant,
): Promise<RoleAssignment | undefined> {
  const assignments = clients
    .authorization()
    .roleAssignments.listForScope(pathOf(grant), { filter: `principalId eq '${grant.principalId}'` });
  for await (const assignment of assignments) {
    const isSame =
      assignment.scope?.toLowerCase() === grant.scope.toLowerCase() &&
      assignment.principalId === grant.principalId &&
      assignment.roleDefinitionId?.toLowerCase().endsWith(`/${roles[grant.role]}`);
    if (isSame) return assignment;
  }
  return undefined;
}

export async function addGrant(scope: Scope, grant: Grant): Promise<void> {
  const roleDefinitionId = `/subscriptions/${scope.spec.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${roles[grant.role]}`;
  try {
    await scope.clients.authorization().roleAssignments.create(pathOf(grant), nameOf(grant), {
      roleDefinitionId,
      principalId: grant.principalId,
      ...(grant.principalType ? { principalType: grant.principalType } : {}),
      description: markOf(scope.names.deployment),
    });
  } catch (error) {
    // The same role on the same scope under another name: what was wished is there.
    if (!hasCode(error, 'RoleAssignmentExists')) throw error;
  }
}

/** Removes the assignment of ours; one under another name was made by somebody else. */
export async function removeGrant(scope: Scope, grant: Grant): Promise<void> {
  try {
    await scope.clients.authorization().roleAssignments.delete(pathOf(grant), nameOf(grant));
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** A resource that is one role assignment, for uses where nothing has to be proven about its having arrived. */
export const roleAssignment = <const Deps extends Dependencies>(use: {
  readonly key: ResourceKey;
  readonly title: string;
  readonly dependsOn: Deps;
  readonly grant: (deps: DependencyOutputs<Deps>) => Grant;
}): Resource<Scope, Deps, Record<string, never>> =>
  defineResource<Deps, Record<string, never>>({
    key: use.key,
    title: use.title,
    dependsOn: use.dependsOn,

    async observe(scope, deps) {
      return (await findGrant(scope, use.grant(deps)))
        ? { state: 'ready', outputs: {} }
        : { state: 'absent' };
    },

    async ensure(scope, deps) {
      await addGrant(scope, use.grant(deps));
    },

    async remove(scope, deps, seen) {
      if (seen.state === 'ready' && hasAll(use.dependsOn, deps)) await removeGrant(scope, use.grant(deps));
    },
  });

const hasAll = <Deps extends Dependencies>(
  dependsOn: Deps,
  deps: Partial<DependencyOutputs<Deps>>,
): deps is DependencyOutputs<Deps> => Object.keys(dependsOn).every((name) => deps[name] !== undefined);

/** Who may do what where: role assignments at or above a scope that have propagated, less deny assignments. */
import type { Authorization, Principal } from '../neighbours.ts';
import type { Cause } from './frame/audit.ts';
import type { Frame } from './frame/frame.ts';
import { Refusal } from './frame/refusal.ts';
import type { Stored } from './frame/resource-type.ts';
import { isWithin } from './frame/target.ts';
import { type AssignmentAttributes, parseCondition } from './role-conditions.ts';
import { allows, roleOf } from './roles.ts';

export type RoleAssignmentBody = {
  properties: {
    roleDefinitionId: string;
    principalId: string;
    principalType: string;
    scope: string;
    [key: string]: unknown;
  };
};
export type RoleAssignment = Stored<RoleAssignmentBody, { effectiveAt: number }>;

export interface DenyAssignment {
  readonly id: string;
  readonly name: string;
  readonly scope: string;
}

export class Rights implements Authorization {
  readonly #frame: Frame;
  /** Providers that lock scopes; AKS locks node resource groups. */
  readonly #locks: ((scope: string) => DenyAssignment | undefined)[] = [];

  constructor(frame: Frame) {
    this.#frame = frame;
  }

  addLock(lock: (scope: string) => DenyAssignment | undefined): void {
    this.#locks.push(lock);
  }

  isAllowed(
    principalId: string,
    scope: string,
    permission: { action: string } | { dataAction: string },
  ): boolean {
    return this.assignmentFor(principalId, scope, permission) !== undefined;
  }

  assignmentFor(
    principalId: string,
    scope: string,
    permission: { action: string } | { dataAction: string },
    attributes?: AssignmentAttributes,
  ): RoleAssignment | undefined {
    const now = this.#frame.world.clock.now();
    return this.#frame.store
      .ofType<RoleAssignmentBody, { effectiveAt: number }>('Microsoft.Authorization/roleAssignments')
      .find(({ body, hidden }) => {
        if (body.properties.principalId !== principalId || hidden.effectiveAt > now) return false;
        const role = roleOf(body.properties.roleDefinitionId);
        if (!role || !isWithin(scope, body.properties.scope) || !allows(role, permission)) return false;
        const { condition } = body.properties;
        if (typeof condition !== 'string' || !('action' in permission)) return true;
        return parseCondition(condition)?.({ action: permission.action, attributes }) === true;
      });
  }

  /** Refuses with ARM's sentence, or says by which role it is allowed. */
  require(principal: Principal, action: string, scope: string): Cause['role'] {
    const assignment = this.assignmentFor(principal.id, scope, { action });
    if (!assignment) {
      throw new Refusal(
        403,
        'AuthorizationFailed',
        `The client '${principal.appId ?? principal.displayName}' with object id '${principal.id}' does not have ` +
          `authorization to perform action '${action}' over scope '${scope || '/'}' or the scope is invalid. ` +
          'If access was recently granted, please refresh your credentials.',
      );
    }
    if (!action.endsWith('/read')) this.#requireUnlocked(principal, action, scope);
    return {
      name: roleOf(assignment.body.properties.roleDefinitionId)?.name ?? '',
      assignmentId: assignment.name.replaceAll('-', ''),
      assignmentScope: assignment.body.properties.scope,
    };
  }

  /** Whether the conditions on the caller's own assignments let this one be written or deleted. */
  requireAssignable(
    principal: Principal,
    action: string,
    scope: string,
    attributes: AssignmentAttributes,
  ): void {
    if (this.assignmentFor(principal.id, scope, { action }, attributes)) return;
    throw new Refusal(
      403,
      'AuthorizationFailed',
      `The client '${principal.appId ?? principal.displayName}' with object id '${principal.id}' does not have ` +
        `authorization or an ABAC condition not fulfilled to perform action '${action}' over scope '${scope}' or the ` +
        'scope is invalid. If access was recently granted, please refresh your credentials.',
    );
  }

  /** The second check of a call that uses another resource. */
  requireLinked(
    principal: Principal,
    action: string,
    scope: string,
    linkedAction: string,
    linkedScope: string,
  ): void {
    if (this.isAllowed(principal.id, linkedScope, { action: linkedAction })) return;
    throw new Refusal(
      403,
      'LinkedAuthorizationFailed',
      `The client '${principal.appId ?? principal.displayName}' with object id '${principal.id}' has permission to ` +
        `perform action '${action}' on scope '${scope}'; however, it does not have permission to perform action(s) ` +
        `'${linkedAction.replace('/*/', '/')}' on the linked scope(s) '${linkedScope}' (respectively) or the linked ` +
        'scope(s) are invalid.',
    );
  }

  #requireUnlocked(principal: Principal, action: string, scope: string): void {
    for (const lock of this.#locks) {
      const denial = lock(scope);
      if (!denial) continue;
      throw new Refusal(
        403,
        'DenyAssignmentAuthorizationFailed',
        `The client '${principal.appId ?? principal.displayName}' with object id '${principal.id}' has permission to ` +
          `perform action '${action}' on scope '${scope}'; however, the access is denied because of the deny ` +
          `assignment with name '${denial.name}' and Id '${denial.id}' at scope '${denial.scope}'.`,
      );
    }
  }
}

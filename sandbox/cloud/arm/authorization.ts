/** Microsoft.Authorization: role assignments, which take time to work, and role definitions. */
import { z } from 'zod';
import { durations } from './durations.ts';
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers, readOnly } from './frame/request-body.ts';
import type { Call, Change, ResourceType } from './frame/resource-type.ts';
import { isWithin, sameId } from './frame/target.ts';
import type { RoleAssignmentBody } from './rights.ts';
import { parseCondition } from './role-conditions.ts';
import { builtInRoles, type Role, roleOf } from './roles.ts';

const ROLE_ASSIGNMENTS = 'Microsoft.Authorization/roleAssignments';
const API_VERSIONS = [
  '2022-04-01',
  '2020-10-01-preview',
  '2020-08-01-preview',
  '2020-04-01-preview',
  '2018-07-01',
];
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const assignmentBody = z.strictObject({
  ...childMembers,
  properties: z.strictObject({
    roleDefinitionId: z.string().min(1),
    principalId: z.string().regex(GUID),
    principalType: z.enum(['User', 'Group', 'ServicePrincipal', 'ForeignGroup', 'Device']).optional(),
    description: z.string().nullish(),
    condition: z.string().nullish(),
    conditionVersion: z.string().nullish(),
    delegatedManagedIdentityResourceId: z.string().nullish(),
    ...readOnly('scope', 'createdOn', 'updatedOn', 'createdBy', 'updatedBy'),
  }),
});
type AssignmentInput = z.infer<typeof assignmentBody>;

function putAssignment(
  call: Call,
  input: AssignmentInput,
  before: { body: RoleAssignmentBody; hidden: { effectiveAt: number } } | undefined,
): Change<RoleAssignmentBody, { effectiveAt: number }> {
  const { frame, now } = call;
  const given = input.properties;
  const role = roleOf(given.roleDefinitionId);
  if (!role) {
    throw new Refusal(
      404,
      'RoleDefinitionDoesNotExist',
      `The specified role definition with ID '${given.roleDefinitionId.split('/').at(-1)}' does not exist.`,
    );
  }
  const roleDefinitionId = `${frame.subscriptionScope}/providers/Microsoft.Authorization/roleDefinitions/${role.guid}`;
  const scope = call.parentId || '/';
  if (before) {
    const old = before.body.properties;
    if (old.principalId === given.principalId && old.roleDefinitionId === roleDefinitionId) {
      const { principalType } = old;
      return { body: { properties: { ...old, ...given, principalType, roleDefinitionId } } };
    }
    throw new Refusal(
      400,
      'RoleAssignmentUpdateNotPermitted',
      'Tenant ID, application ID, principal ID, and scope are not allowed to be updated.',
    );
  }
  const twin = frame.store
    .ofType<RoleAssignmentBody>(ROLE_ASSIGNMENTS)
    .find(
      ({ body: { properties } }) =>
        properties.principalId === given.principalId &&
        sameId(properties.roleDefinitionId, roleDefinitionId) &&
        sameId(properties.scope, scope),
    );
  if (twin) {
    throw new Refusal(
      409,
      'RoleAssignmentExists',
      `The role assignment already exists. The ID of the conflicting role assignment is ${twin.name.replaceAll('-', '')}.`,
    );
  }
  const principalType = requirePrincipal(call, given.principalId, given.principalType);
  frame.rights.requireAssignable(call.caller, `${ROLE_ASSIGNMENTS}/write`, call.id, {
    RoleDefinitionId: role.guid,
    PrincipalId: given.principalId,
    PrincipalType: principalType,
  });
  requireReadableCondition(given.condition);
  const effectiveAt = now + durations.roleAssignmentPropagation;
  frame.operations.touchAt(effectiveAt);
  const by = { createdBy: call.caller.id, updatedBy: call.caller.id };
  const on = { createdOn: new Date(now).toISOString(), updatedOn: new Date(now).toISOString() };
  return {
    body: { properties: { ...given, roleDefinitionId, scope, principalType, ...on, ...by } },
    hidden: { effectiveAt },
  };
}

function requireReadableCondition(condition: string | null | undefined): void {
  if (condition == null || parseCondition(condition)) return;
  throw new Refusal(
    400,
    'InvalidConditionFormat',
    'The condition is invalid, or says something the sandbox cannot judge.',
  );
}

/** A stated principal type skips the lookup; without it a principal must have replicated. */
function requirePrincipal(call: Call, principalId: string, stated: string | undefined): string {
  const principal = call.frame.neighbours.directory.findPrincipal(principalId);
  const kind = principal?.kind === 'user' ? 'User' : 'ServicePrincipal';
  if (stated === undefined) {
    const age = call.now - (principal?.createdAt ?? 0);
    if (!principal || age < durations.principalReplication) {
      throw new Refusal(
        400,
        'PrincipalNotFound',
        `Principal ${principalId.replaceAll('-', '')} does not exist in the directory ` +
          `${call.frame.world.settings.tenantId}. Check that you have the correct principal ID. If you are creating ` +
          'this principal and then immediately assigning a role, this error might be related to a replication delay. ' +
          'In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, ' +
          'or Group.  See https://aka.ms/docs-principaltype',
      );
    }
    return kind;
  }
  if (principal && stated !== kind) {
    throw new Refusal(
      400,
      'UnmatchedPrincipalType',
      `The PrincipalId '${principalId.replaceAll('-', '')}' has type '${kind}', which is different from specified ` +
        `PrincipalType '${stated}'.`,
    );
  }
  return stated;
}

/** Assignments at and below the scope and those it inherits; `atScope()` leaves out those below. */
function listAssignments({ frame, id, url }: Call): Json[] {
  const filter = url.searchParams.get('$filter') ?? '';
  const principal = /(?:principalId eq|assignedTo\()\s*'([^']+)'/i.exec(filter)?.[1];
  if (filter !== '' && principal === undefined && !/atScope\(\)/i.test(filter)) {
    throw new Refusal(400, 'UnsupportedFilter', `The filter '${filter}' is not supported. `);
  }
  const isAtScope = /atScope\(\)/i.test(filter);
  return frame.store
    .ofType<RoleAssignmentBody>(ROLE_ASSIGNMENTS)
    .filter(({ body }) => {
      const { scope, principalId } = body.properties;
      const isInherited = isWithin(id, scope);
      const isBelow = isWithin(scope, id);
      return (
        (isInherited || (isBelow && !isAtScope)) && (principal === undefined || principalId === principal)
      );
    })
    .map((stored) => frame.show(stored));
}

const roleAssignments: ResourceType<RoleAssignmentBody, { effectiveAt: number }, AssignmentInput> = {
  type: ROLE_ASSIGNMENTS,
  apiVersions: API_VERSIONS,
  scope: 'any',
  name: {
    pattern: GUID,
    code: 'InvalidRoleAssignmentId',
    message: "The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID.",
  },
  body: assignmentBody,
  put: putAssignment,
  remove: (call, before) => {
    const { roleDefinitionId, principalId, principalType } = before.body.properties;
    call.frame.rights.requireAssignable(call.caller, `${ROLE_ASSIGNMENTS}/delete`, call.id, {
      RoleDefinitionId: roleDefinitionId,
      PrincipalId: principalId,
      PrincipalType: principalType,
    });
    return {};
  },
  list: listAssignments,
};

const roleDefinitions: ResourceType = {
  type: 'Microsoft.Authorization/roleDefinitions',
  apiVersions: ['2022-05-01-preview', '2022-04-01', '2018-01-01-preview', '2015-07-01'],
  scope: 'any',
  get: ({ frame, name }) => {
    const role = roleOf(name);
    return role && describeRole(frame.subscriptionScope, role);
  },
  list: ({ frame, url }) => {
    const named = /roleName eq '([^']+)'/i.exec(url.searchParams.get('$filter') ?? '')?.[1];
    return builtInRoles
      .filter(({ name }) => named === undefined || name.toLowerCase() === named.toLowerCase())
      .map((role) => describeRole(frame.subscriptionScope, role));
  },
};

function describeRole(scope: string, role: Role): Json {
  return {
    id: `${scope}/providers/Microsoft.Authorization/roleDefinitions/${role.guid}`,
    name: role.guid,
    type: 'Microsoft.Authorization/roleDefinitions',
    properties: {
      roleName: role.name,
      type: 'BuiltInRole',
      description: role.description,
      assignableScopes: ['/'],
      permissions: [
        {
          actions: role.actions,
          notActions: role.notActions ?? [],
          dataActions: role.dataActions ?? [],
          notDataActions: role.notDataActions ?? [],
        },
      ],
    },
  };
}

export const authorizationTypes = [roleAssignments, roleDefinitions] as const;

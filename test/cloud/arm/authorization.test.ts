import { randomUUID } from 'node:crypto';
import { AuthorizationManagementClient } from '@azure/arm-authorization';
import { ManagedServiceIdentityClient } from '@azure/arm-msi';
import { ResourceManagementClient } from '@azure/arm-resources';
import { beforeEach, expect, test } from 'vitest';
import {
  givenGroup,
  location,
  MINUTE,
  openTenant,
  refusalOf,
  subscriptionId,
  type Tenant,
} from './tenant.ts';

const SECRETS_USER = '4633458b-17de-408a-b874-0445c86b69e6';
const READER = 'acdd72a7-3385-48ef-bd42-f606fba81ae7';

let tenant: Tenant;
let group: string;
let client: AuthorizationManagementClient;

beforeEach(async () => {
  tenant = openTenant();
  group = await givenGroup(tenant);
  client = new AuthorizationManagementClient(tenant.as(), subscriptionId, tenant.options);
});

const role = (guid: string): string =>
  `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${guid}`;

test('an assignment works after it has propagated, on its scope and below', async () => {
  const { id, appId } = tenant.directory.addManagedIdentity('reader');
  expect(appId).toBeDefined();
  await client.roleAssignments.create(group, randomUUID(), {
    roleDefinitionId: role(READER),
    principalId: id,
    principalType: 'ServicePrincipal',
  });
  const theirs = new ResourceManagementClient(tenant.as(id), subscriptionId, tenant.options);
  expect(await refusalOf(theirs.resourceGroups.get('rg'))).toEqual({
    status: 403,
    code: 'AuthorizationFailed',
  });
  tenant.pass(2 * MINUTE);
  expect((await theirs.resourceGroups.get('rg')).name).toBe('rg');
  expect(await refusalOf(theirs.resourceGroups.createOrUpdate('rg', { location }))).toEqual({
    status: 403,
    code: 'AuthorizationFailed',
  });
  await givenGroup(tenant, 'rg2');
  expect(await refusalOf(theirs.resourceGroups.get('rg2'))).toMatchObject({ status: 403 });
  const seen: (string | undefined)[] = [];
  for await (const { name } of theirs.resourceGroups.list()) seen.push(name);
  expect(seen).toEqual(['rg']);
});

test('data actions are apart from actions', async () => {
  const { id } = tenant.directory.addManagedIdentity('app');
  await client.roleAssignments.create(group, randomUUID(), {
    roleDefinitionId: role(SECRETS_USER),
    principalId: id,
    principalType: 'ServicePrincipal',
  });
  tenant.pass(2 * MINUTE);
  const allowed = (permission: { action: string } | { dataAction: string }): boolean =>
    tenant.arm.authorization.isAllowed(id, `${group}/providers/Microsoft.KeyVault/vaults/v`, permission);
  expect(allowed({ dataAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/action' })).toBe(true);
  expect(allowed({ dataAction: 'Microsoft.KeyVault/vaults/secrets/setSecret/action' })).toBe(false);
  expect(allowed({ action: 'Microsoft.KeyVault/vaults/read' })).toBe(false);
});

test('a principal made just now needs a principal type', async () => {
  const { id } = tenant.directory.addManagedIdentity('fresh');
  const assign = () =>
    client.roleAssignments.create(group, randomUUID(), { roleDefinitionId: role(READER), principalId: id });
  expect(await refusalOf(assign())).toEqual({ status: 400, code: 'PrincipalNotFound' });
  tenant.pass(2 * MINUTE);
  expect((await assign()).principalType).toBe('ServicePrincipal');
});

test('names are GUIDs, triples are unique, and an assignment does not change', async () => {
  const principalId = tenant.directory.addManagedIdentity('one').id;
  const other = tenant.directory.addManagedIdentity('other').id;
  const body = { roleDefinitionId: role(READER), principalId, principalType: 'ServicePrincipal' };
  expect(await refusalOf(client.roleAssignments.create(group, 'not-a-guid', body))).toMatchObject({
    code: 'InvalidRoleAssignmentId',
  });
  const name = randomUUID();
  const made = await client.roleAssignments.create(group, name, body);
  expect((await client.roleAssignments.create(group, name, body)).id).toBe(made.id);
  expect(await refusalOf(client.roleAssignments.create(group, randomUUID(), body))).toEqual({
    status: 409,
    code: 'RoleAssignmentExists',
  });
  expect(
    await refusalOf(client.roleAssignments.create(group, name, { ...body, principalId: other })),
  ).toEqual({
    status: 400,
    code: 'RoleAssignmentUpdateNotPermitted',
  });
  const unknown = { ...body, roleDefinitionId: role('00000000-0000-4000-8000-000000000000') };
  expect(await refusalOf(client.roleAssignments.create(group, randomUUID(), unknown))).toEqual({
    status: 404,
    code: 'RoleDefinitionDoesNotExist',
  });
});

test('lists are by scope and principal', async () => {
  const principalId = tenant.directory.addManagedIdentity('one').id;
  await client.roleAssignments.create(group, randomUUID(), {
    roleDefinitionId: role(READER),
    principalId,
    principalType: 'ServicePrincipal',
  });
  const list = async (scope: string, filter: string): Promise<(string | undefined)[]> => {
    const found: (string | undefined)[] = [];
    for await (const one of client.roleAssignments.listForScope(scope, { filter }))
      found.push(one.principalId);
    return found;
  };
  expect(await list(group, `principalId eq '${principalId}'`)).toEqual([principalId]);
  expect(await list(group, 'atScope()')).toContain(principalId);
  expect(await list(`/subscriptions/${subscriptionId}`, 'atScope()')).not.toContain(principalId);
  const { value: reader } = await client.roleDefinitions
    .list(group, { filter: "roleName eq 'Reader'" })
    .next();
  expect(reader?.name).toBe(READER);
});

test('an identity takes its principal with it, and its assignments stay behind', async () => {
  const identities = new ManagedServiceIdentityClient(tenant.as(), subscriptionId, tenant.options);
  const made = await identities.userAssignedIdentities.createOrUpdate('rg', 'uai-one', { location });
  const principalId = made.principalId ?? '';
  const name = randomUUID();
  await client.roleAssignments.create(group, name, {
    roleDefinitionId: role(READER),
    principalId,
    principalType: 'ServicePrincipal',
  });
  await identities.userAssignedIdentities.delete('rg', 'uai-one');
  expect((await client.roleAssignments.get(group, name)).principalId).toBe(principalId);
  const again = await identities.userAssignedIdentities.createOrUpdate('rg', 'uai-one', { location });
  expect(again.principalId).not.toBe(principalId);
});

test('a condition limits which roles its holder may hand out', async () => {
  const admin = tenant.directory.addManagedIdentity('admin').id;
  const other = tenant.directory.addManagedIdentity('other').id;
  const attribute = 'Microsoft.Authorization/roleAssignments:RoleDefinitionId';
  await client.roleAssignments.create(group, randomUUID(), {
    roleDefinitionId: role('f58310d9-a9f6-439a-9e8d-f62e7b41a168'),
    principalId: admin,
    principalType: 'ServicePrincipal',
    conditionVersion: '2.0',
    condition:
      `((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (@Request[${attribute}] ` +
      `ForAnyOfAnyValues:GuidEquals {${SECRETS_USER}})) AND ((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) ` +
      `OR (@Resource[${attribute}] ForAnyOfAnyValues:GuidEquals {${SECRETS_USER}}))`,
  });
  tenant.pass(2 * MINUTE);
  const theirs = new AuthorizationManagementClient(tenant.as(admin), subscriptionId, tenant.options);
  const assign = (guid: string) =>
    theirs.roleAssignments.create(group, randomUUID(), {
      roleDefinitionId: role(guid),
      principalId: other,
      principalType: 'ServicePrincipal',
    });
  const made = await assign(SECRETS_USER);
  expect(await refusalOf(assign(READER))).toEqual({ status: 403, code: 'AuthorizationFailed' });
  await theirs.roleAssignments.delete(group, made.name ?? '');
  const unreadable = client.roleAssignments.create(group, randomUUID(), {
    roleDefinitionId: role(READER),
    principalId: other,
    principalType: 'ServicePrincipal',
    condition: '@Environment[UtcNow] DateTimeLessThan 2030-01-01',
    conditionVersion: '2.0',
  });
  expect(await refusalOf(unreadable)).toEqual({ status: 400, code: 'InvalidConditionFormat' });
});

test('a lock keeps what is in its scope from being deleted', async () => {
  const lock = `${group}/providers/Microsoft.Authorization/locks/keep?api-version=2020-05-01`;
  await tenant.call('PUT', lock, { properties: { level: 'CanNotDelete' } });
  const resources = new ResourceManagementClient(tenant.as(), subscriptionId, tenant.options);
  expect(await refusalOf(resources.resourceGroups.beginDelete('rg'))).toEqual({
    status: 409,
    code: 'ScopeLocked',
  });
  await tenant.call('DELETE', lock);
  await resources.resourceGroups.beginDelete('rg');
});

/**
 * Graph's `/servicePrincipals` and `/oauth2PermissionGrants`: the presence of an application in the tenant, and what an
 * administrator consented to on behalf of everybody.
 * https://learn.microsoft.com/graph/api/resources/serviceprincipal
 */
import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { z } from 'zod';
import type { World } from '../world.ts';
import type { AuditTarget } from './directory-audits.ts';
import type { GraphEnv } from './graph-env.ts';
import { badRequest, bodyOf, collection, entity, GraphError, notFound } from './request.ts';
import {
  GRAPH_SERVICE_PRINCIPAL_ID,
  type PermissionGrant,
  type ServicePrincipal,
  type TenantObjects,
} from './tenant-objects.ts';

/** Delegated scopes of Microsoft Graph that exist and are asked for here; a grant of an unknown scope is refused. */
const GRAPH_SCOPES = [
  'openid',
  'email',
  'profile',
  'offline_access',
  'User.Read',
  'User.ReadBasic.All',
  'GroupMember.Read.All',
];

const principalChange = z.strictObject({
  accountEnabled: z.boolean().optional(),
  appRoleAssignmentRequired: z.boolean().optional(),
  description: z.string().nullish(),
  notes: z.string().nullish(),
  tags: z.array(z.string()).optional(),
  homepage: z.string().nullish(),
  preferredSingleSignOnMode: z.string().nullish(),
});
const principalBody = principalChange.extend({ appId: z.guid() });
const grantBody = z.strictObject({
  clientId: z.guid(),
  consentType: z.enum(['AllPrincipals', 'Principal']),
  principalId: z.guid().nullish(),
  resourceId: z.guid(),
  scope: z.string(),
});

export class ServicePrincipals {
  readonly #world: World;
  readonly #objects: TenantObjects;

  constructor(world: World, objects: TenantObjects) {
    this.#world = world;
    this.#objects = objects;
  }

  routes(): Hono<GraphEnv> {
    const routes = new Hono<GraphEnv>();
    routes.get('/', (context) => {
      context.var.caller.requireReadingApplications();
      const found = this.#objects.servicePrincipals
        .values()
        .filter((principal) => principal.deletedAt === undefined && this.#objects.isReplicated(principal));
      return collection(
        new URL(context.req.url),
        'servicePrincipals',
        found.map((principal) => this.#show(principal)),
      );
    });
    routes.post('/', async (context) => {
      const { caller } = context.var;
      const { appId, ...properties } = await bodyOf(context.req.raw, principalBody);
      const application = this.#objects.findApplication({ appId });
      if (!application) {
        caller.require('Application.ReadWrite.OwnedBy', 'Application.ReadWrite.All');
        throw badRequest(
          `The appId '${appId}' of the service principal does not reference a valid application object.`,
          { code: 'NoBackingApplicationObject', target: 'appId' },
        );
      }
      caller.requireOwnership(application);
      const isThere = this.#objects.servicePrincipals
        .values()
        .some((principal) => principal.appId === application.appId && principal.deletedAt === undefined);
      if (isThere) {
        throw new GraphError(
          409,
          'Request_MultipleObjectsWithSameKeyValue',
          `The service principal cannot be created, updated, or restored because the service principal name ${appId} is already in use.`,
        );
      }
      const principal: ServicePrincipal = {
        id: randomUUID(),
        appId: application.appId,
        type: 'Application',
        createdAt: this.#world.clock.now(),
        properties: {
          accountEnabled: true,
          ...properties,
          displayName: application.properties['displayName'],
        },
        ownerIds: [caller.principal.id],
        graphPermissions: [],
      };
      this.#objects.servicePrincipals.set(principal.id, principal);
      caller.did('Add service principal', targetOf(principal));
      return entity(new URL(context.req.url), 'servicePrincipals', this.#show(principal), 201);
    });
    routes.get('/:key', (context) => {
      context.var.caller.requireReadingApplications();
      return entity(
        new URL(context.req.url),
        'servicePrincipals',
        this.#show(this.#get(context.req.param('key'))),
      );
    });
    routes.patch('/:key', async (context) => {
      const principal = this.#get(context.req.param('key'));
      context.var.caller.requireOwnership(principal);
      const changes = await bodyOf(context.req.raw, principalChange);
      this.#objects.servicePrincipals.set(principal.id, {
        ...principal,
        properties: { ...principal.properties, ...changes },
      });
      context.var.caller.did('Update service principal', targetOf(principal));
      return context.body(null, 204);
    });
    routes.delete('/:key', (context) => {
      const principal = this.#get(context.req.param('key'));
      context.var.caller.requireOwnership(principal);
      this.#objects.servicePrincipals.set(principal.id, { ...principal, deletedAt: this.#world.clock.now() });
      this.#objects.removeGrantsOf(principal.id);
      context.var.caller.did('Remove service principal', targetOf(principal));
      return context.body(null, 204);
    });
    routes.get('/:key/owners', (context) => {
      context.var.caller.requireReadingApplications();
      const { ownerIds } = this.#get(context.req.param('key'));
      return collection(
        new URL(context.req.url),
        'directoryObjects',
        ownerIds.map((id) => ({ id })),
      );
    });
    routes.get('/:key/oauth2PermissionGrants', (context) => {
      context.var.caller.requireReadingApplications();
      const { id } = this.#get(context.req.param('key'));
      return collection(
        new URL(context.req.url),
        'oauth2PermissionGrants',
        this.#visibleGrants().filter((grant) => grant['clientId'] === id),
      );
    });
    return routes;
  }

  grantRoutes(): Hono<GraphEnv> {
    const routes = new Hono<GraphEnv>();
    const write = ['DelegatedPermissionGrant.ReadWrite.All'];
    const read = [...write, 'DelegatedPermissionGrant.Read.All', 'Directory.Read.All'];
    routes.get('/', (context) => {
      context.var.caller.require(...read);
      return collection(new URL(context.req.url), 'oauth2PermissionGrants', this.#visibleGrants());
    });
    routes.post('/', async (context) => {
      context.var.caller.require(...write);
      const body = await bodyOf(context.req.raw, grantBody);
      for (const id of [body.clientId, body.resourceId]) {
        if (!this.#objects.findServicePrincipal({ id })) throw notFound(id);
      }
      if ((body.consentType === 'Principal') !== (body.principalId != null)) {
        throw badRequest('principalId must be set exactly when consentType is Principal.');
      }
      refuseUnknownScopes(body.resourceId, body.scope);
      const twin = this.#objects.grants
        .values()
        .some(
          (grant) =>
            grant.clientId === body.clientId &&
            grant.resourceId === body.resourceId &&
            grant.consentType === body.consentType &&
            grant.principalId === (body.principalId ?? null),
        );
      if (twin) {
        throw new GraphError(
          409,
          'Request_MultipleObjectsWithSameKeyValue',
          'Permission entry already exists.',
        );
      }
      const grant: PermissionGrant = {
        ...body,
        principalId: body.principalId ?? null,
        id: Buffer.from(randomUUID() + randomUUID())
          .toString('base64url')
          .slice(0, 43),
        createdAt: this.#world.clock.now(),
      };
      this.#objects.grants.set(grant.id, grant);
      context.var.caller.did('Add delegated permission grant', ...this.#targetsOf(grant));
      return entity(new URL(context.req.url), 'oauth2PermissionGrants', showGrant(grant), 201);
    });
    routes.get('/:id', (context) => {
      context.var.caller.require(...read);
      const grant = this.#getGrant(context.req.param('id'));
      return entity(new URL(context.req.url), 'oauth2PermissionGrants', showGrant(grant));
    });
    routes.patch('/:id', async (context) => {
      context.var.caller.require(...write);
      const grant = this.#getGrant(context.req.param('id'));
      const { scope } = await bodyOf(context.req.raw, z.strictObject({ scope: z.string() }));
      refuseUnknownScopes(grant.resourceId, scope);
      this.#objects.grants.set(grant.id, { ...grant, scope });
      context.var.caller.did('Add delegated permission grant', ...this.#targetsOf(grant));
      return context.body(null, 204);
    });
    routes.delete('/:id', (context) => {
      context.var.caller.require(...write);
      const grant = this.#getGrant(context.req.param('id'));
      this.#objects.grants.delete(grant.id);
      context.var.caller.did('Remove delegated permission grant', ...this.#targetsOf(grant));
      return context.body(null, 204);
    });
    return routes;
  }

  #visibleGrants(): Record<string, unknown>[] {
    return this.#objects.grants
      .values()
      .filter((grant) => this.#objects.isReplicated(grant))
      .map(showGrant);
  }

  #getGrant(id: string): PermissionGrant {
    const grant = this.#objects.grants.get(id);
    if (!grant || !this.#objects.isReplicated(grant)) throw notFound(id);
    return grant;
  }

  /** What is granted belongs to the resource; to whom it is granted comes after it. */
  #targetsOf({ resourceId, clientId }: PermissionGrant): readonly AuditTarget[] {
    return [resourceId, clientId].flatMap((id) => {
      const principal = this.#objects.servicePrincipals.get(id);
      return principal ? [targetOf(principal)] : [];
    });
  }

  #get(key: string): ServicePrincipal {
    const [, appId] = /^appId='(.+)'$/.exec(key) ?? [];
    const found = this.#objects.findServicePrincipal(appId === undefined ? { id: key } : { appId });
    if (!found) throw notFound(appId ?? key);
    return found;
  }

  #show(principal: ServicePrincipal): Record<string, unknown> {
    const isGraph = principal.id === GRAPH_SERVICE_PRINCIPAL_ID;
    return {
      accountEnabled: true,
      appRoleAssignmentRequired: false,
      description: null,
      notes: null,
      tags: [],
      ...principal.properties,
      appDisplayName: principal.type === 'Application' ? principal.properties['displayName'] : null,
      appOwnerOrganizationId: isGraph
        ? 'f8cdef31-a31e-4b4a-93e4-5f571e91255a'
        : this.#world.settings.tenantId,
      id: principal.id,
      appId: principal.appId,
      servicePrincipalType: principal.type,
      servicePrincipalNames: [principal.appId],
      createdDateTime: new Date(principal.createdAt).toISOString(),
      deletedDateTime: null,
    };
  }
}

const targetOf = ({ id, properties }: ServicePrincipal): AuditTarget => ({
  id,
  type: 'ServicePrincipal',
  displayName: String(properties['displayName']),
});

function showGrant(grant: PermissionGrant): Record<string, unknown> {
  const { id, clientId, consentType, principalId, resourceId, scope } = grant;
  return { clientId, consentType, id, principalId, resourceId, scope };
}

function refuseUnknownScopes(resourceId: string, scope: string): void {
  if (resourceId !== GRAPH_SERVICE_PRINCIPAL_ID) return;
  const unknown = scope.split(' ').filter((name) => name !== '' && !GRAPH_SCOPES.includes(name));
  if (unknown.length > 0) throw badRequest(`The scope ${unknown.join(' ')} does not exist on the resource.`);
}

import { z } from 'zod';
import { findInGraph, graphBody, graphDone, graphPath, notReplicated } from '../../clients/graph.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';
import { application, MICROSOFT_GRAPH, signInPermissions } from './application.ts';
import { servicePrincipal } from './service-principal.ts';

const grantSchema = z.object({
  id: z.string(),
  clientId: z.string(),
  consentType: z.string(),
  resourceId: z.string(),
  scope: z
    .string()
    .nullish()
    .transform((scope) => (scope ?? '').split(' ').filter((word) => word !== '')),
});

/** Grants name objects of the tenant, also for Microsoft Graph, whose object id differs from tenant to tenant. */
export async function microsoftGraphId({ clients }: Pick<Scope, 'clients'>): Promise<string> {
  const found = await findInGraph(
    z.object({ id: z.string() }),
    graphPath(clients.graph())`/servicePrincipals(appId='${MICROSOFT_GRAPH}')`.get({
      queryParameters: { $select: 'id' },
    }),
  );
  if (!found) throw notReplicated('Microsoft Graph');
  return found.id;
}

export async function findConsent(
  { clients }: Pick<Scope, 'clients'>,
  principalId: string,
  resourceId: string,
) {
  const { value } = await graphBody(
    z.object({ value: z.array(grantSchema) }),
    graphPath(clients.graph())`/oauth2PermissionGrants`.get({
      queryParameters: { $filter: `clientId eq '${principalId}' and consentType eq 'AllPrincipals'` },
    }),
  );
  return value.find((grant) => grant.resourceId === resourceId);
}

export const consentScopes: readonly string[] = Object.keys(signInPermissions);

/**
 * Consent for everybody in the tenant, so that nobody is asked when signing in. Scopes somebody granted beyond ours are
 * kept. https://learn.microsoft.com/graph/api/oauth2permissiongrant-post
 */
export const adminConsent = defineResource({
  key: 'entra/admin-consent',
  title: 'Admin consent',
  dependsOn: { application, servicePrincipal },

  async observe(scope, deps) {
    const grant = await findConsent(scope, deps.servicePrincipal.id, await microsoftGraphId(scope));
    if (!grant) return { state: 'absent' };
    const missing = consentScopes.filter((permission) => !grant.scope.includes(permission));
    if (missing.length === 0) return { state: 'ready', outputs: {} };
    return {
      state: 'drifted',
      outputs: {},
      differences: [{ path: 'scope', wanted: [...consentScopes], found: grant.scope }],
    };
  },

  async ensure(scope, deps) {
    const graph = scope.clients.graph();
    const resourceId = await microsoftGraphId(scope);
    const clientId = deps.servicePrincipal.id;
    const grant = await findConsent(scope, clientId, resourceId);
    if (grant) {
      const together = [...new Set([...grant.scope, ...consentScopes])].join(' ');
      await graphDone(
        graphPath(graph)`/oauth2PermissionGrants/${grant.id}`.patch({ body: { scope: together } }),
      );
      return;
    }
    const answer = await graphPath(graph)`/oauth2PermissionGrants`.post({
      body: { clientId, consentType: 'AllPrincipals', resourceId, scope: consentScopes.join(' ') },
    });
    // 409: an earlier attempt made it, and the directory did not show it when we looked.
    if (answer.status === '409') return;
    if (answer.status === '404') throw notReplicated('the service principal');
    await graphDone(Promise.resolve(answer));
  },

  async remove(scope, deps) {
    if (!deps.servicePrincipal) return;
    const grant = await findConsent(scope, deps.servicePrincipal.id, await microsoftGraphId(scope));
    if (!grant) return;
    const answer = await graphPath(scope.clients.graph())`/oauth2PermissionGrants/${grant.id}`.delete();
    if (answer.status !== '404') await graphDone(Promise.resolve(answer));
  },
});

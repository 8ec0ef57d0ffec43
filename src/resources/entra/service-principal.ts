import { createRestError } from '@azure-rest/core-client';
import { z } from 'zod';
import { findInGraph, graphPath, notReplicated } from '../../clients/graph.ts';
import { markOf } from '../../naming.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';
import { application } from './application.ts';

const principalSchema = z.object({
  id: z.string(),
  accountEnabled: z.boolean().nullish(),
  tags: z.array(z.string()).default([]),
});

export const findServicePrincipal = ({ clients }: Pick<Scope, 'clients'>, clientId: string) =>
  findInGraph(
    principalSchema,
    graphPath(clients.graph())`/servicePrincipals(appId='${clientId}')`.get({
      queryParameters: { $select: 'id,accountEnabled,tags' },
    }),
  );

/**
 * The application as somebody in the tenant. There is at most one per application, so it belongs to whom the application
 * belongs; the tag is for people who look at the directory.
 */
export const servicePrincipal = defineResource({
  key: 'entra/service-principal',
  title: 'Service principal',
  dependsOn: { application },

  async observe(scope, deps) {
    const found = await findServicePrincipal(scope, deps.application.clientId);
    if (!found) return { state: 'absent' };
    const outputs = { id: found.id };
    if (found.accountEnabled === false) {
      const disabled = { path: 'accountEnabled', wanted: true, found: false };
      return { state: 'drifted', outputs, differences: [disabled] };
    }
    return { state: 'ready', outputs };
  },

  async ensure({ clients, names }, deps, seen) {
    if (seen.state === 'drifted') {
      const { id } = seen.outputs;
      const answer = await graphPath(clients.graph())`/servicePrincipals/${id}`.patch({
        body: { accountEnabled: true },
      });
      if (!answer.status.startsWith('2')) throw createRestError(answer);
      return;
    }
    const answer = await graphPath(clients.graph())`/servicePrincipals`.post({
      body: { appId: deps.application.clientId, tags: [markOf(names.deployment)] },
    });
    // 409: an earlier attempt made it, and the directory did not show it when we looked.
    if (answer.status === '409') return;
    // 400 or 404: this replica of the directory does not know the application yet (msgraph-sdk-dotnet #3108).
    if (answer.status === '404' || (answer.status === '400' && refersToUnknownApplication(answer.body))) {
      throw notReplicated('the app registration');
    }
    if (!answer.status.startsWith('2')) throw createRestError(answer);
  },

  async remove(scope, deps) {
    if (!deps.application) return;
    const found = await findServicePrincipal(scope, deps.application.clientId);
    if (!found) return;
    const answer = await graphPath(scope.clients.graph())`/servicePrincipals/${found.id}`.delete();
    if (answer.status !== '404' && !answer.status.startsWith('2')) throw createRestError(answer);
  },
});

const refersToUnknownApplication = (body: unknown): boolean =>
  z
    .object({
      error: z.object({ message: z.string().regex(/does not reference a valid application object/i) }),
    })
    .safeParse(body).success;

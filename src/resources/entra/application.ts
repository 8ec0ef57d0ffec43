/**
 * The app registration through which people sign in. It is created by upsert under a key of our choosing, `uniqueName`,
 * so that a crash or a lost reply never makes a second one:
 * https://learn.microsoft.com/graph/api/application-upsert
 */
import { z } from 'zod';
import { findInGraph, graphDone, graphPath, notReplicated } from '../../clients/graph.ts';
import { differences } from '../../graph/differences.ts';
import { markOf } from '../../naming.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';

/** Microsoft Graph itself, the same in every tenant. */
export const MICROSOFT_GRAPH = '00000003-0000-0000-c000-000000000000';

/** Delegated permissions by name; ids from https://learn.microsoft.com/graph/permissions-reference */
export const signInPermissions = {
  'User.Read': 'e1fe6dd8-ba31-4d61-89e7-88639da4683d',
  openid: '37f7f235-527c-4136-accd-4a02d197296e',
  email: '64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0',
  profile: '14dad69e-099b-42c9-810b-d002981feec1',
  offline_access: '7427e0e9-2fba-42fe-b0c0-848c9e6a8182',
} as const;

export const redirectUri = ({ tunnel }: Scope['spec']): string =>
  `https://${tunnel.hostName}/oauth/microsoft/callback`;

const applicationSchema = z.object({
  id: z.string(),
  appId: z.string(),
  displayName: z.string().nullish(),
  signInAudience: z.string().nullish(),
  tags: z.array(z.string()).default([]),
  web: z
    .object({
      redirectUris: z.array(z.string()).default([]),
      implicitGrantSettings: z
        .object({
          enableIdTokenIssuance: z.boolean().nullish(),
          enableAccessTokenIssuance: z.boolean().nullish(),
        })
        .nullish(),
    })
    .nullish(),
  requiredResourceAccess: z
    .array(
      z.object({
        resourceAppId: z.string(),
        resourceAccess: z.array(z.object({ id: z.string(), type: z.string() })),
      }),
    )
    .default([]),
});
type Application = z.output<typeof applicationSchema>;

const byId = (one: { readonly id: string }, other: { readonly id: string }): number =>
  one.id.localeCompare(other.id);

function wish({ spec }: Scope) {
  return {
    displayName: spec.sso.applicationName,
    signInAudience: 'AzureADMyOrg',
    web: {
      // Exactly this one: any other address would be somewhere sign-ins could be sent to.
      redirectUris: [redirectUri(spec)],
      implicitGrantSettings: { enableIdTokenIssuance: true, enableAccessTokenIssuance: false },
    },
    requiredResourceAccess: [
      {
        resourceAppId: MICROSOFT_GRAPH,
        resourceAccess: Object.values(signInPermissions)
          .map((id) => ({ id, type: 'Scope' }))
          .toSorted(byId),
      },
    ],
  };
}

/** Order means nothing among permissions; Graph keeps its own. */
const inOrder = (found: Application): Application => ({
  ...found,
  requiredResourceAccess: found.requiredResourceAccess.map(({ resourceAppId, resourceAccess }) => ({
    resourceAppId,
    resourceAccess: resourceAccess.toSorted(byId),
  })),
});

export const findApplication = ({
  clients,
  names,
}: Pick<Scope, 'clients' | 'names'>): Promise<Application | undefined> =>
  findInGraph(
    applicationSchema,
    graphPath(clients.graph())`/applications(uniqueName='${names.application}')`.get({
      queryParameters: {
        $select: 'id,appId,displayName,signInAudience,tags,web,requiredResourceAccess',
      },
    }),
  );

/** Said when the directory knows the key, but not yet the application that has it. */
const isTaken = z.object({
  error: z.object({ message: z.string().regex(/same value for property uniqueName already exists/i) }),
});

const isOurs = ({ tags }: Application, { names }: Scope): boolean => tags.includes(markOf(names.deployment));

export const application = defineResource({
  key: 'entra/application',
  title: 'App registration',
  dependsOn: {},

  async observe(scope) {
    const found = await findApplication(scope);
    if (!found) return { state: 'absent' };
    if (!isOurs(found, scope)) {
      return {
        state: 'foreign',
        reason: `the app registration ${scope.names.application} exists without this deployment's tag`,
      };
    }
    const outputs = { clientId: found.appId, objectId: found.id };
    const wrong = differences(wish(scope), inOrder(found));
    return wrong.length === 0
      ? { state: 'ready', outputs }
      : { state: 'drifted', outputs, differences: wrong };
  },

  async ensure(scope, _deps, seen) {
    const { clients, names } = scope;
    // Tags are other people's too (`HideApp` and the like), so they are only written when the application is made.
    const tags = seen.state === 'absent' ? { tags: [markOf(names.deployment)] } : {};
    const answer = await graphPath(clients.graph())`/applications(uniqueName='${names.application}')`.patch({
      headers: { Prefer: 'create-if-missing' },
      body: { ...wish(scope), ...tags },
    });
    if (isTaken.safeParse(answer.body).success) throw notReplicated('the app registration');
    await graphDone(Promise.resolve(answer));
  },

  async remove(scope) {
    const found = await findApplication(scope);
    if (!found || !isOurs(found, scope)) return;
    const answer = await graphPath(scope.clients.graph())`/applications/${found.id}`.delete();
    if (answer.status !== '404') await graphDone(Promise.resolve(answer));
  },
});

import { type Json, operatorName, type People } from './people.ts';
import { at, type Seed } from './seed.ts';

const application = (path: string) => ({ resource: 'entra/application', path }) as const;
const writes = /^PATCH graph\.microsoft\.com\/v1\.0\/applications\(uniqueName='open-webui-[^']+'\)/;
const scopes = ['User.Read', 'openid', 'email', 'profile', 'offline_access'];
const home = 'https://open-webui.yourdomain.com/oauth/microsoft/callback';

/** Ten changes in the directory: six are put right, four told. Its audit log tells who made them. */
export async function entraSeeds({ graph }: People): Promise<readonly Seed[]> {
  const byName = "/applications?$filter=displayName eq 'open-webui-app'";
  const found = at(await graph('GET', byName), 'value', 0);
  const app = `/applications/${at(found, 'id')}`;
  const requested = at(found, 'requiredResourceAccess') as {
    resourceAppId: string;
    resourceAccess: { id: string; type: string }[];
  }[];
  const sorted = requested.map(({ resourceAppId, resourceAccess }) => ({
    resourceAppId,
    resourceAccess: resourceAccess.toSorted((one, other) => one.id.localeCompare(other.id)),
  }));
  const fewer = sorted.map((of) => ({ ...of, resourceAccess: of.resourceAccess.slice(0, 2) }));
  const principal = `/servicePrincipals(appId='${at(found, 'appId')}')`;
  const change = (body: Json) => () => graph('PATCH', app, body);
  const read =
    (...field: readonly string[]) =>
    async (): Promise<Json> =>
      at(await graph('GET', app), ...field);
  const grant = async () => {
    const { id } = (await graph('GET', principal)) as { id: string };
    const all = at(await graph('GET', `/servicePrincipals/${id}/oauth2PermissionGrants`), 'value');
    return at(all, 0) as { id: string; scope: string };
  };
  /** Their order means nothing. */
  const granted = async (): Promise<Json> => {
    const all = (await grant()).scope.split(' ');
    return scopes.filter((scope) => all.includes(scope));
  };
  const regrant = (scope: string) => async () =>
    graph('PATCH', `/oauth2PermissionGrants/${(await grant()).id}`, { scope });

  const seeds: readonly Omit<Seed, 'actor'>[] = [
    {
      what: 'the app registration has another name',
      ...application('displayName'),
      ...{ wanted: 'open-webui-app', found: 'Chat', policy: 'repair' },
      make: change({ displayName: 'Chat' }),
      read: read('displayName'),
      writes,
    },
    {
      what: 'sign-ins may be sent elsewhere, too',
      ...application('web.redirectUris'),
      ...{ wanted: [home], found: [home, 'https://chat.example.com/callback'], policy: 'repair' },
      make: change({ web: { redirectUris: [home, 'https://chat.example.com/callback'] } }),
      read: read('web', 'redirectUris'),
      writes,
    },
    {
      what: 'other tenants may sign in',
      ...application('signInAudience'),
      ...{ wanted: 'AzureADMyOrg', found: 'AzureADMultipleOrgs', policy: 'repair' },
      make: change({ signInAudience: 'AzureADMultipleOrgs' }),
      read: read('signInAudience'),
      writes,
    },
    {
      what: 'nobody may sign in',
      resource: 'entra/service-principal',
      path: 'accountEnabled',
      ...{ wanted: true, found: false, policy: 'repair' },
      make: () => graph('PATCH', principal, { accountEnabled: false }),
      read: async () => at(await graph('GET', principal), 'accountEnabled'),
      writes: /^PATCH graph\.microsoft\.com\/v1\.0\/servicePrincipals\//,
    },
    {
      what: 'consent is taken back in part',
      resource: 'entra/admin-consent',
      path: 'scope',
      wanted: scopes,
      found: ['User.Read', 'openid'],
      policy: 'repair',
      make: regrant('User.Read openid'),
      read: granted,
      writes: /^PATCH graph\.microsoft\.com\/v1\.0\/oauth2PermissionGrants\//,
    },
    {
      what: 'the application asks for fewer permissions',
      ...application('requiredResourceAccess'),
      ...{ wanted: sorted, found: fewer, policy: 'repair' },
      make: change({ requiredResourceAccess: fewer }),
      read: async () =>
        (at(await graph('GET', app), 'requiredResourceAccess') as typeof sorted).map((of) => ({
          ...of,
          resourceAccess: of.resourceAccess.toSorted((one, other) => one.id.localeCompare(other.id)),
        })),
      writes,
    },
    {
      what: 'ID tokens are not given any more',
      ...application('web.implicitGrantSettings.enableIdTokenIssuance'),
      ...{ wanted: true, found: false, policy: 'report' },
      make: change({ web: { implicitGrantSettings: { enableIdTokenIssuance: false } } }),
      read: read('web', 'implicitGrantSettings', 'enableIdTokenIssuance'),
    },
    {
      what: 'consent for staying signed in is taken back',
      resource: 'entra/admin-consent',
      path: 'scope',
      wanted: scopes,
      found: scopes.slice(0, 4),
      policy: 'report',
      make: regrant(scopes.slice(0, 4).join(' ')),
      read: granted,
    },
    {
      what: 'access tokens are given, too',
      ...application('web.implicitGrantSettings.enableAccessTokenIssuance'),
      ...{ wanted: false, found: true, policy: 'report' },
      make: change({ web: { implicitGrantSettings: { enableAccessTokenIssuance: true } } }),
      read: read('web', 'implicitGrantSettings', 'enableAccessTokenIssuance'),
    },
    {
      what: 'personal accounts may sign in',
      ...application('signInAudience'),
      ...{ wanted: 'AzureADMyOrg', found: 'AzureADandPersonalMicrosoftAccount', policy: 'report' },
      make: change({ signInAudience: 'AzureADandPersonalMicrosoftAccount' }),
      read: read('signInAudience'),
    },
  ];
  return seeds.map((seed) => ({ ...seed, actor: operatorName }));
}

import { at, type Fault, type Hands } from './fault.ts';
import { setSecret } from './vault.ts';

const home = 'https://open-webui.yourdomain.com/oauth/microsoft/callback';
const elsewhere = 'https://elsewhere.example.com/oauth/microsoft/callback';

const redirect =
  (...redirectUris: readonly string[]) =>
  async (hands: Hands) =>
    hands.graph('PATCH', `/applications/${(await applicationOf(hands)).id}`, { web: { redirectUris } });

async function applicationOf({ graph }: Hands): Promise<{ readonly id: string; readonly appId: string }> {
  const found = await graph('GET', "/applications?$filter=displayName eq 'open-webui-app'");
  return at(found, 'value', 0) as { id: string; appId: string };
}

const principalOf = async (hands: Hands): Promise<string> =>
  `/servicePrincipals(appId='${(await applicationOf(hands)).appId}')`;

export const signInFaults: readonly Fault[] = [
  {
    what: 'Somebody has set another redirect URI',
    seed: 'Authentication: redirect URI',
    finding: 'entra/application redirect-uri-missing',
    break: redirect(elsewhere),
    mend: 'repair',
  },
  {
    what: 'Somebody has added a redirect URI',
    seed: 'Authentication: redirect URI',
    finding: 'entra/application redirect-uri-unknown',
    break: redirect(home, elsewhere),
    mend: redirect(home),
  },
  {
    what: 'Somebody has switched sign-in to the application off',
    seed: 'Usage 1: accessing Open WebUI',
    finding: 'entra/service-principal service-principal-disabled',
    break: async (hands) => hands.graph('PATCH', await principalOf(hands), { accountEnabled: false }),
    mend: 'repair',
  },
  {
    what: 'Somebody has revoked the consent',
    seed: 'Usage 1: accessing Open WebUI',
    finding: 'entra/admin-consent consent-missing',
    break: async (hands) => {
      const { id } = (await hands.graph('GET', await principalOf(hands))) as { id: string };
      const all = await hands.graph('GET', `/servicePrincipals/${id}/oauth2PermissionGrants`);
      for (const grant of at(all, 'value') as { id: string }[])
        await hands.graph('DELETE', `/oauth2PermissionGrants/${grant.id}`);
    },
    mend: 'repair',
  },
  {
    what: 'Somebody has put a wrong client secret into the vault',
    seed: 'Authentication: client secret',
    finding: 'entra/client-secret client-secret-invalid',
    break: (hands) => setSecret(hands, 'openwebui-client-secret', () => 'a-secret-that-never-was-one'),
    mend: 'repair',
  },
];

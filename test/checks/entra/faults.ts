/** What can go wrong with sign-in. */
import { z } from 'zod';
import { graphBody, graphDone, graphPath } from '../../../src/clients/graph.ts';
import { findApplication, redirectUri } from '../../../src/resources/entra/application.ts';
import { findServicePrincipal } from '../../../src/resources/entra/service-principal.ts';
import type { BrokenClouds, Fault } from '../broken-clouds.ts';

const graphOf = ({ azure }: BrokenClouds) => azure.scope().clients.graph();

async function objectsOf({ azure }: BrokenClouds) {
  const application = await findApplication(azure.scope());
  if (!application) throw new Error('there is no app registration');
  const principal = await findServicePrincipal(azure.scope(), application.appId);
  return { objectId: application.id, principalId: principal?.id ?? '' };
}

const change = async (clouds: BrokenClouds, body: object) => {
  const { objectId } = await objectsOf(clouds);
  await graphDone(graphPath(graphOf(clouds))`/applications/${objectId}`.patch({ body }));
};

const setRedirects = (clouds: BrokenClouds, redirectUris: readonly string[]) =>
  change(clouds, { web: { redirectUris } });

const store = async (clouds: BrokenClouds, value: string) => {
  const { names, clients } = clouds.azure.scope();
  const { properties } = await clients.vaults().vaults.get(names.resourceGroup, names.vault);
  await clients.secrets(properties.vaultUri ?? '').setSecret('openwebui-client-secret', value);
};

const grantsOf = async (clouds: BrokenClouds) => {
  const { principalId } = await objectsOf(clouds);
  const $filter = `clientId eq '${principalId}'`;
  const schema = z.object({ value: z.array(z.object({ id: z.string() })) });
  const path = graphPath(graphOf(clouds))`/oauth2PermissionGrants`;
  return (await graphBody(schema, path.get({ queryParameters: { $filter } }))).value;
};

export const entraFaults: readonly Fault[] = [
  {
    what: 'Somebody has set another redirect URI',
    finding: 'entra/application redirect-uri-missing',
    break: (clouds) => setRedirects(clouds, ['https://elsewhere.example.com/oauth/microsoft/callback']),
    mend: (clouds) => clouds.repair('entra/application'),
  },
  {
    what: 'Somebody has added a redirect URI',
    finding: 'entra/application redirect-uri-unknown',
    break: (clouds) =>
      setRedirects(clouds, [
        redirectUri(clouds.azure.scope().spec),
        'https://elsewhere.example.com/callback',
      ]),
    mend: (clouds) => clouds.repair('entra/application'),
  },
  {
    what: 'Somebody has switched sign-in to the application off',
    finding: 'entra/service-principal service-principal-disabled',
    break: async (clouds) => {
      const { principalId } = await objectsOf(clouds);
      const path = graphPath(graphOf(clouds))`/servicePrincipals/${principalId}`;
      await graphDone(path.patch({ body: { accountEnabled: false } }));
    },
    mend: (clouds) => clouds.repair('entra/service-principal'),
  },
  {
    what: 'Somebody has deleted the service principal',
    finding: 'entra/service-principal service-principal-missing',
    break: async (clouds) => {
      const { principalId } = await objectsOf(clouds);
      await graphDone(graphPath(graphOf(clouds))`/servicePrincipals/${principalId}`.delete());
    },
    mend: (clouds) => clouds.repair('entra/admin-consent'),
  },
  {
    what: 'Somebody has revoked the consent',
    finding: 'entra/admin-consent consent-missing',
    break: async (clouds) => {
      for (const { id } of await grantsOf(clouds))
        await graphDone(graphPath(graphOf(clouds))`/oauth2PermissionGrants/${id}`.delete());
    },
    mend: (clouds) => clouds.repair('entra/admin-consent'),
  },
  {
    what: 'Somebody has taken a permission out of the consent',
    finding: 'entra/admin-consent consent-missing',
    break: async (clouds) => {
      for (const { id } of await grantsOf(clouds)) {
        const path = graphPath(graphOf(clouds))`/oauth2PermissionGrants/${id}`;
        await graphDone(path.patch({ body: { scope: 'openid profile' } }));
      }
    },
    mend: (clouds) => clouds.repair('entra/admin-consent'),
  },
  {
    what: 'Somebody has put a wrong client secret into the vault',
    finding: 'entra/client-secret client-secret-invalid',
    evidence: /AADSTS7000215/,
    break: (clouds) => store(clouds, 'a-secret-that-never-was-one'),
    mend: (clouds) => clouds.repair('entra/client-secret'),
  },
  {
    what: 'The client secret has expired',
    finding: 'entra/client-secret client-secret-expired',
    evidence: /AADSTS7000222; passwordCredentials lists it with endDateTime \d{4}-\d\d-\d\d/,
    break: async (clouds) => {
      const { clock } = clouds.azure.cloud.world;
      const { objectId } = await objectsOf(clouds);
      const endDateTime = new Date(clock.now() + 60_000).toISOString();
      const { secretText } = await graphBody(
        z.object({ secretText: z.string() }),
        graphPath(graphOf(clouds))`/applications/${objectId}/addPassword`.post({
          body: { passwordCredential: { displayName: 'by hand', endDateTime } },
        }),
      );
      await store(clouds, secretText);
      await clock.wait(120_000);
    },
    mend: (clouds) => clouds.repair('entra/client-secret'),
  },
  {
    what: 'Somebody has deleted the app registration',
    finding: 'entra/application app-registration-missing',
    break: async (clouds) => {
      const { objectId } = await objectsOf(clouds);
      await graphDone(graphPath(graphOf(clouds))`/applications/${objectId}`.delete());
    },
    mend: (clouds) => clouds.repair('entra/admin-consent', 'entra/client-secret', 'azure/reference-secrets'),
  },
];

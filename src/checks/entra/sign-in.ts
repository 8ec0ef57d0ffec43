/** Everything that sign-in with a Microsoft account rests on, in the order in which one thing rests on another. */
import { passingSignInCodes } from '../../clients/cloud-failure.ts';
import { notReplicated } from '../../clients/graph.ts';
import { retryable } from '../../graph/failure.ts';
import { consentScopes, findConsent, microsoftGraphId } from '../../resources/entra/admin-consent.ts';
import { findApplication, redirectUri } from '../../resources/entra/application.ts';
import {
  CLIENT_SECRET,
  credentialOf,
  credentialsOf,
  REPLICATION_MINUTES,
} from '../../resources/entra/client-secret.ts';
import { findServicePrincipal } from '../../resources/entra/service-principal.ts';
import { findSecret } from '../../resources/kinds/vault-secret.ts';
import { neededVault } from '../azure/parts.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { needed, repairOf } from '../repair.ts';
import { oncePerRound } from '../round.ts';

const nobody =
  'Nobody can sign in with a Microsoft account; who is signed in stays so until the session ends.';

const applicationOf = (scope: CheckScope) =>
  oncePerRound(scope, 'app registration', () => findApplication(scope));

const principalOf = (scope: CheckScope, appId: string) =>
  oncePerRound(scope, 'service principal', () => findServicePrincipal(scope, appId));

const neededApplication = async (scope: CheckScope) =>
  needed(await applicationOf(scope), `the app registration ${scope.names.application}`);

export const registration: Check = {
  id: 'app-registration',
  system: 'sign-in',
  title: 'The app registration exists and sends people back to the right address',

  async run(scope) {
    const { applicationName } = scope.spec.sso;
    const found = await applicationOf(scope);
    const common = { resource: 'entra/application', repair: repairOf(scope) } as const;
    if (!found) {
      return [
        {
          ...common,
          id: 'app-registration-missing',
          severity: 'error',
          what: `The app registration ${applicationName} does not exist.`,
          evidence: `Microsoft Graph finds no application of the uniqueName ${scope.names.application}.`,
          breaks: nobody,
          remedy:
            'Restore it, which can be done for 30 days: Microsoft Entra ID, App registrations, Deleted applications. With a new one nobody who has signed in so far gets back to their account; have it made only where that does not matter.',
        },
      ];
    }
    const wanted = redirectUri(scope.spec);
    const uris = found.web?.redirectUris ?? [];
    const remedy = `Microsoft Entra ID, App registrations, ${applicationName}, Authentication: exactly ${wanted}`;
    if (!uris.includes(wanted)) {
      return [
        {
          ...common,
          id: 'redirect-uri-missing',
          severity: 'error',
          what: `The app registration ${applicationName} does not know the address of this site.`,
          evidence: `web.redirectUris is ${JSON.stringify(uris)}, without ${wanted}.`,
          breaks: `${nobody} Microsoft shows AADSTS50011.`,
          remedy,
        },
      ];
    }
    const others = uris.filter((uri) => uri !== wanted);
    return others.length === 0
      ? []
      : [
          {
            ...common,
            id: 'redirect-uri-unknown',
            severity: 'warning',
            what: `The app registration ${applicationName} may send people who sign in to other addresses, too.`,
            evidence: `web.redirectUris also has ${JSON.stringify(others)}.`,
            breaks:
              'Nothing; whoever holds such an address could receive sign-ins that are meant for this site.',
            remedy,
          },
        ];
  },
};

export const enterpriseApplication: Check = {
  id: 'service-principal',
  system: 'sign-in',
  title: 'The application is in the tenant, enabled, and has its consent',

  async run(scope) {
    const { applicationName } = scope.spec.sso;
    const { appId } = await neededApplication(scope);
    const found = await principalOf(scope, appId);
    const common = { severity: 'error', repair: repairOf(scope) } as const;
    if (!found) {
      return [
        {
          ...common,
          id: 'service-principal-missing',
          resource: 'entra/service-principal',
          what: `The application ${applicationName} has no service principal in the tenant.`,
          evidence: `Microsoft Graph finds none of the appId ${appId}.`,
          breaks: nobody,
          remedy: `az ad sp create --id ${appId}`,
        },
      ];
    }
    if (found.accountEnabled === false) {
      return [
        {
          ...common,
          id: 'service-principal-disabled',
          resource: 'entra/service-principal',
          what: `Sign-in to the application ${applicationName} is switched off.`,
          evidence: 'accountEnabled of its service principal is false.',
          breaks: `${nobody} Microsoft shows AADSTS7000112.`,
          remedy: `Microsoft Entra ID, Enterprise applications, ${applicationName}, Properties: Enabled for users to sign in`,
        },
      ];
    }
    const grant = await findConsent(scope, found.id, await microsoftGraphId(scope));
    const lacking = consentScopes.filter((permission) => !grant?.scope.includes(permission));
    if (lacking.length === 0) return [];
    return [
      {
        ...common,
        id: 'consent-missing',
        resource: 'entra/admin-consent',
        what: `Consent to what the application ${applicationName} asks for is not given for the tenant.`,
        evidence: grant
          ? `oauth2PermissionGrants of its service principal lacks ${lacking.join(', ')}.`
          : 'Its service principal has no oauth2PermissionGrant for all principals.',
        breaks:
          'People are asked for consent when they sign in, or told that they need an administrator (AADSTS65001).',
        remedy: `az ad app permission admin-consent --id ${appId}`,
      },
    ];
  },
};

const INVALID = 'AADSTS7000215';

/** Entra's own word on a secret; other codes are about the application and told above. */
const refusals: Readonly<Record<string, Pick<CheckFinding, 'id' | 'what'>>> = {
  [INVALID]: {
    id: 'client-secret-invalid',
    what: 'The client secret in the vault is none of the application.',
  },
  AADSTS7000222: { id: 'client-secret-expired', what: 'The client secret in the vault has expired.' },
};

/** https://learn.microsoft.com/entra/identity/conditional-access/workload-identity */
const BLOCKED_BY_POLICY = 'AADSTS53003';

/** A refusal that says nothing about the secret may be meant for this request alone, which no person makes. */
const refusedOtherwise = (code: string): Omit<CheckFinding, 'resource' | 'evidence'> => ({
  id: 'application-refused',
  severity: 'warning',
  what:
    code === BLOCKED_BY_POLICY
      ? 'A conditional access policy keeps the application itself from signing in.'
      : 'Microsoft Entra does not let the application itself sign in.',
  breaks:
    'Perhaps nothing: people sign in by other rules. Whether the client secret is still taken cannot be tried out.',
  remedy:
    code === BLOCKED_BY_POLICY
      ? 'See which policy it is in the sign-in logs of the service principal: Microsoft Entra ID, Conditional Access, policies for workload identities. Let the outbound address of the control plane through.'
      : `Look ${code} up at https://login.microsoftonline.com/error, and at the sign-in logs of the service principal.`,
});

export const clientSecretCheck: Check = {
  id: 'client-secret',
  system: 'sign-in',
  title: 'The client secret in the vault signs the application in',

  async run(scope) {
    const { id: objectId, appId } = await neededApplication(scope);
    needed(await principalOf(scope, appId), `the service principal of ${appId}`);
    const { url } = await neededVault(scope);
    const stored = needed(await findSecret(scope, url, CLIENT_SECRET), `the vault secret ${CLIENT_SECRET}`);
    const value = stored.value ?? '';
    const { tenantId } = scope.spec;
    const login = await scope.clients.login({ tenantId, clientId: appId, clientSecret: value });
    if (login.isAccepted) return [];
    if (passingSignInCodes.has(login.code)) {
      throw retryable(login.code, `Microsoft Entra answers a token request with ${login.code}, which passes`);
    }
    const keyId = stored.properties.tags?.['keyId'];
    const age = scope.now.getTime() - (stored.properties.createdOn?.getTime() ?? 0);
    // One that was made here a moment ago is not known everywhere yet.
    if (login.code === INVALID && keyId !== undefined && age < REPLICATION_MINUTES * 60_000) {
      throw notReplicated('the new client secret');
    }
    const credential = credentialOf(await credentialsOf(scope, objectId), value, keyId);
    const end = credential?.endDateTime.toISOString().slice(0, 10);
    const listed = end
      ? `passwordCredentials lists it with endDateTime ${end}`
      : 'passwordCredentials does not list it';
    const refusal = refusals[login.code];
    const common = {
      resource: 'entra/client-secret',
      evidence: `A token request with the vault's ${CLIENT_SECRET} is answered with ${login.code}; ${listed}.`,
    } as const;
    if (!refusal) return [{ ...common, ...refusedOtherwise(login.code) }];
    return [
      {
        ...common,
        ...refusal,
        severity: 'error',
        breaks: nobody,
        remedy: `Have it replaced: az ad app credential reset --id ${appId} --append, and put the password into the vault as ${CLIENT_SECRET}; or have the control plane do both`,
        repair: repairOf(scope),
      },
    ];
  },
};

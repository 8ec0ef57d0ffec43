/**
 * The password with which Open WebUI proves to Entra that it is the application. Entra tells it once, so it goes
 * straight into the vault, whose secret remembers by tag which credential it is. Adding one is not repeatable: a crash
 * between Entra and the vault leaves a credential nobody knows. It is recognised by its name, and removed with the other
 * old ones once the vault's has been in use for a while. A credential is never removed before a newer one is there, and
 * none is handed on before Entra has let the application in with it.
 */
import type { KeyVaultSecret } from '@azure/keyvault-secrets';
import { z } from 'zod';
import { findInGraph, graphBody, graphDone, graphPath, notReplicated } from '../../clients/graph.ts';
import type { Difference } from '../../graph/resource.ts';
import { managedBy } from '../../naming.ts';
import { vaultRoles } from '../azure/vault-roles.ts';
import { monthsLater, renewalTime, wishTags } from '../kinds/rotation.ts';
import {
  findSecret,
  putSecret,
  referenceTo,
  removeSecret,
  rotationDifference,
  secretDifferences,
} from '../kinds/vault-secret.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';
import { application } from './application.ts';
import { servicePrincipal } from './service-principal.ts';

export const CLIENT_SECRET = 'openwebui-client-secret';

/** External Secrets looks every hour at the latest, and a rollout takes its time: until then the old one may be in use. */
const DISTRIBUTION_HOURS = 2;

/** Until then a credential that Entra does not list has just been made rather than been taken away. */
export const REPLICATION_MINUTES = 15;

const HOUR = 3_600_000;
const LOOK_AGAIN_SECONDS = 15;

const credentialSchema = z.object({
  keyId: z.string(),
  displayName: z.string().nullish(),
  /** The first three characters of the password. */
  hint: z.string().nullish(),
  startDateTime: z.coerce.date(),
  endDateTime: z.coerce.date(),
});
type Credential = z.output<typeof credentialSchema>;

/** Descriptions of credentials are the only place for our mark. */
const credentialName = ({ names }: Scope): string => `${managedBy}: ${names.deployment}`;

export async function credentialsOf(
  { clients }: Pick<Scope, 'clients'>,
  objectId: string,
): Promise<readonly Credential[]> {
  const found = await findInGraph(
    z.object({ passwordCredentials: z.array(credentialSchema) }),
    graphPath(clients.graph())`/applications/${objectId}`.get({
      queryParameters: { $select: 'passwordCredentials' },
    }),
  );
  if (!found) throw notReplicated('the app registration');
  return found.passwordCredentials;
}

/** Credentials of ours that nothing uses any more, given the one that has been in the vault since then. */
export function disused(
  all: readonly Credential[],
  inVault: Credential,
  since: Date,
  name: string,
  now: Date,
): readonly Credential[] {
  const start = Math.max(inVault.startDateTime.getTime(), since.getTime());
  if (now.getTime() - start < DISTRIBUTION_HOURS * HOUR) return [];
  return all.filter(
    ({ keyId, displayName, startDateTime }) =>
      keyId !== inVault.keyId && displayName === name && startDateTime.getTime() <= start,
  );
}

/**
 * The credential that the vault's value belongs to: the one its tag names, unless that begins differently. A value that
 * somebody put there by hand has no tag of its own, and only its beginning tells. Undefined also while the one that is
 * named does not show yet.
 */
export function credentialOf(
  all: readonly Credential[],
  value: string,
  keyId: string | undefined,
): Credential | undefined {
  const named = all.find((credential) => credential.keyId === keyId);
  if (named && (!named.hint || value.startsWith(named.hint))) return named;
  if (keyId !== undefined && !named) return undefined;
  return all
    .filter(({ hint }) => hint && value.startsWith(hint))
    .toSorted((one, other) => other.startDateTime.getTime() - one.startDateTime.getTime())[0];
}

async function lookAt(scope: Scope, vaultUrl: string, objectId: string) {
  const stored = await findSecret(scope, vaultUrl, CLIENT_SECRET);
  const credentials = await credentialsOf(scope, objectId);
  const keyIdInVault = stored?.properties.tags?.['keyId'];
  const inVault = stored && credentialOf(credentials, stored.value ?? '', keyIdInVault);
  const createdAt = stored?.properties.createdOn ?? new Date(0);
  const old = inVault ? disused(credentials, inVault, createdAt, credentialName(scope), scope.now) : [];
  const age = scope.now.getTime() - createdAt.getTime();
  const isReplicating = keyIdInVault !== undefined && !inVault && age < REPLICATION_MINUTES * 60_000;
  const wrong =
    stored && (rotationDifference(scope, stored, 'client-secret') ?? unusable(inVault, scope.now));
  return { stored, inVault, old, isReplicating, wrong };
}

/** What is wrong with the vault's credential, if anything. */
function unusable(inVault: Credential | undefined, now: Date): Difference | undefined {
  if (!inVault) return { path: 'passwordCredentials', wanted: 'the one in the vault', found: null };
  const { startDateTime, endDateTime } = inVault;
  if (now < renewalTime(startDateTime, endDateTime)) return undefined;
  return { path: 'endDateTime', wanted: 'some weeks off', found: endDateTime.toISOString(), isDue: true };
}

/** What the vault is to say about the credential that is in it; whoever lets it end sooner means it. */
const wishOf = ({ keyId, endDateTime }: Credential, { properties: { expiresOn } }: KeyVaultSecret) => ({
  name: CLIENT_SECRET,
  contentType: 'text/plain',
  expiresOn: expiresOn && expiresOn < endDateTime ? expiresOn : endDateTime,
  tags: { keyId },
});

export const clientSecret = defineResource({
  key: 'entra/client-secret',
  title: 'Client secret',
  /** Nobody gets a token as an application that has no service principal. */
  dependsOn: { application, servicePrincipal, vault: vaultRoles },

  async observe(scope, { application, vault }) {
    const { objectId, clientId } = application;
    const { stored, inVault, old, isReplicating, wrong } = await lookAt(scope, vault.vaultUrl, objectId);
    if (!stored) return { state: 'absent' };
    if (isReplicating) {
      return {
        state: 'changing',
        reason: 'Microsoft Entra does not show the new client secret everywhere yet',
        retryAfterSeconds: LOOK_AGAIN_SECONDS,
      };
    }
    const outputs = {
      secret: referenceTo(vault.vaultUrl, stored),
      keyId: inVault?.keyId ?? '',
      expiresAt: inVault?.endDateTime.toISOString() ?? '',
    };
    if (wrong || !inVault) return { state: 'drifted', outputs, differences: wrong ? [wrong] : [] };
    const { tenantId } = scope.spec;
    const login = await scope.clients.login({ tenantId, clientId, clientSecret: stored.value ?? '' });
    if (!login.isAccepted) {
      return {
        state: 'changing',
        reason: `Microsoft Entra does not let the application in with the client secret in the vault (${login.code})`,
        retryAfterSeconds: LOOK_AGAIN_SECONDS,
      };
    }
    const marks = secretDifferences(scope, stored, wishOf(inVault, stored));
    if (marks.length > 0) return { state: 'drifted', outputs, differences: marks };
    if (old.length === 0) return { state: 'ready', outputs };
    const keyIds = old.map(({ keyId }) => keyId);
    return {
      state: 'drifted',
      outputs,
      differences: [{ path: 'passwordCredentials', wanted: [], found: keyIds, isDue: true }],
    };
  },

  async ensure(scope, { application, vault }) {
    const { objectId } = application;
    const graph = scope.clients.graph();
    const { stored, inVault, old, wrong } = await lookAt(scope, vault.vaultUrl, objectId);
    if (stored?.value && inVault && !wrong) {
      const wish = { ...wishOf(inVault, stored), value: stored.value };
      if (secretDifferences(scope, stored, wish).length > 0) await putSecret(scope, vault.vaultUrl, wish);
      for (const { keyId } of old) {
        await graphDone(graphPath(graph)`/applications/${objectId}/removePassword`.post({ body: { keyId } }));
      }
      return;
    }
    const answer = await graphPath(graph)`/applications/${objectId}/addPassword`.post({
      body: {
        passwordCredential: {
          displayName: credentialName(scope),
          endDateTime: monthsLater(scope.now, scope.spec.sso.secretLifetimeMonths).toISOString(),
        },
      },
    });
    // Right after its creation an application cannot be given a password everywhere (msgraph-sdk-javascript #1999).
    if (answer.status === '404') throw notReplicated('the app registration');
    const added = await graphBody(
      z.object({ keyId: z.string(), secretText: z.string().min(1), endDateTime: z.coerce.date() }),
      Promise.resolve(answer),
    );
    await putSecret(scope, vault.vaultUrl, {
      name: CLIENT_SECRET,
      contentType: 'text/plain',
      value: added.secretText,
      expiresOn: added.endDateTime,
      tags: { keyId: added.keyId, ...wishTags(scope.rotateAfter['client-secret']) },
    });
  },

  async remove(scope, { application, vault }) {
    if (vault) await removeSecret(scope, vault.vaultUrl, CLIENT_SECRET);
    if (!application) return;
    const { objectId } = application;
    for (const { keyId, displayName } of await credentialsOf(scope, objectId)) {
      if (displayName !== credentialName(scope)) continue;
      await graphDone(
        graphPath(scope.clients.graph())`/applications/${objectId}/removePassword`.post({ body: { keyId } }),
      );
    }
  },
});

/**
 * The password with which Open WebUI proves to Entra that it is the application. Entra tells it once, so it goes
 * straight into the vault, whose secret remembers by tag which credential it is. Adding one is not repeatable: a crash
 * between Entra and the vault leaves a credential nobody knows. It is recognised by its name, and removed with the other
 * old ones once the vault's has been in use for a while. A credential is never removed before a newer one is there.
 */
import { z } from 'zod';
import { findInGraph, graphBody, graphDone, graphPath, notReplicated } from '../../clients/graph.ts';
import type { Difference } from '../../graph/resource.ts';
import { managedBy } from '../../naming.ts';
import { vaultRoles } from '../azure/vault-roles.ts';
import { findSecret, putSecret, referenceTo, removeSecret } from '../kinds/vault-secret.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';
import { application } from './application.ts';

const NAME = 'openwebui-client-secret';

/** Key Vault announces a secret's end 30 days ahead: https://learn.microsoft.com/azure/event-grid/event-schema-key-vault */
const NOTICE_DAYS = 30;
/** External Secrets looks every hour at the latest, and a rollout takes its time: until then the old one may be in use. */
const DISTRIBUTION_HOURS = 2;

/** Until then a credential that Entra does not list has just been made rather than been taken away. */
const REPLICATION_MINUTES = 15;

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const credentialSchema = z.object({
  keyId: z.string(),
  displayName: z.string().nullish(),
  startDateTime: z.coerce.date(),
  endDateTime: z.coerce.date(),
});
type Credential = z.output<typeof credentialSchema>;

/** Descriptions of credentials are the only place for our mark. */
const credentialName = ({ names }: Scope): string => `${managedBy}: ${names.deployment}`;

async function credentialsOf({ clients }: Scope, objectId: string): Promise<readonly Credential[]> {
  const found = await findInGraph(
    z.object({ passwordCredentials: z.array(credentialSchema) }),
    graphPath(clients.graph())`/applications/${objectId}`.get({
      queryParameters: { $select: 'passwordCredentials' },
    }),
  );
  if (!found) throw notReplicated('the app registration');
  return found.passwordCredentials;
}

/** When the credential should be replaced: some weeks before its end, but a short-lived one not from its first day on. */
export function renewalTime({
  startDateTime,
  endDateTime,
}: Pick<Credential, 'startDateTime' | 'endDateTime'>): Date {
  const lifetime = endDateTime.getTime() - startDateTime.getTime();
  return new Date(endDateTime.getTime() - Math.min(NOTICE_DAYS * DAY, lifetime / 3));
}

/** Credentials of ours that nothing uses any more, given the one the vault holds. */
export function disused(
  all: readonly Credential[],
  inVault: Credential,
  name: string,
  now: Date,
): readonly Credential[] {
  if (now.getTime() - inVault.startDateTime.getTime() < DISTRIBUTION_HOURS * HOUR) return [];
  return all.filter(
    ({ keyId, displayName, startDateTime }) =>
      keyId !== inVault.keyId && displayName === name && startDateTime <= inVault.startDateTime,
  );
}

/** Calendar months later, in UTC; the 31st of a short month becomes its last day. */
export function monthsLater(from: Date, months: number): Date {
  const day = from.getUTCDate();
  const target = new Date(from);
  target.setUTCDate(1);
  target.setUTCMonth(target.getUTCMonth() + months);
  const lastDay = new Date(Date.UTC(target.getUTCFullYear(), target.getUTCMonth() + 1, 0)).getUTCDate();
  target.setUTCDate(Math.min(day, lastDay));
  return target;
}

async function lookAt(scope: Scope, vaultUrl: string, objectId: string) {
  const stored = await findSecret(scope, vaultUrl, NAME);
  const credentials = await credentialsOf(scope, objectId);
  const keyIdInVault = stored?.properties.tags?.['keyId'];
  const inVault = credentials.find(({ keyId }) => keyId === keyIdInVault);
  const old = inVault ? disused(credentials, inVault, credentialName(scope), scope.now) : [];
  const age = scope.now.getTime() - (stored?.properties.createdOn?.getTime() ?? 0);
  const isReplicating = keyIdInVault !== undefined && !inVault && age < REPLICATION_MINUTES * 60_000;
  return { stored, inVault, old, isReplicating };
}

/** What is wrong with the vault's credential, if anything. */
function unusable(inVault: Credential | undefined, now: Date): Difference | undefined {
  if (!inVault) return { path: 'passwordCredentials', wanted: 'the one in the vault', found: null };
  if (now < renewalTime(inVault)) return undefined;
  return { path: 'endDateTime', wanted: 'some weeks off', found: inVault.endDateTime.toISOString() };
}

export const clientSecret = defineResource({
  key: 'entra/client-secret',
  title: 'Client secret',
  dependsOn: { application, vault: vaultRoles },

  async observe(scope, { application, vault }) {
    const { stored, inVault, old, isReplicating } = await lookAt(scope, vault.vaultUrl, application.objectId);
    if (!stored) return { state: 'absent' };
    if (isReplicating) {
      return {
        state: 'changing',
        reason: 'Microsoft Entra does not show the new client secret everywhere yet',
        retryAfterSeconds: 15,
      };
    }
    const outputs = {
      secret: referenceTo(vault.vaultUrl, stored),
      keyId: inVault?.keyId ?? '',
      expiresAt: inVault?.endDateTime.toISOString() ?? '',
    };
    const wrong = unusable(inVault, scope.now);
    if (wrong) return { state: 'drifted', outputs, differences: [wrong] };
    if (old.length === 0) return { state: 'ready', outputs };
    const keyIds = old.map(({ keyId }) => keyId);
    return {
      state: 'drifted',
      outputs,
      differences: [{ path: 'passwordCredentials', wanted: [], found: keyIds }],
    };
  },

  async ensure(scope, { application, vault }) {
    const { objectId } = application;
    const graph = scope.clients.graph();
    const { stored, inVault, old } = await lookAt(scope, vault.vaultUrl, objectId);
    if (stored && !unusable(inVault, scope.now)) {
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
      name: NAME,
      contentType: 'text/plain',
      value: added.secretText,
      expiresOn: added.endDateTime,
      tags: { keyId: added.keyId },
    });
  },

  async remove(scope, { application, vault }) {
    if (vault) await removeSecret(scope, vault.vaultUrl, NAME);
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

/**
 * Secrets in the deployment's vault. Their values are read and written within one activity and never leave it: what
 * travels is a reference. The vault is ours, so a secret found there under one of our names is taken as it is; only a
 * deleted one has to show our tags before it is brought back, for anybody may have left it there.
 */
import type { KeyVaultSecret } from '@azure/keyvault-secrets';
import { hasCode, orAbsent } from '../../clients/cloud-failure.ts';
import { differences } from '../../graph/differences.ts';
import { fatal } from '../../graph/failure.ts';
import type { Notice } from '../../graph/finding.ts';
import type { Difference, Resource, ResourceKey } from '../../graph/resource.ts';
import type { Names } from '../../naming.ts';
import { vaultRoles } from '../azure/vault-roles.ts';
import { defineResource, type Rotation, type Scope, type SecretReference } from '../scope.ts';
import { isOurs } from './arm-resource.ts';
import { expiryOf, isExpiring, monthsLater, satisfies, type VersionFacts, wishTags } from './rotation.ts';

const marks = (names: Names): Record<string, string> => ({
  'managed-by': names.tags['managed-by'] ?? '',
  deployment: names.tags['deployment'] ?? '',
});

/** The current version of a secret, or undefined when there is none. Throws on 403, also while a role is under way. */
export const findSecret = (
  scope: Pick<Scope, 'clients'>,
  vaultUrl: string,
  name: string,
): Promise<KeyVaultSecret | undefined> => orAbsent(scope.clients.secrets(vaultUrl).getSecret(name));

export const referenceTo = (vaultUrl: string, secret: KeyVaultSecret): SecretReference => ({
  vaultUrl,
  name: secret.name,
  version: secret.properties.version ?? '',
});

/** Exactly the version that a reference names, with its value. */
export async function readVersion(
  scope: Scope,
  { vaultUrl, name, version }: SecretReference,
): Promise<KeyVaultSecret & { readonly value: string }> {
  const secret = await scope.clients.secrets(vaultUrl).getSecret(name, { version });
  if (!secret.value) throw fatal('SecretEmpty', `the vault secret ${name} has no value`);
  return { ...secret, value: secret.value };
}

export interface SecretWish {
  readonly name: string;
  /** What the vault shows people about the value, `text/plain`. */
  readonly contentType: string;
  /** Left out where whatever is there is right. */
  readonly value?: string;
  /** How long a version may live, where that is not for somebody else to say. */
  readonly lifetimeMonths?: number;
  readonly expiresOn?: Date | undefined;
  /** What has to be remembered with the value; joins our marks. */
  readonly tags?: Readonly<Record<string, string>>;
}

/** Tags that say something about one version's value; the next version begins without them. */
const tagsOfOneVersion: readonly string[] = [
  'rotation',
  'made-for',
  'key',
  'replaces',
  'keyId',
  'password-version',
];
const inherited = (tags: Readonly<Record<string, string>> | undefined): Record<string, string> =>
  Object.fromEntries(Object.entries(tags ?? {}).filter(([name]) => !tagsOfOneVersion.includes(name)));

const wishedExpiry = (found: VersionFacts, { expiresOn, lifetimeMonths }: SecretWish): Date | undefined =>
  expiresOn ?? (lifetimeMonths === undefined ? undefined : expiryOf(found, lifetimeMonths));

/** Vaults keep times to the second. */
const isoOf = (time: Date | undefined): string | undefined =>
  time && new Date(Math.floor(time.getTime() / 1000) * 1000).toISOString();

/** What is not as asked about a secret; its value is compared, never shown. */
export const secretDifferences = (scope: Scope, found: KeyVaultSecret, wish: SecretWish): Difference[] => [
  ...differences(
    {
      [wish.name]: {
        contentType: wish.contentType,
        tags: { ...wish.tags, ...marks(scope.names) },
        expiresOn: isoOf(wishedExpiry(found.properties, wish)),
      },
    },
    { [wish.name]: { ...found.properties, expiresOn: isoOf(found.properties.expiresOn) } },
  ),
  ...(wish.value === undefined || wish.value === found.value
    ? []
    : [{ path: `${wish.name}.value`, wanted: '(the derived value)', found: '(another value)' }]),
];

/**
 * Makes a secret as asked: a new version when the value differs, only its properties when not. A deleted secret of
 * that name is brought back if it is ours, and then this returns; the next look finds it and goes on from there.
 */
export async function putSecret(
  scope: Scope,
  vaultUrl: string,
  wish: SecretWish & { readonly value: string },
): Promise<void> {
  const client = scope.clients.secrets(vaultUrl);
  const found = await findSecret(scope, vaultUrl, wish.name);
  const { contentType, lifetimeMonths } = wish;
  if (found?.properties.version && found.value === wish.value) {
    const expiresOn = wishedExpiry(found.properties, wish);
    await client.updateSecretProperties(wish.name, found.properties.version, {
      contentType,
      tags: { ...found.properties.tags, ...wish.tags, ...marks(scope.names) },
      ...(expiresOn ? { expiresOn } : {}),
    });
    return;
  }
  const expiresOn =
    wish.expiresOn ?? (lifetimeMonths === undefined ? undefined : monthsLater(scope.now, lifetimeMonths));
  try {
    await client.setSecret(wish.name, wish.value, {
      contentType,
      tags: { ...inherited(found?.properties.tags), ...wish.tags, ...marks(scope.names) },
      ...(expiresOn ? { expiresOn } : {}),
    });
  } catch (error) {
    if (!hasCode(error, 'ObjectIsDeletedButRecoverable')) throw error;
    await recover(scope, vaultUrl, wish.name);
  }
}

async function recover(scope: Scope, vaultUrl: string, name: string): Promise<void> {
  const client = scope.clients.secrets(vaultUrl);
  const deleted = await orAbsent(client.getDeletedSecret(name));
  if (!deleted) return;
  if (!isOurs(deleted.properties.tags, scope.names)) {
    throw fatal(
      'DeletedSecretIsForeign',
      `the vault holds a deleted secret ${name} that does not belong to this deployment: purge it, or recover and rename it`,
    );
  }
  await client.beginRecoverDeletedSecret(name);
}

/** Deletes a secret that carries our mark; the vault keeps it recoverable for its retention time. */
export async function removeSecret(scope: Scope, vaultUrl: string, name: string): Promise<void> {
  const found = await findSecret(scope, vaultUrl, name);
  if (found && isOurs(found.properties.tags, scope.names)) {
    await scope.clients.secrets(vaultUrl).beginDeleteSecret(name);
  }
}

/** What a look at a secret says when its value is to be replaced for this rotation; undefined when it is not. */
export function rotationDifference(
  scope: Pick<Scope, 'now' | 'rotateAfter'>,
  { name, properties }: KeyVaultSecret,
  rotation: Rotation,
  whenExpiring: 'replace' | 'keep' = 'replace',
): Difference | undefined {
  const wish = scope.rotateAfter[rotation];
  const made = properties.createdOn?.toISOString() ?? null;
  if (wish && !satisfies(properties, wish)) {
    return { path: `${name}.version`, wanted: `made after ${wish.toISOString()}`, found: made, isDue: true };
  }
  if (whenExpiring === 'keep' || !isExpiring(properties, scope.now)) return undefined;
  const found = isoOf(properties.expiresOn) ?? null;
  return { path: `${name}.expiresOn`, wanted: 'some weeks off', found, isDue: true };
}

export interface GeneratedSecret {
  readonly key: ResourceKey;
  readonly title: string;
  readonly name: string;
  readonly contentType: string;
  readonly rotation: Rotation;
  /** What is noticed instead when it nears its end and only a person may say that it is to be replaced. */
  readonly onlyWhenAsked?: Notice;
  /** What has to be remembered about a value that was made up here. */
  tags?(scope: Scope): Readonly<Record<string, string>>;
  generate(scope: Scope): string;
}

/** A resource that is one secret, made up once and from then on kept as it is: only rotation makes a new version. */
export function generatedSecret(
  use: GeneratedSecret,
): Resource<Scope, { readonly vault: typeof vaultRoles }, { readonly secret: SecretReference }> {
  const { key, title, name, contentType, rotation, onlyWhenAsked } = use;
  const kept = ({ spec }: Scope): SecretWish => ({
    name,
    contentType,
    lifetimeMonths: spec.vault.secretLifetimeMonths,
  });
  const due = (scope: Scope, found: KeyVaultSecret): Difference | undefined =>
    rotationDifference(scope, found, rotation, onlyWhenAsked ? 'keep' : 'replace');

  return defineResource({
    key,
    title,
    dependsOn: { vault: vaultRoles },

    async observe(scope, { vault }) {
      const found = await findSecret(scope, vault.vaultUrl, name);
      if (!found) return { state: 'absent' as const };
      const outputs = { secret: referenceTo(vault.vaultUrl, found) };
      const isDue = due(scope, found);
      const wrong = isDue ? [isDue] : secretDifferences(scope, found, kept(scope));
      if (wrong.length > 0) return { state: 'drifted' as const, outputs, differences: wrong };
      return onlyWhenAsked && isExpiring(found.properties, scope.now)
        ? { state: 'ready' as const, outputs, notices: [onlyWhenAsked] }
        : { state: 'ready' as const, outputs };
    },

    async ensure(scope, { vault }) {
      // Read again: what was absent a moment ago may have been put there by a run that this one follows.
      const found = await findSecret(scope, vault.vaultUrl, name);
      if (found?.value && !due(scope, found)) {
        await putSecret(scope, vault.vaultUrl, { ...kept(scope), value: found.value });
        return;
      }
      await putSecret(scope, vault.vaultUrl, {
        ...kept(scope),
        value: use.generate(scope),
        tags: { ...use.tags?.(scope), ...wishTags(scope.rotateAfter[rotation]) },
      });
    },

    async remove(scope, { vault }) {
      if (vault) await removeSecret(scope, vault.vaultUrl, name);
    },
  });
}

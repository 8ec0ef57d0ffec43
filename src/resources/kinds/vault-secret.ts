/**
 * Secrets in the deployment's vault. Their values are read and written within one activity and never leave it: what
 * travels is a reference. The vault is ours, so a secret found there under one of our names is taken as it is; only a
 * deleted one has to show our tags before it is brought back, for anybody may have left it there.
 */
import type { KeyVaultSecret } from '@azure/keyvault-secrets';
import { hasCode, orAbsent } from '../../clients/cloud-failure.ts';
import { differences } from '../../graph/differences.ts';
import { fatal } from '../../graph/failure.ts';
import type { Difference, Resource, ResourceKey } from '../../graph/resource.ts';
import type { Names } from '../../naming.ts';
import { vaultRoles } from '../azure/vault-roles.ts';
import { defineResource, type Scope, type SecretReference } from '../scope.ts';
import { isOurs } from './arm-resource.ts';

const marks = (names: Names): Record<string, string> => ({
  'managed-by': names.tags['managed-by'] ?? '',
  deployment: names.tags['deployment'] ?? '',
});

/** The current version of a secret, or undefined when there is none. Throws on 403, also while a role is under way. */
export const findSecret = (
  scope: Scope,
  vaultUrl: string,
  name: string,
): Promise<KeyVaultSecret | undefined> => orAbsent(scope.clients.secrets(vaultUrl).getSecret(name));

export const referenceTo = (vaultUrl: string, secret: KeyVaultSecret): SecretReference => ({
  vaultUrl,
  name: secret.name,
  version: secret.properties.version ?? '',
});

/** The value behind a reference: its current version, so that a rotated secret is used at once. */
export async function readSecret(scope: Scope, reference: SecretReference): Promise<string> {
  const { value } = await scope.clients.secrets(reference.vaultUrl).getSecret(reference.name);
  if (!value) throw fatal('SecretEmpty', `the vault secret ${reference.name} has no value`);
  return value;
}

export interface SecretWish {
  readonly name: string;
  /** What the vault shows people about the value, `text/plain`. */
  readonly contentType: string;
  /** Left out where whatever is there is right. */
  readonly value?: string;
  readonly expiresOn?: Date;
  /** What has to be remembered with the value; joins our marks. */
  readonly tags?: Readonly<Record<string, string>>;
}

/** Vaults keep times to the second. */
const secondsOf = (time: Date | undefined): number | undefined => time && Math.floor(time.getTime() / 1000);

/** What is not as asked about a secret; its value is compared, never shown. */
export const secretDifferences = (scope: Scope, found: KeyVaultSecret, wish: SecretWish): Difference[] => [
  ...differences(
    {
      [wish.name]: {
        contentType: wish.contentType,
        tags: { ...wish.tags, ...marks(scope.names) },
        ...(wish.expiresOn ? { expiresOn: secondsOf(wish.expiresOn) } : {}),
      },
    },
    { [wish.name]: { ...found.properties, expiresOn: secondsOf(found.properties.expiresOn) } },
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
  const properties = {
    contentType: wish.contentType,
    tags: { ...found?.properties.tags, ...wish.tags, ...marks(scope.names) },
    ...(wish.expiresOn ? { expiresOn: wish.expiresOn } : {}),
  };
  if (found?.properties.version && found.value === wish.value) {
    await client.updateSecretProperties(wish.name, found.properties.version, properties);
    return;
  }
  try {
    await client.setSecret(wish.name, wish.value, properties);
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

/** A resource that is one secret, made up once and from then on kept as it is: only rotation makes a new version. */
export const generatedSecret = (use: {
  readonly key: ResourceKey;
  readonly title: string;
  readonly name: string;
  readonly contentType: string;
  readonly generate: (scope: Scope) => string;
}): Resource<Scope, { readonly vault: typeof vaultRoles }, { readonly secret: SecretReference }> =>
  defineResource({
    key: use.key,
    title: use.title,
    dependsOn: { vault: vaultRoles },

    async observe(scope, { vault }) {
      const found = await findSecret(scope, vault.vaultUrl, use.name);
      if (!found) return { state: 'absent' as const };
      const outputs = { secret: referenceTo(vault.vaultUrl, found) };
      const wrong = secretDifferences(scope, found, use);
      return wrong.length > 0
        ? { state: 'drifted' as const, outputs, differences: wrong }
        : { state: 'ready' as const, outputs };
    },

    async ensure(scope, { vault }) {
      // Read again: what was absent a moment ago may have been put there by a run that this one follows.
      const found = await findSecret(scope, vault.vaultUrl, use.name);
      const { name, contentType } = use;
      await putSecret(scope, vault.vaultUrl, {
        name,
        contentType,
        value: found?.value ?? use.generate(scope),
      });
    },

    async remove(scope, { vault }) {
      if (vault) await removeSecret(scope, vault.vaultUrl, use.name);
    },
  });

/**
 * A new password of the database goes from the vault to the server, and from there into the connection string: minutes
 * in which the three differ, and nobody has done anything to them.
 */
import type { KeyVaultSecret } from '@azure/keyvault-secrets';

/** The version of the password that the server was sent last, and the one that a connection string was made of. */
export const PASSWORD_VERSION = 'password-version';

/** Azure takes minutes for the server's, and the string follows with the next look. */
const HAND_OUT_MINUTES = 15;

/**
 * Whether the connection string only waits for its turn: it was made of an earlier version of the password than the
 * vault has since some minutes. A string that somebody put there by hand does not say what it was made of.
 */
export function isHandingOut(
  string: KeyVaultSecret | undefined,
  password: KeyVaultSecret | undefined,
  now: Date,
): boolean {
  const madeOf = string?.properties.tags?.[PASSWORD_VERSION];
  const { version, createdOn } = password?.properties ?? {};
  if (madeOf === undefined || madeOf === version || createdOn === undefined) return false;
  return now.getTime() - createdOn.getTime() < HAND_OUT_MINUTES * 60_000;
}

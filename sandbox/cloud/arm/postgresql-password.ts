/**
 * What the service demands of the administrator's login and password, and the only form in which a password is kept:
 * the SCRAM verifier that PostgreSQL itself stores. An operation can wait with it on disk without giving it away.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { Refusal } from './frame/refusal.ts';

/** PostgreSQL's default. */
const ITERATIONS = 4096;
const RESERVED_LOGINS =
  /^(azure_superuser|azuresu|azure_pg_admin|admin|administrator|root|guest|public|pg_.*)$/i;

/** https://learn.microsoft.com/azure/postgresql/configure-maintain/quickstart-create-server: reserved names. */
export function requireLogin(login: string): void {
  if (/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(login) && !RESERVED_LOGINS.test(login)) return;
  throw new Refusal(
    400,
    'InvalidLoginName',
    `The login name '${login}' is invalid: 1 to 63 letters, digits and '_', not a reserved name and not beginning ` +
      "with 'pg_'.",
  );
}

/** 8 to 128 characters of three of four kinds, without the login name in it. */
export function requirePassword(password: string, login: string): void {
  const kinds = [/[A-Z]/, /[a-z]/, /[0-9]/, /[^A-Za-z0-9]/].filter((kind) => kind.test(password)).length;
  const isLong = password.length >= 8 && password.length <= 128;
  if (isLong && kinds >= 3 && !password.toLowerCase().includes(login.toLowerCase())) return;
  throw new Refusal(
    400,
    'PasswordNotComplex',
    'Password validation failed. The password does not meet policy requirements because it is not complex enough: ' +
      '8 to 128 characters from three of: upper case, lower case, digits, other characters; without the login name.',
  );
}

/** As PostgreSQL writes it to pg_authid (RFC 5803). */
export function scramVerifier(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, ITERATIONS, 32, 'sha256');
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  return (
    `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:` +
    hmac('Server Key').toString('base64')
  );
}

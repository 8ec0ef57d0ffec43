import { randomInt } from 'node:crypto';
import { generatedSecret } from '../kinds/vault-secret.ts';

const LENGTH = 32;
const kindsOfCharacters = [
  'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
  'abcdefghijklmnopqrstuvwxyz',
  '0123456789',
  '-_.~',
] as const;
/** RFC 3986's unreserved characters: the same with and without URL encoding. */
const alphabet = kindsOfCharacters.join('');

/**
 * Azure asks for 8 to 128 characters of at least three of the kinds upper case, lower case, digits and others, and for
 * the login not to be part of it (https://learn.microsoft.com/azure/postgresql/security/security-connect-scram).
 */
export function makePassword(login: string): string {
  for (;;) {
    const password = Array.from({ length: LENGTH }, () => alphabet[randomInt(alphabet.length)]).join('');
    const hasAllKinds = kindsOfCharacters.every((kind) =>
      [...password].some((character) => kind.includes(character)),
    );
    if (hasAllKinds && /^\w/.test(password) && !password.toLowerCase().includes(login.toLowerCase())) {
      return password;
    }
  }
}

/** A password that was made up here, as opposed to one that somebody put into the vault, names its server. */
const MADE_FOR = 'made-for';

export const isMadeFor = (server: string, tags: Readonly<Record<string, string>> | undefined): boolean =>
  tags?.[MADE_FOR] === server;

/**
 * In the vault before there is a server: a password nobody kept would lock everybody out of it. For the same reason a
 * new one is in the vault before the server is told, and nothing uses it until the server has it.
 */
export const postgresPassword = generatedSecret({
  key: 'azure/postgres-password',
  title: "PostgreSQL administrator's password",
  name: 'postgres-admin-password',
  contentType: 'text/plain',
  rotation: 'postgres-password',
  tags: ({ names }) => ({ [MADE_FOR]: names.postgresServer }),
  generate: ({ spec }) => makePassword(spec.postgres.adminLogin),
});

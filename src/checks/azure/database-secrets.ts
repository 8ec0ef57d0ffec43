/**
 * What the vault says about the database, against the database: address, user, database, TLS, and the password of the
 * administrator. Values are compared here and go nowhere.
 */
import type { Server } from '@azure/arm-postgresql-flexible';
import type { KeyVaultSecret } from '@azure/keyvault-secrets';
import { orAbsent } from '../../clients/cloud-failure.ts';
import { findSecret } from '../../resources/kinds/vault-secret.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { needed, repairOf } from '../repair.ts';
import { neededServer, neededVault, told } from './parts.ts';
import { isHandingOut, PASSWORD_VERSION } from './password-rotation.ts';

const CONNECTION_STRING = 'postgres-connection-string';
const PASSWORD = 'postgres-admin-password';
const PORT = '5432';

export const databaseSecrets: Check = {
  id: 'database-secrets',
  system: 'database',
  title: 'The connection string in the vault leads to this server and database',

  async run(scope) {
    const server = await neededServer(scope);
    const { url } = await neededVault(scope);
    const host = told(server.fullyQualifiedDomainName, 'name of the server');
    const [string, password, reference] = await Promise.all([
      findSecret(scope, url, CONNECTION_STRING),
      findSecret(scope, url, PASSWORD),
      findSecret(scope, url, 'postgres-server-fqdn'),
    ]);
    const login = URL.parse(needed(string?.value, `the vault secret ${CONNECTION_STRING}`));
    const kept = needed(password, `the vault secret ${PASSWORD}`);
    const isUsable =
      isHandingOut(string, kept, scope.now) ||
      (await isPassword(scope, url, server, kept, decoded(login?.password ?? '')));
    const wrong = wrongParts(scope, login, host, isUsable);
    const findings: CheckFinding[] = [];
    if (wrong.length > 0) {
      findings.push({
        id: 'connection-string-wrong',
        resource: 'azure/postgres-connection-string',
        severity: 'error',
        what: 'The connection string in the vault is not that of the database.',
        evidence: `In ${CONNECTION_STRING}: ${wrong.join('; ')}.`,
        breaks:
          'Pods that have read it cannot connect: "could not connect to server", "password authentication failed" or "SSL required".',
        remedy: 'Somebody has put another one into the vault; have it made anew.',
        repair: repairOf(scope),
      });
    }
    const fqdn = needed(reference, 'the vault secret postgres-server-fqdn').value;
    if (fqdn !== host) {
      findings.push({
        id: 'server-reference-wrong',
        resource: 'azure/reference-secrets',
        severity: 'warning',
        what: 'The vault names another database server than there is.',
        evidence: `postgres-server-fqdn is not ${host}.`,
        breaks: 'Nothing that runs; people who look it up are led astray.',
        remedy: 'Have it made anew.',
        repair: repairOf(scope),
      });
    }
    return findings;
  },
};

/** The one in the vault, or, while the server has not been sent that one, the one that it was sent last. */
async function isPassword(
  scope: CheckScope,
  vaultUrl: string,
  { tags }: Server,
  current: KeyVaultSecret,
  password: string | undefined,
): Promise<boolean> {
  if (password === needed(current.value, `the value of ${PASSWORD}`)) return true;
  const version = tags?.[PASSWORD_VERSION];
  if (version === undefined || version === current.properties.version) return false;
  const sent = await orAbsent(scope.clients.secrets(vaultUrl).getSecret(PASSWORD, { version }));
  return sent !== undefined && sent.value === password;
}

/** In words that say no value. */
function wrongParts(
  scope: CheckScope,
  url: URL | null,
  host: string,
  isPasswordUsable: boolean,
): readonly string[] {
  const { adminLogin, database } = scope.spec.postgres;
  if (!url || !/^postgres(ql)?:$/.test(url.protocol)) return ['it is no PostgreSQL URL'];
  return [
    ...(url.hostname === host ? [] : [`the host is not ${host}`]),
    ...(url.port === '' || url.port === PORT ? [] : [`the port is not ${PORT}`]),
    ...(decoded(url.pathname.slice(1)) === database ? [] : [`the database is not ${database}`]),
    ...(decoded(url.username) === adminLogin ? [] : [`the user is not ${adminLogin}`]),
    ...(isPasswordUsable ? [] : [`the password is not that of ${PASSWORD}`]),
    ...(['require', 'verify-ca', 'verify-full'].includes(url.searchParams.get('sslmode') ?? '')
      ? []
      : ['it does not ask for TLS (sslmode=require)']),
  ];
}

/** What somebody typed may not be decodable, which is as wrong as anything else. */
function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

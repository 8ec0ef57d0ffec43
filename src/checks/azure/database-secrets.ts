/**
 * What the vault says about the database, against the database: address, user, database, TLS, and the password of the
 * administrator. Values are compared here and go nowhere.
 */
import { findSecret } from '../../resources/kinds/vault-secret.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { needed, repairOf } from '../repair.ts';
import { neededServer, neededVault, told } from './parts.ts';

const CONNECTION_STRING = 'postgres-connection-string';

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
      findSecret(scope, url, 'postgres-admin-password'),
      findSecret(scope, url, 'postgres-server-fqdn'),
    ]);
    const wrong = wrongParts(
      scope,
      needed(string?.value, `the vault secret ${CONNECTION_STRING}`),
      host,
      needed(password?.value, 'the vault secret postgres-admin-password'),
    );
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

/** In words that say no value. */
function wrongParts(scope: CheckScope, value: string, host: string, password: string): readonly string[] {
  const { adminLogin, database } = scope.spec.postgres;
  const url = URL.parse(value);
  if (!url || !/^postgres(ql)?:$/.test(url.protocol)) return ['it is no PostgreSQL URL'];
  return [
    ...(url.hostname === host ? [] : [`the host is not ${host}`]),
    ...(decoded(url.pathname.slice(1)) === database ? [] : [`the database is not ${database}`]),
    ...(decoded(url.username) === adminLogin ? [] : [`the user is not ${adminLogin}`]),
    ...(decoded(url.password) === password ? [] : ['the password is not that of postgres-admin-password']),
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

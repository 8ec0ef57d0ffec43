/**
 * A session of the deployment's database, with the login that its pods use. Nobody is dialled but the server that ARM
 * tells about: a connection string that leads elsewhere is a finding, and no reason to hand its password to anybody.
 */
import type { DatabaseLogin, Query } from '../../clients/database.ts';
import { fatal } from '../../graph/failure.ts';
import { findSecret } from '../../resources/kinds/vault-secret.ts';
import { neededServer, neededVault, told } from '../azure/parts.ts';
import type { CheckScope } from '../check.ts';
import { needed } from '../repair.ts';
import { oncePerRound } from '../round.ts';

const CONNECTION_STRING = 'postgres-connection-string';
const PORT = 5432;

/** Throws what keeps from logging in. */
export async function inSession<T>(scope: CheckScope, work: (query: Query) => Promise<T>): Promise<T> {
  return scope.clients.database(await loginOf(scope), work);
}

export const loginOf = (scope: CheckScope): Promise<DatabaseLogin> =>
  oncePerRound(scope, 'database login', async () => {
    const { fullyQualifiedDomainName } = await neededServer(scope);
    const host = told(fullyQualifiedDomainName, 'name of the server');
    const { url } = await neededVault(scope);
    const secret = await findSecret(scope, url, CONNECTION_STRING);
    const login = readLogin(needed(secret?.value, `the vault secret ${CONNECTION_STRING}`));
    if (login?.host === host) return login;
    throw fatal('ConnectionStringWrong', `the connection string in the vault does not lead to ${host}`);
  });

/** Undefined for what is no PostgreSQL URL. */
export function readLogin(text: string): DatabaseLogin | undefined {
  const url = URL.parse(text);
  if (!url || !/^postgres(ql)?:$/.test(url.protocol)) return undefined;
  try {
    return {
      host: url.hostname,
      port: url.port === '' ? PORT : Number(url.port),
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database: decodeURIComponent(url.pathname.slice(1)),
    };
  } catch {
    // What somebody typed may not be decodable.
    return undefined;
  }
}

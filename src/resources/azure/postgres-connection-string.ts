import { fatal } from '../../graph/failure.ts';
import {
  findSecret,
  putSecret,
  readVersion,
  referenceTo,
  removeSecret,
  type SecretWish,
  secretDifferences,
} from '../kinds/vault-secret.ts';
import { defineResource, type Scope, type SecretReference } from '../scope.ts';
import { postgresDatabase } from './postgres-database.ts';
import { postgresEndpoint } from './postgres-endpoint.ts';
import { postgresPassword } from './postgres-password.ts';
import { postgresServer } from './postgres-server.ts';

const NAME = 'postgres-connection-string';

export interface Login {
  readonly user: string;
  readonly password: string;
  readonly host: string;
  readonly database: string;
}

/** A libpq URL with every part encoded. Throws, without naming the value, when it does not read back as what went in. */
export function connectionString({ user, password, host, database }: Login): string {
  const url = `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:5432/${encodeURIComponent(database)}?sslmode=require`;
  const back = URL.parse(url);
  const isSame =
    back !== null &&
    decodeURIComponent(back.username) === user &&
    decodeURIComponent(back.password) === password &&
    back.hostname === host &&
    decodeURIComponent(back.pathname.slice(1)) === database;
  if (!isSame) {
    throw fatal(
      'ConnectionStringInvalid',
      'the parts of the connection string do not survive being put together',
    );
  }
  return url;
}

/**
 * Derived from the password, never kept for its own sake: it follows when the password is rotated, as soon as the server
 * has the new one and not before, and it ends with it.
 */
export const postgresConnectionString = defineResource<
  {
    readonly password: typeof postgresPassword;
    readonly server: typeof postgresServer;
    readonly endpoint: typeof postgresEndpoint;
    readonly database: typeof postgresDatabase;
  },
  { readonly secret: SecretReference }
>({
  key: 'azure/postgres-connection-string',
  title: 'PostgreSQL connection string',
  /** The endpoint, where there is one, only so that whoever is handed the string can use it. */
  dependsOn: {
    password: postgresPassword,
    server: postgresServer,
    endpoint: postgresEndpoint,
    database: postgresDatabase,
  },

  async observe(scope, deps) {
    const { vaultUrl } = deps.password.secret;
    const found = await findSecret(scope, vaultUrl, NAME);
    if (!found) return { state: 'absent' };
    const differences = secretDifferences(scope, found, await wish(scope, deps));
    const outputs = { secret: referenceTo(vaultUrl, found) };
    return differences.length > 0 ? { state: 'drifted', outputs, differences } : { state: 'ready', outputs };
  },

  async ensure(scope, deps) {
    await putSecret(scope, deps.password.secret.vaultUrl, await wish(scope, deps));
  },

  async remove(scope, deps) {
    if (deps.password) await removeSecret(scope, deps.password.secret.vaultUrl, NAME);
  },
});

async function wish(
  scope: Scope,
  deps: {
    readonly password: { readonly secret: SecretReference };
    readonly server: { readonly fqdn: string; readonly passwordVersion: string };
    readonly database: { readonly name: string };
  },
): Promise<SecretWish & { readonly value: string }> {
  const { passwordVersion: version } = deps.server;
  const password = await readVersion(scope, { ...deps.password.secret, version });
  const value = connectionString({
    user: scope.spec.postgres.adminLogin,
    password: password.value,
    host: deps.server.fqdn,
    database: deps.database.name,
  });
  return {
    name: NAME,
    contentType: 'text/uri',
    value,
    expiresOn: password.properties.expiresOn,
    tags: { 'password-version': version },
  };
}

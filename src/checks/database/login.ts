/**
 * Whether the database lets its pods in. It is tried with what the vault holds, so a refused password is either the
 * connection string's fault, or the server has been given another one, which ARM does not tell.
 */
import { hasCode } from '../../clients/cloud-failure.ts';
import { retryable } from '../../graph/failure.ts';
import { findSecret } from '../../resources/kinds/vault-secret.ts';
import { neededVault } from '../azure/parts.ts';
import { isHandingOut } from '../azure/password-rotation.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { loginOf } from './session.ts';
import { lookAtDatabase } from './snapshot.ts';

const breaks =
  'Pods that start, and pods that need another connection, do not get into their database: pages and chats fail.';

export const databaseLogin: Check = {
  id: 'database-login',
  system: 'database',
  title: 'The login in the vault gets into the database',

  async run(scope) {
    try {
      await lookAtDatabase(scope);
      return [];
    } catch (error) {
      if (hasCode(error, 'PasswordRefused')) return [await passwordRefused(scope)];
      if (hasCode(error, 'LoginRefused')) {
        return [await loginRefused(scope, '28000 (invalid_authorization_specification)')];
      }
      if (hasCode(error, 'DatabaseForbids')) {
        return [await loginRefused(scope, '42501 (insufficient_privilege)')];
      }
      if (hasCode(error, 'NoSuchDatabase')) return [await noSuchDatabase(scope)];
      // That all connections are taken is found by the check that counts them.
      throw error;
    }
  },
};

async function passwordRefused(scope: CheckScope): Promise<CheckFinding> {
  const { postgresServer: server, deployment } = scope.names;
  const rotate = `POST /api/deployments/${deployment}/rotate?what=postgres-password`;
  const { user, password } = await loginOf(scope);
  const { url } = await neededVault(scope);
  const [string, kept] = await Promise.all([
    findSecret(scope, url, 'postgres-connection-string'),
    findSecret(scope, url, 'postgres-admin-password'),
  ]);
  if (isHandingOut(string, kept, scope.now)) {
    throw retryable(
      'PasswordBeingReplaced',
      `the server ${server} has its new password already, and the connection string does not yet`,
    );
  }
  const common = {
    severity: 'error',
    breaks,
    evidence: evidenceOf(user, '28P01 (invalid_password)'),
  } as const;
  if (kept?.value !== password) {
    return {
      ...common,
      id: 'database-login-password-refused',
      resource: 'azure/postgres-connection-string',
      what: `The server ${server} refuses the password of the connection string in the vault.`,
      remedy: 'It is not the one in postgres-admin-password: have the connection string made anew.',
      repair: repairOf(scope),
    };
  }
  return {
    ...common,
    id: 'database-login-password-changed',
    resource: 'azure/postgres-server',
    what: `The server ${server} refuses the password that the vault holds for it.`,
    remedy: `Somebody has given the server another one: have it replaced in both, by ${rotate}.`,
    repair: rotate,
  };
}

async function loginRefused(scope: CheckScope, code: string): Promise<CheckFinding> {
  const { postgresServer: server } = scope.names;
  const { user, database } = await loginOf(scope);
  return {
    id: 'database-login-refused',
    resource: 'azure/postgres-server',
    severity: 'error',
    what: `The server ${server} does not let ${user} into the database ${database}.`,
    evidence: evidenceOf(user, code),
    breaks,
    remedy: `As another administrator look whether the role may log in and connect: \\du ${user} and \\l ${database} in psql; ALTER ROLE "${user}" LOGIN; GRANT CONNECT ON DATABASE "${database}" TO "${user}".`,
  };
}

async function noSuchDatabase(scope: CheckScope): Promise<CheckFinding> {
  const { postgresServer: server } = scope.names;
  const { user, database } = await loginOf(scope);
  const isAsked = database === scope.spec.postgres.database;
  return {
    id: 'database-login-no-database',
    resource: isAsked ? 'azure/postgres-database' : 'azure/postgres-connection-string',
    severity: 'error',
    what: `The server ${server} has no database ${database}, which the vault's connection string names.`,
    evidence: evidenceOf(user, '3D000 (invalid_catalog_name)'),
    breaks: `${breaks} Chats and users are not there, either.`,
    remedy: isAsked
      ? 'Restore the server to a moment before it was dropped, before an empty one is made anew.'
      : 'Have the connection string made anew.',
    repair: repairOf(scope),
  };
}

const evidenceOf = (user: string, code: string): string => `A login as ${user} is answered with ${code}.`;

/** A password on its way from the vault to the server and into the connection string is no sabotage. */
import { describe, expect, test } from 'vitest';
import { databaseSecrets } from '../../../src/checks/azure/database-secrets.ts';
import { databaseLogin } from '../../../src/checks/database/login.ts';
import { toFailure } from '../../../src/clients/cloud-failure.ts';
import { fatal } from '../../../src/graph/failure.ts';
import { aRound, aSecret, aVault, NOW, secretsOf } from '../a-round.ts';

const HOST = 'psql-chat.postgres.database.azure.com';
const minutesAgo = (minutes: number): Date => new Date(NOW.getTime() - minutes * 60_000);
const password = (version: string, minutes: number) =>
  aSecret('postgres-admin-password', `password-${version}`, { version, createdOn: minutesAgo(minutes) });

/** The vault has `new` since some minutes, and had `old` before. */
function aRotation(parts: {
  readonly minutes: number;
  /** Version that the server was sent last. */
  readonly server: 'old' | 'new';
  /** What the connection string carries. */
  readonly carries: 'old' | 'new' | 'another';
  readonly isTagged?: boolean;
}) {
  const { minutes, server, carries, isTagged = true } = parts;
  return aRound({
    clients: {
      secrets: secretsOf(
        password('new', minutes),
        password('old', 90_000),
        aSecret(
          'postgres-connection-string',
          `postgresql://openwebuiadmin:password-${carries}@${HOST}:5432/openwebuidb?sslmode=require`,
          isTagged ? { tags: { 'password-version': carries } } : {},
        ),
        aSecret('postgres-server-fqdn', HOST),
      ),
      database: async () => {
        throw fatal('PasswordRefused', 'refused');
      },
    },
    known: {
      vault: aVault,
      'database server': {
        state: 'Ready',
        fullyQualifiedDomainName: HOST,
        tags: { 'password-version': server },
      },
    },
  });
}

const secretsFound = async (parts: Parameters<typeof aRotation>[0]) =>
  (await databaseSecrets.run(aRotation(parts))).map(({ id }) => id);

describe('the connection string in the vault', () => {
  test('keeps the earlier password for as long as the server does', async () => {
    expect(await secretsFound({ minutes: 120, server: 'old', carries: 'old' })).toEqual([]);
  });

  test('may lag behind the server for some minutes, and no longer', async () => {
    expect(await secretsFound({ minutes: 5, server: 'new', carries: 'old' })).toEqual([]);
    expect(await secretsFound({ minutes: 30, server: 'new', carries: 'old' })).toEqual([
      'connection-string-wrong',
    ]);
  });

  test('has been replaced by hand when it does not say what it was made of, however new the password', async () => {
    expect(await secretsFound({ minutes: 5, server: 'new', carries: 'another', isTagged: false })).toEqual([
      'connection-string-wrong',
    ]);
  });
});

describe('a refused login', () => {
  test('is told as a rotation under way while the string waits for its turn', async () => {
    const looked = databaseLogin.run(aRotation({ minutes: 5, server: 'new', carries: 'old' }));
    expect(toFailure(await looked.catch((error: unknown) => error))).toMatchObject({
      code: 'PasswordBeingReplaced',
      kind: 'retryable',
    });
  });

  test('is the fault of the connection string when it has waited for too long', async () => {
    const scope = aRotation({ minutes: 30, server: 'new', carries: 'old' });
    expect(await databaseLogin.run(scope)).toMatchObject([
      { id: 'database-login-password-refused', resource: 'azure/postgres-connection-string' },
    ]);
  });

  test('is the fault of whoever changed the server, also minutes after a rotation', async () => {
    const scope = aRotation({ minutes: 5, server: 'new', carries: 'new' });
    const [finding] = await databaseLogin.run(scope);
    expect(finding).toMatchObject({
      id: 'database-login-password-changed',
      repair: 'POST /api/deployments/chat/rotate?what=postgres-password',
    });
    expect(finding?.remedy).toContain('POST /api/deployments/chat/rotate?what=postgres-password');
  });
});

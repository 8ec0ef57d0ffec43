import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { connectionString } from '../../../src/resources/azure/postgres-connection-string.ts';

const host = 'psql-chat-1a2b3c.postgres.database.azure.com';

describe('azure/postgres-connection-string', () => {
  test('is a libpq URL that asks for TLS', () => {
    expect(
      connectionString({
        user: 'openwebuiadmin',
        password: 'p@ss/w?rd#[1]:%',
        host,
        database: 'openwebuidb',
      }),
    ).toBe(
      `postgresql://openwebuiadmin:p%40ss%2Fw%3Frd%23%5B1%5D%3A%25@${host}:5432/openwebuidb?sslmode=require`,
    );
  });

  test('reads back as what went in, whatever the password', () => {
    const part = fc
      .string({ minLength: 1, unit: 'grapheme' })
      .filter((text) => text.isWellFormed() && text !== '.' && text !== '..');
    fc.assert(
      fc.property(part, part, fc.stringMatching(/^[a-z_][a-z0-9_]{0,62}$/), (user, password, database) => {
        const url = new URL(connectionString({ user, password, host, database }));
        expect(decodeURIComponent(url.username)).toBe(user);
        expect(decodeURIComponent(url.password)).toBe(password);
        expect(decodeURIComponent(url.pathname)).toBe(`/${database}`);
        expect(url.hostname).toBe(host);
        expect(url.searchParams.get('sslmode')).toBe('require');
      }),
    );
  });

  test('that would not is refused without being repeated', () => {
    const broken = () =>
      connectionString({ user: 'u', password: 'hunter2', host: 'not a host', database: 'd' });
    expect(broken).toThrow('do not survive');
    expect(broken).not.toThrow('hunter2');
  });
});

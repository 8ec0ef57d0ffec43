import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makePassword } from '../../../src/resources/azure/postgres-password.ts';

describe('azure/postgres-password', () => {
  test("keeps Azure's rules, whatever the login", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z_][a-z0-9_]{0,62}$/), (login) => {
        fc.pre(login.length > 1);
        const password = makePassword(login);
        expect(password).toHaveLength(32);
        expect(password).toMatch(/[A-Z]/);
        expect(password).toMatch(/[a-z]/);
        expect(password).toMatch(/[0-9]/);
        expect(password).toMatch(/[-_.~]/);
        expect(password.toLowerCase()).not.toContain(login);
        expect(encodeURIComponent(password)).toBe(password);
      }),
    );
  });

  test('is another one each time', () => {
    const made = new Set(Array.from({ length: 50 }, () => makePassword('openwebuiadmin')));
    expect(made.size).toBe(50);
  });
});

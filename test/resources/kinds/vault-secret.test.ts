import { describe, expect, test } from 'vitest';
import { rotationDifference } from '../../../src/resources/kinds/vault-secret.ts';

const at = (time: string): Date => new Date(time);
const found = {
  name: 'a-secret',
  properties: {
    vaultUrl: 'https://kv.vault.azure.net',
    name: 'a-secret',
    createdOn: at('2026-01-01T00:00:00Z'),
    expiresOn: at('2027-01-01T00:00:00Z'),
  },
};
const due = (now: string, wish?: string) =>
  rotationDifference(
    { now: at(now), rotateAfter: wish === undefined ? {} : { 'storage-key': at(wish) } },
    found,
    'storage-key',
  );

describe('a secret that is to be replaced', () => {
  test('is due, and nobody has changed it, whether time says so or a person', () => {
    expect(due('2026-12-20T00:00:00Z')).toMatchObject({ path: 'a-secret.expiresOn', isDue: true });
    expect(due('2026-06-01T00:00:00Z', '2026-05-01T00:00:00Z')).toMatchObject({
      path: 'a-secret.version',
      isDue: true,
    });
  });

  test('is not due before that', () => {
    expect(due('2026-06-01T00:00:00Z')).toBeUndefined();
  });
});

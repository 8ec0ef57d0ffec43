import type { SecretProperties } from '@azure/keyvault-secrets';
import { expect, test } from 'vitest';
import { vaultSecrets } from '../../../src/checks/azure/vault-secrets.ts';
import { aRound, aVault } from '../a-round.ts';

const names = [
  'postgres-connection-string',
  'postgres-admin-password',
  'webui-secret-key',
  'storage-account-key',
  'storage-account-name',
  'openwebui-client-secret',
  'cf-tunnel-token',
  'postgres-server-fqdn',
  'cf-tunnel-id',
  'openwebui-client-id',
  'tenant-id',
];
const expiring = (name: string): SecretProperties => ({
  name,
  vaultUrl: 'https://kv.example.com',
  createdOn: new Date('2026-01-01T00:00:00Z'),
  expiresOn: new Date('2027-01-01T00:00:00Z'),
});
const look = (now: string) =>
  vaultSecrets.run(
    aRound({
      known: { vault: aVault, secrets: new Map(names.map((name) => [name, expiring(name)])) },
      now: new Date(now),
    }),
  );

test('a secret that nears its end is told with the day on which it ends, in the same words each day', async () => {
  expect(await look('2026-11-30T00:00:00Z')).toEqual([]);
  const found = await look('2026-12-10T00:00:00Z');
  expect(found.map(({ id }) => id)).toContain('rotation-advised');
  expect(found).toHaveLength(names.length);
  for (const { severity, evidence } of found) {
    expect(severity).toBe('warning');
    expect(evidence).toContain('2027-01-01');
  }
  expect(await look('2026-12-20T00:00:00Z')).toEqual(found);
});

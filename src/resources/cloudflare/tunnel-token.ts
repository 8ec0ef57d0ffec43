import { vaultRoles } from '../azure/vault-roles.ts';
import {
  findSecret,
  putSecret,
  referenceTo,
  removeSecret,
  secretDifferences,
} from '../kinds/vault-secret.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';
import { tunnel } from './tunnel.ts';

const NAME = 'cf-tunnel-token';

/** Cloudflare gives the token again whenever asked, so the vault's copy can be compared and mended. */
async function wishOf({ clients, spec }: Scope, tunnelId: string) {
  const api = await clients.cloudflare();
  const value = await api.zeroTrust.tunnels.cloudflared.token.get(tunnelId, {
    account_id: spec.tunnel.accountId,
  });
  return { name: NAME, contentType: 'text/plain', value };
}

/** What cloudflared connects with, copied from Cloudflare into the vault whenever it is another there. */
export const tunnelToken = defineResource({
  key: 'cloudflare/tunnel-token',
  title: 'Tunnel token',
  dependsOn: { tunnel, vault: vaultRoles },

  async observe(scope, { tunnel, vault }) {
    const found = await findSecret(scope, vault.vaultUrl, NAME);
    if (!found) return { state: 'absent' };
    const outputs = { secret: referenceTo(vault.vaultUrl, found) };
    const wrong = secretDifferences(scope, found, await wishOf(scope, tunnel.id));
    return wrong.length === 0
      ? { state: 'ready', outputs }
      : { state: 'drifted', outputs, differences: wrong };
  },

  async ensure(scope, { tunnel, vault }) {
    await putSecret(scope, vault.vaultUrl, await wishOf(scope, tunnel.id));
  },

  async remove(scope, { vault }) {
    if (vault) await removeSecret(scope, vault.vaultUrl, NAME);
  },
});

/**
 * What cloudflared connects with, copied from Cloudflare into the vault whenever it is another there. That is also how it
 * is rotated: the tunnel is given a new secret, and the token that follows from it is copied. A tunnel whose token is
 * already another than the vault's has been given a new secret before, so it is not given one again.
 *
 * Connections that stand are not asked for their token again; only a cloudflared that starts needs the new one
 * (https://developers.cloudflare.com/cloudflare-one/networks/connectors/cloudflare-tunnel/configure-tunnels/remote-tunnel-permissions/).
 */
import { randomBytes } from 'node:crypto';
import { retryable } from '../../graph/failure.ts';
import { vaultRoles } from '../azure/vault-roles.ts';
import { wishTags } from '../kinds/rotation.ts';
import {
  findSecret,
  putSecret,
  referenceTo,
  removeSecret,
  rotationDifference,
  secretDifferences,
} from '../kinds/vault-secret.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';
import { tunnel } from './tunnel.ts';

export const TUNNEL_TOKEN_SECRET = 'cf-tunnel-token';

/** Cloudflare gives the token again whenever asked, so the vault's copy can be compared and mended. */
export async function tokenOf(
  { clients, spec }: Pick<Scope, 'clients' | 'spec'>,
  tunnelId: string,
): Promise<string> {
  const { cloudflared } = (await clients.cloudflare()).zeroTrust.tunnels;
  return cloudflared.token.get(tunnelId, { account_id: spec.tunnel.accountId });
}

const wishOf = ({ spec }: Scope, value: string) => ({
  name: TUNNEL_TOKEN_SECRET,
  contentType: 'text/plain',
  value,
  lifetimeMonths: spec.vault.secretLifetimeMonths,
});

export const tunnelToken = defineResource({
  key: 'cloudflare/tunnel-token',
  title: 'Tunnel token',
  dependsOn: { tunnel, vault: vaultRoles },

  async observe(scope, { tunnel, vault }) {
    const found = await findSecret(scope, vault.vaultUrl, TUNNEL_TOKEN_SECRET);
    if (!found) return { state: 'absent' };
    const outputs = { secret: referenceTo(vault.vaultUrl, found) };
    const wish = wishOf(scope, await tokenOf(scope, tunnel.id));
    const due = rotationDifference(scope, found, 'tunnel-token');
    const wrong = due ? [due] : secretDifferences(scope, found, wish);
    return wrong.length === 0
      ? { state: 'ready', outputs }
      : { state: 'drifted', outputs, differences: wrong };
  },

  async ensure(scope, { tunnel, vault }) {
    const found = await findSecret(scope, vault.vaultUrl, TUNNEL_TOKEN_SECRET);
    const isDue = found !== undefined && rotationDifference(scope, found, 'tunnel-token') !== undefined;
    let token = await tokenOf(scope, tunnel.id);
    if (isDue && token === found.value) {
      token = await renewToken(scope, tunnel.id, token);
    }
    await putSecret(scope, vault.vaultUrl, {
      ...wishOf(scope, token),
      ...(isDue ? { tags: wishTags(scope.rotateAfter['tunnel-token']) } : {}),
    });
  },

  async remove(scope, { vault }) {
    if (vault) await removeSecret(scope, vault.vaultUrl, TUNNEL_TOKEN_SECRET);
  },
});

/** At least 32 bytes, says the API: https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/ */
async function renewToken(scope: Scope, tunnelId: string, old: string): Promise<string> {
  const { cloudflared } = (await scope.clients.cloudflare()).zeroTrust.tunnels;
  await cloudflared.edit(tunnelId, {
    account_id: scope.spec.tunnel.accountId,
    tunnel_secret: randomBytes(32).toString('base64'),
  });
  const token = await tokenOf(scope, tunnelId);
  if (token === old) throw retryable('TokenNotRenewed', 'Cloudflare still gives the old tunnel token', 5);
  return token;
}

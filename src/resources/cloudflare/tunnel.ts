/**
 * The tunnel through which people reach Open WebUI, managed remotely: cloudflared gets its ingress rules from the edge.
 *
 * Cloudflare lets a tunnel carry no mark of ours: `metadata` is read-only, and the name is a name people choose too. A
 * tunnel of our name is ours when its configuration or the DNS record we marked says so, or when nothing has ever run
 * or been set up through it, which is how an own creation whose reply was lost looks. Any other is somebody else's.
 */
import Cloudflare from 'cloudflare';
import { z } from 'zod';
import { retryable } from '../../graph/failure.ts';
import { markOf } from '../../naming.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';
import { readIngress, siteService } from './ingress-rules.ts';

/** Error codes seen in Cloudflare's answers: the name is taken; the tunnel still has connectors. */
const NAME_TAKEN = 1013;
const HAS_CONNECTIONS = 1022;

const tunnelSchema = z.object({
  id: z.string(),
  name: z.string(),
  config_src: z.enum(['local', 'cloudflare']),
  status: z.enum(['inactive', 'degraded', 'healthy', 'down']),
});
type Tunnel = z.output<typeof tunnelSchema>;

/** Deleted tunnels keep their names in listings; live ones cannot share a name. */
export async function findTunnel({
  clients,
  names,
  spec,
}: Pick<Scope, 'clients' | 'names' | 'spec'>): Promise<Tunnel | undefined> {
  const api = await clients.cloudflare();
  const { result } = await api.zeroTrust.tunnels.cloudflared.list({
    account_id: spec.tunnel.accountId,
    name: names.tunnel,
    is_deleted: false,
  });
  return result.map((tunnel) => tunnelSchema.parse(tunnel)).find(({ name }) => name === names.tunnel);
}

async function isOurs(scope: Scope, tunnel: Tunnel): Promise<boolean> {
  // Ours never begin with a file on somebody's machine.
  if (tunnel.config_src === 'local') return false;
  const { clients, names, spec } = scope;
  const rules = await readIngress(scope, tunnel.id);
  const { hostName } = spec.tunnel;
  if (rules.some((rule) => rule.hostname === hostName && rule.service === siteService(names))) return true;
  if (tunnel.status === 'inactive' && rules.every((rule) => !rule.hostname)) return true;
  const api = await clients.cloudflare();
  const { result } = await api.dns.records.list({ zone_id: spec.tunnel.zoneId, name: { exact: hostName } });
  return result.some(
    (record) => record.content === tunnelHost(tunnel.id) && record.comment === markOf(names.deployment),
  );
}

/** What the DNS record of a tunnel points to. */
export const tunnelHost = (tunnelId: string): string => `${tunnelId}.cfargotunnel.com`;

export const tunnel = defineResource({
  key: 'cloudflare/tunnel',
  title: 'Tunnel',
  dependsOn: {},

  async observe(scope) {
    const found = await findTunnel(scope);
    if (!found) return { state: 'absent' };
    if (!(await isOurs(scope, found))) {
      return {
        state: 'foreign',
        reason: `the account has a tunnel ${found.name} that serves something else`,
      };
    }
    return { state: 'ready', outputs: { id: found.id, name: found.name } };
  },

  async ensure({ clients, names, spec }) {
    const api = await clients.cloudflare();
    const account_id = spec.tunnel.accountId;
    try {
      await api.zeroTrust.tunnels.cloudflared.create({
        account_id,
        name: names.tunnel,
        config_src: 'cloudflare',
      });
    } catch (error) {
      // An earlier attempt made it; the next look finds it.
      if (!hasCode(error, NAME_TAKEN)) throw error;
    }
  },

  async remove(scope) {
    const found = await findTunnel(scope);
    if (!found || !(await isOurs(scope, found))) return;
    const { clients, spec } = scope;
    const { cloudflared } = (await clients.cloudflare()).zeroTrust.tunnels;
    const account = { account_id: spec.tunnel.accountId };
    await cloudflared.connections.delete(found.id, account);
    try {
      await cloudflared.delete(found.id, account);
    } catch (error) {
      if (hasCode(error, HAS_CONNECTIONS))
        throw retryable('TunnelInUse', 'the tunnel still has connections', 15);
      throw error;
    }
  },
});

const hasCode = (error: unknown, code: number): boolean =>
  error instanceof Cloudflare.APIError && error.errors.some((detail) => detail.code === code);

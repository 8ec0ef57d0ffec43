import { z } from 'zod';
import { differences } from '../../graph/differences.ts';
import { markOf } from '../../naming.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';
import { tunnel, tunnelHost } from './tunnel.ts';

const recordSchema = z.object({
  id: z.string(),
  type: z.string(),
  name: z.string(),
  content: z.string(),
  proxied: z.boolean(),
  ttl: z.number(),
  comment: z.string().nullish(),
});
type DnsRecord = z.output<typeof recordSchema>;

/** Only one of these may stand at a name; other types do not decide where requests go. */
const addressTypes = new Set(['A', 'AAAA', 'CNAME']);

export async function findRecords({
  clients,
  spec,
}: Pick<Scope, 'clients' | 'spec'>): Promise<readonly DnsRecord[]> {
  const api = await clients.cloudflare();
  const { zoneId, hostName } = spec.tunnel;
  const { result } = await api.dns.records.list({ zone_id: zoneId, name: { exact: hostName } });
  return result.map((record) => recordSchema.parse(record)).filter(({ type }) => addressTypes.has(type));
}

export const isOurRecord = ({ comment }: DnsRecord, { names }: Pick<Scope, 'names'>): boolean =>
  comment === markOf(names.deployment);

const wishOf = ({ spec, names }: Scope, tunnelId: string) => ({
  type: 'CNAME' as const,
  name: spec.tunnel.hostName,
  content: tunnelHost(tunnelId),
  proxied: true,
  /** 1 means automatic, the only value for what is proxied. */
  ttl: 1 as const,
  comment: markOf(names.deployment),
});

/** The public host name leads to the tunnel. A record of that name that is not ours is never overwritten. */
export const dnsRecord = defineResource({
  key: 'cloudflare/dns-record',
  title: 'DNS record',
  dependsOn: { tunnel },

  async observe(scope, deps) {
    const { hostName } = scope.spec.tunnel;
    const records = await findRecords(scope);
    const foreign = records.find((record) => !isOurRecord(record, scope));
    if (foreign) {
      return {
        state: 'foreign',
        reason: `${hostName} has a DNS record already that was not made here: ${foreign.type} ${foreign.content}`,
      };
    }
    const [found] = records;
    if (!found) return { state: 'absent' };
    const wrong = differences(wishOf(scope, deps.tunnel.id), found);
    const outputs = { hostName, id: found.id };
    return wrong.length === 0
      ? { state: 'ready', outputs }
      : { state: 'drifted', outputs, differences: wrong };
  },

  async ensure(scope, deps) {
    const { records } = (await scope.clients.cloudflare()).dns;
    const record = { zone_id: scope.spec.tunnel.zoneId, ...wishOf(scope, deps.tunnel.id) };
    const [found] = (await findRecords(scope)).filter((candidate) => isOurRecord(candidate, scope));
    if (found) await records.edit(found.id, record);
    else await records.create(record);
  },

  async remove(scope) {
    const { records } = (await scope.clients.cloudflare()).dns;
    for (const record of await findRecords(scope)) {
      if (isOurRecord(record, scope)) await records.delete(record.id, { zone_id: scope.spec.tunnel.zoneId });
    }
  },
});

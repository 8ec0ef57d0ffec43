/** What can go wrong between the edge and the cluster. */
import { randomBytes } from 'node:crypto';
import { findRecords } from '../../../src/resources/cloudflare/dns-record.ts';
import { siteService } from '../../../src/resources/cloudflare/ingress-rules.ts';
import { findTunnel } from '../../../src/resources/cloudflare/tunnel.ts';
import { tokenOf } from '../../../src/resources/cloudflare/tunnel-token.ts';
import type { BrokenClouds, Fault } from '../broken-clouds.ts';

const connector = { clusterId: '/cluster', pod: 'cloudflared' };

async function tunnelOf({ azure }: BrokenClouds) {
  const { clients, spec } = azure.scope();
  const found = await findTunnel(azure.scope());
  if (!found) throw new Error('there is no tunnel');
  const { cloudflared } = (await clients.cloudflare()).zeroTrust.tunnels;
  return { id: found.id, cloudflared, account_id: spec.tunnel.accountId };
}

/** As cloudflared does when it starts. */
export async function connectTunnel(clouds: BrokenClouds): Promise<void> {
  const { id } = await tunnelOf(clouds);
  clouds.azure.cloud.neighbours.tunnels.connect(connector, await tokenOf(clouds.azure.scope(), id));
  await clouds.azure.cloud.world.clock.wait(10_000);
}

const disconnect = async ({ azure }: BrokenClouds): Promise<void> =>
  azure.cloud.neighbours.tunnels.disconnect(connector);

const setIngress = async (
  clouds: BrokenClouds,
  ...rules: readonly { hostname?: string; service: string }[]
) => {
  const { id, cloudflared, account_id } = await tunnelOf(clouds);
  // The SDK's type demands a host name of every rule; the API forbids one on the last.
  await cloudflared.configurations.update(id, { account_id, config: { ingress: rules as never } });
};

const recordsOf = async ({ azure }: BrokenClouds) => {
  const { clients, spec } = azure.scope();
  const { records } = (await clients.cloudflare()).dns;
  const [found] = await findRecords(azure.scope());
  return { records, id: found?.id ?? '', found, zone_id: spec.tunnel.zoneId, name: spec.tunnel.hostName };
};

const editRecord = async (
  clouds: BrokenClouds,
  change: { content?: string; proxied?: boolean; comment?: string },
) => {
  const { records, id, found, zone_id, name } = await recordsOf(clouds);
  await records.edit(id, {
    zone_id,
    name,
    type: 'CNAME',
    ttl: 1,
    content: found?.content ?? '',
    proxied: found?.proxied ?? true,
    comment: found?.comment ?? '',
    ...change,
  });
};

const dropRecord = async (clouds: BrokenClouds) => {
  const { records, id, zone_id } = await recordsOf(clouds);
  await records.delete(id, { zone_id });
};

const ours = ({ azure }: BrokenClouds) => {
  const { spec, names } = azure.scope();
  return { hostname: spec.tunnel.hostName, service: siteService(names) };
};
const notFound = { service: 'http_status:404' };

const mendIngress: Fault['mend'] = (clouds) => clouds.repair('cloudflare/ingress');
const mendRecord: Fault['mend'] = (clouds) => clouds.repair('cloudflare/dns-record');

export const cloudflareFaults: readonly Fault[] = [
  {
    what: 'Nothing is connected to the tunnel any more',
    finding: 'kubernetes/cloudflared tunnel-without-connections',
    break: disconnect,
    mend: connectTunnel,
  },
  {
    what: 'Somebody has given the tunnel another token',
    finding: 'cloudflare/tunnel-token tunnel-token-outdated',
    break: async (clouds) => {
      const { id, cloudflared, account_id } = await tunnelOf(clouds);
      await cloudflared.edit(id, { account_id, tunnel_secret: randomBytes(32).toString('base64') });
    },
    mend: (clouds) => clouds.repair('cloudflare/tunnel-token'),
  },
  {
    what: "Somebody has removed the site's rule",
    finding: 'cloudflare/ingress ingress-missing',
    break: (clouds) => setIngress(clouds, notFound),
    mend: mendIngress,
  },
  {
    what: "Somebody has put a wildcard before the site's rule",
    finding: 'cloudflare/ingress ingress-shadowed',
    break: (clouds) =>
      setIngress(clouds, { hostname: '*.yourdomain.com', service: 'http://wiki:80' }, ours(clouds), notFound),
    mend: (clouds) => setIngress(clouds, ours(clouds), notFound),
  },
  {
    what: "Somebody has set another service in the site's rule",
    finding: 'cloudflare/ingress ingress-wrong',
    break: (clouds) => setIngress(clouds, { ...ours(clouds), service: 'http://open-webui:8080' }, notFound),
    mend: mendIngress,
  },
  {
    what: 'Somebody has led all other hosts to a service',
    finding: 'cloudflare/ingress ingress-catch-all',
    break: (clouds) => setIngress(clouds, ours(clouds), { service: 'http://wiki:80' }),
    mend: mendIngress,
  },
  {
    what: 'Somebody has deleted the DNS record',
    finding: 'cloudflare/dns-record dns-record-missing',
    break: dropRecord,
    mend: mendRecord,
  },
  {
    what: 'Somebody has led the DNS record elsewhere',
    finding: 'cloudflare/dns-record dns-record-wrong',
    break: (clouds) => editRecord(clouds, { content: 'elsewhere.example.com' }),
    mend: mendRecord,
  },
  {
    what: 'Somebody has switched the proxy of the DNS record off',
    finding: 'cloudflare/dns-record dns-record-not-proxied',
    break: (clouds) => editRecord(clouds, { proxied: false }),
    mend: mendRecord,
  },
  {
    what: 'Somebody has deleted the tunnel',
    finding: 'cloudflare/tunnel tunnel-missing',
    break: async (clouds) => {
      const { id, cloudflared, account_id } = await tunnelOf(clouds);
      await disconnect(clouds);
      await cloudflared.delete(id, { account_id });
    },
    mend: async (clouds) => {
      await clouds.repair(
        'cloudflare/tunnel-token',
        'cloudflare/ingress',
        'cloudflare/dns-record',
        'azure/reference-secrets',
      );
      await connectTunnel(clouds);
    },
  },
];

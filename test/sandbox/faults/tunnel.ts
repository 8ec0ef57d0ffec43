import { settings } from '../../../sandbox/cloud/bootstrap.ts';
import { at, type Fault, type Hands } from './fault.ts';

const { accountId, zoneId } = settings.cloudflare;
const tunnels = `/accounts/${accountId}/cfd_tunnel`;
const records = `/zones/${zoneId}/dns_records`;
const hostname = 'open-webui.yourdomain.com';
const site = { hostname, service: 'http://open-webui.open-webui.svc.cluster.local:80' };
const end = { service: 'http_status:404' };

const tunnelOf = async ({ cloudflare }: Hands): Promise<string> =>
  `${tunnels}/${String(at(await cloudflare('GET', `${tunnels}?is_deleted=false`), 0, 'id'))}`;
const recordOf = async ({ cloudflare }: Hands): Promise<string> =>
  `${records}/${String(at(await cloudflare('GET', `${records}?name=${hostname}`), 0, 'id'))}`;

const route =
  (...ingress: readonly object[]) =>
  async (hands: Hands) =>
    hands.cloudflare('PUT', `${await tunnelOf(hands)}/configurations`, { config: { ingress } });
const edit = (change: object) => async (hands: Hands) =>
  hands.cloudflare('PATCH', await recordOf(hands), change);

export const tunnelFaults: readonly Fault[] = [
  {
    what: 'Somebody has given the tunnel another secret and cut its connections',
    seed: 'Tunnel: connectors and their logs',
    finding: 'cloudflare/tunnel-token tunnel-token-outdated',
    break: async (hands) => {
      const tunnel = await tunnelOf(hands);
      const tunnel_secret = Buffer.alloc(32, 7).toString('base64');
      await hands.cloudflare('PATCH', tunnel, { tunnel_secret });
      await hands.cloudflare('DELETE', `${tunnel}/connections`);
    },
    mend: 'repair',
  },
  {
    what: 'The site is looked for on another port',
    seed: 'Usage 1: accessing Open WebUI',
    finding: 'cloudflare/ingress ingress-wrong',
    break: route({ ...site, service: site.service.replace(/80$/, '9999') }, end),
    mend: 'repair',
  },
  {
    what: "Somebody has removed the site's rule",
    seed: 'Usage 1: accessing Open WebUI',
    finding: 'cloudflare/ingress ingress-missing',
    break: route(end),
    mend: route(site, end),
  },
  {
    what: "Somebody has put a wildcard before the site's rule",
    seed: 'Usage 1: accessing Open WebUI',
    finding: 'cloudflare/ingress ingress-shadowed',
    break: route({ hostname: '*.yourdomain.com', service: 'http://wiki:80' }, site, end),
    mend: route(site, end),
  },
  {
    what: 'Somebody has deleted the DNS record',
    seed: 'Tunnel: DNS',
    finding: 'cloudflare/dns-record dns-record-missing',
    break: async (hands) => hands.cloudflare('DELETE', await recordOf(hands)),
    mend: 'repair',
  },
  {
    what: 'Somebody has led the DNS record elsewhere',
    seed: 'Tunnel: DNS',
    finding: 'cloudflare/dns-record dns-record-wrong',
    break: edit({ content: 'elsewhere.example.com' }),
    mend: 'repair',
  },
  {
    what: 'Somebody has switched the proxy of the DNS record off',
    seed: 'Tunnel: DNS',
    finding: 'cloudflare/dns-record dns-record-not-proxied',
    break: edit({ proxied: false }),
    mend: edit({ proxied: true }),
  },
];

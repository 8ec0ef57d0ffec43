import { settings } from '../../../sandbox/cloud/bootstrap.ts';
import { type Json, operatorAtCloudflare, type People } from './people.ts';
import { at, type Seed } from './seed.ts';

const { accountId, zoneId } = settings.cloudflare;
const tunnels = `/accounts/${accountId}/cfd_tunnel`;
const records = `/zones/${zoneId}/dns_records`;
const hostname = 'open-webui.yourdomain.com';
const service = 'http://open-webui.open-webui.svc.cluster.local:80';
const end = { service: 'http_status:404' };

interface Rule {
  readonly hostname?: string;
  readonly service: string;
}

/** Ten changes at Cloudflare: six are put right, four told. Its audit log names the person and the API token. */
export async function cloudflareSeeds({ cloudflare }: People): Promise<readonly Seed[]> {
  const tunnel = String(at(await cloudflare('GET', `${tunnels}?is_deleted=false`), 0, 'id'));
  const record = async () =>
    (at(await cloudflare('GET', `${records}?name=${hostname}`), 0) ?? null) as Record<string, Json> | null;
  const readRecord = (field: string) => async (): Promise<Json> => (await record())?.[field] ?? null;
  const edit = (body: Json) => async () =>
    cloudflare('PATCH', `${records}/${(await record())?.['id']}`, body);
  const rules = async (): Promise<Json> =>
    at(await cloudflare('GET', `${tunnels}/${tunnel}/configurations`), 'config', 'ingress');
  const route = (ingress: readonly Rule[]) => () =>
    cloudflare('PUT', `${tunnels}/${tunnel}/configurations`, { config: { ingress } });
  const secretOf = (token: Json): Json =>
    at(JSON.parse(Buffer.from(String(token), 'base64').toString()), 's');

  const host = 'api\\.cloudflare\\.com/client/v4';
  const ofRecord = {
    resource: 'cloudflare/dns-record',
    writes: new RegExp(`^(PATCH|POST) ${host}${records}`),
  };
  const ofIngress = {
    resource: 'cloudflare/ingress',
    path: 'ingress',
    wanted: [{ hostname, service }, end],
    read: rules,
    writes: new RegExp(`^PUT ${host}${tunnels}/${tunnel}/configurations`),
  };
  const elsewhere = [{ hostname, service: service.replace(/80$/, '9999') }, end];
  const hello = [{ hostname, service }, { service: 'hello_world' }];
  const nobody = [end];
  const secret = Buffer.alloc(32, 7).toString('base64');

  const seeds: readonly Omit<Seed, 'actor'>[] = [
    {
      what: 'the DNS record shows where the tunnel is',
      ...ofRecord,
      ...{ path: 'proxied', wanted: true, found: false, policy: 'repair' },
      make: edit({ proxied: false }),
      read: readRecord('proxied'),
    },
    {
      what: 'the site is looked for on another port',
      ...ofIngress,
      ...{ found: elsewhere, policy: 'repair' },
      make: route(elsewhere),
    },
    {
      what: 'the DNS record is deleted',
      ...ofRecord,
      ...{ path: '', wanted: 'present', found: null, policy: 'repair' },
      make: async () => cloudflare('DELETE', `${records}/${(await record())?.['id']}`),
      read: async () => ((await record()) ? 'present' : null),
    },
    {
      what: 'the DNS record leads to another tunnel',
      ...ofRecord,
      path: 'content',
      wanted: `${tunnel}.cfargotunnel.com`,
      found: '00000000-0000-4000-8000-000000000000.cfargotunnel.com',
      policy: 'repair',
      make: edit({ content: '00000000-0000-4000-8000-000000000000.cfargotunnel.com' }),
      read: readRecord('content'),
    },
    {
      what: 'whatever is not found says hello',
      ...ofIngress,
      ...{ found: hello, policy: 'repair' },
      make: route(hello),
    },
    {
      what: 'the DNS record is an address',
      ...ofRecord,
      ...{ path: 'type', wanted: 'CNAME', found: 'A', policy: 'repair' },
      make: edit({ type: 'A', content: '203.0.113.10' }),
      read: readRecord('type'),
    },
    {
      what: 'the DNS record shows where the tunnel is, once more',
      resource: ofRecord.resource,
      ...{ path: 'proxied', wanted: true, found: false, policy: 'report' },
      make: edit({ proxied: false }),
      read: readRecord('proxied'),
    },
    {
      what: 'the tunnel does not know the site any more',
      ...{ resource: ofIngress.resource, path: ofIngress.path, wanted: ofIngress.wanted, read: rules },
      ...{ found: nobody, policy: 'report' },
      make: route(nobody),
    },
    {
      what: 'the DNS record is kept for five minutes',
      resource: ofRecord.resource,
      ...{ path: 'ttl', wanted: 1, found: 300, policy: 'report' },
      make: edit({ ttl: 300 }),
      read: readRecord('ttl'),
    },
    {
      what: 'the tunnel gets another secret',
      resource: 'cloudflare/tunnel-token',
      path: 'cf-tunnel-token.value',
      ...{ wanted: '(the derived value)', found: '(another value)', policy: 'report' },
      make: () => cloudflare('PATCH', `${tunnels}/${tunnel}`, { tunnel_secret: secret }),
      read: async () =>
        secretOf(await cloudflare('GET', `${tunnels}/${tunnel}/token`)) === secret
          ? '(another value)'
          : '(the derived value)',
    },
  ];
  return seeds.map((seed) => ({ ...seed, actor: operatorAtCloudflare }));
}

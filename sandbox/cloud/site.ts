/**
 * The public site as a browser finds it: DNS record, tunnel, ingress rule, then whatever answers in the cluster. A page
 * comes back only if every link of that chain holds; where it breaks, Cloudflare's own error comes back.
 * https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/
 */
import type { Cloudflare } from './cloudflare.ts';
import type { Neighbours, SecretSet, SiteLink, SiteLinkName } from './neighbours.ts';
import type { CallContext, Service, World } from './world.ts';

/** The links in the order in which a request meets them. */
const LINK_ORDER: readonly SiteLinkName[] = [
  'dns',
  'tunnel',
  'ingress',
  'service',
  'pods',
  'images',
  'secrets',
  'identity',
  'role',
  'database',
  'share',
  'ollama',
  'login',
];

export interface SiteLook {
  readonly url: string;
  /** HTTP status of the site's first page; 0 when the name does not resolve. */
  readonly status: number;
  /** The page came and every link holds. */
  readonly ok: boolean;
  readonly links: readonly SiteLink[];
  /** The first link that does not hold. */
  readonly broken: SiteLinkName | null;
}

export class Site implements Service {
  readonly name = 'site';
  readonly #world: World;
  readonly #cloudflare: Cloudflare;
  readonly #neighbours: Pick<Neighbours, 'kubernetes' | 'clusters'>;

  constructor(world: World, cloudflare: Cloudflare, neighbours: Pick<Neighbours, 'kubernetes' | 'clusters'>) {
    this.#world = world;
    this.#cloudflare = cloudflare;
    this.#neighbours = neighbours;
  }

  /** A host of the zone whose name resolves. */
  matches(host: string): boolean {
    const { zoneName } = this.#world.settings.cloudflare;
    if (host !== zoneName && !host.endsWith(`.${zoneName}`)) return false;
    const routed = this.#cloudflare.route(host);
    return routed.ok || routed.code !== 'ENOTFOUND';
  }

  async fetch(request: Request, call: CallContext): Promise<Response> {
    const routed = this.#cloudflare.route(call.host);
    if (!routed.ok) return edgeError(530, `error code: ${routed.code}`);
    const [, status] = /^http_status:(\d{3})$/.exec(routed.service) ?? [];
    if (status !== undefined) return new Response(null, { status: Number(status), headers: EDGE_HEADERS });
    const { pathname, search } = new URL(request.url);
    const { clusterId, pod } = routed.connector;
    const answered = await this.#neighbours.kubernetes.request(clusterId, routed.service, request, {
      pod,
      path: pathname + search,
    });
    if (!answered.ok) return edgeError(502, `error code: 502`);
    const { body, status: said, headers } = answered.response;
    const response = new Response(body, { status: said, headers });
    for (const [name, value] of Object.entries(EDGE_HEADERS)) response.headers.set(name, value);
    return response;
  }

  /** Which secrets the pods of the cluster behind a host name have read, start by start. */
  secretSets(host = this.#cloudflare.likelyHost()): readonly SecretSet[] {
    const clusterId = this.#clusterOf(host);
    return clusterId === undefined ? [] : this.#neighbours.kubernetes.secretSets(clusterId);
  }

  /** Requests the site's first page and judges every link of the chain. */
  async look(host = this.#cloudflare.likelyHost()): Promise<SiteLook> {
    const url = `https://${host}/`;
    const response = this.matches(host)
      ? await this.fetch(new Request(url), { host, caller: 'anonymous' })
      : undefined;
    await response?.body?.cancel();
    const status = response?.status ?? 0;
    const inCluster = this.#judged(await this.#clusterLinks(host), status);
    const misdirected = this.#misdirected(host, inCluster);
    const found = [...(misdirected ? [misdirected] : []), ...this.#cloudflare.links(host), ...inCluster];
    const links = LINK_ORDER.flatMap((name) => found.find((link) => link.name === name) ?? []);
    const broken = links.find((link) => !link.ok)?.name ?? null;
    return { url, status, ok: status === 200 && broken === null, links, broken };
  }

  /** A pod may be ready and still have nothing but errors for its users. */
  #judged(links: readonly SiteLink[], status: number): readonly SiteLink[] {
    if (status !== 500 || links.some(({ ok }) => !ok)) return links;
    return links.map((link) =>
      link.name === 'pods'
        ? { name: link.name, ok: false, why: `Ready pods answer the first page with ${status}.` }
        : link,
    );
  }

  /** Every link holds and yet nothing answers where the ingress rule points: then the rule itself is wrong. */
  #misdirected(host: string, inCluster: readonly SiteLink[]): SiteLink | undefined {
    const routed = this.#cloudflare.route(host);
    if (!routed.ok || !routed.service.startsWith('http://') || inCluster.some(({ ok }) => !ok))
      return undefined;
    const answered = this.#neighbours.kubernetes.answer(routed.connector.clusterId, routed.service);
    if (answered.ok && answered.software === 'open-webui') return undefined;
    const why = answered.ok ? `${answered.software} answers there` : answered.reason;
    return { name: 'ingress', ok: false, why: `The tunnel sends ${host} to ${routed.service}: ${why}.` };
  }

  async #clusterLinks(host: string): Promise<readonly SiteLink[]> {
    const clusterId = this.#clusterOf(host);
    if (clusterId !== undefined) return this.#neighbours.kubernetes.links(clusterId);
    return LINK_ORDER.slice(3).map((name) => ({ name, ok: false, why: 'There is no cluster.' }));
  }

  #clusterOf(host: string): string | undefined {
    const routed = this.#cloudflare.route(host);
    return routed.ok ? routed.connector.clusterId : this.#neighbours.clusters.list()[0]?.id;
  }
}

const EDGE_HEADERS = { server: 'cloudflare', 'cf-cache-status': 'DYNAMIC' };

function edgeError(status: number, text: string): Response {
  return new Response(text, {
    status,
    headers: { ...EDGE_HEADERS, 'content-type': 'text/plain; charset=UTF-8' },
  });
}

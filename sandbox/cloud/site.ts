/**
 * The public site as a browser finds it: DNS record, tunnel, ingress rule, then whatever answers in the cluster. A page
 * comes back only if every link of that chain holds; where it breaks, Cloudflare's own error comes back.
 * https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/
 */
import type { Cloudflare } from './cloudflare.ts';
import type { Neighbours, SiteLink, SiteLinkName, Software } from './neighbours.ts';
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

  fetch(request: Request, call: CallContext): Response {
    const routed = this.#cloudflare.route(call.host);
    if (!routed.ok) return edgeError(530, `error code: ${routed.code}`);
    const [, status] = /^http_status:(\d{3})$/.exec(routed.service) ?? [];
    if (status !== undefined) return new Response(null, { status: Number(status), headers: EDGE_HEADERS });
    const answered = this.#neighbours.kubernetes.answer(routed.connector.clusterId, routed.service);
    if (!answered.ok) return edgeError(502, `error code: 502`);
    const response = answerOf(answered.software, new URL(request.url).pathname);
    for (const [name, value] of Object.entries(EDGE_HEADERS)) response.headers.set(name, value);
    return response;
  }

  /** Requests the site's first page and judges every link of the chain. */
  async look(host = this.#cloudflare.likelyHost()): Promise<SiteLook> {
    const url = `https://${host}/`;
    const response = this.matches(host)
      ? this.fetch(new Request(url), { host, caller: 'anonymous' })
      : undefined;
    await response?.body?.cancel();
    const status = response?.status ?? 0;
    const inCluster = await this.#clusterLinks(host);
    const misdirected = this.#misdirected(host, inCluster);
    const found = [...(misdirected ? [misdirected] : []), ...this.#cloudflare.links(host), ...inCluster];
    const links = LINK_ORDER.flatMap((name) => found.find((link) => link.name === name) ?? []);
    const broken = links.find((link) => !link.ok)?.name ?? null;
    return { url, status, ok: status === 200 && broken === null, links, broken };
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
    const routed = this.#cloudflare.route(host);
    const clusterId = routed.ok ? routed.connector.clusterId : this.#neighbours.clusters.list()[0]?.id;
    if (clusterId !== undefined) return this.#neighbours.kubernetes.links(clusterId);
    return LINK_ORDER.slice(3).map((name) => ({ name, ok: false, why: 'There is no cluster.' }));
  }
}

const EDGE_HEADERS = { server: 'cloudflare', 'cf-cache-status': 'DYNAMIC' };

function edgeError(status: number, text: string): Response {
  return new Response(text, {
    status,
    headers: { ...EDGE_HEADERS, 'content-type': 'text/plain; charset=UTF-8' },
  });
}

/** What the program behind the Service says: Open WebUI as it is first seen, anything else by its name. */
function answerOf(software: Software, path: string): Response {
  if (software !== 'open-webui') {
    return new Response(software === 'ollama' ? 'Ollama is running' : software, { status: 200 });
  }
  switch (path) {
    case '/health':
    case '/ready':
      return Response.json({ status: true });
    case '/api/config':
      return Response.json({
        status: true,
        name: 'Open WebUI',
        default_locale: '',
        oauth: { providers: { microsoft: 'microsoft' } },
        features: { auth: true, enable_signup: false, enable_login_form: true, enable_websocket: true },
      });
    default:
      if (path.startsWith('/api/')) return Response.json({ detail: 'Not authenticated' }, { status: 403 });
      return new Response(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Open WebUI</title></head>' +
          '<body><h1>Open WebUI</h1><p><a href="/oauth/microsoft/login">Continue with Microsoft</a></p></body></html>',
        { headers: { 'content-type': 'text/html; charset=utf-8' } },
      );
  }
}

/**
 * Cloudflare as this tenant uses it: `api.cloudflare.com` for one account and one zone, and the edge that carries
 * requests for the zone's host names into tunnels.
 * Errors: https://developers.cloudflare.com/api/ ; limits: 1,200 requests in five minutes, then blocked for five
 * minutes, https://developers.cloudflare.com/fundamentals/api/reference/limits/
 */
import { randomBytes } from 'node:crypto';
import { Hono } from 'hono';
import { AuditLog } from './cloudflare/audit-log.ts';
import { DnsRecords } from './cloudflare/dns-records.ts';
import { CloudflareError, failure, onlyParameters, pageOf, success } from './cloudflare/envelope.ts';
import { TunnelStore } from './cloudflare/tunnels.ts';
import { hashOfSecret } from './graph/tenant-objects.ts';
import type { Answer, Connector, SiteLink, Tunnels } from './neighbours.ts';
import type { CallContext, Service, Table, World } from './world.ts';

const WINDOW_MILLISECONDS = 300_000;
const REQUESTS_PER_WINDOW = 1_200;
const TUNNEL_SUFFIX = '.cfargotunnel.com';

interface ApiToken {
  readonly id: string;
  readonly name: string;
  /** Of the user whose token it is; an account's own has none. */
  readonly email?: string;
  /** *Account Settings: Read*, which takes in the audit log. */
  readonly readsSettings?: boolean;
}

export class Cloudflare implements Tunnels, Service {
  readonly name = 'cloudflare';
  readonly records: DnsRecords;
  readonly #world: World;
  readonly #tunnels: TunnelStore;
  /** By SHA-256 of the token. */
  readonly #apiTokens: Table<ApiToken>;
  readonly #audit: AuditLog;
  readonly #routes: Hono<{ Bindings: CallContext }>;
  #recentRequests: number[] = [];
  #blockedUntil = 0;

  constructor(world: World) {
    this.#world = world;
    this.records = new DnsRecords(world);
    this.#tunnels = new TunnelStore(world);
    this.#apiTokens = world.table('cloudflare/api-tokens');
    this.#audit = new AuditLog(world);
    this.#routes = this.#createRoutes();
  }

  matches(host: string): boolean {
    return host === 'api.cloudflare.com';
  }

  fetch(request: Request, call: CallContext): Response | Promise<Response> {
    return this.#routes.fetch(request, call);
  }

  /** A new API token that may edit the account's tunnels and the zone's records; only its hash is kept. */
  createApiToken(name: string, more: Omit<ApiToken, 'id' | 'name'>): string {
    const token = randomBytes(30).toString('base64url').slice(0, 40);
    this.#apiTokens.set(hashOfSecret(token), { ...more, id: randomBytes(16).toString('hex'), name });
    return token;
  }

  connect(connector: Connector, token: string): Answer<{ tunnelId: string }> {
    return this.#tunnels.connect(connector, token);
  }

  disconnect(connector: Connector): void {
    this.#tunnels.disconnect(connector);
  }

  route(host: string): Answer<{ connector: Connector; service: string; tunnelId: string }> {
    const [record] = this.records.lookUp(host);
    if (!record) return refusal('ENOTFOUND', `There is no DNS record for ${host}.`);
    const [, tunnelId] = /^([0-9a-f-]{36})\.cfargotunnel\.com$/.exec(record.content) ?? [];
    if (!record.proxied) {
      return refusal(
        'ENOTFOUND',
        `The record of ${host} is not proxied, and ${record.content} has no public address.`,
      );
    }
    if (record.type !== 'CNAME' || tunnelId === undefined) {
      return refusal('1016', `The record of ${host} leads to ${record.content}, which is not a tunnel.`);
    }
    const tunnel = this.#tunnels.find(tunnelId);
    if (!tunnel || tunnel.deletedAt !== undefined) {
      return refusal('1033', `The record of ${host} leads to tunnel ${tunnelId}, which does not exist.`);
    }
    const connector = this.#tunnels.liveConnector(tunnelId);
    if (!connector) return refusal('1033', `Tunnel ${tunnel.name} has no live connection.`);
    return { ok: true, connector, service: this.#tunnels.serviceFor(tunnel, host), tunnelId };
  }

  /** The host name that a deployment in this zone most likely has: the first one that leads into a tunnel. */
  likelyHost(): string {
    const record = this.records.all().find(({ content }) => content.endsWith(TUNNEL_SUFFIX));
    return record?.name ?? `open-webui.${this.#world.settings.cloudflare.zoneName}`;
  }

  /** The edge's part of the chain behind a host name, each link judged by itself. */
  links(host: string): SiteLink[] {
    const [record] = this.records.lookUp(host);
    const routed = this.route(host);
    const dns: SiteLink =
      routed.ok || routed.code === '1033'
        ? { name: 'dns', ok: true, why: `${host} is a proxied CNAME to ${record?.content ?? ''}.` }
        : { name: 'dns', ok: false, why: routed.reason };
    const tunnel = this.#tunnels.find(record?.content.replace(TUNNEL_SUFFIX, '') ?? '');
    if (!tunnel || tunnel.deletedAt !== undefined) {
      const why = routed.ok ? '' : routed.reason;
      return [
        dns,
        { name: 'tunnel', ok: false, why },
        { name: 'ingress', ok: false, why: 'There is no tunnel to have rules.' },
      ];
    }
    const connector = this.#tunnels.liveConnector(tunnel.id);
    const service = this.#tunnels.serviceFor(tunnel, host);
    return [
      dns,
      {
        name: 'tunnel',
        ok: connector !== undefined,
        why: connector
          ? `Tunnel ${tunnel.name} is held open by ${connector.pod}.`
          : `Tunnel ${tunnel.name} has no live connection.`,
      },
      {
        name: 'ingress',
        ok: /^https?:/.test(service),
        why: /^https?:/.test(service)
          ? `The tunnel sends ${host} to ${service}.`
          : `No rule of the tunnel sends ${host} to a service: it answers ${service}.`,
      },
    ];
  }

  #createRoutes(): Hono<{ Bindings: CallContext }> {
    const { accountId, zoneId, zoneName } = this.#world.settings.cloudflare;
    const routes = new Hono<{ Bindings: CallContext }>();
    routes.use('/client/v4/*', async (context, next) => {
      const token = this.#authenticate(context.req.header('authorization'), context.req.path);
      context.env.caller = token.name;
      this.#countRequest();
      await next();
      const { id: tokenId, name: tokenName, email } = token;
      const actor = { tokenId, tokenName, ...(email === undefined ? {} : { email }) };
      await this.#audit.note(actor, context.req.raw, context.res);
    });
    routes.get('/client/v4/user/tokens/verify', (context) => {
      const token = this.#authenticate(context.req.header('authorization'), context.req.path);
      if (token.email === undefined) throw new CloudflareError(401, 1000, 'Invalid API Token');
      return success({ id: token.id, status: 'active' });
    });
    routes.get('/client/v4/accounts/:account/tokens/verify', (context) => {
      refuseOther(context.req.param('account'), accountId);
      const token = this.#authenticate(context.req.header('authorization'), context.req.path);
      if (token.email !== undefined) throw new CloudflareError(401, 1000, 'Invalid API Token');
      return success({ id: token.id, status: 'active' });
    });
    routes.get('/client/v4/accounts/:account/logs/audit', (context) => {
      refuseOther(context.req.param('account'), accountId);
      const token = this.#authenticate(context.req.header('authorization'), context.req.path);
      if (!token.readsSettings) throw new CloudflareError(403, 10_000, 'Authentication error');
      return this.#audit.list(new URL(context.req.url).searchParams);
    });
    const account = { id: accountId, name: 'Sandbox account', type: 'standard' };
    routes.get('/client/v4/accounts', (context) =>
      pageOf([account], new URL(context.req.url).searchParams, 20),
    );
    routes.get('/client/v4/accounts/:account', (context) => {
      refuseOther(context.req.param('account'), accountId);
      return success(account);
    });
    const zone = {
      id: zoneId,
      name: zoneName,
      status: 'active',
      paused: false,
      type: 'full',
      name_servers: ['ada.ns.cloudflare.com', 'bob.ns.cloudflare.com'],
      account: { id: accountId, name: account.name },
      permissions: ['#dns_records:edit', '#dns_records:read', '#zone:read'],
      plan: { id: '0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee', name: 'Free Website' },
    };
    routes.get('/client/v4/zones', (context) => {
      const query = new URL(context.req.url).searchParams;
      onlyParameters(query, ['name', 'status', 'account.id', 'page', 'per_page']);
      const isWanted =
        (query.get('name') ?? zoneName) === zoneName &&
        (query.get('account.id') ?? accountId) === accountId &&
        (query.get('status') ?? 'active') === 'active';
      return pageOf(isWanted ? [zone] : [], query, 20);
    });
    routes.get('/client/v4/zones/:zone', (context) => {
      refuseOther(context.req.param('zone'), zoneId);
      return success(zone);
    });
    routes.use('/client/v4/accounts/:account/cfd_tunnel/*', async (context, next) => {
      refuseOther(context.req.param('account'), accountId);
      await next();
    });
    routes.use('/client/v4/zones/:zone/dns_records/*', async (context, next) => {
      refuseOther(context.req.param('zone'), zoneId);
      await next();
    });
    routes.route('/client/v4/accounts/:account/cfd_tunnel', this.#tunnels.routes());
    routes.route('/client/v4/zones/:zone/dns_records', this.records.routes());
    routes.notFound((context) =>
      failure(
        new CloudflareError(
          404,
          7003,
          `Could not route to ${context.req.path}, perhaps your object identifier is invalid?`,
        ),
      ),
    );
    routes.onError((error) => {
      if (error instanceof CloudflareError) return failure(error);
      throw error;
    });
    return routes;
  }

  #authenticate(authorization: string | undefined, path: string): ApiToken {
    if (authorization === undefined) {
      throw new CloudflareError(400, 9106, 'Missing X-Auth-Key, X-Auth-Email or Authorization headers');
    }
    const [, token] = /^Bearer ([\w-]{40})$/.exec(authorization) ?? [];
    if (token === undefined) {
      throw new CloudflareError(
        400,
        6003,
        'Invalid request headers: Invalid format for Authorization header',
      );
    }
    const known = this.#apiTokens.get(hashOfSecret(token));
    if (known) return known;
    if (path.endsWith('/tokens/verify')) throw new CloudflareError(401, 1000, 'Invalid API Token');
    throw path.includes('/accounts/')
      ? new CloudflareError(403, 10_000, 'Authentication error')
      : new CloudflareError(403, 9109, 'Invalid access token');
  }

  #countRequest(): void {
    const now = this.#world.clock.now();
    if (now >= this.#blockedUntil) {
      this.#recentRequests = this.#recentRequests.filter((time) => now - time < WINDOW_MILLISECONDS);
      this.#recentRequests.push(now);
      if (this.#recentRequests.length <= REQUESTS_PER_WINDOW) return;
      this.#blockedUntil = now + WINDOW_MILLISECONDS;
      this.#recentRequests = [];
    }
    throw new CloudflareError(429, 971, 'Please wait and consider throttling your request speed', {
      'retry-after': String(Math.ceil((this.#blockedUntil - now) / 1000)),
    });
  }
}

/** The token is good for one account and one zone. */
function refuseOther(asked: string, ours: string): void {
  if (asked !== ours) throw new CloudflareError(403, 10_000, 'Authentication error');
}

function refusal(code: string, reason: string): { ok: false; code: string; reason: string } {
  return { ok: false, code, reason };
}

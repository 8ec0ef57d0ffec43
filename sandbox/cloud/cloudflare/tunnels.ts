/**
 * Cloudflare Tunnel: the tunnels of the account, their remote configuration, and the cloudflared processes that hold
 * connections to the edge. A tunnel is up because somebody is connected to it with its current token, never otherwise.
 * One file because a tunnel's state is the sum of its record, its configuration and its connections.
 * https://developers.cloudflare.com/api/resources/zero_trust/subresources/tunnels/
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { z } from 'zod';
import type { Answer, Connector } from '../neighbours.ts';
import type { Table, World } from '../world.ts';
import { bodyOf, CloudflareError, onlyParameters, pageOf, success } from './envelope.ts';

/** One cloudflared opens four connections, about one a second. */
const CONNECTIONS_PER_CONNECTOR = 4;
const CLIENT_VERSION = '2026.11.0';

const ingressRule = z.strictObject({
  hostname: z.string().optional(),
  service: z
    .string()
    .regex(
      /^(https?:\/\/[^/]+\/?|(tcp|ssh|rdp|smb):\/\/[^/]+|unix(\+tls)?:.+|http_status:\d{3}|hello_world|bastion)$/,
    ),
  path: z.string().optional(),
  originRequest: z.looseObject({}).optional(),
  /** Set by the dashboard. */
  id: z.string().optional(),
});
const configuration = z.strictObject({
  ingress: z.array(ingressRule).min(1).optional(),
  originRequest: z.looseObject({}).optional(),
  'warp-routing': z.strictObject({ enabled: z.boolean() }).optional(),
});

type Configuration = z.infer<typeof configuration>;
type IngressRule = z.infer<typeof ingressRule>;

export interface Tunnel {
  readonly id: string;
  readonly name: string;
  readonly configSource: 'local' | 'cloudflare';
  /** Base64. */
  readonly secret: string;
  readonly createdAt: number;
  readonly deletedAt?: number;
  readonly activeSince?: number;
  readonly inactiveSince?: number;
  readonly configuration?: { readonly config: Configuration; readonly version: number; readonly at: number };
}

interface Connection extends Connector {
  /** UUID of the cloudflared process. */
  readonly clientId: string;
  readonly tunnelId: string;
  readonly secretHash: string;
  readonly since: number;
}

const tunnelName = z.string().trim().min(1).max(255);
const tunnelSecret = z
  .base64()
  .refine((text) => Buffer.from(text, 'base64').length >= 32, 'tunnel_secret must be at least 32 bytes');

export class TunnelStore {
  readonly #world: World;
  readonly #tunnels: Table<Tunnel>;
  readonly #connections: Table<Connection>;

  constructor(world: World) {
    this.#world = world;
    this.#tunnels = world.table('cloudflare/tunnels');
    this.#connections = world.table('cloudflare/connections');
  }

  find(id: string): Tunnel | undefined {
    return this.#tunnels.get(id.toLowerCase());
  }

  connect(connector: Connector, token: string): Answer<{ tunnelId: string }> {
    const claims = z
      .strictObject({ a: z.string(), t: z.string(), s: z.string() })
      .safeParse(parseJson(Buffer.from(token, 'base64').toString()));
    if (!claims.success) {
      return { ok: false, code: 'InvalidToken', reason: 'Provided Tunnel token is not valid.' };
    }
    const tunnel = this.#tunnels.get(claims.data.t);
    if (
      !tunnel ||
      tunnel.deletedAt !== undefined ||
      claims.data.a !== this.#world.settings.cloudflare.accountId
    ) {
      return {
        ok: false,
        code: 'Unauthorized',
        reason: `Unauthorized: Tunnel not found (${claims.data.t}).`,
      };
    }
    const key = keyOf(connector);
    const known = this.#connections.get(key);
    const secretHash = hash(claims.data.s);
    // A connection that stands is not asked for its secret again, even when that has been changed since.
    const isStanding = known?.tunnelId === tunnel.id && known.secretHash === secretHash;
    if (claims.data.s !== tunnel.secret && !isStanding) {
      return { ok: false, code: 'Unauthorized', reason: 'Unauthorized: Invalid tunnel secret.' };
    }
    if (!isStanding) {
      if (known) this.disconnect(connector);
      const since = this.#world.clock.now();
      this.#connections.set(key, {
        ...connector,
        clientId: randomUUID(),
        tunnelId: tunnel.id,
        secretHash,
        since,
      });
      if (tunnel.activeSince === undefined) {
        const { inactiveSince: _, ...rest } = tunnel;
        this.#tunnels.set(tunnel.id, { ...rest, activeSince: since });
      }
      this.#world.touch();
    }
    return { ok: true, tunnelId: tunnel.id };
  }

  disconnect(connector: Connector): void {
    const connection = this.#connections.get(keyOf(connector));
    if (!connection) return;
    this.#connections.delete(keyOf(connector));
    const tunnel = this.#tunnels.get(connection.tunnelId);
    if (tunnel && this.#connectionsOf(tunnel.id).length === 0) {
      const { activeSince: _, ...rest } = tunnel;
      this.#tunnels.set(tunnel.id, { ...rest, inactiveSince: this.#world.clock.now() });
    }
    this.#world.touch();
  }

  /** The longest-standing cloudflared of the tunnel. */
  liveConnector(tunnelId: string): Connector | undefined {
    const [first] = this.#connectionsOf(tunnelId).sort((a, b) => a.since - b.since);
    return first && { clusterId: first.clusterId, pod: first.pod };
  }

  /** The service of the first ingress rule that matches; without any configuration cloudflared answers 503 to all. */
  serviceFor(tunnel: Tunnel, host: string): string {
    const rule = tunnel.configuration?.config.ingress?.find(
      (candidate) => !candidate.path && matchesHost(candidate, host),
    );
    return rule?.service ?? 'http_status:503';
  }

  routes(): Hono {
    const routes = new Hono();
    routes.get('/', (context) => {
      const query = new URL(context.req.url).searchParams;
      onlyParameters(query, [
        'name',
        'is_deleted',
        'uuid',
        'status',
        'include_prefix',
        'exclude_prefix',
        'page',
        'per_page',
      ]);
      const [name, deleted, uuid, status] = ['name', 'is_deleted', 'uuid', 'status'].map((key) =>
        query.get(key),
      );
      const [include, exclude] = [query.get('include_prefix'), query.get('exclude_prefix')];
      const found = this.#tunnels
        .values()
        .filter(
          (tunnel) =>
            (!name || tunnel.name === name) &&
            (!deleted || String(tunnel.deletedAt !== undefined) === deleted) &&
            (!uuid || tunnel.id === uuid) &&
            (!status || this.#statusOf(tunnel) === status) &&
            (!include || tunnel.name.startsWith(include)) &&
            (!exclude || !tunnel.name.startsWith(exclude)),
        )
        .sort((a, b) => b.createdAt - a.createdAt);
      return pageOf(
        found.map((tunnel) => this.#show(tunnel)),
        query,
        100,
      );
    });
    routes.post('/', async (context) => {
      const body = await bodyOf(
        context.req.raw,
        z.strictObject({
          name: tunnelName,
          config_src: z.enum(['local', 'cloudflare']).default('local'),
          tunnel_secret: tunnelSecret.optional(),
        }),
        1001,
      );
      this.#refuseTakenName(body.name);
      const tunnel: Tunnel = {
        id: randomUUID(),
        name: body.name,
        configSource: body.config_src,
        secret: body.tunnel_secret ?? randomBytes(32).toString('base64'),
        createdAt: this.#world.clock.now(),
      };
      this.#tunnels.set(tunnel.id, tunnel);
      return success(this.#show(tunnel));
    });
    routes.get('/:id', (context) => success(this.#show(this.#get(context.req.param('id')))));
    routes.patch('/:id', async (context) => {
      const tunnel = this.#getLive(context.req.param('id'));
      const body = await bodyOf(
        context.req.raw,
        z.strictObject({ name: tunnelName.optional(), tunnel_secret: tunnelSecret.optional() }),
        1001,
      );
      if (body.name !== undefined && body.name !== tunnel.name) this.#refuseTakenName(body.name);
      const changed = {
        ...tunnel,
        name: body.name ?? tunnel.name,
        secret: body.tunnel_secret ?? tunnel.secret,
      };
      this.#tunnels.set(tunnel.id, changed);
      return success(this.#show(changed));
    });
    routes.delete('/:id', (context) => {
      const tunnel = this.#getLive(context.req.param('id'));
      if (this.#connectionsOf(tunnel.id).length > 0) {
        throw new CloudflareError(
          400,
          1022,
          'Cannot delete tunnel because it has active connections. Run cleanup or stop the connectors first.',
        );
      }
      const deleted = { ...tunnel, deletedAt: this.#world.clock.now() };
      this.#tunnels.set(tunnel.id, deleted);
      return success(this.#show(deleted));
    });
    routes.get('/:id/token', (context) => success(this.tokenOf(this.#getLive(context.req.param('id')))));
    routes.get('/:id/configurations', (context) =>
      success(this.#showConfiguration(this.#getLive(context.req.param('id')))),
    );
    routes.put('/:id/configurations', async (context) => {
      const tunnel = this.#getLive(context.req.param('id'));
      const body = await bodyOf(context.req.raw, z.strictObject({ config: configuration }), 1056);
      refuseBadIngress(body.config.ingress);
      const changed: Tunnel = {
        ...tunnel,
        configSource: 'cloudflare',
        configuration: {
          config: body.config,
          version: (tunnel.configuration?.version ?? 0) + 1,
          at: this.#world.clock.now(),
        },
      };
      this.#tunnels.set(tunnel.id, changed);
      return success(this.#showConfiguration(changed));
    });
    routes.get('/:id/connections', (context) => {
      const tunnel = this.#get(context.req.param('id'));
      return success(
        this.#connectionsOf(tunnel.id).map((connection) => ({
          id: connection.clientId,
          version: CLIENT_VERSION,
          arch: 'linux_amd64',
          config_version: tunnel.configuration?.version ?? 0,
          run_at: isoTime(connection.since),
          features: ['ha-origin'],
          conns: this.#edgeConnections(connection),
        })),
      );
    });
    // A cloudflared whose token is still good reconnects at once; one with an outdated token stays away.
    routes.delete('/:id/connections', (context) => {
      const query = new URL(context.req.url).searchParams;
      onlyParameters(query, ['client_id']);
      const tunnel = this.#get(context.req.param('id'));
      for (const connection of this.#connectionsOf(tunnel.id)) {
        if (query.has('client_id') && query.get('client_id') !== connection.clientId) continue;
        if (connection.secretHash !== hash(tunnel.secret)) this.disconnect(connection);
      }
      return success(null);
    });
    return routes;
  }

  /** What cloudflared is started with. */
  tokenOf(tunnel: Tunnel): string {
    const { accountId } = this.#world.settings.cloudflare;
    return Buffer.from(JSON.stringify({ a: accountId, t: tunnel.id, s: tunnel.secret })).toString('base64');
  }

  #get(id: string): Tunnel {
    const tunnel = this.find(id);
    if (!tunnel) throw new CloudflareError(404, 1003, 'Tunnel not found');
    return tunnel;
  }

  #getLive(id: string): Tunnel {
    const tunnel = this.#get(id);
    if (tunnel.deletedAt !== undefined) throw new CloudflareError(404, 1003, 'Tunnel not found');
    return tunnel;
  }

  #refuseTakenName(name: string): void {
    if (this.#tunnels.values().some((tunnel) => tunnel.name === name && tunnel.deletedAt === undefined)) {
      throw new CloudflareError(
        409,
        1013,
        'You already have a tunnel with this name. Delete the existing tunnel, or choose a different name for your new tunnel',
      );
    }
  }

  #connectionsOf(tunnelId: string): Connection[] {
    return this.#connections.values().filter((connection) => connection.tunnelId === tunnelId);
  }

  #edgeConnections(connection: Connection): object[] {
    const age = this.#world.clock.now() - connection.since;
    const open = Math.min(CONNECTIONS_PER_CONNECTOR, 1 + Math.floor(age / 1000));
    return Array.from({ length: open }, (_, index) => ({
      id: `${connection.clientId.slice(0, -1)}${index}`,
      uuid: `${connection.clientId.slice(0, -1)}${index}`,
      client_id: connection.clientId,
      client_version: CLIENT_VERSION,
      colo_name: ['hkg01', 'hkg08', 'sin11', 'sin02'][index],
      is_pending_reconnect: false,
      opened_at: isoTime(connection.since + index * 1000),
      origin_ip: '203.0.113.10',
    }));
  }

  #statusOf(tunnel: Tunnel): 'inactive' | 'degraded' | 'healthy' | 'down' {
    const connections = this.#connectionsOf(tunnel.id);
    if (connections.length === 0) return tunnel.inactiveSince === undefined ? 'inactive' : 'down';
    const isComplete = connections.some(
      (connection) => this.#edgeConnections(connection).length === CONNECTIONS_PER_CONNECTOR,
    );
    return isComplete ? 'healthy' : 'degraded';
  }

  #show(tunnel: Tunnel): object {
    return {
      id: tunnel.id,
      account_tag: this.#world.settings.cloudflare.accountId,
      created_at: isoTime(tunnel.createdAt),
      deleted_at: tunnel.deletedAt === undefined ? null : isoTime(tunnel.deletedAt),
      name: tunnel.name,
      // Deprecated and on its way to being always empty: nobody should read it here.
      connections: [],
      conns_active_at: tunnel.activeSince === undefined ? null : isoTime(tunnel.activeSince),
      conns_inactive_at: tunnel.inactiveSince === undefined ? null : isoTime(tunnel.inactiveSince),
      tun_type: 'cfd_tunnel',
      metadata: {},
      status: this.#statusOf(tunnel),
      remote_config: tunnel.configSource === 'cloudflare',
      config_src: tunnel.configSource,
    };
  }

  #showConfiguration(tunnel: Tunnel): object {
    return {
      account_id: this.#world.settings.cloudflare.accountId,
      tunnel_id: tunnel.id,
      version: tunnel.configuration?.version ?? 0,
      config: tunnel.configuration?.config ?? null,
      source: tunnel.configSource,
      created_at: isoTime(tunnel.configuration?.at ?? tunnel.createdAt),
    };
  }
}

function refuseBadIngress(ingress: readonly IngressRule[] | undefined): void {
  const isCatchAll = (rule: IngressRule): boolean => !rule.path && (!rule.hostname || rule.hostname === '*');
  ingress?.forEach((rule, index) => {
    const isLast = index === ingress.length - 1;
    if (isLast && !isCatchAll(rule)) {
      throw new CloudflareError(
        400,
        1056,
        'Bad Configuration: Validation failed: The last ingress rule must match all URLs (i.e. it should not have a hostname or path filter)',
      );
    }
    if (!isLast && isCatchAll(rule)) {
      throw new CloudflareError(
        400,
        1056,
        `Bad Configuration: Validation failed: Rule #${index + 1} is matching the hostname '', but this will match every hostname, meaning the rules which follow it will never be triggered.`,
      );
    }
  });
}

function matchesHost(rule: IngressRule, host: string): boolean {
  const wanted = rule.hostname?.toLowerCase();
  if (!wanted || wanted === '*') return true;
  return wanted.startsWith('*.') ? host.endsWith(wanted.slice(1)) : wanted === host;
}

function keyOf({ clusterId, pod }: Connector): string {
  return `${clusterId.toLowerCase()}|${pod}`;
}

function hash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

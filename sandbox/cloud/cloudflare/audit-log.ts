/**
 * `/accounts/{id}/logs/audit`, version 2: who changed what, without reads and without what was refused.
 * https://developers.cloudflare.com/api/resources/accounts/subresources/logs/subresources/audit/methods/list/
 */
import { randomBytes } from 'node:crypto';
import { ChangeTrail } from '../change-trail.ts';
import type { World } from '../world.ts';
import { CloudflareError, onlyParameters, success } from './envelope.ts';

/** Cloudflare keeps 18 months; this is what a sandbox writes in many hours. */
const MOST_ENTRIES = 5_000;
/** Assumed: nobody says how long the pipeline takes. */
const LAG_MILLISECONDS = [30_000, 120_000] as const;
const LARGEST_PAGE = 1_000;

/** The token that something was done with, and whose it is. */
export interface Actor {
  readonly tokenId: string;
  readonly tokenName: string;
  /** Of the user whose token it is; an account's own has none. */
  readonly email?: string;
}

interface Entry {
  readonly id: string;
  readonly actor: Actor;
  readonly method: string;
  /** Path and query, without the version. */
  readonly uri: string;
  readonly status: number;
  readonly resourceId?: string;
}

const ACTIONS: Readonly<Record<string, string>> = { POST: 'create', DELETE: 'delete' };

export class AuditLog {
  readonly #world: World;
  readonly #trail: ChangeTrail<Entry>;

  constructor(world: World) {
    this.#world = world;
    this.#trail = new ChangeTrail(world, {
      table: 'cloudflare/audit',
      counter: 'cloudflare/audit-counter',
      most: MOST_ENTRIES,
      lag: LAG_MILLISECONDS,
    });
  }

  /** What has just been answered, if it is for the log. */
  async note(actor: Actor, request: Request, answer: Response): Promise<void> {
    if (request.method === 'GET' || !answer.ok) return;
    const { pathname, search } = new URL(request.url);
    const body = (await answer.clone().json()) as { result?: { id?: unknown } | null };
    const resourceId = body.result?.id;
    this.#trail.note({
      id: randomBytes(16).toString('hex'),
      actor,
      method: request.method,
      uri: pathname.replace('/client/v4', '') + search,
      status: answer.status,
      ...(typeof resourceId === 'string' ? { resourceId } : {}),
    });
  }

  list(query: URLSearchParams): Response {
    onlyParameters(query, ['since', 'before', 'direction', 'limit', 'cursor']);
    const [since, before] = ['since', 'before'].map((name) => Date.parse(query.get(name) ?? ''));
    if (since === undefined || before === undefined || Number.isNaN(since) || Number.isNaN(before)) {
      throw new CloudflareError(400, 1004, 'since and before must be dates');
    }
    const limit = Number(query.get('limit') ?? 100);
    if (!Number.isInteger(limit) || limit < 1 || limit > LARGEST_PAGE) {
      throw new CloudflareError(400, 1004, `limit must be from 1 to ${LARGEST_PAGE}`);
    }
    const found = this.#trail.shown().filter(({ at }) => at >= since && at <= before);
    if (query.get('direction') === 'asc') found.reverse();
    const from = Number(query.get('cursor') ?? 0);
    const page = found.slice(from, from + limit);
    const hasMore = found.length > from + limit;
    return success(
      page.map((entry) => this.#show(entry)),
      {
        result_info: {
          count: String(page.length),
          cursors: hasMore ? { after: String(from + limit) } : {},
        },
      },
    );
  }

  #show({ id, at, actor, method, uri, status, resourceId }: Entry & { readonly at: number }): object {
    const { accountId, zoneId, zoneName } = this.#world.settings.cloudflare;
    const product = uri.includes('/dns_records') ? 'dns_records' : 'cfd_tunnel';
    const isOfZone = uri.startsWith('/zones/');
    return {
      id,
      account: { id: accountId, name: 'Sandbox account' },
      action: {
        description: `${method} ${product}`,
        result: 'success',
        time: new Date(at).toISOString(),
        type: ACTIONS[method] ?? 'update',
      },
      actor: {
        context: 'api_token',
        ip_address: '127.0.0.1',
        token_id: actor.tokenId,
        token_name: actor.tokenName,
        ...(actor.email === undefined
          ? { id: accountId, type: 'account' }
          : { id: 'f'.repeat(32), email: actor.email, type: 'user' }),
      },
      raw: { cf_ray_id: id.slice(0, 16), method, status_code: status, uri, user_agent: '' },
      // Bodies may hold secrets, and are left out here.
      resource: { id: resourceId ?? '', product, type: product, scope: isOfZone ? 'zones' : 'accounts' },
      ...(isOfZone ? { zone: { id: zoneId, name: zoneName } } : {}),
    };
  }
}

/**
 * The DNS records of the zone, with the rules that matter for a public host name: one CNAME or a set of addresses per
 * name, no duplicates, what is proxied has automatic TTL.
 * https://developers.cloudflare.com/api/resources/dns/subresources/records/
 */
import { randomBytes } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { Hono } from 'hono';
import { z } from 'zod';
import type { Table, World } from '../world.ts';
import { bodyOf, CloudflareError, onlyParameters, pageOf, success } from './envelope.ts';

const VALIDATION_ERROR = 1004;
/** Comments on the free plan: https://developers.cloudflare.com/dns/manage-dns-records/reference/record-attributes/ */
const LONGEST_COMMENT = 100;

const recordBody = z.strictObject({
  type: z.enum(['A', 'AAAA', 'CNAME', 'TXT']),
  name: z.string().min(1).max(255),
  content: z.string().min(1),
  ttl: z.number().int().default(1),
  proxied: z.boolean().default(false),
  comment: z.string().max(LONGEST_COMMENT).nullable().default(null),
  /** Tags need a paid plan. */
  tags: z.array(z.string()).max(0, 'tags are not available on this plan').default([]),
  settings: z.looseObject({}).optional(),
});

export interface DnsRecord {
  readonly id: string;
  readonly type: 'A' | 'AAAA' | 'CNAME' | 'TXT';
  /** Fully qualified, lower case, no trailing dot. */
  readonly name: string;
  readonly content: string;
  readonly ttl: number;
  readonly proxied: boolean;
  readonly comment: string | null;
  readonly createdAt: number;
  readonly modifiedAt: number;
}

export class DnsRecords {
  readonly #world: World;
  readonly #records: Table<DnsRecord>;

  constructor(world: World) {
    this.#world = world;
    this.#records = world.table('cloudflare/dns-records');
  }

  all(): DnsRecord[] {
    return this.#records.values();
  }

  /** The address records and aliases of a host: its own, or else those of the wildcard above it. */
  lookUp(host: string): DnsRecord[] {
    const of = (name: string): DnsRecord[] =>
      this.all().filter((record) => record.name === name && record.type !== 'TXT');
    const own = of(host);
    return own.length > 0 ? own : of(`*.${host.split('.').slice(1).join('.')}`);
  }

  routes(): Hono {
    const routes = new Hono();
    routes.get('/', (context) => this.#list(new URL(context.req.url).searchParams));
    routes.post('/', async (context) => {
      const body = await bodyOf(context.req.raw, recordBody, VALIDATION_ERROR);
      return success(this.#show(this.#store(randomBytes(16).toString('hex'), body)));
    });
    routes.get('/:id', (context) => success(this.#show(this.#get(context.req.param('id')))));
    routes.put('/:id', async (context) => {
      const { id } = this.#get(context.req.param('id'));
      return success(
        this.#show(this.#store(id, await bodyOf(context.req.raw, recordBody, VALIDATION_ERROR))),
      );
    });
    routes.patch('/:id', async (context) => {
      const { id, type, name, content, ttl, proxied, comment } = this.#get(context.req.param('id'));
      const changes = await bodyOf(context.req.raw, z.looseObject({}), VALIDATION_ERROR);
      const merged = recordBody.safeParse({ type, name, content, ttl, proxied, comment, ...changes });
      if (!merged.success) {
        throw new CloudflareError(
          400,
          VALIDATION_ERROR,
          `DNS Validation Error: ${z.prettifyError(merged.error)}`,
        );
      }
      return success(this.#show(this.#store(id, merged.data)));
    });
    routes.delete('/:id', (context) => {
      const { id } = this.#get(context.req.param('id'));
      this.#records.delete(id);
      return success({ id });
    });
    return routes;
  }

  #list(query: URLSearchParams): Response {
    const texts = ['name', 'content', 'comment'] as const;
    const operators = ['', '.exact', '.contains', '.startswith', '.endswith'];
    onlyParameters(query, [
      ...texts.flatMap((field) => operators.map((operator) => field + operator)),
      'comment.absent',
      'comment.present',
      'type',
      'proxied',
      'match',
      'order',
      'direction',
      'page',
      'per_page',
    ]);
    const tests: ((record: DnsRecord) => boolean)[] = [];
    for (const field of texts) {
      for (const operator of operators) {
        const wanted = query.get(field + operator)?.toLowerCase();
        if (wanted === undefined) continue;
        tests.push((record) => {
          const found = (record[field] ?? '').toLowerCase();
          if (operator === '.contains') return found.includes(wanted);
          if (operator === '.startswith') return found.startsWith(wanted);
          if (operator === '.endswith') return found.endsWith(wanted);
          return found === wanted;
        });
      }
    }
    if (query.has('comment.absent')) tests.push((record) => record.comment === null);
    if (query.has('comment.present')) tests.push((record) => record.comment !== null);
    if (query.has('type')) tests.push((record) => record.type === query.get('type'));
    if (query.has('proxied')) tests.push((record) => String(record.proxied) === query.get('proxied'));
    const isAny = query.get('match') === 'any' && tests.length > 0;
    const found = this.all()
      .filter((record) => (isAny ? tests.some((test) => test(record)) : tests.every((test) => test(record))))
      .sort((a, b) => a.name.localeCompare(b.name) || a.type.localeCompare(b.type));
    if (query.get('direction') === 'desc') found.reverse();
    return pageOf(
      found.map((record) => this.#show(record)),
      query,
      100,
    );
  }

  #store(id: string, body: z.infer<typeof recordBody>): DnsRecord {
    const { zoneName } = this.#world.settings.cloudflare;
    const given = body.name.toLowerCase().replace(/\.$/, '');
    const name =
      given === '@'
        ? zoneName
        : given === zoneName || given.endsWith(`.${zoneName}`)
          ? given
          : `${given}.${zoneName}`;
    const content = body.type === 'CNAME' ? body.content.toLowerCase().replace(/\.$/, '') : body.content;
    refuseBadContent(body, name, content);
    for (const other of this.all()) {
      if (other.id === id || other.name !== name) continue;
      if (other.type === body.type && other.content === content) {
        throw new CloudflareError(400, 81058, 'An identical record already exists.');
      }
      const isExclusive =
        body.type !== 'TXT' && other.type !== 'TXT' && [body.type, other.type].includes('CNAME');
      if (isExclusive) {
        throw new CloudflareError(400, 81053, 'An A, AAAA, or CNAME record with that host already exists.');
      }
    }
    const known = this.#records.get(id);
    const now = this.#world.clock.now();
    const record: DnsRecord = {
      id,
      type: body.type,
      name,
      content,
      ttl: body.proxied ? 1 : body.ttl,
      proxied: body.proxied,
      comment: body.comment === '' ? null : body.comment,
      createdAt: known?.createdAt ?? now,
      modifiedAt: now,
    };
    this.#records.set(id, record);
    return record;
  }

  #get(id: string): DnsRecord {
    const record = this.#records.get(id);
    if (!record) throw new CloudflareError(404, 81044, 'Record does not exist.');
    return record;
  }

  #show(record: DnsRecord): object {
    const { createdAt, modifiedAt, ...shown } = record;
    return {
      ...shown,
      proxiable: record.type !== 'TXT',
      settings: {},
      meta: {},
      tags: [],
      created_on: new Date(createdAt).toISOString(),
      modified_on: new Date(modifiedAt).toISOString(),
      ...(record.comment === null ? {} : { comment_modified_on: new Date(modifiedAt).toISOString() }),
    };
  }
}

function refuseBadContent(body: z.infer<typeof recordBody>, name: string, content: string): void {
  const label = /^(\*|[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)$/;
  if (!name.split('.').every((part) => label.test(part))) {
    throw new CloudflareError(400, 9000, 'DNS name is invalid.');
  }
  if (body.ttl !== 1 && (body.ttl < 60 || body.ttl > 86_400)) {
    throw new CloudflareError(
      400,
      9021,
      'Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.',
    );
  }
  if (body.type === 'A' && !isIPv4(content)) {
    throw new CloudflareError(400, 9005, 'Content for A record must be a valid IPv4 address.');
  }
  if (body.type === 'AAAA' && !isIPv6(content)) {
    throw new CloudflareError(400, 9006, 'Content for AAAA record must be a valid IPv6 address.');
  }
  if (body.type === 'CNAME' && !content.split('.').every((part) => label.test(part))) {
    throw new CloudflareError(400, 9007, 'Content for CNAME record is invalid.');
  }
  if (body.type === 'CNAME' && content === name) {
    throw new CloudflareError(400, 9039, 'CNAME content cannot reference itself.');
  }
  if (body.type === 'TXT' && body.proxied) {
    throw new CloudflareError(400, 9004, 'This record type cannot be proxied.');
  }
}

/** How Microsoft Graph reads requests and words its refusals. */
import { randomUUID } from 'node:crypto';
import type { z } from 'zod';

/** Thrown by a route; becomes Graph's error envelope. */
export class GraphError extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: readonly { code: string; message: string; target?: string }[] | undefined;

  constructor(
    status: number,
    code: string,
    message: string,
    details?: readonly { code: string; message: string; target?: string }[],
  ) {
    super(message);
    this.name = 'GraphError';
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

/** https://learn.microsoft.com/graph/errors */
export function errorAnswer({ status, code, message, details }: GraphError, now: number): Response {
  const id = randomUUID();
  return Response.json(
    {
      error: {
        code,
        message,
        ...(details ? { details } : {}),
        innerError: {
          date: new Date(now).toISOString().slice(0, 19),
          'request-id': id,
          'client-request-id': id,
        },
      },
    },
    { status, headers: { 'request-id': id, ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}) } },
  );
}

export function badRequest(message: string, target?: { code: string; target: string }): GraphError {
  return new GraphError(400, 'Request_BadRequest', message, target && [{ ...target, message }]);
}

/** What a reader learns of an object that is new, deleted or never was. */
export function notFound(id: string): GraphError {
  return new GraphError(
    404,
    'Request_ResourceNotFound',
    `Resource '${id}' does not exist or one of its queried reference-property objects are not present.`,
  );
}

/** Reads a JSON body; a property that the entity does not have is named in the refusal. */
export async function bodyOf<T>(request: Request, schema: z.ZodType<T>): Promise<T> {
  const text = await request.text();
  let json: unknown;
  try {
    json = text === '' ? {} : JSON.parse(text);
  } catch {
    throw new GraphError(
      400,
      'BadRequest',
      'Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.',
    );
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  if (issue?.code === 'unrecognized_keys') throw badRequest(`Invalid property '${issue.keys[0] ?? ''}'.`);
  const path = issue?.path.join('.') ?? '';
  throw badRequest(`Invalid value specified for property '${path}' of resource. ${issue?.message ?? ''}`, {
    code: 'InvalidValue',
    target: path,
  });
}

type Shown = Readonly<Record<string, unknown>>;

/** Applies `$filter`, `$select` and `$top` to a collection; any other option is refused. */
export function collection(url: URL, context: string, items: readonly Shown[]): Response {
  const select = refuseOtherOptions(url, ['$filter', '$select', '$top', '$count', '$orderby']);
  const filter = url.searchParams.get('$filter');
  const top = Number(url.searchParams.get('$top') ?? 100);
  if (!Number.isInteger(top) || top < 1 || top > 999) {
    throw new GraphError(400, 'Request_UnsupportedQuery', "Invalid page size specified: '$top'.");
  }
  const skip = Number(url.searchParams.get('$skiptoken') ?? 0) || 0;
  const found = filter === null ? items : items.filter(toTest(filter));
  const next = new URL(url);
  next.searchParams.set('$skiptoken', String(skip + top));
  return Response.json({
    '@odata.context': `https://graph.microsoft.com/v1.0/$metadata#${context}`,
    ...(url.searchParams.get('$count') === 'true' ? { '@odata.count': found.length } : {}),
    ...(skip + top < found.length ? { '@odata.nextLink': next.href } : {}),
    value: found.slice(skip, skip + top).map((item) => selected(item, select)),
  });
}

/** One entity, with `$select`. */
export function entity(url: URL, context: string, item: Shown, status = 200): Response {
  const select = refuseOtherOptions(url, ['$select']);
  return Response.json(
    {
      '@odata.context': `https://graph.microsoft.com/v1.0/$metadata#${context}/$entity`,
      ...selected(item, select),
    },
    { status },
  );
}

function refuseOtherOptions(url: URL, known: readonly string[]): string[] | undefined {
  for (const name of url.searchParams.keys()) {
    if (![...known, '$skiptoken'].includes(name)) {
      throw new GraphError(400, 'Request_UnsupportedQuery', `Unsupported query option '${name}'.`);
    }
  }
  return url.searchParams.get('$select')?.split(',');
}

function selected(item: Shown, select: readonly string[] | undefined): Shown {
  return select ? Object.fromEntries(Object.entries(item).filter(([name]) => select.includes(name))) : item;
}

/** The part of OData filters that is used here: `eq`, `ge` and `le` of times, `startswith`, `any`, `and`. */
function toTest(filter: string): (item: Shown) => boolean {
  const tests = filter.split(/\s+and\s+/).map((clause): ((item: Shown) => boolean) => {
    const text = clause.trim();
    const literal = (quoted = ''): string => quoted.replaceAll("''", "'");
    const equal = /^(\w+)\s+eq\s+'((?:[^']|'')*)'$/.exec(text);
    if (equal) return (item) => sameText(property(item, equal[1]), literal(equal[2]));
    const flag = /^(\w+)\s+eq\s+(true|false)$/.exec(text);
    if (flag) return (item) => property(item, flag[1]) === (flag[2] === 'true');
    const starts = /^startswith\((\w+),\s*'((?:[^']|'')*)'\)$/i.exec(text);
    if (starts) {
      return (item) =>
        String(property(item, starts[1]) ?? '')
          .toLowerCase()
          .startsWith(literal(starts[2]).toLowerCase());
    }
    const time = /^(\w+)\s+(ge|le)\s+(\d{4}-\d\d-\d\dT\S+)$/.exec(text);
    if (time) {
      const limit = Date.parse(time[3] ?? '');
      return (item) => {
        const found = Date.parse(String(property(item, time[1])));
        return time[2] === 'ge' ? found >= limit : found <= limit;
      };
    }
    const inner = /^(\w+)\/any\((\w+):\s*\2\/(\w+)\s+eq\s+'((?:[^']|'')*)'\)$/.exec(text);
    if (inner) {
      return (item) => {
        const values = property(item, inner[1]);
        return (
          Array.isArray(values) &&
          values.some((value: Shown) => sameText(property(value, inner[3]), literal(inner[4])))
        );
      };
    }
    const any = /^(\w+)\/any\((\w+):\s*\2\s+eq\s+'((?:[^']|'')*)'\)$/.exec(text);
    if (any) {
      return (item) => {
        const values = property(item, any[1]);
        return Array.isArray(values) && values.some((value) => sameText(value, literal(any[3])));
      };
    }
    throw new GraphError(
      400,
      'Request_UnsupportedQuery',
      `Unsupported or invalid query filter clause: ${text}.`,
    );
  });
  return (item) => tests.every((test) => test(item));
}

function property(item: Shown, name = ''): unknown {
  if (!(name in item)) {
    throw new GraphError(
      400,
      'Request_UnsupportedQuery',
      `Unsupported or invalid query filter clause specified for property '${name}' of resource.`,
    );
  }
  return item[name];
}

function sameText(found: unknown, wanted: string): boolean {
  return typeof found === 'string' && found.toLowerCase() === wanted.toLowerCase();
}

/** Cloudflare's answer form, `{success, errors, messages, result}`, and what its routes need to read a request. */
import { z } from 'zod';

/** Thrown by a route; becomes the error envelope. */
export class CloudflareError extends Error {
  readonly status: number;
  readonly code: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: number, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.name = 'CloudflareError';
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

export function success(result: unknown, extra: object = {}): Response {
  return Response.json({ success: true, errors: [], messages: [], result, ...extra });
}

export function failure({ status, code, message, headers }: CloudflareError): Response {
  return Response.json(
    { success: false, errors: [{ code, message }], messages: [], result: null },
    { status, headers },
  );
}

/** One page of a listing, by `page` and `per_page`; a page beyond the end is empty, which is how the SDK stops. */
export function pageOf<T>(items: readonly T[], query: URLSearchParams, defaultSize: number): Response {
  const [page, size] = [query.get('page') ?? '1', query.get('per_page') ?? String(defaultSize)].map(Number);
  if (!page || !size || page < 1 || size < 1 || !Number.isInteger(page) || !Number.isInteger(size)) {
    throw new CloudflareError(400, 1004, 'page and per_page must be positive integers');
  }
  const shown = items.slice((page - 1) * size, page * size);
  return success(shown, {
    result_info: {
      page,
      per_page: size,
      count: shown.length,
      total_count: items.length,
      total_pages: Math.ceil(items.length / size),
    },
  });
}

/** Refuses query parameters that the simulation does not honour, instead of ignoring them. */
export function onlyParameters(query: URLSearchParams, known: readonly string[]): void {
  const unknown = [...query.keys()].filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new CloudflareError(400, 1004, `unknown or not simulated query parameter: ${unknown.join(', ')}`);
  }
}

/** Reads a JSON body of this shape. */
export async function bodyOf<T>(request: Request, schema: z.ZodType<T>, code: number): Promise<T> {
  const text = await request.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new CloudflareError(400, 6007, 'Malformed JSON in request body');
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw new CloudflareError(400, code, z.prettifyError(parsed.error).replace(/\s+/g, ' '));
  }
  return parsed.data;
}

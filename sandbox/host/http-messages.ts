/** Requests and responses as the host's own endpoints see them, whatever carries them. */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';

export interface HostRequest {
  readonly method: string;
  /** Absolute, as the client asked for it. */
  readonly url: string;
  /** `http://host:port` as the client asked for it. */
  readonly origin: string;
  /** Percent-encoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case; repeated headers are joined. */
  readonly headers: Readonly<Record<string, string>>;
  readonly isLoopback: boolean;
  /** Reads the body once. Throws BodyTooLargeError over the host's limit. */
  bytes(): Promise<Buffer>;
  text(): Promise<string>;
  readonly incoming: IncomingMessage;
}

export interface HostResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array | Readable;
}

export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
}

/** The real host's limit for a request's body: 104,857,600 bytes. */
const bodyLimit = 100 * 1024 * 1024;

const loopbackAddresses = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1']);

export function toHostRequest(incoming: IncomingMessage): HostRequest {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  const origin = `http://${headers['host'] ?? 'localhost'}`;
  const target = incoming.url?.startsWith('/') ? incoming.url : '/';
  const url = new URL(`${origin}${target}`);
  let body: Promise<Buffer> | undefined;
  const bytes = (): Promise<Buffer> => {
    body ??= readBody(incoming);
    return body;
  };
  return {
    method: incoming.method ?? 'GET',
    url: url.href,
    origin,
    path: url.pathname,
    query: url.searchParams,
    headers,
    isLoopback: loopbackAddresses.has(incoming.socket.remoteAddress ?? ''),
    bytes,
    text: async () => (await bytes()).toString('utf8'),
    incoming,
  };
}

async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  if (Number(incoming.headers['content-length'] ?? 0) > bodyLimit) throw new BodyTooLargeError();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyLimit) throw new BodyTooLargeError();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A path's segments, decoded; undefined when an escape in it is broken. */
export function pathSegments(path: string): string[] | undefined {
  try {
    return path
      .replace(/^\/+|\/+$/g, '')
      .split('/')
      .map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

export function emptyResponse(status: number): HostResponse {
  return { status, headers: {} };
}

export function jsonResponse(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): HostResponse {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(value ?? null),
  };
}

/** The error envelope of the host's own endpoints. */
export function errorResponse(status: number, message: string): HostResponse {
  return jsonResponse(status, { Message: message });
}

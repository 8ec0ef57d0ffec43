/** Carries the host's requests and responses over node:http. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  BodyTooLargeError,
  emptyResponse,
  type HostRequest,
  type HostResponse,
  toHostRequest,
} from './http-messages.ts';

export type Handler = (request: HostRequest) => Promise<HostResponse>;

export interface HttpServer {
  readonly port: number;
  /** Accepts no more connections; answers under way have a moment to get out, then what is still open is cut. */
  close(): Promise<void>;
}

/** Listens on `hostname`; port 0 lets the system choose. Rejects when the port is taken. */
export async function listen(
  options: { hostname: string; port: number; onError: (error: unknown) => void },
  handle: Handler,
): Promise<HttpServer> {
  const server = createServer((incoming, outgoing) => {
    void answer(incoming, outgoing, handle).catch((error: unknown) => {
      options.onError(error);
      outgoing.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.hostname, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => close(server),
  };
}

/** Milliseconds. */
const flushTime = 200;

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), flushTime);
  await closed;
  clearTimeout(cut);
}

async function answer(incoming: IncomingMessage, outgoing: ServerResponse, handle: Handler): Promise<void> {
  let response: HostResponse;
  try {
    response = await handle(toHostRequest(incoming));
  } catch (error) {
    if (!(error instanceof BodyTooLargeError)) throw error;
    outgoing.setHeader('connection', 'close');
    response = emptyResponse(413);
  }
  outgoing.statusCode = response.status;
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== '') outgoing.setHeader(name, value);
  }
  const { body } = response;
  if (body instanceof Readable) {
    // Headers go out before the first chunk, so that a client sees a slow stream begin.
    outgoing.flushHeaders();
    await pipeline(body, outgoing).catch(() => outgoing.destroy());
    return;
  }
  outgoing.setHeader('content-length', body === undefined ? 0 : Buffer.byteLength(body));
  outgoing.end(incoming.method === 'HEAD' ? undefined : body);
}

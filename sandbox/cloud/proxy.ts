/**
 * The door to the simulated clouds: a forward proxy that ends TLS itself, so that unchanged SDKs talk to
 * `management.azure.com` and mean this process. A name that nobody here answers for is refused: nothing leaves the
 * machine. A name under a known suffix that nobody has registered does not resolve, as in the real world.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { getRequestListener } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { DatabaseDial } from './arm/database-connections.ts';
import { SERVER_SUFFIX } from './arm/postgresql-state.ts';
import type { Call } from './calls.ts';
import { exchange } from './exchange.ts';
import type { ServerCertificates } from './neighbours.ts';
import { relayPostgres } from './postgres-relay.ts';
import type { Service, World } from './world.ts';

export interface Proxy {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts the proxy on 127.0.0.1; port 0 lets the operating system choose. */
export async function startProxy(
  world: World,
  services: readonly Service[],
  certificates: ServerCertificates,
  port = 0,
  dialDatabase?: DatabaseDial,
): Promise<Proxy> {
  const find = (host: string): Service | undefined => services.find((service) => service.matches(host));
  const contexts = new Map<string, Promise<SecureContext>>();
  const contextOf = (host: string): Promise<SecureContext> => {
    const known = contexts.get(host);
    if (known !== undefined) return known;
    const made = certificates
      .issueServerCertificate([host])
      .then(({ certPem, keyPem }) => createSecureContext({ cert: certPem, key: keyPem }));
    contexts.set(host, made);
    return made;
  };
  const inner = startInnerServer(world, find);
  const sockets = new Set<Duplex>();
  const record = (service: Call['service'], method: string, host: string, status: number): void =>
    world.calls.add({
      time: new Date(world.clock.now()).toISOString(),
      service,
      method,
      host,
      path: '',
      status,
      caller: 'anonymous',
      milliseconds: 0,
    });
  const refuse = (socket: Duplex, method: string, host: string, status: number, text: string): void => {
    record('refused', method, host, status);
    socket.end(plainAnswer(status, text));
  };

  const connectDatabase = async (
    dial: DatabaseDial,
    host: string,
    port: number,
    socket: Duplex,
    head: Buffer,
  ): Promise<void> => {
    const door = await dial(host, port);
    record('postgresql', 'CONNECT', host, door.ok ? 200 : 504);
    if (!door.ok) {
      socket.end(plainAnswer(504, door.reason));
      return;
    }
    const context = await contextOf(host);
    if (socket.destroyed) return;
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    if (head.length > 0) socket.unshift(head);
    await relayPostgres(socket, context, door);
  };

  const connect = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const [host = '', targetPort] = (request.url ?? '').toLowerCase().split(':');
    if (dialDatabase && targetPort !== '443' && host.endsWith(SERVER_SUFFIX)) {
      return connectDatabase(dialDatabase, host, Number(targetPort), socket, head);
    }
    const service = find(host);
    if (!service || targetPort !== '443') {
      if (targetPort === '443' && mustBeRegistered(host, world.settings.cloudflare.zoneName)) {
        return refuse(socket, 'CONNECT', host, 502, `getaddrinfo ENOTFOUND ${host}`);
      }
      return refuse(
        socket,
        'CONNECT',
        host,
        403,
        `${request.url ?? ''} is not part of the sandbox; nothing leaves the machine`,
      );
    }
    const secureContext = await contextOf(host);
    if (socket.destroyed) return;
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    if (head.length > 0) socket.unshift(head);
    const secured = new TLSSocket(socket as Socket, {
      isServer: true,
      secureContext,
      ALPNProtocols: ['http/1.1'],
    });
    secured.on('error', () => secured.destroy());
    askedFor.set(secured, host);
    inner.emit('connection', secured);
  };

  const outer = createServer((request, response) => {
    const host = URL.parse(request.url ?? '')?.hostname ?? request.headers.host ?? '';
    response.shouldKeepAlive = false;
    refuse(
      request.socket,
      request.method ?? '',
      host,
      403,
      `${host} was asked for without TLS; the sandbox answers https only and nothing leaves the machine`,
    );
  });
  outer.on('connect', (request, socket, head) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    connect(request, socket, head).catch((error: unknown) => {
      // A client that hangs up in the middle of a greeting has its reasons.
      if (!(error instanceof RangeError)) console.error('proxy', error);
      socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    outer.once('error', reject);
    outer.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(outer.address() as AddressInfo).port}`,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      outer.closeAllConnections();
      await new Promise((resolve) => outer.close(resolve));
    },
  };
}

/** The host of the CONNECT request a decrypted connection belongs to. */
const askedFor = new WeakMap<object, string>();

/** The HTTP/1.1 server that reads what TLS has decrypted; it is never bound to a port. */
function startInnerServer(world: World, find: (host: string) => Service | undefined): Server {
  const listener = getRequestListener(
    async (request, wire) => {
      const host = askedFor.get(wire.incoming.socket) ?? '';
      const service = find(host);
      if (!service) {
        // The vault, registry, cluster or record was deleted while this connection was open.
        wire.incoming.socket.destroy();
        return RESPONSE_ALREADY_SENT;
      }
      if (new URL(request.url).hostname !== host) {
        return new Response(`This connection was opened for ${host}.`, { status: 421 });
      }
      return exchange(world, service, host, request, wire);
    },
    { overrideGlobalObjects: false },
  );
  // None of the clouds tells how long it keeps a connection (`Keep-Alive: timeout=…`), which undici would go by.
  const server = createServer(
    { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 },
    (request, response) => void listener(request, response),
  );
  server.on('upgrade', (request, socket) => {
    socket.end(plainAnswer(501, `${request.headers.upgrade ?? 'upgrade'} is not simulated`));
  });
  return server;
}

/** Host names that exist only once somebody made the thing they belong to. */
function mustBeRegistered(host: string, zoneName: string): boolean {
  return (
    ['.vault.azure.net', '.azurecr.io', '.azmk8s.io', `.${zoneName}`].some((suffix) =>
      host.endsWith(suffix),
    ) || host === zoneName
  );
}

/** The reason is repeated in the status line because most clients show nothing else of a refused CONNECT. */
function plainAnswer(status: number, text: string): string {
  const line = text.replace(/[^\x20-\x7e]/g, '?');
  return (
    `HTTP/1.1 ${status} ${line}\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(text)}\r\n` +
    `Connection: close\r\n\r\n${text}`
  );
}

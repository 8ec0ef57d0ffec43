/** Reaching a flexible server as a client in a virtual network does: name, path, state, encryption, login. */
import type { Databases, Network } from '../neighbours.ts';
import type { Frame } from './frame/frame.ts';
import { objectAt } from './frame/json.ts';
import { isWithin } from './frame/target.ts';
import { engineServer, findServer, inForce, type Server } from './postgresql.ts';
import type { PostgresEngine } from './postgresql-engine.ts';
import { isReachable } from './private-endpoints.ts';

const HOST = /^([a-z0-9-]+)\.postgres\.database\.azure\.com$/i;

/** Reasons are libpq's and the server's own texts for the same cause. */
export function createDatabases(frame: Frame, network: Network, engine: PostgresEngine): Databases {
  return {
    connect: async (text, vnetId) => {
      await frame.operations.settle();
      const url = parseUrl(text);
      if (!url) return no('InvalidUrl', 'invalid connection string: it is not a postgresql:// URL');
      const { host, user, password, database, sslmode } = url;
      const at = `connection to server at "${host}", port ${url.port} failed`;
      const resolved = network.resolve(host, vnetId);
      const server = findServer(frame, HOST.exec(host)?.[1] ?? '');
      if (!resolved.ok || !server) {
        return no(
          'ENOTFOUND',
          `could not translate host name "${host}" to address: Name or service not known`,
        );
      }
      const path = pathTo(frame, server, resolved, vnetId);
      if (path !== undefined) return no('ETIMEDOUT', `${at}: Connection timed out (${path})`);
      const state = objectAt(server.body, 'properties')['state'];
      if (
        state === 'Stopped' ||
        state === 'Stopping' ||
        state === 'Provisioning' ||
        state === 'Starting' ||
        url.port !== '5432'
      ) {
        return no(
          'ECONNREFUSED',
          `${at}: Connection refused${url.port === '5432' ? ` (the server is ${state})` : ''}`,
        );
      }
      if (
        ['disable', 'allow'].includes(sslmode) &&
        inForce(frame, server, 'require_secure_transport') === 'on'
      ) {
        return no(
          '28000',
          `${at}: FATAL:  no pg_hba.conf entry for host "${resolved.address}", user "${user}", database "${database}", no encryption`,
        );
      }
      const known = engineServer(frame, server);
      if (user !== known.login)
        return no('28P01', `${at}: FATAL:  password authentication failed for user "${user}"`);
      if (!known.databases.includes(database)) {
        return no('3D000', `${at}: FATAL:  database "${database}" does not exist`);
      }
      await engine.match(known);
      try {
        const client = await engine.connect(known.name, user, password, database);
        const allowedExtensions = inForce(frame, server, 'azure.extensions')
          .split(',')
          .map((name) => name.trim())
          .filter((name) => name !== '');
        return { ok: true, client, allowedExtensions };
      } catch (error) {
        return no(codeOf(error), `${at}: FATAL:  ${messageFor(error, user, database)}`);
      }
    },
  };
}

const no = (code: string, reason: string) => ({ ok: false, code, reason }) as const;

/** Why the address does not lead to the server; undefined when it does. */
function pathTo(
  frame: Frame,
  server: Server,
  { address, isPrivate }: { address: string; isPrivate: boolean },
  vnetId: string,
): string | undefined {
  const own = server.body.properties.network;
  if (own?.delegatedSubnetResourceId) {
    if (address !== server.hidden.address) return `${address} is not the address of the server`;
    return isWithin(own.delegatedSubnetResourceId, vnetId)
      ? undefined
      : 'the server is in another virtual network';
  }
  if (isPrivate) {
    const reachable = isReachable(frame, server, address, vnetId);
    return reachable.ok ? undefined : reachable.reason;
  }
  return own?.publicNetworkAccess === 'Disabled'
    ? 'public network access of the server is disabled'
    : 'no firewall rule of the server lets the network in';
}

interface ConnectionUrl {
  readonly host: string;
  readonly port: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly sslmode: string;
}

function parseUrl(text: string): ConnectionUrl | undefined {
  try {
    const url = new URL(text);
    if (!/^postgres(ql)?:$/.test(url.protocol) || url.hostname === '') return undefined;
    const user = decodeURIComponent(url.username);
    return {
      host: url.hostname.toLowerCase(),
      port: url.port || '5432',
      user,
      password: decodeURIComponent(url.password),
      database: decodeURIComponent(url.pathname.slice(1)) || user,
      sslmode: url.searchParams.get('sslmode') ?? 'prefer',
    };
  } catch {
    return undefined;
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'ECONNRESET';

/** In the caller's own words: the engine knows role and database under other names. */
function messageFor(error: unknown, user: string, database: string): string {
  switch (codeOf(error)) {
    case '28P01':
      return `password authentication failed for user "${user}"`;
    case '53300':
      return `too many connections for role "${user}"`;
    case '3D000':
      return `database "${database}" does not exist`;
    default:
      return 'the server closed the connection unexpectedly';
  }
}

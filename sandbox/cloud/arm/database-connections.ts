/**
 * What happens when a client somewhere in a virtual network opens a connection URL: name, network path, server, TLS,
 * login, database, in the order in which a real client meets them and with the words it would print.
 */
import pg from 'pg';
import type { Answer, Databases, Network } from '../neighbours.ts';
import type { DatabaseDoor } from '../postgres-relay.ts';
import type { Frame } from './frame/frame.ts';
import { isInNetwork, VIRTUAL_NETWORKS } from './network.ts';
import { valueInForce } from './postgresql-configurations.ts';
import { admitsAzure, firewallRulesOf } from './postgresql-databases.ts';
import { nameIn, type PostgresEngine } from './postgresql-engine.ts';
import { listed } from './postgresql-parameters.ts';
import { FLEXIBLE_SERVERS, SERVER_SUFFIX, type Server, stateOf } from './postgresql-state.ts';
import { type ConnectionUrl, parseConnectionUrl } from './postgresql-url.ts';
import { isReachable } from './private-endpoints.ts';

/** States in which the engine answers. */
const ANSWERING = ['Ready', 'Updating', 'Dropping'];
/** The bundle of public authorities in the images that clients run in. */
const SYSTEM_CERTIFICATES = ['system', '/etc/ssl/certs/ca-certificates.crt'];

/** Whether a server answers there, and how to go on from its door. */
export type DatabaseDial = (host: string, port: number) => Promise<Answer<DatabaseDoor>>;
type Connected = Awaited<ReturnType<Databases['connect']>>;
const refused = (code: string, reason: string): { ok: false; code: string; reason: string } => ({
  ok: false,
  code,
  reason,
});

/**
 * The doors of servers for the control plane, which comes through the proxy. Its app is integrated into a network that is
 * peered with all of the tenant's and asks their private zones; with the dial turned it has only the internet.
 */
export function createDatabaseDial(
  frame: Frame,
  network: Network,
  engine: PostgresEngine,
  isOutside: () => boolean,
): DatabaseDial {
  return async (host, port) => {
    const networks = isOutside() ? [] : frame.store.ofType(VIRTUAL_NETWORKS).map(({ id }) => id);
    let answer = await reach(frame, network, { host, port }, '');
    for (const id of networks) {
      if (!answer.ok) answer = await reach(frame, network, { host, port }, id);
    }
    if (!answer.ok) return answer;
    const { server } = answer;
    return {
      ok: true,
      host,
      ...(await engine.endpoint()),
      requiresTls: valueInForce(frame, server, 'require_secure_transport').toLowerCase() === 'on',
      takesPasswords: server.body.properties.authConfig.passwordAuth === 'Enabled',
      namesOf: (user, database) => engine.namesOf(server.name, user, database),
    };
  };
}

/** The databases as clients in virtual networks reach them. */
export function createDatabases(frame: Frame, network: Network, engine: PostgresEngine): Databases {
  return { connect: (url, vnetId) => connect(frame, network, engine, url, vnetId) };
}

async function connect(
  frame: Frame,
  network: Network,
  engine: PostgresEngine,
  urlText: string,
  vnetId: string,
): Promise<Connected> {
  const url = parseConnectionUrl(urlText);
  if (typeof url === 'string') return refused('InvalidUrl', url);
  if (url.host === '') {
    return refused(
      'NoSocket',
      `connection to server on socket "/var/run/postgresql/.s.PGSQL.${url.port}" failed: No such file or directory`,
    );
  }
  const reached = await reach(frame, network, url, vnetId);
  return reached.ok ? logIn(frame, engine, reached.server, url, reached.at) : reached;
}

/** As far as to where a server answers: name, network path, state, port. */
async function reach(
  frame: Frame,
  network: Network,
  { host, port }: Pick<ConnectionUrl, 'host' | 'port'>,
  vnetId: string,
): Promise<Answer<{ server: Server; at: string }>> {
  await frame.operations.settle();
  const resolved = network.resolve(host, vnetId);
  if (!resolved.ok) {
    return refused(
      resolved.code,
      `could not translate host name "${host}" to address: Name or service not known`,
    );
  }
  const at = `connection to server at "${host}" (${resolved.address}), port ${port} failed:`;
  const name = host.toLowerCase().slice(0, -SERVER_SUFFIX.length);
  const server = host.toLowerCase().endsWith(SERVER_SUFFIX)
    ? frame.store.ofType(FLEXIBLE_SERVERS).find((stored) => stored.name === name)
    : undefined;
  const timedOut = (why: string): Answer<never> =>
    refused('ConnectionTimedOut', `${at} Connection timed out (${why})`);
  if (!server) return timedOut('nothing answers there');
  const path = pathTo(frame, server as Server, resolved, vnetId);
  if (!path.ok) return timedOut(path.reason);
  const state = stateOf(server as Server, frame.world.clock.now());
  if (!ANSWERING.includes(state))
    return refused('ServerNotReady', `${at} Connection timed out (the server is ${state})`);
  if (port !== 5432) return refused('ConnectionRefused', `${at} Connection refused`);
  return { ok: true, server: server as Server, at };
}

/** Whether packets get through, by firewall or private endpoint. */
function pathTo(
  frame: Frame,
  server: Server,
  { address, isPrivate }: { address: string; isPrivate: boolean },
  vnetId: string,
): Answer<object> {
  const { delegatedSubnetResourceId: subnetId, publicNetworkAccess } = server.body.properties.network;
  if (subnetId !== undefined) {
    if (address !== server.hidden.address)
      return refused('WrongAddress', `${address} is not the server's address`);
    return isInNetwork(subnetId, vnetId)
      ? { ok: true }
      : refused('OtherNetwork', "the server's subnet is in another network");
  }
  if (isPrivate) return isReachable(frame, server, address, vnetId);
  if (publicNetworkAccess !== 'Enabled') {
    return refused('PublicAccessDisabled', 'public network access of the server is disabled');
  }
  return admitsAzure(firewallRulesOf(frame, server))
    ? { ok: true }
    : refused('FirewallBlocks', 'no firewall rule of the server allows this client');
}

async function logIn(
  frame: Frame,
  engine: PostgresEngine,
  server: Server,
  url: ConnectionUrl,
  at: string,
): Promise<Connected> {
  const { user, database, sslMode, sslRootCertificate } = url;
  if (/^verify-/.test(sslMode) && !SYSTEM_CERTIFICATES.includes(sslRootCertificate ?? '')) {
    const file = sslRootCertificate ?? '~/.postgresql/root.crt';
    return refused('NoRootCertificate', `${at} root certificate file "${file}" does not exist`);
  }
  if (
    sslMode === 'disable' &&
    valueInForce(frame, server, 'require_secure_transport').toLowerCase() === 'on'
  ) {
    return refused(
      'NoEncryption',
      `${at} FATAL:  no pg_hba.conf entry for host "10.0.0.0", user "${user}", database "${database}", no encryption`,
    );
  }
  const denied = refused('28P01', `${at} FATAL:  password authentication failed for user "${user}"`);
  if (server.body.properties.authConfig.passwordAuth !== 'Enabled') return denied;
  try {
    const { password, host } = url;
    const client = await engine.open({ server: server.name, host, user, password, database });
    const extensions = listed(valueInForce(frame, server, 'azure.extensions'));
    return { ok: true, client, allowedExtensions: extensions };
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    if (error.code === '28P01' || error.code === '28000') return denied;
    const text = error.message
      .replaceAll(nameIn(server.name, user), user)
      .replaceAll(nameIn(server.name, database), database);
    return refused(error.code ?? 'FATAL', `${at} FATAL:  ${text}`);
  }
}

/**
 * What happens when a client somewhere in a virtual network opens a connection URL: name, network path, server, TLS,
 * login, database, in the order in which a real client meets them and with the words it would print.
 */
import pg from 'pg';
import type { Answer, Databases, Network } from '../neighbours.ts';
import type { Frame } from './frame/frame.ts';
import { isInNetwork } from './network.ts';
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

type Connected = Awaited<ReturnType<Databases['connect']>>;
const refused = (code: string, reason: string): { ok: false; code: string; reason: string } => ({
  ok: false,
  code,
  reason,
});

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
  await frame.operations.settle();
  const resolved = network.resolve(url.host, vnetId);
  if (!resolved.ok) {
    return refused(
      resolved.code,
      `could not translate host name "${url.host}" to address: Name or service not known`,
    );
  }
  const at = `connection to server at "${url.host}" (${resolved.address}), port ${url.port} failed:`;
  const name = url.host.toLowerCase().slice(0, -SERVER_SUFFIX.length);
  const server = url.host.toLowerCase().endsWith(SERVER_SUFFIX)
    ? frame.store.ofType(FLEXIBLE_SERVERS).find((stored) => stored.name === name)
    : undefined;
  const timedOut = (why: string): Connected =>
    refused('ConnectionTimedOut', `${at} Connection timed out (${why})`);
  if (!server) return timedOut('nothing answers there');
  const path = pathTo(frame, server as Server, resolved, vnetId);
  if (!path.ok) return timedOut(path.reason);
  const state = stateOf(server as Server, frame.world.clock.now());
  if (!ANSWERING.includes(state))
    return refused('ServerNotReady', `${at} Connection timed out (the server is ${state})`);
  if (url.port !== 5432) return refused('ConnectionRefused', `${at} Connection refused`);
  return logIn(frame, engine, server as Server, url, at);
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

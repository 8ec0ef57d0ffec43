/** The database server as ARM tells about it; what only SQL tells is looked at elsewhere. */
import { BlockList, isIPv4 } from 'node:net';
import type { Configuration } from '@azure/arm-postgresql-flexible';
import { orAbsent } from '../../clients/cloud-failure.ts';
import { parameterDifferences } from '../../resources/azure/postgres-parameters.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { needed, repairOf } from '../repair.ts';
import { endpointCheck } from './endpoint.ts';
import { findServer, findZone, neededServer, told } from './parts.ts';
import { zoneCheck } from './zone.ts';

const breaks = 'Open WebUI cannot reach its database: pages and chats fail, and pods do not get ready.';

/** What to do about a server that is not Ready; states that pass by themselves are not listed. */
const remedies: Readonly<Record<string, (target: string) => string>> = {
  Stopped: (target) => `Find out who stopped it, then start it: az postgres flexible-server start ${target}`,
  Disabled: (target) =>
    `Azure has disabled it, as it does when the subscription is disabled or creation failed: az postgres flexible-server show ${target}`,
  Inaccessible: () =>
    'It cannot read its encryption key: give it access to the key again, then revalidate it in the portal.',
  Dropping: () => 'Somebody is deleting it: look in the activity log; restore it from its last backup.',
};

export const serverReady: Check = {
  id: 'database-server-ready',
  system: 'database',
  title: 'The PostgreSQL server exists and is ready',

  async run(scope) {
    const { postgresServer: name, resourceGroup: group } = scope.names;
    const found = await findServer(scope);
    const common = { resource: 'azure/postgres-server', severity: 'error', breaks } as const;
    if (!found) {
      return [
        {
          ...common,
          id: 'database-server-missing',
          what: `The PostgreSQL server ${name} does not exist.`,
          evidence: `Azure answers 404 for it in the resource group ${group}.`,
          breaks: `${breaks} Chats and users went with it.`,
          remedy:
            'Its last backup is kept for five days after it was deleted: restore it (revive dropped server) before an empty one is made anew.',
          repair: repairOf(scope),
        },
      ];
    }
    const state = found.state ?? 'Unknown';
    // It serves while it is updated, but for a moment that Kubernetes' own probes bridge.
    if (state === 'Ready' || state === 'Updating') return [];
    const remedy = remedies[state]?.(`-g ${group} -n ${name}`);
    return [
      {
        ...common,
        id: `database-server-${state.toLowerCase()}`,
        what: `The PostgreSQL server ${name} is not ready.`,
        evidence: `properties.state is ${state}.`,
        remedy: remedy ?? 'It takes some minutes; see who began it in the activity log of the server.',
      },
    ];
  },
};

export const database: Check = {
  id: 'database-exists',
  system: 'database',
  title: 'The database exists on the server',

  async run(scope) {
    const { postgresServer: server, resourceGroup: group } = scope.names;
    const { database: name } = scope.spec.postgres;
    await neededServer(scope);
    if (await orAbsent(scope.clients.postgres().databases.get(group, server, name))) return [];
    return [
      {
        id: 'database-missing',
        resource: 'azure/postgres-database',
        severity: 'error',
        what: `The database ${name} does not exist on the server ${server}.`,
        evidence: `Azure answers 404 for it.`,
        breaks: `${breaks} Chats and users went with it.`,
        remedy: `Restore the server to a moment before it was dropped: az postgres flexible-server restore -g ${group} --source-server ${server} -n <other name> --restore-time <time>`,
        repair: repairOf(scope),
      },
    ];
  },
};

export const parameters: Check = {
  id: 'database-parameters',
  system: 'database',
  title: 'The server parameters are as asked and in force, and pgvector is allowed',

  async run(scope) {
    const { postgresServer: server, resourceGroup: group } = scope.names;
    const { parameters: wanted } = scope.spec.postgres;
    await neededServer(scope);
    const found: Configuration[] = [];
    for await (const one of scope.clients.postgres().configurations.listByServer(group, server)) {
      found.push(one);
    }
    const differing = parameterDifferences(wanted, found);
    const set = (name: string, value: unknown): string =>
      `az postgres flexible-server parameter set -g ${group} -s ${server} -n ${name} -v ${value}`;
    const findings = differing.map(({ path, wanted: value, found: now }): CheckFinding => {
      const common = { resource: 'azure/postgres-parameters', repair: repairOf(scope) } as const;
      if (path === 'restart') {
        return {
          ...common,
          id: 'database-restart-pending',
          severity: 'warning',
          what: `Parameters of the server ${server} wait for a restart.`,
          evidence: `isConfigPendingRestart: ${String(now)}.`,
          breaks: 'They are not in force yet: the server runs with their former values.',
          remedy: `Restart it when a short interruption does no harm: az postgres flexible-server restart -g ${group} -n ${server}`,
        };
      }
      if (path === 'azure.extensions') {
        return {
          ...common,
          id: 'database-extension-not-allowed',
          severity: 'error',
          what: `The server ${server} does not allow an extension that Open WebUI needs.`,
          evidence: `azure.extensions is "${String(now)}"; ${wanted[path]} is needed.`,
          breaks:
            'CREATE EXTENSION vector is refused: a new Open WebUI pod fails, and documents are not searched.',
          remedy: set(path, value),
        };
      }
      return {
        ...common,
        id: `database-parameter-${path.replaceAll(/[._]/g, '-')}`,
        severity: 'warning',
        what: `The server parameter ${path} is not as asked.`,
        evidence: `${path} is ${String(now)}, not ${String(value)}.`,
        breaks: 'The server runs with other limits than were meant.',
        remedy: `${set(path, value)}; or set postgres.parameters in the spec`,
      };
    });
    return findings.toSorted(
      (one, other) => Number(one.severity !== 'error') - Number(other.severity !== 'error'),
    );
  },
};

const MOST_ADDRESSES = 5;
const breaksName = `${breaks} The server's name does not lead to its private address from inside the network.`;

export const databaseZone = zoneCheck({
  id: 'database-zone',
  system: 'database',
  title: 'The DNS zone of the database is there and linked to the network',
  zone: ({ names }: Pick<CheckScope, 'names'>) => names.postgresZone,
  breaks: breaksName,
});

const isDelegated = ({ spec }: Pick<CheckScope, 'spec'>): boolean =>
  spec.postgres.privateAccess === 'delegated-subnet';

export const databaseEndpoint = endpointCheck({
  id: 'database-endpoint',
  system: 'database',
  title: 'The private endpoint of the database is approved, and its name leads to it',
  resource: 'azure/postgres-endpoint',
  isWanted: (scope) => !isDelegated(scope),
  parts: ({ names }) => ({
    endpoint: names.postgresEndpoint,
    zone: names.postgresZone,
    target: names.postgresServer,
  }),
  breaks: breaksName,
});

/** Ranges of the subnet that the server is delegated to. */
async function rangesOf(scope: CheckScope): Promise<readonly string[]> {
  const server = needed(await findServer(scope), `the PostgreSQL server ${scope.names.postgresServer}`);
  const id = told(server.network?.delegatedSubnetResourceId, 'subnet of the server');
  const [, group = '', vnet = '', subnet = ''] =
    /\/resourceGroups\/([^/]+)\/.*\/virtualNetworks\/([^/]+)\/subnets\/([^/]+)$/i.exec(id) ?? [];
  const { addressPrefix, addressPrefixes } = await scope.clients.network().subnets.get(group, vnet, subnet);
  return addressPrefixes ?? (addressPrefix === undefined ? [] : [addressPrefix]);
}

function isWithin(address: string, ranges: readonly string[]): boolean {
  const list = new BlockList();
  for (const range of ranges) {
    const [net = '', bits = ''] = range.split('/');
    if (isIPv4(net)) list.addSubnet(net, Number(bits), 'ipv4');
  }
  return list.check(address, 'ipv4');
}

/**
 * A server in a delegated subnet writes its record itself, under a name that Azure does not promise and with an address
 * that it does not tell: only that the address is one of the subnet can be known.
 */
export const databaseRecord: Check = {
  id: 'database-record',
  system: 'database',
  title: 'The DNS zone of the database has its record, in its subnet',
  isWanted: isDelegated,

  async run(scope) {
    const { postgresServer: server, postgresZone: zone, resourceGroup: group } = scope.names;
    needed((await findZone(scope, zone)).zone, `the private DNS zone ${zone}`);
    const { recordSets } = scope.clients.privateDns();
    const addresses: string[] = [];
    for await (const { aRecords } of recordSets.listByType(group, zone, 'A')) {
      addresses.push(...(aRecords ?? []).flatMap(({ ipv4Address }) => ipv4Address ?? []));
    }
    const ranges = addresses.length > 0 ? await rangesOf(scope) : [];
    if (addresses.some((address) => isWithin(address, ranges))) return [];
    const isMissing = addresses.length === 0;
    return [
      {
        id: `database-record-${isMissing ? 'missing' : 'wrong'}`,
        resource: 'azure/postgres-server',
        severity: 'error',
        what: isMissing
          ? `The zone ${zone} has no record of the server ${server}.`
          : `No record in the zone ${zone} leads to the server ${server}.`,
        evidence: isMissing
          ? 'The zone lists no A record.'
          : `A records: ${addresses.toSorted().slice(0, MOST_ADDRESSES).join(', ')}; the server is in the subnet ${ranges.join(', ')}.`,
        breaks: breaksName,
        remedy: `Somebody has ${isMissing ? 'removed' : 'changed'} it, or the zone was made anew. Restarting the server has Azure write it again; else add it by hand: az network private-dns record-set a add-record -g ${group} -z ${zone} -n <name> -a <address in the delegated subnet>`,
      },
    ];
  },
};

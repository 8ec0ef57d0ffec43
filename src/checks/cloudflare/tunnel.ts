/** The way from the edge into the cluster: the tunnel, its token, who is connected to it, its rules, the DNS record. */
import { findRecords, isOurRecord } from '../../resources/cloudflare/dns-record.ts';
import { type IngressRule, readIngress, siteService } from '../../resources/cloudflare/ingress-rules.ts';
import { findTunnel, tunnelHost } from '../../resources/cloudflare/tunnel.ts';
import { TUNNEL_TOKEN_SECRET, tokenOf } from '../../resources/cloudflare/tunnel-token.ts';
import { findSecret } from '../../resources/kinds/vault-secret.ts';
import { neededVault } from '../azure/parts.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { needed, repairOf } from '../repair.ts';
import { oncePerRound } from '../round.ts';

const down = 'The site is down for everybody.';

const tunnelOf = (scope: CheckScope) => oncePerRound(scope, 'tunnel', () => findTunnel(scope));

const neededTunnel = async (scope: CheckScope) =>
  needed(await tunnelOf(scope), `the tunnel ${scope.names.tunnel}`);

export const tunnelExists: Check = {
  id: 'tunnel-exists',
  system: 'tunnel',
  title: 'The tunnel exists and is managed remotely',

  async run(scope) {
    const { tunnel: name } = scope.names;
    const found = await tunnelOf(scope);
    const common = { resource: 'cloudflare/tunnel', severity: 'error', breaks: down } as const;
    if (!found) {
      return [
        {
          ...common,
          id: 'tunnel-missing',
          what: `The tunnel ${name} does not exist.`,
          evidence: `The account lists no tunnel ${name} that is not deleted.`,
          remedy: 'See in the audit log of the Cloudflare account who deleted it; have it made anew.',
          repair: repairOf(scope),
        },
      ];
    }
    if (found.config_src === 'cloudflare') return [];
    return [
      {
        ...common,
        id: 'tunnel-managed-locally',
        what: `The tunnel ${name} takes its rules from a file on the machine that runs it.`,
        evidence: `config_src is ${found.config_src}.`,
        remedy: `Migrate it in the dashboard (Zero Trust, Networks, Tunnels, ${name}), or rename it and have one made anew.`,
      },
    ];
  },
};

/** Both are compared here and go nowhere. */
export const tunnelTokenCheck: Check = {
  id: 'tunnel-token',
  system: 'tunnel',
  title: "The token in the vault is the tunnel's",

  async run(scope) {
    const { url } = await neededVault(scope);
    const stored = needed(
      await findSecret(scope, url, TUNNEL_TOKEN_SECRET),
      `the vault secret ${TUNNEL_TOKEN_SECRET}`,
    );
    if (stored.value === (await tokenOf(scope, (await neededTunnel(scope)).id))) return [];
    return [
      {
        id: 'tunnel-token-outdated',
        resource: 'cloudflare/tunnel-token',
        severity: 'error',
        what: "The token in the vault is not the tunnel's.",
        evidence: `The vault secret ${TUNNEL_TOKEN_SECRET} differs from the token that Cloudflare gives for ${scope.names.tunnel}.`,
        breaks:
          'cloudflared stays connected while it runs; one that starts anew is refused (Unauthorized: Invalid tunnel secret), and then the site is down.',
        remedy: `Copy the token from the dashboard (Zero Trust, Networks, Tunnels) into the vault secret ${TUNNEL_TOKEN_SECRET}.`,
        repair: repairOf(scope),
      },
    ];
  },
};

/** Nothing is wrong with the tunnel when nobody is connected to it: who should be is cloudflared, in the cluster. */
export const tunnelConnections: Check = {
  id: 'tunnel-connections',
  system: 'tunnel',
  title: 'cloudflared is connected to the edge',

  async run(scope) {
    const { name, status } = await neededTunnel(scope);
    if (status === 'healthy') return [];
    const common = { resource: 'kubernetes/cloudflared' } as const;
    const look = `kubectl -n ${scope.names.namespace} get pods -l app=cloudflared; kubectl -n ${scope.names.namespace} logs deployment/cloudflared`;
    if (status === 'degraded') {
      return [
        {
          ...common,
          id: 'tunnel-degraded',
          severity: 'warning',
          what: `The tunnel ${name} has fewer connections to the edge than it should.`,
          evidence: `status is ${status}.`,
          breaks: 'Nothing yet; the site has less in reserve.',
          remedy: `Each cloudflared opens four connections, over UDP 7844 or TCP 7844: ${look}`,
        },
      ];
    }
    return [
      {
        ...common,
        id: 'tunnel-without-connections',
        severity: 'error',
        what:
          status === 'inactive'
            ? `Nothing has ever connected to the tunnel ${name}.`
            : `Nothing is connected to the tunnel ${name} any more.`,
        evidence: `status is ${status}: it has no connections.`,
        breaks: `${down} The edge shows error 1033.`,
        remedy: look,
        repair: repairOf(scope),
      },
    ];
  },
};

export const tunnelIngress: Check = {
  id: 'tunnel-ingress',
  system: 'tunnel',
  title: "The tunnel hands the site's requests to Open WebUI, and nothing else anywhere",

  async run(scope) {
    const { hostName } = scope.spec.tunnel;
    const rules = await readIngress(scope, (await neededTunnel(scope)).id);
    const service = siteService(scope.names);
    const first = rules.find((rule) => matches(rule, hostName));
    const common = { resource: 'cloudflare/ingress', repair: repairOf(scope) } as const;
    const remedy = `Zero Trust, Networks, Tunnels, ${scope.names.tunnel}, Public hostnames: ${hostName} to ${service}, before all others`;
    const isOwn = first?.hostname?.toLowerCase() === hostName;
    if (!first || !isOwn) {
      return [
        {
          ...common,
          id:
            first && rules.some((rule) => rule.hostname?.toLowerCase() === hostName)
              ? 'ingress-shadowed'
              : 'ingress-missing',
          severity: 'error',
          what: `No rule of the tunnel hands requests for ${hostName} to Open WebUI.`,
          evidence: first
            ? `The first rule that applies is ${described(first)}.`
            : 'The tunnel has no rule that applies.',
          breaks: down,
          remedy,
        },
      ];
    }
    if (first.service !== service || first.path) {
      return [
        {
          ...common,
          id: 'ingress-wrong',
          severity: 'error',
          what: `The tunnel hands requests for ${hostName} to something else than Open WebUI.`,
          evidence: `The first rule that applies is ${described(first)}; wanted is ${service}.`,
          breaks: `${down} The edge shows error 502, or another site.`,
          remedy,
        },
      ];
    }
    const last = rules.at(-1);
    if (last?.service.startsWith('http_status:')) return [];
    return [
      {
        ...common,
        id: 'ingress-catch-all',
        severity: 'warning',
        what: 'The tunnel hands requests for unknown hosts to a service.',
        evidence: `The last rule is ${last ? described(last) : 'missing'}; wanted is http_status:404.`,
        breaks: 'Nothing for users; a service can be reached under names that nobody meant.',
        remedy: `Set the catch-all rule of the tunnel ${scope.names.tunnel} to http_status:404.`,
      },
    ];
  },
};

/** As cloudflared matches: https://developers.cloudflare.com/cloudflare-one/networks/connectors/cloudflare-tunnel/do-more-with-tunnels/local-management/configuration-file/ */
function matches({ hostname }: IngressRule, host: string): boolean {
  const wanted = hostname?.toLowerCase();
  if (!wanted || wanted === '*') return true;
  return wanted.startsWith('*.') ? host.endsWith(wanted.slice(1)) : wanted === host;
}

const described = ({ hostname, path, service }: IngressRule): string =>
  `${hostname || 'any host'}${path ? ` with the path ${path}` : ''} to ${service}`;

export const dnsRecordCheck: Check = {
  id: 'dns-record',
  system: 'tunnel',
  title: "The site's name leads through the edge to the tunnel",

  async run(scope) {
    const { hostName } = scope.spec.tunnel;
    const target = tunnelHost((await neededTunnel(scope)).id);
    const records = await findRecords(scope);
    const common = { resource: 'cloudflare/dns-record', severity: 'error', breaks: down } as const;
    const remedy = `DNS, Records of the zone: ${hostName}, CNAME ${target}, proxied`;
    const isRight = ({ type, content }: (typeof records)[number]): boolean =>
      type === 'CNAME' && content.toLowerCase() === target;
    const record = records.find((one) => !isRight(one)) ?? records[0];
    if (!record) {
      return [
        {
          ...common,
          id: 'dns-record-missing',
          what: `${hostName} has no DNS record.`,
          evidence: `The zone lists no A, AAAA or CNAME record of ${hostName}.`,
          breaks: `${down} Browsers show "server not found".`,
          remedy,
          repair: repairOf(scope),
        },
      ];
    }
    const isOurs = records.every((one) => isOurRecord(one, scope));
    const found: Pick<CheckFinding, 'id' | 'what'> | undefined = !isRight(record)
      ? { id: 'dns-record-wrong', what: `The DNS record of ${hostName} does not lead to the tunnel.` }
      : !record.proxied
        ? { id: 'dns-record-not-proxied', what: `The DNS record of ${hostName} is not proxied.` }
        : undefined;
    if (!found) return [];
    return [
      {
        ...common,
        ...found,
        evidence: `${record.type} ${record.content}, proxied: ${record.proxied}; wanted is CNAME ${target}, proxied: true.`,
        remedy: isOurs
          ? remedy
          : `It was not made here and is not touched: change it or remove it. ${remedy}`,
        ...(isOurs ? { repair: repairOf(scope) } : {}),
      },
    ];
  },
};

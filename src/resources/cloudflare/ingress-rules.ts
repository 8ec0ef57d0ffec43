/** The rules by which a tunnel hands requests to services: reading them, and putting ours among other people's. */
import { z } from 'zod';
import type { Names } from '../../naming.ts';
import type { Scope } from '../scope.ts';

const ruleSchema = z.looseObject({
  hostname: z.string().optional(),
  path: z.string().optional(),
  service: z.string(),
});
export type IngressRule = z.output<typeof ruleSchema>;

const configurationSchema = z.looseObject({ ingress: z.array(ruleSchema).optional() });
export type TunnelConfiguration = z.output<typeof configurationSchema>;

/** By full name: a bare one would only resolve while cloudflared happens to run in the same namespace. */
export const siteService = ({ namespace }: Pick<Names, 'namespace'>): string =>
  `http://open-webui.${namespace}.svc.cluster.local:80`;

/** A new tunnel has no configuration at all. */
export async function readConfiguration(
  { clients, spec }: Pick<Scope, 'clients' | 'spec'>,
  tunnelId: string,
): Promise<TunnelConfiguration> {
  const api = await clients.cloudflare();
  const { config } = await api.zeroTrust.tunnels.cloudflared.configurations.get(tunnelId, {
    account_id: spec.tunnel.accountId,
  });
  return configurationSchema.parse(config ?? {});
}

export const readIngress = async (
  scope: Pick<Scope, 'clients' | 'spec'>,
  tunnelId: string,
): Promise<readonly IngressRule[]> => (await readConfiguration(scope, tunnelId)).ingress ?? [];

const isCatchAll = ({ hostname, path }: IngressRule): boolean => !path && (!hostname || hostname === '*');

/**
 * Our rule before everybody else's, since the first match wins and theirs may have wildcards; theirs as they are; at the
 * end what the edge demands, a rule for all the rest, which is a plain 404. All rules for our host are ours.
 */
export function withSite(
  rules: readonly IngressRule[],
  hostName: string,
  service: string,
): readonly IngressRule[] {
  const ours = rules.find((rule) => rule.hostname === hostName && !rule.path);
  const end = rules.findLast(isCatchAll);
  return [
    { ...ours, hostname: hostName, service },
    ...withoutHost(rules, hostName),
    end?.service === NOT_FOUND ? end : { service: NOT_FOUND },
  ];
}

/** What is left when our host is taken out; never empty, for the edge wants a last rule. */
export function withoutSite(rules: readonly IngressRule[], hostName: string): readonly IngressRule[] {
  return [...withoutHost(rules, hostName), rules.findLast(isCatchAll) ?? { service: NOT_FOUND }];
}

const NOT_FOUND = 'http_status:404';

const withoutHost = (rules: readonly IngressRule[], hostName: string): readonly IngressRule[] =>
  rules.filter((rule) => rule.hostname !== hostName && !isCatchAll(rule));

import type Cloudflare from 'cloudflare';
import { differences } from '../../graph/differences.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';
import type { IngressRule, TunnelConfiguration } from './ingress-rules.ts';
import { readConfiguration, siteService, withoutSite, withSite } from './ingress-rules.ts';
import { tunnel } from './tunnel.ts';

type Written = NonNullable<Cloudflare.ZeroTrust.Tunnels.Cloudflared.ConfigurationUpdateParams['config']>;

/** The API replaces the whole configuration, so what else is in it goes back as it came. */
async function write(
  { clients, spec }: Scope,
  tunnelId: string,
  configuration: TunnelConfiguration,
  ingress: readonly IngressRule[],
): Promise<void> {
  const api = await clients.cloudflare();
  await api.zeroTrust.tunnels.cloudflared.configurations.update(tunnelId, {
    account_id: spec.tunnel.accountId,
    // The SDK's type demands a host name of every rule; the API forbids one on the last.
    config: { ...configuration, ingress: [...ingress] as NonNullable<Written['ingress']> },
  });
}

const wishOf = ({ spec, names }: Scope, { ingress = [] }: TunnelConfiguration): readonly IngressRule[] =>
  withSite(ingress, spec.tunnel.hostName, siteService(names));

/** Requests for the public host name go to Open WebUI's Service; rules for other hosts are kept. */
export const ingress = defineResource({
  key: 'cloudflare/ingress',
  title: 'Tunnel ingress',
  dependsOn: { tunnel },

  async observe(scope, deps) {
    const configuration = await readConfiguration(scope, deps.tunnel.id);
    const wanted = wishOf(scope, configuration);
    const wrong = differences({ ingress: wanted }, configuration);
    if (wrong.length === 0) return { state: 'ready', outputs: {} };
    return configuration.ingress === undefined
      ? { state: 'absent' }
      : { state: 'drifted', outputs: {}, differences: wrong };
  },

  async ensure(scope, deps) {
    const configuration = await readConfiguration(scope, deps.tunnel.id);
    await write(scope, deps.tunnel.id, configuration, wishOf(scope, configuration));
  },

  async remove(scope, deps) {
    if (!deps.tunnel) return;
    const configuration = await readConfiguration(scope, deps.tunnel.id);
    const rules = configuration.ingress ?? [];
    const left = withoutSite(rules, scope.spec.tunnel.hostName);
    if (left.length < rules.length) await write(scope, deps.tunnel.id, configuration, left);
  },
});

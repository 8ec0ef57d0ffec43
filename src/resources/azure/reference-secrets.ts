/**
 * Facts that people look for in the vault: no secrets, and nothing reads them. They are kept there because the published
 * project kept them there.
 */
import { tunnel } from '../cloudflare/tunnel.ts';
import { application } from '../entra/application.ts';
import { findSecret, putSecret, removeSecret, secretDifferences } from '../kinds/vault-secret.ts';
import { defineResource, type Scope } from '../scope.ts';
import { postgresServer } from './postgres-server.ts';
import { vaultRoles } from './vault-roles.ts';

const contentType = 'text/plain';
const secretNames = ['cf-tunnel-id', 'openwebui-client-id', 'tenant-id', 'postgres-server-fqdn'] as const;

const wishes = (
  { spec }: Pick<Scope, 'spec'>,
  deps: {
    readonly tunnel: { readonly id: string };
    readonly application: { readonly clientId: string };
    readonly server: { readonly fqdn: string };
  },
) => {
  const values: Readonly<Record<(typeof secretNames)[number], string>> = {
    'cf-tunnel-id': deps.tunnel.id,
    'openwebui-client-id': deps.application.clientId,
    'tenant-id': spec.tenantId,
    'postgres-server-fqdn': deps.server.fqdn,
  };
  return secretNames.map((name) => ({ name, contentType, value: values[name] }));
};

export const referenceSecrets = defineResource<
  {
    readonly vault: typeof vaultRoles;
    readonly tunnel: typeof tunnel;
    readonly application: typeof application;
    readonly server: typeof postgresServer;
  },
  Record<string, never>
>({
  key: 'azure/reference-secrets',
  title: 'Reference secrets',
  dependsOn: { vault: vaultRoles, tunnel, application, server: postgresServer },

  async observe(scope, deps) {
    const looks = await Promise.all(
      wishes(scope, deps).map(async (wish) => ({
        wish,
        found: await findSecret(scope, deps.vault.vaultUrl, wish.name),
      })),
    );
    if (looks.every(({ found }) => !found)) return { state: 'absent' };
    const differences = looks.flatMap(({ wish, found }) =>
      found ? secretDifferences(scope, found, wish) : [{ path: wish.name, wanted: 'a secret', found: null }],
    );
    return differences.length > 0
      ? { state: 'drifted', outputs: {}, differences }
      : { state: 'ready', outputs: {} };
  },

  async ensure(scope, deps) {
    for (const wish of wishes(scope, deps)) {
      const found = await findSecret(scope, deps.vault.vaultUrl, wish.name);
      const isWrong = !found || secretDifferences(scope, found, wish).length > 0;
      if (isWrong) await putSecret(scope, deps.vault.vaultUrl, wish);
    }
  },

  async remove(scope, { vault }) {
    if (!vault) return;
    for (const name of secretNames) await removeSecret(scope, vault.vaultUrl, name);
  },
});

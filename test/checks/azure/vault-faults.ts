/** What can go wrong with the vault and the secrets in it. */
import type { BrokenClouds, Fault } from '../broken-clouds.ts';

export const vaultOf = async (clouds: BrokenClouds) => {
  const { resourceGroup: group, vault } = clouds.azure.scope().names;
  const found = await clouds.azure.operator.vaults().vaults.get(group, vault);
  return {
    id: found.id ?? '',
    secrets: clouds.azure.scope().clients.secrets(found.properties.vaultUri ?? ''),
  };
};

const secretFault = (
  what: string,
  name: string,
  finding: string,
  breakIt: (secrets: Awaited<ReturnType<typeof vaultOf>>['secrets']) => Promise<unknown>,
  mend: Fault['mend'],
): Fault => ({
  what: `${what} (${name})`,
  finding,
  break: async (clouds) => breakIt((await vaultOf(clouds)).secrets),
  mend,
});

export const vaultFaults: readonly Fault[] = [
  {
    what: 'Somebody has closed the vault',
    finding: 'azure/key-vault vault-public-access',
    break: (clouds) => {
      const { resourceGroup: group, vault } = clouds.azure.scope().names;
      const properties = { publicNetworkAccess: 'Disabled' };
      return clouds.azure.operator.vaults().vaults.update(group, vault, { properties });
    },
    mend: (clouds) => clouds.repair('azure/key-vault'),
  },
  {
    what: 'Somebody has deleted the vault',
    finding: 'azure/key-vault vault-soft-deleted',
    break: (clouds) => {
      const { resourceGroup: group, vault } = clouds.azure.scope().names;
      return clouds.azure.operator.vaults().vaults.delete(group, vault);
    },
    mend: (clouds) => clouds.repair('azure/vault-roles'),
  },
  secretFault(
    'Somebody has deleted a secret',
    'webui-secret-key',
    'azure/webui-secret-key webui-secret-key-missing',
    (secrets) => secrets.beginDeleteSecret('webui-secret-key'),
    (clouds) => clouds.repair('azure/webui-secret-key'),
  ),
  secretFault(
    'Somebody has disabled a secret',
    'postgres-connection-string',
    'azure/postgres-connection-string postgres-connection-string-disabled',
    async (secrets) => {
      const { properties } = await secrets.getSecret('postgres-connection-string');
      await secrets.updateSecretProperties('postgres-connection-string', properties.version ?? '', {
        enabled: false,
      });
    },
    async (clouds) => {
      const { secrets } = await vaultOf(clouds);
      for await (const { name, version = '' } of secrets.listPropertiesOfSecretVersions(
        'postgres-connection-string',
      ))
        await secrets.updateSecretProperties(name, version, { enabled: true });
    },
  ),
  secretFault(
    'A secret has expired and nobody has replaced it',
    'cf-tunnel-token',
    'cloudflare/tunnel-token cf-tunnel-token-expired',
    async (secrets) => {
      const { properties } = await secrets.getSecret('cf-tunnel-token');
      const expiresOn = new Date((properties.createdOn?.getTime() ?? 0) + 1_000);
      await secrets.updateSecretProperties('cf-tunnel-token', properties.version ?? '', { expiresOn });
    },
    (clouds) => clouds.repair('cloudflare/tunnel-token'),
  ),
];

import { z } from 'zod';
import { identity } from '../azure/identity.ts';
import { keyVault } from '../azure/key-vault.ts';
import { nodeIdentity } from '../azure/node-identity.ts';
import { vaultRoles } from '../azure/vault-roles.ts';
import { kubernetesObjects } from '../kinds/kubernetes-object.ts';
import { addons, EXTERNAL_SECRETS_API } from './addons.ts';
import { namespace } from './namespace.ts';

export const SECRET_STORE = 'azure-key-vault';

export const storeStatus = z.object({
  status: z
    .object({
      conditions: z
        .array(
          z.object({
            type: z.string(),
            status: z.string(),
            reason: z.string().default(''),
            message: z.string().default(''),
          }),
        )
        .default([]),
    })
    .prefault({}),
});

/**
 * How External Secrets gets at the vault: as the identity on its node, which has to be named by client id because AKS
 * nodes carry several. https://external-secrets.io/latest/provider/azure-key-vault/
 */
export const secretStore = kubernetesObjects({
  key: 'kubernetes/secret-store',
  title: 'Secret store',
  dependsOn: { namespace, addons, identity, keyVault, vaultRoles, nodeIdentity },
  objects: ({ spec }, known) => [
    {
      apiVersion: known.addons?.externalSecretsApi ?? EXTERNAL_SECRETS_API,
      kind: 'SecretStore',
      name: SECRET_STORE,
      body: (deps) => ({
        spec: {
          provider: {
            azurekv: {
              authType: 'ManagedIdentity',
              identityId: deps.identity.clientId,
              tenantId: spec.tenantId,
              vaultUrl: deps.keyVault.url,
            },
          },
        },
      }),
    },
  ],
  readiness: ({ found }) => {
    const ready = storeStatus.parse(found[0]).status.conditions.find(({ type }) => type === 'Ready');
    if (ready?.status === 'True' && ready.reason === 'Valid') return undefined;
    const reason = ready?.message || 'External Secrets has not looked at the store yet';
    return { state: 'changing', reason: `secret store ${SECRET_STORE}: ${reason}` };
  },
});

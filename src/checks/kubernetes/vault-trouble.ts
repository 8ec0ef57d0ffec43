/**
 * Whose fault it is that External Secrets does not get at the vault, in its own words: it repeats what the node's
 * metadata service and Key Vault say. https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
 */
import type { ResourceKey } from '../../graph/resource.ts';
import { DNS_REMEDY } from './last-words.ts';

export interface VaultTrouble {
  readonly id: string;
  readonly resource: ResourceKey;
  readonly what: string;
  readonly remedy: string;
  readonly canRepair: boolean;
}

const node: Omit<VaultTrouble, 'canRepair'> = {
  id: 'identity-not-on-node',
  resource: 'azure/node-identity',
  what: 'The node does not carry the identity with which secrets are read.',
  remedy:
    'Assign it to every scale set of the cluster and update the instances: az vmss identity assign, az vmss update-instances --instance-ids "*".',
};

const known: readonly (readonly [RegExp, VaultTrouble])[] = [
  [/identity not found/i, { ...node, canRepair: true }],
  [
    /multiple user assigned identities exist/i,
    {
      id: 'identity-not-named',
      resource: 'kubernetes/secret-store',
      what: 'The secret store does not say which identity to use, and the node carries several.',
      remedy: 'Set spec.provider.azurekv.identityId to the client id of the identity.',
      canRepair: true,
    },
  ],
  [
    // Whatever does not come from the node's metadata service says nothing of the vault.
    /169\.254\.169\.254.*(dial tcp|timeout|timed out|refused|no route|unreachable|deadline exceeded|connection reset)/i,
    {
      id: 'node-metadata-silent',
      resource: 'azure/node-identity',
      what: 'External Secrets gets no token: the metadata service of its node does not answer.',
      remedy:
        'See what keeps its pods from 169.254.169.254, port 80: kubectl get networkpolicy -A; restart the instance of the node: az vmss restart.',
      canRepair: false,
    },
  ],
  [
    // The resolver itself does not answer; a name that there is not is another matter.
    /lookup \S+( on \S+:53)?: (?!no such host)/i,
    {
      id: 'vault-name-unresolved',
      resource: 'azure/cluster',
      what: 'External Secrets cannot resolve the name of the vault: nobody answers for names in the cluster.',
      remedy: DNS_REMEDY,
      canRepair: false,
    },
  ],
  [
    /ForbiddenByFirewall|ForbiddenByConnection|public network access is disabled|client address is not authorized/i,
    {
      id: 'vault-unreachable',
      resource: 'azure/key-vault',
      what: 'The vault does not let the cluster in: its firewall is closed.',
      remedy: 'az keyvault update --name <vault> --public-network-access Enabled --default-action Allow',
      canRepair: true,
    },
  ],
  [
    /ForbiddenByRbac|StatusCode=403|"?Forbidden"?|not authorized/i,
    {
      id: 'vault-forbids',
      resource: 'azure/vault-roles',
      what: 'The vault refuses the identity: it has no role that reads secrets (403).',
      remedy:
        'az role assignment create --role "Key Vault Secrets User" --assignee <identity> --scope <vault id>; it takes up to ten minutes to work.',
      canRepair: true,
    },
  ],
  [
    /no such host|dial tcp/i,
    {
      id: 'vault-unreachable',
      resource: 'azure/key-vault',
      what: 'The vault cannot be reached by the name in the secret store.',
      remedy: 'az keyvault show --name <vault>; compare its vaultUri with spec.provider.azurekv.vaultUrl.',
      canRepair: true,
    },
  ],
  [
    /AADSTS700016|AADSTS90002|invalid_tenant|tenant .*not found/i,
    {
      id: 'wrong-tenant',
      resource: 'kubernetes/secret-store',
      what: 'The secret store names a tenant or an application that Microsoft Entra does not know.',
      remedy: 'Compare tenantId and identityId of the secret store with az identity show.',
      canRepair: true,
    },
  ],
];

export const vaultTroubleIn = (message: string): VaultTrouble | undefined =>
  known.find(([words]) => words.test(message))?.[1];

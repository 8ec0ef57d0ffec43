/** How External Secrets gets at a vault: an identity of the node its pod runs on, asked for a token, then the secret. */
import type { Answer, NodePool, Principal } from '../../neighbours.ts';
import type { KubernetesNeighbours } from '../controllers/controller.ts';
import { at, type KubeObject } from '../object.ts';

export interface AzureStore extends KubeObject {
  readonly spec: {
    readonly provider: {
      readonly azurekv?: {
        readonly vaultUrl: string;
        readonly authType: string;
        readonly identityId?: string;
        readonly tenantId?: string;
      };
    };
  };
}

/** The node's instance metadata service: only identities on the scale set's model get a token. */
export function findIdentity(
  store: AzureStore,
  pool: NodePool | undefined,
  kubeletClientId: string,
  neighbours: Pick<KubernetesNeighbours, 'directory'>,
): Answer<{ principal: Principal }> {
  const provider = store.spec.provider.azurekv;
  if (provider?.authType !== 'ManagedIdentity') {
    return {
      ok: false,
      code: 'invalid_provider',
      reason: `the sandbox signs in to vaults with ManagedIdentity only, not with ${provider?.authType ?? 'another provider'}`,
    };
  }
  const attached = [...(pool?.identityClientIds ?? []), kubeletClientId];
  const wanted = provider.identityId;
  if (wanted === undefined || wanted === '') {
    return {
      ok: false,
      code: 'invalid_request',
      reason:
        'StatusCode=400 -- {"error":"invalid_request","error_description":"Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"}',
    };
  }
  const principal = attached.some((id) => id.toLowerCase() === wanted.toLowerCase())
    ? neighbours.directory.findPrincipalByAppId(wanted)
    : undefined;
  if (!principal) {
    return {
      ok: false,
      code: 'invalid_request',
      reason: 'StatusCode=400 -- {"error":"invalid_request","error_description":"Identity not found"}',
    };
  }
  return { ok: true, principal };
}

/** Where the vault's name goes wrong, ESO says what the client said. */
export function vaultUrlOf(store: AzureStore): string {
  return String(at(store, 'spec', 'provider', 'azurekv', 'vaultUrl') ?? '');
}

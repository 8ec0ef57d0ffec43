/** How External Secrets gets at the vault: the store is there, names the right vault and identity, and is valid. */
import { z } from 'zod';
import { findServed } from '../../resources/kinds/kubernetes-object.ts';
import { EXTERNAL_SECRETS_API, servedApi } from '../../resources/kubernetes/addons.ts';
import { SECRET_STORE, storeStatus } from '../../resources/kubernetes/secret-store.ts';
import type { Check } from '../check.ts';
import { repairOf } from '../repair.ts';
import { clusterOf, quoted } from './cluster.ts';
import { vaultTroubleIn } from './vault-trouble.ts';

const resource = 'kubernetes/secret-store' as const;

const specSchema = z.object({
  spec: z
    .object({
      provider: z
        .object({
          azurekv: z
            .object({ identityId: z.string().default(''), vaultUrl: z.string().default('') })
            .prefault({}),
        })
        .prefault({}),
    })
    .prefault({}),
});

export const secretStoreValid: Check = {
  id: 'secret-store-valid',
  system: 'secrets',
  title: 'The secret store is valid',
  async run(scope) {
    const api = await clusterOf(scope);
    const { namespace } = scope.names;
    const store = await findServed(api, {
      apiVersion: (await servedApi(api)) ?? EXTERNAL_SECRETS_API,
      kind: 'SecretStore',
      namespace,
      name: SECRET_STORE,
    });
    const common = {
      severity: 'error',
      breaks: 'No secret reaches the cluster any more; pods that run go on with what they have.',
      repair: repairOf(scope),
    } as const;
    if (!store) {
      return [
        {
          ...common,
          id: 'store-missing',
          resource,
          what: `There is no secret store ${SECRET_STORE}.`,
          evidence: `kubectl get secretstore ${SECRET_STORE} -n ${namespace} finds nothing`,
          remedy: 'Have the control plane make it again.',
        },
      ];
    }
    const { identityId, vaultUrl } = specSchema.parse(store).spec.provider.azurekv;
    for (const [field, found, wanted] of [
      ['identityId', identityId, scope.known['azure/identity']?.outputs['clientId']],
      ['vaultUrl', vaultUrl, scope.known['azure/key-vault']?.outputs['url']],
    ] as const) {
      if (typeof wanted !== 'string' || found.toLowerCase() === wanted.toLowerCase()) continue;
      return [
        {
          ...common,
          id: `wrong-${field === 'identityId' ? 'identity' : 'vault'}`,
          resource,
          what: `The secret store names the wrong ${field === 'identityId' ? 'identity: another client id' : 'vault'}.`,
          evidence: `spec.provider.azurekv.${field} is ${found || 'empty'}, and should be ${wanted}`,
          remedy: `Have the control plane put it right, or: kubectl edit secretstore ${SECRET_STORE} -n ${namespace}`,
        },
      ];
    }
    const ready = storeStatus.parse(store).status.conditions.find(({ type }) => type === 'Ready');
    if (ready === undefined || ready.status === 'True') return [];
    const trouble = vaultTroubleIn(ready.message);
    const { repair, ...unrepaired } = common;
    return [
      {
        ...unrepaired,
        id: trouble?.id ?? 'store-invalid',
        resource: trouble?.resource ?? resource,
        what: trouble?.what ?? 'External Secrets cannot use the secret store.',
        evidence: `secret store ${SECRET_STORE}: ${quoted(ready.message)}`,
        remedy: trouble?.remedy ?? `kubectl describe secretstore ${SECRET_STORE} -n ${namespace}`,
        ...(trouble?.canRepair ? { repair } : {}),
      },
    ];
  },
};

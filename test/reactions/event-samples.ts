/**
 * Events as the published samples have them (https://learn.microsoft.com/azure/event-grid/event-schema-key-vault,
 * …-container-registry, …-aks, …-subscriptions), about things of one deployment; the spelling is the samples' own.
 */
import { type Names, namesOf } from '../../src/naming.ts';
import { type DeploymentSpec, deploymentSpecSchema } from '../../src/spec/spec.ts';

export const subscriptionId = '00000000-0000-4000-8000-00000000000a';
export const spec: DeploymentSpec = deploymentSpecSchema.parse({
  subscriptionId,
  tenantId: '00000000-0000-4000-8000-000000000002',
  registry: { name: 'acrchat' },
  tunnel: { accountId: 'a'.repeat(32), zoneId: 'b'.repeat(32), hostName: 'chat.example.com' },
});
export const names: Names = namesOf('chat', spec);
export const deployment = { name: 'chat', spec, names, nodeResourceGroup: 'MC_rg-chat_aks-chat_eastasia' };

export const group = `/subscriptions/${subscriptionId}/resourceGroups/rg-chat`;
export const vault = `${group}/providers/Microsoft.KeyVault/vaults/${names.vault}`;
export const registry = `${group}/providers/Microsoft.ContainerRegistry/registries/acrchat`;
export const cluster = `${group}/providers/Microsoft.ContainerService/managedClusters/aks-chat`;
export const nodeGroup = `/subscriptions/${subscriptionId}/resourcegroups/MC_rg-chat_aks-chat_eastasia`;

/** In Event Grid's own schema. */
export type Sample = Readonly<Record<string, unknown>> & {
  readonly topic: string;
  readonly subject: string;
  readonly eventType: string;
  readonly data: Readonly<Record<string, unknown>>;
};

const vaultEvent = (eventType: string, name: string): Sample => ({
  id: '00eccf70-95a7-4e7c-8299-2eb17ee9ad64',
  topic: vault,
  subject: name,
  eventType,
  eventTime: '2019-07-25T01:08:33.1036736Z',
  data: {
    Id: `https://${names.vault}.vault.azure.net/secrets/${name}/ee059b2bb5bc48398a53b168c6cdcb10`,
    VaultName: names.vault,
    ObjectType: 'Secret',
    'ObjectName ': name,
    Version: ' ee059b2bb5bc48398a53b168c6cdcb10',
    NBF: '1559081980',
    EXP: 1559082102,
  },
  dataVersion: '1',
  metadataVersion: '1',
});

export const newVersionOf = (name: string): Sample =>
  vaultEvent('Microsoft.KeyVault.SecretNewVersionCreated', name);

export const secretEvent = (what: string, name: string): Sample =>
  vaultEvent(`Microsoft.KeyVault.${what}`, name);

export const pushOf = (target: Readonly<Record<string, unknown>>, action = 'push'): Sample => ({
  id: '831e1650-001e-001b-66ab-eeb76e069631',
  topic: registry,
  subject: `${String(target['repository'])}:${String(target['tag'] ?? '')}`,
  eventType: 'Microsoft.ContainerRegistry.ImagePushed',
  eventTime: '2018-04-25T21:39:47.6549614Z',
  data: {
    id: '31c51664-e5bd-416a-a5df-e5206bc47ed0',
    timestamp: '2018-04-25T21:39:47.276585742Z',
    action,
    target: {
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      size: 3023,
      digest: 'sha256:213bbc182920ab41e18edc2001e06abcca6735d87782d9cef68abd83941cf0e5',
      length: 3023,
      ...target,
    },
    request: {
      id: '7c66f28b-de19-40a4-821c-6f5f6c0003a4',
      host: 'acrchat.azurecr.io',
      method: 'PUT',
      useragent: 'docker/18.03.0-ce',
    },
  },
  dataVersion: '1.0',
  metadataVersion: '1',
});

export const clusterEvent = (what: string, data: Readonly<Record<string, unknown>>): Sample => ({
  topic: cluster,
  subject: 'aks-chat',
  eventType: `Microsoft.ContainerService.${what}`,
  id: '1234567890abcdef1234567890abcdef12345678',
  data,
  dataVersion: '1',
  metadataVersion: '1',
  eventTime: '2021-07-01T04:52:57.0000000Z',
});

export const newKubernetesVersion = clusterEvent('NewKubernetesVersionAvailable', {
  latestSupportedKubernetesVersion: '1.20.7',
  latestStableKubernetesVersion: '1.19.11',
  lowestMinorKubernetesVersion: '1.18.19',
  latestPreviewKubernetesVersion: '1.21.1',
});

export const changeOf = (
  resourceId: string,
  operationName: string,
  what = 'ResourceWriteSuccess',
): Sample => ({
  subject: resourceId,
  eventType: `Microsoft.Resources.${what}`,
  eventTime: '2018-07-19T18:38:04.6117357Z',
  id: '4db48cba-50a2-455a-93b4-de41a3b5b7f6',
  data: {
    authorization: { scope: resourceId, action: operationName, evidence: { role: 'Subscription Admin' } },
    claims: { appid: 'somebody', 'http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name': 'a person' },
    correlationId: 'correlation',
    resourceProvider: operationName.split('/')[0],
    resourceUri: resourceId,
    operationName,
    status: 'Succeeded',
    subscriptionId,
    tenantId: spec.tenantId,
  },
  dataVersion: '2',
  metadataVersion: '1',
  topic: `/subscriptions/${subscriptionId}`,
});

export const scaleSetWrite = changeOf(
  `${nodeGroup}/providers/Microsoft.Compute/virtualMachineScaleSets/aks-np2-12345678-vmss`,
  'Microsoft.Compute/virtualMachineScaleSets/write',
);
export const poolDelete = changeOf(
  `${cluster}/agentPools/np2`,
  'Microsoft.ContainerService/managedClusters/agentPools/delete',
  'ResourceDeleteSuccess',
);

/** One of each kind the deployment reacts to. */
export const samples: readonly Sample[] = [
  newVersionOf('webui-secret-key'),
  newVersionOf('tenant-id'),
  newVersionOf('somebody-elses'),
  secretEvent('SecretNearExpiry', 'openwebui-client-secret'),
  secretEvent('SecretExpired', 'cf-tunnel-token'),
  pushOf({ repository: 'open-webui', tag: 'v1' }),
  pushOf({ repository: 'open-webui' }),
  newKubernetesVersion,
  clusterEvent('NodePoolRollingStarted', { nodePoolName: 'np2' }),
  scaleSetWrite,
  poolDelete,
];

/** The same event as CloudEvents 1.0 has it. */
export const asCloudEvent = ({ id, topic, subject, eventType, eventTime, data }: Sample): object => ({
  id,
  source: topic,
  subject,
  type: eventType,
  time: eventTime,
  data,
  specversion: '1.0',
});

/**
 * The body of a cluster: what AKS accepts, completes and refuses when one is put, together with the pools that the body
 * names. Over 300 lines because the members lean on each other.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import {
  clusterBusy,
  completePool,
  reportRolling,
  requireOneNetwork,
  requireRunning,
  requireSystemPool,
} from './agent-pools.ts';
import {
  AGENT_POOLS,
  type ClusterBody,
  type ClusterHidden,
  type ClusterProperties,
  type ClusterResource,
  digitsOf,
  poolMembers,
  poolsOf,
} from './cluster-model.ts';
import { durations } from './durations.ts';
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { inert, readOnly, trackedMembers } from './frame/request-body.ts';
import type { Call, Change } from './frame/resource-type.ts';
import { groupIdOf, lastName } from './frame/target.ts';
import { chooseVersion, offerIn, requireUpgrade } from './kubernetes-versions.ts';
import { attachIdentities, identityIdsOf } from './managed-identity.ts';

export const clusterBody = z.strictObject({
  ...trackedMembers,
  sku: z
    .strictObject({
      name: z.enum(['Base', 'Automatic']).optional(),
      tier: z.enum(['Free', 'Standard', 'Premium']).optional(),
    })
    .optional(),
  identity: z
    .strictObject({
      type: z.enum(['SystemAssigned', 'UserAssigned', 'None']),
      userAssignedIdentities: z.record(z.string(), z.looseObject({})).nullish(),
      ...inert('delegatedResources'),
      ...readOnly('principalId', 'tenantId'),
    })
    .optional(),
  properties: z.strictObject({
    kubernetesVersion: z.string().optional(),
    dnsPrefix: z
      .string()
      .regex(/^[A-Za-z0-9]([A-Za-z0-9-]{0,52}[A-Za-z0-9])?$/)
      .optional(),
    agentPoolProfiles: z.array(z.strictObject({ name: z.string(), ...poolMembers })).optional(),
    nodeResourceGroup: z.string().max(80).optional(),
    nodeResourceGroupProfile: z
      .strictObject({ restrictionLevel: z.enum(['Unrestricted', 'ReadOnly']).optional() })
      .optional(),
    disableLocalAccounts: z.boolean().optional(),
    enableRBAC: z.boolean().optional(),
    aadProfile: z
      .strictObject({
        managed: z.boolean().optional(),
        enableAzureRBAC: z.boolean().optional(),
        adminGroupObjectIDs: z.array(z.string()).nullish(),
        tenantID: z.string().optional(),
        ...inert('clientAppID', 'serverAppID', 'serverAppSecret'),
      })
      .nullish(),
    oidcIssuerProfile: z
      .strictObject({ enabled: z.boolean().optional(), ...readOnly('issuerURL') })
      .optional(),
    securityProfile: z
      .strictObject({
        workloadIdentity: z.strictObject({ enabled: z.boolean().optional() }).optional(),
        ...inert('defender', 'azureKeyVaultKms', 'imageCleaner', 'customCATrustCertificates'),
      })
      .optional(),
    networkProfile: z
      .strictObject({
        networkPlugin: z.enum(['azure', 'kubenet', 'none']).optional(),
        networkPluginMode: z.enum(['overlay']).optional(),
        networkPolicy: z.enum(['azure', 'calico', 'cilium', 'none']).optional(),
        networkDataplane: z.enum(['azure', 'cilium']).optional(),
        podCidr: z.string().optional(),
        serviceCidr: z.string().optional(),
        dnsServiceIP: z.string().optional(),
        loadBalancerSku: z.enum(['standard', 'basic']).optional(),
        outboundType: z
          .enum(['loadBalancer', 'userDefinedRouting', 'managedNATGateway', 'userAssignedNATGateway', 'none'])
          .optional(),
        ...inert(
          'networkMode',
          'loadBalancerProfile',
          'natGatewayProfile',
          'podCidrs',
          'serviceCidrs',
          'ipFamilies',
          'podLinkLocalAccess',
          'kubeProxyConfig',
          'advancedNetworking',
          'staticEgressGatewayProfile',
        ),
      })
      // https://learn.microsoft.com/azure/aks/azure-cni-powered-by-cilium
      .refine(
        ({ networkPolicy, networkDataplane }) => networkPolicy !== 'cilium' || networkDataplane === 'cilium',
        'the network policy cilium needs the network dataplane cilium',
      )
      .optional(),
    apiServerAccessProfile: z
      .strictObject({
        disableRunCommand: z.boolean().optional(),
        enablePrivateCluster: z.boolean().optional(),
        authorizedIPRanges: z.array(z.string()).nullish(),
        ...inert('privateDNSZone', 'enablePrivateClusterPublicFQDN', 'enableVnetIntegration', 'subnetId'),
      })
      .optional(),
    ...inert(
      'fqdnSubdomain',
      'linuxProfile',
      'windowsProfile',
      'servicePrincipalProfile',
      'addonProfiles',
      'podIdentityProfile',
      'supportPlan',
      'autoUpgradeProfile',
      'upgradeSettings',
      'autoScalerProfile',
      'diskEncryptionSetID',
      'identityProfile',
      'privateLinkResources',
      'httpProxyConfig',
      'storageProfile',
      'ingressProfile',
      'publicNetworkAccess',
      'workloadAutoScalerProfile',
      'azureMonitorProfile',
      'serviceMeshProfile',
      'metricsProfile',
      'nodeProvisioningProfile',
      'bootstrapProfile',
      'aiToolchainOperatorProfile',
      'hostedSystemProfile',
    ),
    ...readOnly(
      'provisioningState',
      'powerState',
      'maxAgentPools',
      'currentKubernetesVersion',
      'fqdn',
      'privateFqdn',
      'azurePortalFQDN',
      'resourceUID',
      'status',
    ),
  }),
  ...inert('kind', 'extendedLocation'),
  ...readOnly('eTag'),
});
export type ClusterInput = z.infer<typeof clusterBody>;

/** Fixed at creation. */
const IMMUTABLE = ['dnsPrefix', 'nodeResourceGroup'] as const;

export function putCluster(
  call: Call,
  input: ClusterInput,
  before: ClusterResource | undefined,
): Change<ClusterBody, ClusterHidden> {
  const given = input.properties;
  if (before?.hidden.built) requireRunning(before);
  for (const member of IMMUTABLE) {
    const old = before?.body.properties[member];
    if (old === undefined || given[member] === undefined || given[member] === old) continue;
    throw new Refusal(
      400,
      'PropertyChangeNotAllowed',
      `Changing property 'properties.${member}' is not allowed.`,
    );
  }
  const oldVersion = before?.body.properties.currentKubernetesVersion;
  const asked = given.kubernetesVersion ?? before?.body.properties.kubernetesVersion;
  const isSameVersion =
    oldVersion !== undefined && (asked === oldVersion || asked === before?.body.properties.kubernetesVersion);
  const offer = offerIn(call.frame.world, input.location);
  const version = isSameVersion ? oldVersion : chooseVersion(offer, asked);
  if (oldVersion !== undefined) requireUpgrade(offer, oldVersion, version);
  requireConsistent(input, before);
  const properties = clusterProperties(call, input, before, asked ?? version, version);
  const changed = putFirstPools(call, input, version, before);
  const hidden = before?.hidden ?? { built: false, digits: digitsOf(call.id) };
  const body: ClusterBody = {
    ...(input.tags !== undefined && { tags: input.tags }),
    location: input.location,
    sku: { name: 'Base', tier: 'Free', ...input.sku },
    kind: 'Base',
    identity: clusterIdentity(call, input, before),
    properties,
  };
  const isUpgrade = oldVersion !== undefined && oldVersion !== version;
  if (before) for (const pool of changed) reportRolling(call.frame, before, pool, 'Started');
  return {
    body,
    hidden,
    takes: !hidden.built
      ? durations.cluster
      : isUpgrade || changed.length > 0
        ? durations.clusterUpgrade
        : durations.clusterUpdate,
    input: { upgradedPools: changed },
  };
}

function requireConsistent(input: ClusterInput, before: ClusterResource | undefined): void {
  const { aadProfile, disableLocalAccounts, agentPoolProfiles, oidcIssuerProfile } = input.properties;
  if (disableLocalAccounts && !aadProfile && !before?.body.properties.aadProfile) {
    throw new Refusal(
      400,
      'BadRequest',
      'Disabling local accounts needs a cluster with Microsoft Entra integration: give aadProfile.managed.',
    );
  }
  if (!input.identity && !before) {
    throw new Refusal(
      400,
      'ServicePrincipalProfileMissing',
      'Required parameter servicePrincipalProfile is missing: the cluster needs a managed identity or a service principal.',
    );
  }
  if (!before && (agentPoolProfiles ?? []).length === 0) {
    throw new Refusal(
      400,
      'AgentPoolProfilesMissing',
      'Required parameter agentPoolProfiles is missing (null).',
    );
  }
  const hadIssuer = before?.body.properties['oidcIssuerProfile'] as { enabled?: boolean } | undefined;
  if (hadIssuer?.enabled && oidcIssuerProfile?.enabled === false) {
    throw new Refusal(
      400,
      'OIDCIssuerFeatureCannotBeDisabled',
      'OIDC issuer feature cannot be disabled once it has been enabled on a cluster.',
    );
  }
}

function clusterProperties(
  call: Call,
  input: ClusterInput,
  before: ClusterResource | undefined,
  asked: string,
  version: string,
): ClusterProperties {
  const { agentPoolProfiles: _pools, identityProfile: _identities, ...given } = input.properties;
  const old = before?.body.properties;
  const dnsPrefix = old?.dnsPrefix ?? given.dnsPrefix ?? `${call.name.slice(0, 40)}-dns`;
  const hash = createHash('sha256').update(`fqdn|${call.id.toLowerCase()}`).digest('hex').slice(0, 8);
  const group = lastName(groupIdOf(call.id) ?? '');
  const nodeResourceGroup =
    old?.nodeResourceGroup ?? given.nodeResourceGroup ?? `MC_${group}_${call.name}_${input.location}`;
  requireNodeGroupName(call, nodeResourceGroup, before);
  const issuer =
    given.oidcIssuerProfile?.enabled ?? (old?.['oidcIssuerProfile'] as Json | undefined)?.['enabled'];
  return {
    enableRBAC: true,
    disableLocalAccounts: false,
    supportPlan: 'KubernetesOfficial',
    maxAgentPools: 100,
    ...given,
    aadProfile: given.aadProfile ?? old?.aadProfile ?? undefined,
    networkProfile: {
      networkPlugin: 'kubenet',
      podCidr: '10.244.0.0/16',
      serviceCidr: '10.0.0.0/16',
      dnsServiceIP: '10.0.0.10',
      loadBalancerSku: 'standard',
      outboundType: 'loadBalancer',
      ...((old?.['networkProfile'] as Json | undefined) ?? {}),
      ...given.networkProfile,
    },
    oidcIssuerProfile: issuer
      ? {
          enabled: true,
          issuerURL: `https://${input.location}.oic.prod-aks.azure.com/${call.frame.world.settings.tenantId}/${guidOf(call.id)}/`,
        }
      : { enabled: false },
    nodeResourceGroupProfile: { restrictionLevel: 'Unrestricted', ...given.nodeResourceGroupProfile },
    dnsPrefix,
    fqdn: old?.fqdn ?? `${dnsPrefix.toLowerCase()}-${hash}.hcp.${input.location}.azmk8s.io`,
    azurePortalFQDN: `${dnsPrefix.toLowerCase()}-${hash}.portal.hcp.${input.location}.azmk8s.io`,
    kubernetesVersion: asked,
    currentKubernetesVersion: version,
    nodeResourceGroup,
    powerState: old?.powerState ?? { code: 'Running' },
    identityProfile: old?.identityProfile,
  };
}

export const guidOf = (text: string): string =>
  createHash('sha256')
    .update(text.toLowerCase())
    .digest('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');

function requireNodeGroupName(call: Call, name: string, before: ClusterResource | undefined): void {
  if (before) return;
  if (name.length > 80) {
    throw new Refusal(
      400,
      'NodeResourceGroupNameTooLong',
      `The node resource group name '${name}' is longer than 80 characters: choose one with nodeResourceGroup.`,
    );
  }
  if (call.frame.store.get(`${call.frame.subscriptionScope}/resourceGroups/${name}`)) {
    throw new Refusal(
      400,
      'NodeResourceGroupAlreadyExists',
      `The node resource group '${name}' already exists.`,
    );
  }
}

function clusterIdentity(
  call: Call,
  input: ClusterInput,
  before: ClusterResource | undefined,
): ClusterBody['identity'] {
  const type = input.identity?.type ?? before?.body.identity.type ?? 'SystemAssigned';
  if (type === 'None') {
    throw new Refusal(400, 'InvalidParameter', "The identity type 'None' needs a service principal profile.");
  }
  if (type === 'UserAssigned') {
    const ids = input.identity ? identityIdsOf(input.identity) : identityIdsOf(before?.body.identity);
    if (ids.length !== 1) {
      throw new Refusal(
        400,
        'InvalidUserAssignedIdentity',
        'A cluster needs exactly one user-assigned identity.',
      );
    }
    return { type, userAssignedIdentities: attachIdentities(call, ids) };
  }
  const old = before?.body.identity;
  if (old?.type === 'SystemAssigned') return old;
  const principal = call.frame.neighbours.directory.addManagedIdentity(call.name);
  return { type, principalId: principal.id, tenantId: call.frame.world.settings.tenantId };
}

/** Writes the pools the cluster's body names; gives the names of those that will get another version. */
function putFirstPools(
  call: Call,
  input: ClusterInput,
  version: string,
  before: ClusterResource | undefined,
): string[] {
  const { frame, id } = call;
  const existing = poolsOf(frame, id);
  const profiles = (input.properties.agentPoolProfiles ?? []).map(({ name, ...profile }) => {
    const old = existing.find((pool) => pool.name === name);
    return {
      name,
      old,
      properties: completePool(call, input.location, version, name, profile, old?.body.properties),
    };
  });
  const untouched = existing.filter(({ name }) => !profiles.some((profile) => profile.name === name));
  const all = [
    ...profiles.map(({ properties }) => properties),
    ...untouched.map(({ body }) => body.properties),
  ];
  requireSystemPool(all);
  requireOneNetwork(all.map(({ vnetSubnetID }) => vnetSubnetID));
  const busy = existing.find((pool) => !frame.isReady(pool));
  if (busy && before) {
    throw new Refusal(
      409,
      clusterBusy.code,
      clusterBusy.message.replace('{name}', busy.name).replace('{state}', String(frame.stateOf(busy))),
    );
  }
  for (const { name, old, properties } of profiles) {
    frame.store.put(`${id}/agentPools/${name}`, AGENT_POOLS, {
      body: { properties: { ...properties, provisioningState: old ? 'Updating' : 'Creating' } },
    });
  }
  return profiles
    .filter(
      ({ old, properties }) =>
        old && old.body.properties.currentOrchestratorVersion !== properties.currentOrchestratorVersion,
    )
    .map(({ name }) => name);
}

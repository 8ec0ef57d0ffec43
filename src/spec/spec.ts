/**
 * The deployment spec: what a user may ask for, with the defaults of the published project. Field rules are those the
 * clouds themselves enforce, so that a name Azure would refuse is caught at the door; rules that need two fields are
 * in contradictions.ts. Sizes carry their unit in the name.
 */
import { z } from 'zod';

const guid = z.guid('must be a GUID');
const named = (pattern: RegExp, rule: string) => z.string().regex(pattern, rule);

/** https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules */
const resourceGroupName = named(
  /^[\w().-]{1,89}[\w()-]$/,
  'must be 2 to 90 letters, digits, _ ( ) . - and not end with a dot',
);
const networkName = named(
  /^[a-zA-Z0-9]([\w.-]{0,62}\w)?$/,
  'must be 1 to 64 letters, digits, _ . - and begin with a letter or digit',
);
const vaultName = named(
  /^(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$/,
  'must be 3 to 24 letters, digits and single hyphens, begin with a letter and end with a letter or digit',
);
const storageAccountName = named(/^[a-z0-9]{3,24}$/, 'must be 3 to 24 lower-case letters and digits');
const shareName = named(
  /^(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
  'must be 3 to 63 lower-case letters, digits and single hyphens',
);
const postgresServerName = named(
  /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/,
  'must be 3 to 63 lower-case letters, digits and hyphens',
);
const registryName = named(/^[a-zA-Z0-9]{5,50}$/, 'must be 5 to 50 letters and digits');
const clusterName = named(
  /^[a-zA-Z0-9]([\w-]{0,61}[a-zA-Z0-9])?$/,
  'must be 1 to 63 letters, digits, _ and -',
);
const identityName = named(/^[a-zA-Z0-9][\w-]{2,127}$/, 'must be 3 to 128 letters, digits, _ and -');
const poolName = named(
  /^[a-z][a-z0-9]{0,11}$/,
  'must be 1 to 12 lower-case letters and digits, beginning with a letter',
);
const hostName = named(
  /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/,
  'must be a lower-case host name such as open-webui.example.com',
);
const cidr = z.cidrv4('must be an IPv4 range such as 10.0.0.0/16');
const quantity = named(/^\d+(\.\d+)?(m|Ki|Mi|Gi|Ti)?$/, 'must be a Kubernetes quantity such as 500m or 2Gi');
const labelValue = named(/^([a-zA-Z0-9]([\w.-]{0,61}[a-zA-Z0-9])?)?$/, 'must be a Kubernetes label value');
const labelKey = named(
  /^([a-z0-9.-]{1,253}\/)?[a-zA-Z0-9]([\w.-]{0,61}[a-zA-Z0-9])?$/,
  'must be a Kubernetes label key',
);
const environmentVariable = named(/^[A-Z_][A-Z0-9_]*$/, 'must be an environment variable name in capitals');
const labels = z.record(labelKey, labelValue);

/** Deployment names become part of many others, the shortest limit being the storage account's. */
export const deploymentName = named(
  /^[a-z](?!.*--)[a-z0-9-]{1,22}[a-z0-9]$/,
  'must be 3 to 24 lower-case letters, digits and single hyphens, beginning with a letter',
);

const resources = (defaults: { requests: [string, string]; limits: [string, string] }) =>
  z
    .strictObject({
      requests: z
        .strictObject({
          cpu: quantity.default(defaults.requests[0]),
          memory: quantity.default(defaults.requests[1]),
        })
        .prefault({}),
      limits: z
        .strictObject({
          cpu: quantity.default(defaults.limits[0]),
          memory: quantity.default(defaults.limits[1]),
        })
        .prefault({}),
    })
    .prefault({});

/** An image to import: from a public registry into the deployment's own. */
const image = (source: string, repository: string) =>
  z
    .strictObject({
      source: named(
        /^[a-z0-9.-]+\.[a-z]+(\/[a-z0-9._-]+)+(:[\w][\w.-]{0,127}|@sha256:[a-f0-9]{64})$/,
        'must be a full image name with a tag or digest, such as ghcr.io/open-webui/open-webui:v0.6.36',
      ).default(source),
      repository: named(/^[a-z0-9]+([._/-][a-z0-9]+)*$/, 'must be a repository name in lower case').default(
        repository,
      ),
    })
    .prefault({});

const subnet = (name: string, prefix: string) =>
  z.strictObject({ name: networkName.default(name), prefix: cidr.default(prefix) }).prefault({});

const nodePool = z.strictObject({
  name: poolName,
  mode: z.enum(['System', 'User']).default('System'),
  vmSize: named(/^Standard_\w+$/, 'must be a VM size such as Standard_D4s_v5').default('Standard_D4s_v5'),
  count: z.number().int().min(1).max(1000).default(2),
  labels: labels.default({}),
  taints: z
    .array(
      named(
        /^[\w./-]+=[\w.-]*:(NoSchedule|PreferNoSchedule|NoExecute)$/,
        'must look like key=value:NoSchedule',
      ),
    )
    .default([]),
});

const weekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;

export const deploymentSpecSchema = z.strictObject({
  subscriptionId: guid,
  tenantId: guid,
  location: named(/^[a-z]+[a-z0-9]*$/, 'must be a region name such as eastasia').default('eastasia'),
  tags: z
    .record(
      named(/^[^<>%&\\?/]{1,512}$/, 'must be 1 to 512 characters without < > % & \\ ? /'),
      z.string().max(256, 'must be at most 256 characters'),
    )
    .default({}),
  resourceGroup: resourceGroupName.optional(),
  network: z
    .strictObject({
      vnet: networkName.default('vnet-aks'),
      addressSpace: cidr.default('10.10.0.0/16'),
      subnets: z
        .strictObject({
          aks: subnet('snet-aks', '10.10.0.0/20'),
          privateEndpoints: subnet('snet-private-endpoints', '10.10.16.0/24'),
          postgres: subnet('snet-postgresql', '10.10.17.0/28'),
        })
        .prefault({}),
    })
    .prefault({}),
  cluster: z
    .strictObject({
      name: clusterName.optional(),
      /** Without it Azure's default version. */
      kubernetesVersion: named(/^1\.\d{2}(\.\d+)?$/, 'must be a version such as 1.33').optional(),
      tier: z.enum(['Free', 'Standard', 'Premium']).default('Free'),
      nodePools: z
        .array(nodePool)
        .min(1)
        .default([nodePool.parse({ name: 'system', count: 3 })]),
      /** Where the workloads may and must run. */
      tolerations: z
        .array(
          z.strictObject({
            key: labelKey,
            operator: z.enum(['Equal', 'Exists']).default('Equal'),
            value: labelValue.optional(),
            effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
          }),
        )
        .default([]),
      nodeSelector: labels.default({}),
    })
    .prefault({}),
  registry: z.strictObject({
    name: registryName,
    sku: z.enum(['Basic', 'Standard', 'Premium']).default('Standard'),
    images: z
      .strictObject({
        openWebui: image('ghcr.io/open-webui/open-webui:v0.6.36', 'open-webui'),
        ollama: image('docker.io/ollama/ollama:0.12.9', 'ollama'),
        cloudflared: image('docker.io/cloudflare/cloudflared:2025.11.1', 'cloudflared'),
        redis: image('docker.io/valkey/valkey:8.1-alpine', 'valkey'),
      })
      .prefault({}),
  }),
  identity: z
    .strictObject({
      name: identityName.optional(),
      /** The published project gave `Key Vault Secrets Officer`; `Key Vault Secrets User` is enough and recommended. */
      vaultRole: z
        .enum(['Key Vault Secrets Officer', 'Key Vault Secrets User'])
        .default('Key Vault Secrets Officer'),
    })
    .prefault({}),
  vault: z
    .strictObject({
      name: vaultName.optional(),
      softDeleteRetentionDays: z.number().int().min(7).max(90).default(90),
      /** Cannot be switched off again. */
      purgeProtection: z.boolean().default(false),
      publicNetworkAccess: z.boolean().default(true),
    })
    .prefault({}),
  storage: z
    .strictObject({
      account: storageAccountName.optional(),
      sku: z.enum(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS']).default('Standard_LRS'),
      share: shareName.default('openwebui-data'),
      quotaGiB: z.number().int().min(1).max(102_400).default(50),
    })
    .prefault({}),
  postgres: z
    .strictObject({
      server: postgresServerName.optional(),
      version: z.enum(['18', '17', '16', '15', '14']).default('18'),
      sku: named(/^Standard_\w+$/, 'must be a compute size such as Standard_B1ms').default('Standard_B1ms'),
      tier: z.enum(['Burstable', 'GeneralPurpose', 'MemoryOptimized']).default('Burstable'),
      storageGiB: z.literal([32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_767]).default(32),
      performanceTier: z
        .enum(['P4', 'P6', 'P10', 'P15', 'P20', 'P30', 'P40', 'P50', 'P60', 'P70', 'P80'])
        .default('P4'),
      backupRetentionDays: z.number().int().min(7).max(35).default(7),
      geoRedundantBackup: z.boolean().default(false),
      availabilityZone: z.enum(['1', '2', '3']).default('1'),
      highAvailability: z.enum(['Disabled', 'SameZone', 'ZoneRedundant']).default('Disabled'),
      maintenance: z
        .strictObject({
          dayOfWeek: z.enum(weekdays).default('Tuesday'),
          startHourUtc: z.number().int().min(0).max(23).default(1),
          startMinute: z.literal([0, 30]).default(0),
        })
        .prefault({}),
      /** Chosen when the server is created; Azure offers no way from one to the other. */
      privateAccess: z.enum(['delegated-subnet', 'private-endpoint']).default('delegated-subnet'),
      database: named(/^[a-z_][a-z0-9_]{0,62}$/, 'must be 1 to 63 lower-case letters, digits and _').default(
        'openwebuidb',
      ),
      adminLogin: named(
        /^(?!(azure_superuser|azure_pg_admin|admin|administrator|root|guest|public)$)(?!pg_)[a-z_][a-z0-9_]{0,62}$/,
        'must be 1 to 63 lower-case letters, digits and _, and none of the names PostgreSQL on Azure reserves',
      ).default('openwebuiadmin'),
      /** Server parameters in the server's own units: shared_buffers counts pages of 8 KiB, work_mem KiB. */
      parameters: z
        .record(named(/^[a-z_][a-z0-9_.]*$/, 'must be a server parameter name'), z.string().max(1024))
        .default({
          max_connections: '100',
          shared_buffers: '32768',
          work_mem: '4096',
          'azure.extensions': 'VECTOR',
        }),
    })
    .prefault({}),
  tunnel: z.strictObject({
    accountId: named(/^[a-f0-9]{32}$/, 'must be a Cloudflare account id: 32 hexadecimal digits'),
    zoneId: named(/^[a-f0-9]{32}$/, 'must be a Cloudflare zone id: 32 hexadecimal digits'),
    hostName,
    name: named(/^[\w.-]{1,100}$/, 'must be 1 to 100 letters, digits, _ . -').optional(),
  }),
  sso: z
    .strictObject({
      applicationName: z.string().min(1).max(120).default('open-webui-app'),
      secretLifetimeMonths: z.number().int().min(1).max(24).default(24),
    })
    .prefault({}),
  webui: z
    .strictObject({
      replicas: z.number().int().min(1).max(50).default(3),
      resources: resources({ requests: ['100m', '1Gi'], limits: ['500m', '2Gi'] }),
      sessionAffinitySeconds: z.number().int().min(0).max(86_400).default(10_800),
      imageGeneration: z.boolean().default(false),
      /** More settings for Open WebUI; those this control plane derives itself are refused. */
      config: z.record(environmentVariable, z.string()).default({}),
      /** Instead of the small one that is deployed when there is more than one replica. */
      redisUrl: z.url({ protocol: /^rediss?$/, error: 'must be a redis:// or rediss:// URL' }).optional(),
    })
    .prefault({}),
  ollama: z
    .strictObject({
      /** An Ollama elsewhere; then none is deployed. */
      externalUrl: z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }).optional(),
      resources: resources({ requests: ['1', '3Gi'], limits: ['2', '4Gi'] }),
      storageClass: named(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'must be a storage class name').default(
        'managed-csi',
      ),
      storageGiB: z.number().int().min(1).max(32_767).default(50),
      models: z
        .array(named(/^[a-z0-9][\w./-]*(:[\w.-]+)?$/i, 'must be a model name such as llama3.2:1b'))
        .default([]),
    })
    .prefault({}),
  addons: z
    .strictObject({
      externalSecrets: z.enum(['install', 'expect']).default('install'),
      reloader: z.enum(['install', 'expect']).default('install'),
    })
    .prefault({}),
  /** Whether Reloader restarts workloads when their Secrets or ConfigMaps change. */
  reload: z.boolean().default(true),
  /** Refuses removal of the deployment while it is on. */
  deletionProtection: z.boolean().default(true),
});

/** A spec with every default filled in. */
export type DeploymentSpec = z.output<typeof deploymentSpecSchema>;
/** A spec as a user writes it. */
export type DeploymentSpecInput = z.input<typeof deploymentSpecSchema>;
export type ImageName = keyof DeploymentSpec['registry']['images'];
export const maintenanceDays: readonly string[] = weekdays;

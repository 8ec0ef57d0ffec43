/**
 * The deployment spec: what a user may ask for, with the defaults of the published project. Field rules are those the
 * clouds themselves enforce, so that a name Azure would refuse is caught at the door; rules that need two fields are
 * in contradictions.ts. Sizes carry their unit in the name. Longer than other files because it is one table: every
 * field with its rule, its default and the description that the JSON Schema shows.
 */
import semver from 'semver';
import { z } from 'zod';
import { tagPatternFlaw } from './tag-pattern.ts';

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
export const modelName = named(/^[a-z0-9][\w./-]*(:[\w.-]+)?$/i, 'must be a model name such as llama3.2:1b');

/** Deployment names become part of many others, the shortest limit being the storage account's. */
export const deploymentName = named(
  /^[a-z](?!.*--)[a-z0-9-]{1,22}[a-z0-9]$/,
  'must be 3 to 24 lower-case letters, digits and single hyphens, beginning with a letter',
);

const quantities = (cpu: string, memory: string, what: string) =>
  z
    .strictObject({
      cpu: quantity.default(cpu).describe('Cores, such as 500m or 2.'),
      memory: quantity.default(memory).describe('Memory, such as 512Mi or 2Gi.'),
    })
    .prefault({})
    .describe(what);

const resources = (defaults: { requests: [string, string]; limits: [string, string] }) =>
  z
    .strictObject({
      requests: quantities(...defaults.requests, 'What the scheduler reserves for each pod.'),
      limits: quantities(...defaults.limits, 'What each pod may use at most.'),
    })
    .prefault({})
    .describe('CPU and memory of each pod.');

const tag = named(/^\w[\w.-]{0,127}$/, 'must be a tag such as v0.6.36');

/** Which of a repository's tags is deployed; what they lead to, by digest, is tried until it has failed. */
const follow = z
  .strictObject({
    tag: tag.optional().describe('Exactly this tag, wherever it points to.'),
    semver: z
      .string()
      .max(100, 'must be at most 100 characters')
      .refine((range) => semver.validRange(range) !== null, 'must be a range such as >=0.6.36 <0.7')
      .optional()
      .describe('The highest version in this range, as npm reads ranges; a tag v1.2.3 counts as 1.2.3.'),
    pattern: z
      .string()
      .min(1)
      .max(100, 'must be at most 100 characters')
      .superRefine((pattern, context) => {
        const flaw = tagPatternFlaw(pattern);
        if (flaw !== undefined) context.addIssue(flaw);
      })
      .optional()
      .describe('Of the tags that this regular expression matches as a whole, the one that was pushed last.'),
  })
  .refine((given) => Object.values(given).filter((way) => way !== undefined).length === 1, {
    message: 'must have exactly one of tag, semver and pattern',
  })
  .optional()
  .describe('Which tag of the repository is deployed when somebody pushes; the tag of source when absent.');
export type Follow = NonNullable<z.output<typeof follow>>;

/** An image to import: from a public registry into the deployment's own. */
const image = (source: string, repository: string) =>
  z
    .strictObject({
      source: named(
        /^[a-z0-9.-]+\.[a-z]+(\/[a-z0-9._-]+)+(:[\w][\w.-]{0,127}|@sha256:[a-f0-9]{64})$/,
        'must be a full image name with a tag or digest, such as ghcr.io/open-webui/open-webui:v0.6.36',
      )
        .default(source)
        .describe(
          'Where it is imported from, with a tag or digest, while the registry has nothing to deploy.',
        ),
      repository: named(/^[a-z0-9]+([._/-][a-z0-9]+)*$/, 'must be a repository name in lower case')
        .default(repository)
        .describe("Its repository in the deployment's registry."),
      follow,
    })
    .prefault({});

const subnet = (name: string, prefix: string, what: string) =>
  z
    .strictObject({
      name: networkName.default(name).describe('Name of the subnet.'),
      prefix: cidr.default(prefix).describe('Its IPv4 range, inside the address space.'),
    })
    .prefault({})
    .describe(what);

const nodePool = z.strictObject({
  name: poolName.describe('Name of the pool.'),
  mode: z
    .enum(['System', 'User'])
    .default('System')
    .describe('System pools run the cluster itself; at least one is needed.'),
  vmSize: named(/^Standard_\w+$/, 'must be a VM size such as Standard_D4s_v5')
    .default('Standard_D4s_v5')
    .describe('Azure VM size of its nodes.'),
  count: z.number().int().min(1).max(1000).default(2).describe('Number of nodes.'),
  labels: labels.default({}).describe('Kubernetes labels of its nodes.'),
  taints: z
    .array(
      named(
        /^[\w./-]+=[\w.-]*:(NoSchedule|PreferNoSchedule|NoExecute)$/,
        'must look like key=value:NoSchedule',
      ),
    )
    .default([])
    .describe('Kubernetes taints of its nodes, as key=value:effect.'),
});

const weekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;
const computeTiers = ['Burstable', 'GeneralPurpose', 'MemoryOptimized'] as const;
const diskTiers = ['P4', 'P6', 'P10', 'P15', 'P20', 'P30', 'P40', 'P50', 'P60', 'P70', 'P80'] as const;
const diskSizesGiB = [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_767] as const;

/** From the lowest to the highest; each disk size has one as its baseline, in the same order. */
export const performanceTiers: readonly PerformanceTier[] = diskTiers;
export type PerformanceTier = (typeof diskTiers)[number];
export type ComputeTier = (typeof computeTiers)[number];

/** https://learn.microsoft.com/azure/virtual-machines/disks-change-performance */
export const baselineTierOf = (storageGiB: number): PerformanceTier =>
  diskTiers[diskSizesGiB.findIndex((size) => size >= storageGiB)] ?? 'P80';

/** By the family letter of the size: B, D or E. https://learn.microsoft.com/azure/postgresql/compute-storage/concepts-compute */
export const computeTierOf = (sku: string): ComputeTier | undefined =>
  (({ B: 'Burstable', D: 'GeneralPurpose', E: 'MemoryOptimized' }) as const)[
    /^Standard_([BDE])\d/.exec(sku)?.[1] ?? ''
  ];

/** Those of the published project, and pgvector, without which Open WebUI does not start. */
const parameterDefaults = {
  max_connections: '100',
  shared_buffers: '32768',
  work_mem: '4096',
  'azure.extensions': 'VECTOR',
};

const postgres = z
  .strictObject({
    server: postgresServerName
      .optional()
      .describe('Name of the server, unique in Azure. Derived from the deployment when absent.'),
    version: z.enum(['18', '17', '16', '15', '14']).default('18').describe('Major version, in quotes.'),
    sku: named(/^Standard_\w+$/, 'must be a compute size such as Standard_B1ms')
      .default('Standard_B1ms')
      .describe('Compute size.'),
    tier: z.enum(computeTiers).optional().describe("Compute tier; the compute size's own when absent."),
    storageGiB: z.literal(diskSizesGiB).default(32).describe('Disk size in GiB. It can grow, never shrink.'),
    performanceTier: z
      .enum(diskTiers)
      .optional()
      .describe("Performance tier of the disk; its size's baseline when absent."),
    backupRetentionDays: z.number().int().min(7).max(35).default(7).describe('Days backups are kept.'),
    geoRedundantBackup: z
      .boolean()
      .default(false)
      .describe('Whether backups are copied to the paired region. Chosen at creation.'),
    availabilityZone: z.enum(['1', '2', '3']).default('1').describe('Zone of the server, in quotes.'),
    highAvailability: z
      .enum(['Disabled', 'SameZone', 'ZoneRedundant'])
      .default('Disabled')
      .describe('Whether, and where, a standby server runs. Not with Burstable compute.'),
    maintenance: z
      .strictObject({
        dayOfWeek: z.enum(weekdays).default('Tuesday').describe('Day Azure may do maintenance.'),
        startHourUtc: z.number().int().min(0).max(23).default(1).describe('Hour it may begin, UTC.'),
        startMinute: z.literal([0, 30]).default(0).describe('Minute it may begin.'),
      })
      .prefault({})
      .describe("Azure's weekly maintenance window."),
    privateAccess: z
      .enum(['delegated-subnet', 'private-endpoint'])
      .default('delegated-subnet')
      .describe('How it is reached privately. Chosen at creation; Azure has no way from one to the other.'),
    database: named(/^[a-z_][a-z0-9_]{0,62}$/, 'must be 1 to 63 lower-case letters, digits and _')
      .default('openwebuidb')
      .describe('Name of the database.'),
    adminLogin: named(
      /^(?!(azure_superuser|azure_pg_admin|admin|administrator|root|guest|public)$)(?!pg_)[a-z_][a-z0-9_]{0,62}$/,
      'must be 1 to 63 lower-case letters, digits and _, and none of the names PostgreSQL on Azure reserves',
    )
      .default('openwebuiadmin')
      .describe('Login of the administrator. Its password is made and kept in the vault.'),
    parameters: z
      .record(
        named(/^[a-z_][a-z0-9_.]*$/, 'must be a server parameter name'),
        z.string().max(1024, 'must be at most 1024 characters'),
      )
      .default({})
      .describe(
        "Server parameters in the server's own units (shared_buffers: pages of 8 KiB, work_mem: KiB). Those not given keep their defaults: max_connections 100, shared_buffers 32768, work_mem 4096, azure.extensions VECTOR.",
      ),
  })
  .transform((given) => {
    const tier: ComputeTier = given.tier ?? computeTierOf(given.sku) ?? 'Burstable';
    const performanceTier: PerformanceTier = given.performanceTier ?? baselineTierOf(given.storageGiB);
    const parameters: Record<string, string> = { ...parameterDefaults, ...given.parameters };
    return { ...given, tier, performanceTier, parameters };
  })
  .prefault({})
  .describe('The database server: Azure Database for PostgreSQL, flexible server.');

export const deploymentSpecSchema = z.strictObject({
  subscriptionId: guid.describe('Azure subscription everything is created in.'),
  tenantId: guid.describe('Microsoft Entra tenant of the subscription, whose users sign in.'),
  location: named(/^[a-z]+[a-z0-9]*$/, 'must be a region name such as eastasia')
    .default('eastasia')
    .describe('Azure region, as in `az account list-locations`.'),
  tags: z
    .record(
      named(/^[^<>%&\\?/]{1,512}$/, 'must be 1 to 512 characters without < > % & \\ ? /'),
      z.string().max(256, 'must be at most 256 characters'),
    )
    .default({})
    .describe('Tags of everything in Azure that can be tagged.'),
  resourceGroup: resourceGroupName.optional().describe('Resource group; rg-<deployment> when absent.'),
  network: z
    .strictObject({
      vnet: networkName.default('vnet-aks').describe('Name of the virtual network.'),
      addressSpace: cidr.default('10.10.0.0/16').describe('Its IPv4 range.'),
      subnets: z
        .strictObject({
          aks: subnet('snet-aks', '10.10.0.0/20', "The cluster's nodes."),
          privateEndpoints: subnet(
            'snet-private-endpoints',
            '10.10.16.0/24',
            'Private endpoints of storage, and of the database server if it has one.',
          ),
          postgres: subnet('snet-postgresql', '10.10.17.0/28', 'Delegated to the database server.'),
        })
        .prefault({})
        .describe('The three subnets. They may not overlap.'),
    })
    .prefault({})
    .describe('The virtual network.'),
  cluster: z
    .strictObject({
      name: clusterName.optional().describe('Name of the AKS cluster; aks-<deployment> when absent.'),
      kubernetesVersion: named(/^1\.\d{2}(\.\d+)?$/, 'must be a version such as 1.33')
        .optional()
        .describe("Kubernetes version, in quotes; Azure's default when absent."),
      tier: z
        .enum(['Free', 'Standard', 'Premium'])
        .default('Free')
        .describe('Pricing tier; Free has no uptime guarantee.'),
      nodePools: z
        .array(nodePool)
        .min(1)
        .default([nodePool.parse({ name: 'system', count: 3 })])
        .describe('Node pools, each a virtual machine scale set.'),
      tolerations: z
        .array(
          z.strictObject({
            key: labelKey.describe('Key of the taint.'),
            operator: z
              .enum(['Equal', 'Exists'])
              .default('Equal')
              .describe('Equal compares the value, Exists does not.'),
            value: labelValue.optional().describe('Value of the taint, for Equal.'),
            effect: z
              .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
              .optional()
              .describe('Effect of the taint; any when absent.'),
          }),
        )
        .default([])
        .describe('Taints on which the workloads may run all the same.'),
      nodeSelector: labels.default({}).describe('Labels a node must have for the workloads to run on it.'),
    })
    .prefault({})
    .describe('The Kubernetes cluster: Azure Kubernetes Service.'),
  registry: z
    .strictObject({
      name: registryName.describe('Name of the container registry, unique in Azure, without .azurecr.io.'),
      sku: z.enum(['Basic', 'Standard', 'Premium']).default('Standard').describe('Its pricing tier.'),
      images: z
        .strictObject({
          openWebui: image('ghcr.io/open-webui/open-webui:v0.6.36', 'open-webui'),
          ollama: image('docker.io/ollama/ollama:0.12.9', 'ollama'),
          cloudflared: image('docker.io/cloudflare/cloudflared:2025.11.1', 'cloudflared'),
          redis: image('docker.io/valkey/valkey:8.1-alpine', 'valkey'),
          netshoot: image('docker.io/nicolaka/netshoot:v0.14', 'netshoot'),
          postgresClient: image('docker.io/library/postgres:18-alpine', 'postgres'),
        })
        .prefault({})
        .describe('Images imported into the registry and deployed by digest.'),
    })
    .describe('The container registry all images come from.'),
  identity: z
    .strictObject({
      name: identityName.optional().describe('Name of the identity; uai-<deployment> when absent.'),
      vaultRole: z
        .enum(['Key Vault Secrets Officer', 'Key Vault Secrets User'])
        .default('Key Vault Secrets Officer')
        .describe(
          'Its role on the vault. The published project gave Officer; User only reads, is enough and recommended.',
        ),
    })
    .prefault({})
    .describe('The user-assigned identity with which the cluster reads the vault.'),
  vault: z
    .strictObject({
      name: vaultName
        .optional()
        .describe('Name of the vault, unique in Azure. Derived from the deployment when absent.'),
      softDeleteRetentionDays: z
        .number()
        .int()
        .min(7)
        .max(90)
        .default(90)
        .describe('Days a deleted vault can be recovered, and blocks its name.'),
      purgeProtection: z
        .boolean()
        .default(false)
        .describe('Forbids purging before those days are over. Cannot be switched off again.'),
      publicNetworkAccess: z
        .boolean()
        .default(true)
        .describe('Whether the vault answers from outside the virtual network.'),
      secretLifetimeMonths: z
        .number()
        .int()
        .min(1)
        .max(24)
        .default(12)
        .describe(
          'Months a secret in it lives; it is replaced some weeks before. The client secret has its own lifetime.',
        ),
    })
    .prefault({})
    .describe('The key vault that holds every secret.'),
  storage: z
    .strictObject({
      account: storageAccountName
        .optional()
        .describe('Name of the storage account, unique in Azure. Derived from the deployment when absent.'),
      sku: z
        .enum(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
        .default('Standard_LRS')
        .describe('How files are replicated.'),
      share: shareName.default('openwebui-data').describe('Name of the file share.'),
      quotaGiB: z.number().int().min(1).max(102_400).default(50).describe('Size of the share in GiB.'),
    })
    .prefault({})
    .describe("The file share with Open WebUI's uploads and cache."),
  postgres,
  tunnel: z
    .strictObject({
      accountId: named(/^[a-f0-9]{32}$/, 'must be a Cloudflare account id: 32 hexadecimal digits').describe(
        'Cloudflare account.',
      ),
      zoneId: named(/^[a-f0-9]{32}$/, 'must be a Cloudflare zone id: 32 hexadecimal digits').describe(
        'Cloudflare zone (domain) of the host name.',
      ),
      hostName: hostName.describe('Where users find Open WebUI: https://<hostName>.'),
      name: named(/^[\w.-]{1,100}$/, 'must be 1 to 100 letters, digits, _ . -')
        .optional()
        .describe("Name of the tunnel; the deployment's when absent."),
    })
    .describe('The Cloudflare tunnel through which users come.'),
  sso: z
    .strictObject({
      applicationName: z
        .string()
        .min(1)
        .max(120)
        .default('open-webui-app')
        .describe('Display name of the app registration in Microsoft Entra.'),
      secretLifetimeMonths: z
        .number()
        .int()
        .min(1)
        .max(24)
        .default(24)
        .describe('Months its client secret lives; it is replaced before it expires.'),
    })
    .prefault({})
    .describe('Sign-in with Microsoft accounts.'),
  webui: z
    .strictObject({
      replicas: z.number().int().min(1).max(50).default(3).describe('Number of Open WebUI pods.'),
      resources: resources({ requests: ['100m', '1Gi'], limits: ['500m', '2Gi'] }),
      sessionAffinitySeconds: z
        .number()
        .int()
        .min(0)
        .max(86_400)
        .default(10_800)
        .describe('Seconds a client address keeps its pod; 0 switches that off.'),
      imageGeneration: z.boolean().default(false).describe('Whether Open WebUI offers image generation.'),
      config: z
        .record(environmentVariable, z.string())
        .default({})
        .describe(
          'More settings of Open WebUI. Those this control plane derives itself, and secrets, are refused.',
        ),
      redisUrl: z
        .url({ protocol: /^rediss?$/, error: 'must be a redis:// or rediss:// URL' })
        .optional()
        .describe(
          'A Redis elsewhere that asks for no password, instead of the small one deployed when there is more than one replica.',
        ),
    })
    .prefault({})
    .describe('Open WebUI itself.'),
  ollama: z
    .strictObject({
      externalUrl: z
        .url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' })
        .optional()
        .describe('An Ollama elsewhere; then none is deployed.'),
      resources: resources({ requests: ['1', '3Gi'], limits: ['2', '4Gi'] }),
      storageClass: named(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'must be a storage class name')
        .default('managed-csi')
        .describe('Kubernetes storage class of the disk with the models.'),
      storageGiB: z.number().int().min(1).max(32_767).default(50).describe('Size of that disk in GiB.'),
      models: z.array(modelName).default([]).describe('Models that are to be present, such as llama3.2:1b.'),
    })
    .prefault({})
    .describe('Ollama, which runs the models.'),
  addons: z
    .strictObject({
      externalSecrets: z
        .enum(['install', 'expect'])
        .default('install')
        .describe('External Secrets Operator.'),
      reloader: z.enum(['install', 'expect']).default('install').describe('Stakater Reloader.'),
    })
    .prefault({})
    .describe('Operators the cluster needs: install them, or expect them to be there.'),
  reload: z
    .boolean()
    .default(true)
    .describe(
      'Whether Reloader is used, for what others mount; what is made here restarts its users anyway.',
    ),
  drift: z
    .strictObject({
      rules: z
        .array(
          z.strictObject({
            resource: named(
              /^(azure|entra|cloudflare|kubernetes)\/[a-z0-9-]+$/,
              'must be the key of a resource, such as azure/postgres-server',
            ).describe('Key of the resource, as `resources[].key` of GET /api/deployments/{name} tells it.'),
            path: z
              .string()
              .min(1)
              .max(300)
              .optional()
              .describe(
                'Field, as `path` of GET …/drift tells it, such as `shareQuota`, and everything below it; all fields when absent.',
              ),
            policy: z
              .enum(['repair', 'report', 'adopt'])
              .describe('repair: put right. report: tell, and leave. adopt: take into this spec.'),
          }),
        )
        .max(100)
        .default([])
        .describe(
          'The first rule that applies decides. Where none does, a change is put right, but for a deleted server, database, account, share or app registration, a larger quota, another size of the PostgreSQL server and a newer version, which are only reported.',
        ),
    })
    .prefault({})
    .describe('What becomes of changes that somebody else made.'),
  deletionProtection: z
    .boolean()
    .default(true)
    .describe('Refuses removal of the deployment while it is on. There is no call that removes one yet.'),
});

/** A spec with every default filled in. */
export type DeploymentSpec = z.output<typeof deploymentSpecSchema>;
/** A spec as a user writes it. */
export type DeploymentSpecInput = z.input<typeof deploymentSpecSchema>;
export type ImageName = keyof DeploymentSpec['registry']['images'];
export const maintenanceDays: readonly string[] = weekdays;

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseSpec } from '../../src/spec/parse-spec.ts';
import { parseYamlText } from '../../src/spec/yaml-text.ts';
import { minimalSpec } from './minimal-spec.ts';

const problemsOf = (given: unknown, name = 'openwebui') => {
  const parsed = parseSpec(name, given);
  return parsed.ok ? [] : parsed.problems;
};
const fieldsOf = (given: unknown, name?: string): string[] =>
  problemsOf(given, name).map(({ field }) => field);
const messageOf = (given: unknown, field: string): string | undefined =>
  problemsOf(given).find((problem) => problem.field === field)?.message;

const specOf = (given: unknown) => {
  const parsed = parseSpec('openwebui', given);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.spec;
};

const systemPool = { name: 'system', mode: 'System', count: 1 };
const withSubnets = (network: object) => ({ network });
const spec = (more: object) => ({ ...minimalSpec, ...more });
const postgres = (more: object) => spec({ postgres: more });
const cluster = (more: object) => spec({ cluster: more });
const images = (more: object) => spec({ registry: { name: 'yourorg', images: more } });
const config = (more: object) => spec({ webui: { config: more } });

describe('a spec that makes sense', () => {
  test('needs only what no default can know', () => {
    const parsed = specOf(minimalSpec);
    expect(parsed).toMatchObject({
      location: 'eastasia',
      postgres: { sku: 'Standard_B1ms', tier: 'Burstable', storageGiB: 32, performanceTier: 'P4' },
      webui: { replicas: 3 },
    });
  });

  test('is handed back as given, for the store', () => {
    const parsed = parseSpec('openwebui', minimalSpec);
    expect(parsed.ok && parsed.given).toEqual(minimalSpec);
  });

  test('takes tier and performance tier from the sizes when they are left out', () => {
    expect(specOf(postgres({ sku: 'Standard_D2ds_v5', storageGiB: 512 })).postgres).toMatchObject({
      tier: 'GeneralPurpose',
      performanceTier: 'P20',
    });
  });

  test('keeps the default server parameters it does not mention', () => {
    expect(specOf(postgres({ parameters: { work_mem: '8192' } })).postgres.parameters).toEqual({
      max_connections: '100',
      shared_buffers: '32768',
      work_mem: '8192',
      'azure.extensions': 'VECTOR',
    });
  });

  test('may follow its images by tag, by range or by pattern', () => {
    const { images: followed } = specOf(
      images({
        openWebui: { follow: { semver: '>=0.6.36 <0.7' } },
        ollama: { follow: { tag: 'stable' } },
        cloudflared: { follow: { pattern: '\\d+\\.\\d+\\.\\d+' } },
      }),
    ).registry;
    expect(followed).toMatchObject({
      openWebui: { follow: { semver: '>=0.6.36 <0.7' } },
      ollama: { follow: { tag: 'stable' } },
    });
    expect(followed.redis.follow).toBeUndefined();
  });

  test('the published project is one', () => {
    const text = readFileSync(new URL('../../samples/open-webui.yaml', import.meta.url), 'utf8');
    const sample = parseYamlText(text);
    expect(sample.ok && fieldsOf(sample.value)).toEqual([]);
    expect(specOf(sample.ok && sample.value)).toMatchObject({
      resourceGroup: 'rg-openwebui',
      identity: { name: 'uai-openwebui' },
      vault: { name: 'kv-openwebui' },
      storage: { account: 'stopenwebui' },
      postgres: { server: 'psql-openwebui' },
      webui: { replicas: 3 },
    });
  });

  test.each<[string, object]>([
    ['a larger performance tier', { postgres: { performanceTier: 'P50' } }],
    [
      'standby servers on general purpose compute',
      { postgres: { sku: 'Standard_D2ds_v5', highAvailability: 'ZoneRedundant' } },
    ],
    [
      'several extensions',
      { postgres: { parameters: { 'azure.extensions': 'pg_stat_statements, vector' } } },
    ],
    ['an Ollama elsewhere', { ollama: { externalUrl: 'https://ollama.yourdomain.com' } }],
    ['a Redis elsewhere without a password', { webui: { redisUrl: 'rediss://cache.yourdomain.com:6380/0' } }],
    ['a selector on labels Kubernetes sets', { cluster: { nodeSelector: { 'kubernetes.io/os': 'linux' } } }],
    ['a selector on a pool by name', { cluster: { nodeSelector: { agentpool: 'system' } } }],
    [
      'a taint that only asks',
      {
        cluster: {
          nodePools: [
            systemPool,
            { name: 'b', mode: 'User', labels: { a: 'b' }, taints: ['a=b:PreferNoSchedule'] },
          ],
          nodeSelector: { a: 'b' },
        },
      },
    ],
    ['an address space that holds the cluster ranges too', { network: { addressSpace: '10.0.0.0/8' } }],
    ['a switch whose name speaks of keys', { webui: { config: { ENABLE_API_KEY: 'true' } } }],
    ['more settings', { webui: { config: { DEFAULT_LOCALE: 'de-DE', DATABASE_POOL_SIZE: '5' } } }],
    ['labels and tags named like built-in members', { tags: { constructor: 'x', toString: 'y' } }],
  ])('may have %s', (_, more) => {
    expect(fieldsOf(spec(more))).toEqual([]);
  });
});

/** What is wrong, the spec, and exactly the fields that are named. */
const bad: readonly [string, unknown, readonly string[]][] = [
  ['nothing at all', undefined, ['']],
  ['a list', [], ['']],
  ['no required field', {}, ['subscriptionId', 'tenantId', 'registry', 'tunnel']],
  ['a field that does not exist', spec({ colour: 'red' }), ['colour']],
  ['two of them, deeper', spec({ vault: { a: 1, b: 2 } }), ['vault.a', 'vault.b']],
  ['a number for a version', postgres({ version: 18 }), ['postgres.version']],
  ['text for a number', spec({ webui: { replicas: '3' } }), ['webui.replicas']],
  ['a fraction', spec({ webui: { replicas: 1.5 } }), ['webui.replicas']],
  ['no replica', spec({ webui: { replicas: 0 } }), ['webui.replicas']],
  ['a disk size Azure has not', postgres({ storageGiB: 33 }), ['postgres.storageGiB']],
  ['null', spec({ network: null }), ['network']],
  [
    'a list entry of the wrong form',
    cluster({ nodePools: [systemPool, { name: 'B' }] }),
    ['cluster.nodePools[1].name'],
  ],
  ['a key that is no label', cluster({ nodeSelector: { '!': 'x' } }), ["cluster.nodeSelector['!']"]],
  [
    'an own __proto__',
    JSON.parse(JSON.stringify(minimalSpec).replace('{', '{"tags":{"__proto__":"x"},')),
    ['tags.__proto__'],
  ],
  [
    'an unknown __proto__',
    JSON.parse(JSON.stringify(minimalSpec).replace('{', '{"__proto__":{},')),
    ['__proto__'],
  ],
  [
    'a range that begins in its middle',
    spec(withSubnets({ addressSpace: '10.10.0.1/16' })),
    ['network.addressSpace'],
  ],
  [
    'a subnet outside the address space',
    spec(withSubnets({ subnets: { privateEndpoints: { prefix: '10.11.0.0/24' } } })),
    ['network.subnets.privateEndpoints.prefix'],
  ],
  [
    'overlapping subnets',
    spec(withSubnets({ subnets: { postgres: { prefix: '10.10.16.0/28' } } })),
    ['network.subnets.postgres.prefix'],
  ],
  [
    'subnets of one name',
    spec(withSubnets({ subnets: { postgres: { name: 'Snet-AKS' } } })),
    ['network.subnets.postgres.name'],
  ],
  [
    "subnets in the range of the cluster's services",
    spec(withSubnets({ addressSpace: '10.0.0.0/8', subnets: { aks: { prefix: '10.0.0.0/20' } } })),
    ['network.subnets.aks.prefix'],
  ],
  [
    "subnets in the range of the cluster's pods",
    spec(withSubnets({ addressSpace: '10.0.0.0/8', subnets: { postgres: { prefix: '10.244.1.0/28' } } })),
    ['network.subnets.postgres.prefix'],
  ],
  [
    'an address space Azure reserves',
    spec(
      withSubnets({
        addressSpace: '169.254.0.0/16',
        subnets: {
          aks: { prefix: '169.254.0.0/20' },
          privateEndpoints: { prefix: '169.254.16.0/24' },
          postgres: { prefix: '169.254.17.0/28' },
        },
      }),
    ),
    ['network.addressSpace'],
  ],
  [
    'a delegated subnet that is too small',
    spec(withSubnets({ subnets: { postgres: { prefix: '10.10.17.0/29' } } })),
    ['network.subnets.postgres.prefix'],
  ],
  [
    'a subnet too small for private endpoints',
    spec(withSubnets({ subnets: { privateEndpoints: { prefix: '10.10.16.0/30' } } })),
    ['network.subnets.privateEndpoints.prefix'],
  ],
  [
    'more nodes than addresses',
    spec({
      network: { subnets: { aks: { prefix: '10.10.0.0/27' } } },
      cluster: { nodePools: [{ ...systemPool, count: 25 }] },
    }),
    ['network.subnets.aks.prefix'],
  ],
  ['no system pool', cluster({ nodePools: [{ name: 'a', mode: 'User' }] }), ['cluster.nodePools']],
  ['no pool', cluster({ nodePools: [] }), ['cluster.nodePools']],
  ['two pools of one name', cluster({ nodePools: [systemPool, systemPool] }), ['cluster.nodePools[1].name']],
  [
    'a taint AKS refuses on a system pool',
    cluster({ nodePools: [systemPool, { ...systemPool, name: 'b', taints: ['a=b:NoSchedule'] }] }),
    ['cluster.nodePools[1].taints[0]'],
  ],
  [
    'taints nobody tolerates',
    cluster({ nodePools: [{ ...systemPool, taints: ['CriticalAddonsOnly=true:NoSchedule'] }] }),
    ['cluster.tolerations'],
  ],
  [
    'a toleration of another value',
    cluster({
      nodePools: [
        systemPool,
        { name: 'b', mode: 'User', labels: { platform: 'x' }, taints: ['platform=x:NoSchedule'] },
      ],
      nodeSelector: { platform: 'x' },
      tolerations: [{ key: 'platform', value: 'y' }],
    }),
    ['cluster.tolerations'],
  ],
  [
    'a selector no pool meets',
    cluster({ nodeSelector: { platform: 'open-webui' } }),
    ['cluster.nodeSelector'],
  ],
  [
    'a toleration that compares nothing',
    cluster({ tolerations: [{ key: 'a' }] }),
    ['cluster.tolerations[0].value'],
  ],
  [
    'a toleration that needs no value',
    cluster({ tolerations: [{ key: 'a', operator: 'Exists', value: 'b' }] }),
    ['cluster.tolerations[0].value'],
  ],
  ['a standby for Burstable', postgres({ highAvailability: 'SameZone' }), ['postgres.highAvailability']],
  [
    'a zone-redundant standby for Burstable',
    postgres({ highAvailability: 'ZoneRedundant' }),
    ['postgres.highAvailability'],
  ],
  [
    'a performance tier below the baseline',
    postgres({ storageGiB: 512, performanceTier: 'P10' }),
    ['postgres.performanceTier'],
  ],
  [
    'a performance tier too high for the disk',
    postgres({ performanceTier: 'P60' }),
    ['postgres.performanceTier'],
  ],
  ['Burstable compute in another tier', postgres({ tier: 'GeneralPurpose' }), ['postgres.tier']],
  ['other compute as Burstable', postgres({ sku: 'Standard_E2ds_v5', tier: 'Burstable' }), ['postgres.tier']],
  ['compute the service has not', postgres({ sku: 'Standard_M8ms' }), ['postgres.sku']],
  [
    'connections that are no number',
    postgres({ parameters: { max_connections: 'many' } }),
    ['postgres.parameters.max_connections'],
  ],
  [
    'too few connections',
    postgres({ parameters: { max_connections: '5' } }),
    ['postgres.parameters.max_connections'],
  ],
  ['memory with a unit', postgres({ parameters: { work_mem: '4MB' } }), ['postgres.parameters.work_mem']],
  [
    'no pgvector',
    postgres({ parameters: { 'azure.extensions': 'PG_TRGM' } }),
    ["postgres.parameters['azure.extensions']"],
  ],
  [
    'buffers larger than the memory',
    postgres({ parameters: { shared_buffers: '262144' } }),
    ['postgres.parameters.shared_buffers'],
  ],
  ["one of the server's own databases", postgres({ database: 'postgres' }), ['postgres.database']],
  ['a login Azure reserves', postgres({ adminLogin: 'admin' }), ['postgres.adminLogin']],
  [
    'a server name too long for its private endpoint',
    postgres({ privateAccess: 'private-endpoint', server: 'p'.repeat(63) }),
    ['postgres.server'],
  ],
  [
    'two private endpoints of one name',
    spec({
      storage: { account: 'stopenwebui' },
      postgres: { privateAccess: 'private-endpoint', server: 'stopenwebui-file' },
    }),
    ['postgres.server'],
  ],
  [
    'a cluster name too long for its node group',
    spec({ resourceGroup: 'rg-short', cluster: { name: 'c'.repeat(63) } }),
    ['cluster.name'],
  ],
  [
    'a resource group too long for the node group',
    spec({ resourceGroup: 'r'.repeat(80) }),
    ['resourceGroup'],
  ],
  [
    'the database given by hand',
    config({ DATABASE_URL: 'postgresql://u:p@h/db' }),
    ['webui.config.DATABASE_URL'],
  ],
  [
    'settings that are derived',
    config({ WEBUI_URL: 'https://x', VECTOR_DB: 'chroma', ENABLE_IMAGE_GENERATION: 'true' }),
    ['webui.config.WEBUI_URL', 'webui.config.VECTOR_DB', 'webui.config.ENABLE_IMAGE_GENERATION'],
  ],
  ['a derived secret', config({ MICROSOFT_CLIENT_SECRET: 'x' }), ['webui.config.MICROSOFT_CLIENT_SECRET']],
  [
    'a key of a vendor',
    config({ OPENAI_API_KEY: 'sk-abcdefghijklmnopqrstuvwxyz' }),
    ['webui.config.OPENAI_API_KEY'],
  ],
  ['a setting that is no variable', config({ 'log-level': 'INFO' }), ['webui.config.log-level']],
  [
    'a password in a Redis URL',
    spec({ webui: { redisUrl: 'rediss://:hunter2@cache.yourdomain.com:6380' } }),
    ['webui.redisUrl'],
  ],
  [
    'a password in the URL of an Ollama',
    spec({ ollama: { externalUrl: 'https://me:hunter2@ollama.yourdomain.com' } }),
    ['ollama.externalUrl'],
  ],
  [
    'a key in the URL of an Ollama',
    spec({ ollama: { externalUrl: 'https://ollama.yourdomain.com/?api_key=hunter2' } }),
    ['ollama.externalUrl'],
  ],
  [
    'a connection string in a tag',
    spec({ tags: { Note: 'AccountName=a;AccountKey=aGVsbG8=' } }),
    ['tags.Note'],
  ],
  [
    'a token in a setting',
    config({ GREETING: 'ghp_abcdefghijklmnopqrstuvwxyz0123' }),
    ['webui.config.GREETING'],
  ],
  [
    'a Redis that is not one',
    spec({ webui: { redisUrl: 'https://cache.yourdomain.com' } }),
    ['webui.redisUrl'],
  ],
  [
    'an Ollama elsewhere and here',
    spec({
      ollama: {
        externalUrl: 'https://ollama.yourdomain.com',
        models: ['llama3.2:1b'],
        storageGiB: 50,
        storageClass: 'managed-csi',
        resources: {},
      },
    }),
    ['ollama.models', 'ollama.resources', 'ollama.storageClass', 'ollama.storageGiB'],
  ],
  [
    'two images in one repository',
    spec({ registry: { name: 'yourorg', images: { ollama: { repository: 'open-webui' } } } }),
    ['registry.images.ollama.repository'],
  ],
  [
    'an image without a tag',
    spec({ registry: { name: 'yourorg', images: { ollama: { source: 'docker.io/ollama/ollama' } } } }),
    ['registry.images.ollama.source'],
  ],
  [
    'images followed in two ways and in none',
    images({
      openWebui: { follow: { tag: 'stable', semver: '>=0.6' } },
      cloudflared: { follow: {} },
    }),
    ['registry.images.openWebui.follow', 'registry.images.cloudflared.follow'],
  ],
  [
    'a digest that is to be followed',
    images({
      ollama: { source: `docker.io/ollama/ollama@sha256:${'a'.repeat(64)}`, follow: { tag: 'stable' } },
    }),
    ['registry.images.ollama.follow'],
  ],
  [
    'ranges and patterns that are none',
    images({
      openWebui: { follow: { semver: 'newest' } },
      cloudflared: { follow: { pattern: '(' } },
      ollama: { follow: { pattern: '(a+)+' } },
      redis: { follow: { tag: 'not a tag' } },
    }),
    [
      'registry.images.openWebui.follow.semver',
      'registry.images.ollama.follow.pattern',
      'registry.images.cloudflared.follow.pattern',
      'registry.images.redis.follow.tag',
    ],
  ],
  [
    'what is imported and would not be deployed',
    images({
      openWebui: { follow: { semver: '>=0.7' } },
      ollama: { follow: { pattern: 'stable-.*' } },
    }),
    ['registry.images.openWebui.follow.semver', 'registry.images.ollama.follow.pattern'],
  ],
  [
    'more reserved than allowed',
    spec({ webui: { resources: { requests: { cpu: '2', memory: '3Gi' } } } }),
    ['webui.resources.requests.cpu', 'webui.resources.requests.memory'],
  ],
  [
    'memory without a unit',
    spec({ ollama: { resources: { limits: { memory: '4' } } } }),
    ['ollama.resources.limits.memory'],
  ],
  [
    'cores in bytes',
    spec({ ollama: { resources: { limits: { cpu: '2Gi' } } } }),
    ['ollama.resources.limits.cpu'],
  ],
  ['a tag of ours', spec({ tags: { 'Managed-By': 'me' } }), ['tags.Managed-By']],
  ['tags Azure reserves', spec({ tags: { azureThing: 'x' } }), ['tags.azureThing']],
  ['tags that differ only in case', spec({ tags: { Owner: 'a', owner: 'b' } }), ['tags.owner']],
  ['a tag that differs from ours only in case', spec({ tags: { application: 'a' } }), ['tags.application']],
  [
    'a tag name too long for storage',
    spec({ tags: { ['t'.repeat(129)]: 'a' } }),
    [`tags.${'t'.repeat(129)}`],
  ],
  [
    'too many tags',
    spec({ tags: Object.fromEntries(Array.from({ length: 48 }, (_, n) => [`t${n}`, 'x'])) }),
    ['tags'],
  ],
  [
    'a host name no public zone has',
    spec({ tunnel: { ...minimalSpec.tunnel, hostName: 'webui.corp.local' } }),
    ['tunnel.hostName'],
  ],
  [
    'a host name that is none',
    spec({ tunnel: { ...minimalSpec.tunnel, hostName: 'https://webui' } }),
    ['tunnel.hostName'],
  ],
  ['a name that is a field of old', spec({ name: 'openwebui' }), ['name']],
  [
    'form and sense at once, in different sections',
    spec({ colour: 'red', location: 5, postgres: { highAvailability: 'SameZone' }, registry: { name: '!' } }),
    ['location', 'registry.name', 'colour', 'postgres.highAvailability'],
  ],
];

describe('a spec that does not', () => {
  test.each(bad)('%s', (_, given, fields) => {
    expect(fieldsOf(given)).toEqual(fields);
  });

  test('names a deployment that cannot be one', () => {
    expect(fieldsOf(minimalSpec, 'Open WebUI')).toEqual(['name']);
  });

  test.each<[string, object, string, string]>([
    [
      'the remedy for a number that should be text',
      { postgres: { version: 18 } },
      'postgres.version',
      'must be one of 14, 15, 16, 17, 18 as text, not a number; put it in quotes',
    ],
    ['what was given', { webui: { replicas: '3' } }, 'webui.replicas', 'must be a number, not text'],
    ['a fraction', { webui: { replicas: 1.5 } }, 'webui.replicas', 'must be a whole number, not a fraction'],
    ['what was given for a mapping', { network: [] }, 'network', 'must be a mapping, not a list'],
    ['a GUID given as a number', { tenantId: 7 }, 'tenantId', 'must be text, not a number; put it in quotes'],
    ['the least', { webui: { replicas: 0 } }, 'webui.replicas', 'must be at least 1'],
    ['the most', { webui: { replicas: 99 } }, 'webui.replicas', 'must be at most 50'],
    ['the choices', { cluster: { tier: 'Gold' } }, 'cluster.tier', 'must be one of Free, Standard, Premium'],
    ['what is missing', { registry: {} }, 'registry.name', 'is missing'],
    ['a limit in words', { tags: { a: 'x'.repeat(300) } }, 'tags.a', 'must be at most 256 characters'],
    ['emptiness', { sso: { applicationName: '' } }, 'sso.applicationName', 'must not be empty'],
  ])('is told %s', (_, more, field, message) => {
    expect(messageOf(spec(more), field)).toBe(message);
  });

  test('never has a value repeated to it', () => {
    const secret = 'hunter2-hunter2';
    const given = spec({
      location: secret,
      webui: { redisUrl: `redis://:${secret}@cache`, replicas: secret, config: { A_TOKEN: secret } },
      postgres: { version: secret, parameters: { max_connections: secret } },
      ollama: { externalUrl: `https://x:${secret}@y` },
    });
    expect(problemsOf(given).length).toBeGreaterThan(3);
    expect(JSON.stringify(problemsOf(given))).not.toContain(secret);
  });
});

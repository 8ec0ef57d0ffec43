import { describe, expect, test } from 'vitest';
import type { Json, ResourceKey } from '../../src/graph/resource.ts';
import { adopt, places } from '../../src/spec/adopt.ts';
import { parseSpec } from '../../src/spec/parse-spec.ts';
import type { DeploymentSpecInput } from '../../src/spec/spec.ts';
import { minimalSpec } from './minimal-spec.ts';

const take = (
  resource: ResourceKey,
  changes: Readonly<Record<string, Json>>,
  spec: DeploymentSpecInput = minimalSpec,
) => {
  const parsed = parseSpec('chat', spec);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const items = Object.entries(changes).map(([path, found]) => ({
    resource,
    difference: { path, wanted: null, found },
  }));
  return adopt({ name: 'chat', spec }, parsed.spec, items);
};

const container = (name: string): string =>
  `Deployment ${name}: spec.template.spec.containers.${name}.resources`;
const server = 'azure/postgres-server';
/** One for each entry of the table: what is found, and where the spec then says so. */
const cases: readonly [ResourceKey, Readonly<Record<string, Json>>, object][] = [
  ['kubernetes/open-webui', { 'Deployment open-webui: spec.replicas': 5 }, { webui: { replicas: 5 } }],
  [
    'kubernetes/open-webui',
    { [`${container('open-webui')}.limits.cpu`]: '2' },
    { webui: { resources: { limits: { cpu: '2' } } } },
  ],
  [
    'kubernetes/ollama',
    { [`${container('ollama')}.limits.memory`]: '8Gi' },
    { ollama: { resources: { limits: { memory: '8Gi' } } } },
  ],
  [
    'kubernetes/config',
    { 'ConfigMap open-webui-config: data.LOG_LEVEL': 'DEBUG' },
    { webui: { config: { LOG_LEVEL: 'DEBUG' } } },
  ],
  [
    'kubernetes/open-webui-service',
    { 'Service open-webui: spec.sessionAffinityConfig.clientIP.timeoutSeconds': 60 },
    { webui: { sessionAffinitySeconds: 60 } },
  ],
  [
    'kubernetes/open-webui-service',
    { 'Service open-webui: spec.sessionAffinity': 'None' },
    { webui: { sessionAffinitySeconds: 0 } },
  ],
  ['azure/file-share', { shareQuota: 100 }, { storage: { quotaGiB: 100 } }],
  ['azure/storage-account', { 'sku.name': 'Standard_ZRS' }, { storage: { sku: 'Standard_ZRS' } }],
  [
    'azure/key-vault',
    { 'properties.publicNetworkAccess': 'Disabled' },
    { vault: { publicNetworkAccess: false } },
  ],
  [
    'azure/key-vault',
    { 'properties.softDeleteRetentionInDays': 30 },
    { vault: { softDeleteRetentionDays: 30 } },
  ],
  [server, { version: '17' }, { postgres: { version: '17' } }],
  [server, { 'sku.name': 'Standard_B2s' }, { postgres: { sku: 'Standard_B2s' } }],
  [
    server,
    { 'sku.name': 'Standard_D2ds_v5', 'sku.tier': 'GeneralPurpose' },
    { postgres: { sku: 'Standard_D2ds_v5', tier: 'GeneralPurpose' } },
  ],
  [server, { 'storage.storageSizeGB': 64 }, { postgres: { storageGiB: 64 } }],
  [server, { 'storage.tier': 'P10' }, { postgres: { performanceTier: 'P10' } }],
  [server, { 'backup.backupRetentionDays': 14 }, { postgres: { backupRetentionDays: 14 } }],
  [
    server,
    { 'highAvailability.mode': 'SameZone', 'sku.name': 'Standard_D2ds_v5', 'sku.tier': 'GeneralPurpose' },
    { postgres: { highAvailability: 'SameZone', sku: 'Standard_D2ds_v5', tier: 'GeneralPurpose' } },
  ],
  [server, { 'maintenanceWindow.dayOfWeek': 0 }, { postgres: { maintenance: { dayOfWeek: 'Sunday' } } }],
  [server, { 'maintenanceWindow.startHour': 4 }, { postgres: { maintenance: { startHourUtc: 4 } } }],
  [server, { 'maintenanceWindow.startMinute': 30 }, { postgres: { maintenance: { startMinute: 30 } } }],
  ['azure/postgres-parameters', { work_mem: '8192' }, { postgres: { parameters: { work_mem: '8192' } } }],
  ['azure/cluster', { 'sku.tier': 'Standard' }, { cluster: { tier: 'Standard' } }],
  ['azure/cluster', { kubernetesVersion: '1.34.1' }, { cluster: { kubernetesVersion: '1.34.1' } }],
  [
    'azure/cluster',
    { 'agentPoolProfiles.system.count': 5 },
    { cluster: { nodePools: [{ name: 'system', count: 5 }] } },
  ],
  [
    'azure/cluster',
    { 'agentPoolProfiles.system.mode': 'System' },
    { cluster: { nodePools: [{ name: 'system', mode: 'System' }] } },
  ],
  ['azure/key-vault', { 'tags.Application': 'Chat' }, { tags: { Application: 'Chat' } }],
];

describe('a change that was made in a cloud', () => {
  test.each(cases)('of %s, %j, is what the spec asks for then', (resource, changes, spec) => {
    const { given, taken, refused } = take(resource, changes);
    expect(refused).toEqual([]);
    expect(taken).toHaveLength(Object.keys(changes).length);
    expect(given).toMatchObject({ ...minimalSpec, ...spec });
    expect(parseSpec('chat', given).ok).toBe(true);
  });

  test('has a case here for each place in the spec', () => {
    const missing = places.filter(
      ({ resource, path }) =>
        !cases.some(
          ([key, changes]) =>
            (resource === undefined || resource === key) &&
            Object.keys(changes).some((one) => path.test(one)),
        ),
    );
    expect(missing).toEqual([]);
  });

  test('keeps what the spec says beside it', () => {
    const nodePools = [{ name: 'system' }, { name: 'gpu', mode: 'User' as const, count: 1 }];
    const spec = { ...minimalSpec, cluster: { nodePools } };
    expect(take('azure/cluster', { 'agentPoolProfiles.gpu.count': 2 }, spec).given.cluster).toEqual({
      nodePools: [nodePools[0], { ...nodePools[1], count: 2 }],
    });
  });

  test.each([
    ['cloudflare/dns-record', 'content', 'x'],
    ['kubernetes/open-webui', 'Deployment open-webui: spec.progressDeadlineSeconds', 7],
    ['azure/postgres-parameters', 'restart', 'waiting'],
    ['azure/cluster', 'agentPoolProfiles.theirs.count', 2],
    ['azure/key-vault', 'tags.managed-by', 'somebody'],
    ['azure/file-share', 'shareQuota', null],
    ['azure/file-share', '', null],
    ['kubernetes/config', 'ConfigMap open-webui-config: data.WEBUI_URL', 'https://elsewhere'],
    ['azure/postgres-server', 'storage.storageSizeGB', 33],
  ] as const)(
    'of %s at %j (%j) has no place in a valid spec and changes nothing',
    (resource, path, found) => {
      const { given, taken, refused } = take(resource, { [path]: found });
      expect(given).toEqual(minimalSpec);
      expect(taken).toEqual([]);
      expect(refused).toMatchObject([{ resource, why: expect.any(String) }]);
    },
  );
});

describe('a value that is not known as a whole', () => {
  const path = 'ConfigMap open-webui-config: data.RAG_TEMPLATE';
  const adopted = (difference: {
    readonly found: Json;
    readonly isCut?: boolean;
    readonly path?: string;
  }) => {
    const parsed = parseSpec('chat', minimalSpec);
    if (!parsed.ok) throw new Error('the minimal spec is valid');
    return adopt({ name: 'chat', spec: minimalSpec }, parsed.spec, [
      { resource: 'kubernetes/config', difference: { path, wanted: null, ...difference } },
    ]);
  };

  test.each([
    ['is too long to keep', { found: '(too long to keep)', isCut: true }, /too long.*PUT the spec/],
    ['may hold a secret', { found: '(not shown: may hold a secret)' }, /may hold a secret/],
    ['has no place, besides', { found: '(too long to keep)', isCut: true, path: 'x' }, /no place/],
  ] as const)('since it %s is refused, and says why', (_, difference, why) => {
    const { given, taken, refused } = adopted(difference);
    expect(given).toEqual(minimalSpec);
    expect(taken).toEqual([]);
    expect(refused).toMatchObject([{ why: expect.stringMatching(why) }]);
  });
});

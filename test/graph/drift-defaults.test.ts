import { describe, expect, test } from 'vitest';
import { hasNoWayBack, lostWith, whyOnlyReported } from '../../src/graph/drift-defaults.ts';
import type { Json, ResourceKey } from '../../src/graph/resource.ts';
import { stack } from '../../src/resources/index.ts';

const isReported = (key: ResourceKey, path: string, wanted: Json, found: Json): boolean =>
  whyOnlyReported(key, { path, wanted, found }) !== undefined;

describe('what is gone', () => {
  const gone = stack.map(({ key }) => key).filter((key) => isReported(key, '', 'present', null));

  test('is only told about where it held data, or who people are, and nothing else does', () => {
    expect(gone.toSorted()).toEqual([
      'azure/file-share',
      'azure/postgres-database',
      'azure/postgres-server',
      'azure/storage-account',
      'entra/application',
    ]);
  });

  test('is named together with what was in it', () => {
    expect(lostWith('azure/postgres-server')).toEqual(['azure/postgres-server', 'azure/postgres-database']);
    expect(lostWith('azure/key-vault')).toBeUndefined();
  });
});

describe('what has grown', () => {
  test.each<readonly [ResourceKey, string, smaller: Json, larger: Json]>([
    ['azure/file-share', 'shareQuota', 100, 200],
    ['azure/postgres-server', 'version', '16', '17'],
    ['azure/cluster', 'kubernetesVersion', '1.9', '1.10.2'],
    ['azure/cluster', 'agentPoolProfiles.nodepool1.orchestratorVersion', '1.33.1', '1.33.4'],
  ])('is only told about, and put right where it is less: %s %s', (key, path, smaller, larger) => {
    expect(isReported(key, path, smaller, larger)).toBe(true);
    expect(isReported(key, path, larger, smaller)).toBe(false);
    expect(isReported(key, path, smaller, smaller)).toBe(false);
    expect(isReported(key, path, smaller, null)).toBe(false);
  });

  test('can be taken back in size, and in version cannot', () => {
    const version = { path: 'version', wanted: '16', found: '17' };
    expect(hasNoWayBack('azure/postgres-server', version)).toBe(true);
    expect(hasNoWayBack('azure/postgres-server', { ...version, found: '15' })).toBe(false);
    expect(hasNoWayBack('azure/file-share', { path: 'shareQuota', wanted: 1, found: 2 })).toBe(false);
  });

  test('is larger or smaller, and only told about where giving it another size interrupts everybody', () => {
    expect(isReported('azure/postgres-server', 'sku.name', 'Standard_D2ds_v5', 'Standard_D8ds_v5')).toBe(
      true,
    );
    expect(isReported('azure/postgres-server', 'sku.tier', 'GeneralPurpose', 'Burstable')).toBe(true);
    expect(isReported('azure/registry', 'sku.name', 'Basic', 'Premium')).toBe(false);
  });

  test('is put right where that does no harm', () => {
    expect(isReported('azure/postgres-server', 'backup.backupRetentionDays', 7, 14)).toBe(false);
    expect(isReported('azure/cluster', 'agentPoolProfiles.nodepool1.count', 1, 2)).toBe(false);
  });
});

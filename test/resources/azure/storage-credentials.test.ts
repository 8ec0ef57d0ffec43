import { describe, expect, test } from 'vitest';
import { keyToKeep, retiredKey } from '../../../src/resources/azure/storage-credentials.ts';

const at = (time: string): Date => new Date(time);
const keys = {
  key1: { name: 'key1', value: 'one', createdAt: at('2026-01-01T00:00:00Z') },
  key2: { name: 'key2', value: 'two', createdAt: at('2026-01-01T00:00:00Z') },
} as const;

describe('azure/storage-credentials', () => {
  test('either key of the account is kept, whatever its tag says', () => {
    expect(keyToKeep(keys, { value: 'two', name: undefined })).toBe(keys.key2);
    expect(keyToKeep(keys, { value: 'one', name: 'key2' })).toBe(keys.key1);
  });

  test('a stored key that was regenerated gives way to the other one, which has another volume', () => {
    expect(keyToKeep(keys, { value: 'old', name: 'key1' })).toBe(keys.key2);
    expect(keyToKeep(keys, { value: 'old', name: 'key2' })).toBe(keys.key1);
  });

  test('without a tag the key that was there for longer is taken, and the first one to begin with', () => {
    const key1 = { ...keys.key1, createdAt: at('2026-02-01T00:00:00Z') };
    expect(keyToKeep({ ...keys, key1 }, { value: 'old', name: undefined })).toBe(keys.key2);
    expect(keyToKeep(keys, { value: undefined, name: undefined })).toBe(keys.key1);
  });

  test('a replaced key is to go while it is older than the version that replaced it', () => {
    const version = (createdOn: string, tags: Record<string, string>) => ({
      properties: { name: '', vaultUrl: '', createdOn: at(createdOn), tags },
    });
    expect(retiredKey(keys, version('2026-02-01T00:00:00Z', { replaces: 'key1' }))).toBe(keys.key1);
    expect(retiredKey(keys, version('2025-12-01T00:00:00Z', { replaces: 'key1' }))).toBeUndefined();
    expect(retiredKey(keys, version('2026-02-01T00:00:00Z', {}))).toBeUndefined();
    expect(retiredKey(keys, version('2026-02-01T00:00:00Z', { replaces: 'key9' }))).toBeUndefined();
  });
});

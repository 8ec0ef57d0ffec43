import { describe, expect, test } from 'vitest';
import { keyToKeep } from '../../../src/resources/azure/storage-credentials.ts';

describe('azure/storage-credentials', () => {
  test('either key of the account is kept, any other is replaced by the first', () => {
    expect(keyToKeep(['one', 'two'], 'two')).toBe('two');
    expect(keyToKeep(['one', 'two'], 'one')).toBe('one');
    expect(keyToKeep(['one', 'two'], 'old')).toBe('one');
    expect(keyToKeep(['one', 'two'], undefined)).toBe('one');
  });
});

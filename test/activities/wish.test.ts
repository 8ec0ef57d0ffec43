import { describe, expect, test } from 'vitest';
import { hasNewVersion, wishOf } from '../../src/activities/wish.ts';
import { noWishes } from '../../src/resources/scope.ts';
import { specOf } from '../resources/spec.ts';

const asked = { rotateAfter: {}, wishes: noWishes };
const at = '2026-11-24T10:00:00Z';

describe('the mark of what a resource is asked to be', () => {
  const { spec } = specOf();
  const plain = wishOf('kubernetes/ollama', spec, asked, { 'azure/images': { ollama: 'x' } });

  test('is another when the spec, a dependency or a wish that it heeds is', () => {
    const key = 'kubernetes/ollama';
    const others = [
      wishOf(key, specOf({ webui: { replicas: 2 } }).spec, asked, { 'azure/images': { ollama: 'x' } }),
      wishOf(key, spec, asked, { 'azure/images': { ollama: 'y' } }),
      wishOf(
        key,
        spec,
        { ...asked, wishes: { ...noWishes, restartAfter: { ollama: at } } },
        { 'azure/images': { ollama: 'x' } },
      ),
    ];
    expect(new Set([plain, ...others]).size).toBe(4);
  });

  test('is the same whatever is to become of drift, and whatever others are asked', () => {
    const rules = [{ resource: 'kubernetes/ollama', policy: 'report' as const }];
    const wishes = {
      ...noWishes,
      restartAfter: { redis: at },
      debugPods: [{ kind: 'psql' as const, until: at }],
    };
    expect(
      wishOf(
        'kubernetes/ollama',
        specOf({ drift: { rules } }).spec,
        { rotateAfter: { 'storage-key': at }, wishes },
        { 'azure/images': { ollama: 'x' } },
      ),
    ).toBe(plain);
  });
});

test('a secret is news only when it has another version than it was known to have', () => {
  const secret = (version: string) => ({ secret: { vaultUrl: 'v', name: 'n', version }, keyName: 'key1' });
  expect(hasNewVersion(secret('1'), secret('2'))).toBe(true);
  expect(hasNewVersion(secret('1'), secret('1'))).toBe(false);
  expect(hasNewVersion(undefined, secret('1'))).toBe(false);
  expect(hasNewVersion({ version: '1' }, { version: '2' })).toBe(false);
});

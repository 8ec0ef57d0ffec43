import { describe, expect, test } from 'vitest';
import { readerOf } from '../../src/activities/spec-reads.ts';
import { type Asked, hasNewVersion, isStillAsked, wishOf, wishToo } from '../../src/activities/wish.ts';
import { noWishes } from '../../src/resources/scope.ts';
import type { DeploymentSpecInput } from '../../src/spec/spec.ts';
import { specOf } from '../resources/spec.ts';

const at = '2026-11-24T10:00:00Z';
const asked = (fields: Partial<DeploymentSpecInput> = {}, more: Partial<Asked> = {}): Asked => ({
  key: 'kubernetes/ollama',
  ...specOf(fields),
  record: { rotateAfter: {}, wishes: noWishes },
  dependencies: { 'azure/images': { ollama: 'x' } },
  ...more,
});
const wishes = (more: Partial<typeof noWishes>) => ({
  record: { rotateAfter: { 'storage-key': at }, wishes: { ...noWishes, ...more } },
});

describe('the wish under which a resource was found as asked', () => {
  const wish = wishOf(asked(), ['location', 'ollama.models', 'ollama.resources', 'webui.redisUrl']);

  test.each<[string, Asked]>([
    ['a field that was read', asked({ ollama: { models: ['llama3.2:1b'] } })],
    ['a part of one', asked({ ollama: { resources: { limits: { memory: '8Gi' } } } })],
    ['one that was not there', asked({ webui: { redisUrl: 'redis://elsewhere:6379' } })],
    ['what a dependency tells', asked({}, { dependencies: { 'azure/images': { ollama: 'y' } } })],
    ['a name', asked({ vault: { name: 'kv-other' } })],
    ['a moment that it heeds', asked({}, wishes({ restartAfter: { ollama: at } }))],
  ])('is not asked any more when %s is another', (_, now) => {
    expect(isStillAsked(wish, now)).toBe(false);
  });

  test.each<[string, Asked]>([
    ['fields that were not read', asked({ storage: { quotaGiB: 100 }, webui: { replicas: 2 } })],
    [
      'rules for drift',
      asked({ drift: { rules: [{ resource: 'kubernetes/ollama', policy: 'report' as const }] } }),
    ],
    ['moments that others heed', asked({}, wishes({ restartAfter: { redis: at } }))],
    ['a debug pod', asked({}, wishes({ debugPods: [{ kind: 'psql', until: at }] }))],
  ])('is still asked when all that has changed is %s', (_, now) => {
    expect(isStillAsked(wish, now)).toBe(true);
  });

  test('can be one of another look, that has read less or more', () => {
    const now = asked({ storage: { quotaGiB: 100 } });
    const both = wishToo(now, wish, ['storage.quotaGiB']);
    expect(isStillAsked(both, now)).toBe(true);
    expect(isStillAsked(both, asked())).toBe(false);
    expect(isStillAsked(both, { ...now, ...asked({ location: 'westeurope' }) })).toBe(false);
  });

  test('is not one of another form', () => {
    expect(isStillAsked('0123456789abcdef', asked())).toBe(false);
    expect(isStillAsked('', asked())).toBe(false);
  });
});

describe('what is read of a spec', () => {
  test('is told by section and field, and whole where it is looked through', () => {
    const { spec, reads } = readerOf(specOf({ webui: { replicas: 2 } }).spec);
    expect(spec.webui.replicas).toBe(2);
    expect(reads()).toEqual(['webui.replicas']);
    expect(spec.webui.redisUrl).toBeUndefined();
    expect(spec.cluster.nodePools.map(({ name }) => name)).toEqual(['system']);
    const { quotaGiB, ...rest } = spec.storage;
    expect({ quotaGiB, ...rest }).toEqual(specOf().spec.storage);
    expect(reads()).toEqual(
      expect.arrayContaining(['cluster.nodePools', 'storage', 'webui.redisUrl', 'webui.replicas']),
    );
    expect(reads()).not.toContain('*');
    expect(JSON.parse(JSON.stringify(spec))).toEqual(
      JSON.parse(JSON.stringify(specOf({ webui: { replicas: 2 } }).spec)),
    );
    expect(reads()).toContain('*');
  });
});

test('a secret is news only when it has another version than it was known to have', () => {
  const secret = (version: string) => ({ secret: { vaultUrl: 'v', name: 'n', version }, keyName: 'key1' });
  expect(hasNewVersion(secret('1'), secret('2'))).toBe(true);
  expect(hasNewVersion(secret('1'), secret('1'))).toBe(false);
  expect(hasNewVersion(undefined, secret('1'))).toBe(false);
  expect(hasNewVersion({ version: '1' }, { version: '2' })).toBe(false);
});

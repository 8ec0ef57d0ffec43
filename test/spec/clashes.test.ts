import { describe, expect, test } from 'vitest';
import { clashes, type NamedSpec } from '../../src/spec/clashes.ts';
import { deploymentSpecSchema } from '../../src/spec/spec.ts';
import { minimalSpec } from './minimal-spec.ts';

const named = (name: string, more: object = {}): NamedSpec => ({
  name,
  spec: deploymentSpecSchema.parse({ ...minimalSpec, ...more }),
});
const elsewhere = { tunnel: { ...minimalSpec.tunnel, hostName: 'chat.yourdomain.com' } };
const fieldsOf = (own: NamedSpec, other: NamedSpec): string[] =>
  clashes(own, [other]).map(({ field }) => field);

describe('two deployments', () => {
  test('with names of their own live side by side', () => {
    expect(fieldsOf(named('one'), named('two', elsewhere))).toEqual([]);
  });

  test('are the same one when they have the same name', () => {
    expect(fieldsOf(named('one'), named('one'))).toEqual([]);
  });

  test('cannot have one host name', () => {
    expect(clashes(named('one'), [named('two')])).toEqual([
      { field: 'tunnel.hostName', message: 'is taken by the deployment two' },
    ]);
  });

  test.each<[string, object]>([
    ['resourceGroup', { resourceGroup: 'RG-shared' }],
    ['vault.name', { vault: { name: 'kv-shared' } }],
    ['storage.account', { storage: { account: 'stshared' } }],
    ['postgres.server', { postgres: { server: 'psql-shared' } }],
  ])('cannot share %s', (field, more) => {
    expect(fieldsOf(named('one', more), named('two', { ...elsewhere, ...more }))).toEqual([field]);
  });

  test('cannot share a tunnel', () => {
    const tunnel = { ...minimalSpec.tunnel, name: 'shared' };
    expect(
      fieldsOf(named('one', { tunnel }), named('two', { tunnel: { ...elsewhere.tunnel, name: 'shared' } })),
    ).toEqual(['tunnel.name']);
  });

  test('cannot take what the other has by default, whatever the case', () => {
    expect(fieldsOf(named('one', { resourceGroup: 'RG-TWO' }), named('two', elsewhere))).toEqual([
      'resourceGroup',
    ]);
  });

  test('may have resource groups of one name in two subscriptions', () => {
    const other = {
      ...elsewhere,
      subscriptionId: '00000000-0000-4000-8000-000000000009',
      resourceGroup: 'rg',
    };
    expect(fieldsOf(named('one', { resourceGroup: 'rg' }), named('two', other))).toEqual([]);
  });
});

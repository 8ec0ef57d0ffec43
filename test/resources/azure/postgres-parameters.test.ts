import { describe, expect, test } from 'vitest';
import { parameterDifferences, valueToWrite } from '../../../src/resources/azure/postgres-parameters.ts';

const wanted = { max_connections: '100', work_mem: '4096', 'azure.extensions': 'VECTOR' };
const asWanted = [
  { name: 'max_connections', value: '100' },
  { name: 'work_mem', value: '4096' },
  { name: 'azure.extensions', value: 'pg_trgm,vector' },
  { name: 'untouched', value: 'x', isConfigPendingRestart: true },
];
const replacing = (name: string, fields: object) =>
  asWanted.map((configuration) =>
    configuration.name === name ? { ...configuration, ...fields } : configuration,
  );

describe('azure/postgres-parameters', () => {
  test.each([
    ['VECTOR', '', 'VECTOR'],
    ['VECTOR', 'vector', 'vector'],
    ['VECTOR, PG_TRGM', 'pg_trgm,HSTORE', 'pg_trgm,HSTORE,VECTOR'],
  ])('the extensions %s over %s become %s', (wish, found, result) => {
    expect(valueToWrite('azure.extensions', wish, found)).toBe(result);
  });

  test('numbers are compared as numbers, switches without case', () => {
    expect(valueToWrite('work_mem', '4096', '4096.0')).toBe('4096.0');
    expect(valueToWrite('jit', 'OFF', 'off')).toBe('off');
    expect(valueToWrite('jit', 'on', 'off')).toBe('on');
  });

  test('what is as asked leaves nothing to do, even if somebody else’s parameter waits for a restart', () => {
    expect(parameterDifferences(wanted, asWanted)).toEqual([]);
  });

  test('values come first, the restart when all are written', () => {
    const both = replacing('max_connections', { value: '50', isConfigPendingRestart: true });
    expect(parameterDifferences(wanted, both)).toEqual([
      { path: 'max_connections', wanted: '100', found: '50' },
    ]);
    const pending = replacing('max_connections', { isConfigPendingRestart: true });
    expect(parameterDifferences(wanted, pending).map(({ path }) => path)).toEqual(['restart']);
  });

  test('unknown and read-only parameters are refused by name', () => {
    expect(() => parameterDifferences({ no_such_thing: '1' }, asWanted)).toThrow('no_such_thing');
    expect(() =>
      parameterDifferences(wanted, replacing('work_mem', { value: '1', isReadOnly: true })),
    ).toThrow('work_mem');
  });
});

import { describe, expect, test } from 'vitest';
import { specJsonSchema } from '../../src/spec/json-schema.ts';

type Node = Readonly<Record<string, unknown>>;
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;

/** Every field of a schema, by its dotted path. */
function fields(schema: Node, path = ''): [string, Node][] {
  const properties = isNode(schema['properties']) ? Object.entries(schema['properties']) : [];
  return properties.flatMap(([name, field]): [string, Node][] => {
    if (!isNode(field)) return [];
    const here = path === '' ? name : `${path}.${name}`;
    const items = isNode(field['items']) ? fields(field['items'], `${here}[]`) : [];
    return [[here, field], ...fields(field, here), ...items];
  });
}

describe('the JSON Schema of the spec', () => {
  const schema = specJsonSchema();

  test('is of draft 2020-12 and survives JSON', () => {
    expect(schema).toMatchObject({ $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object' });
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
  });

  test('requires only what no default can know', () => {
    expect(schema['required']).toEqual(['subscriptionId', 'tenantId', 'registry', 'tunnel']);
  });

  test('allows no unknown field', () => {
    expect(schema['additionalProperties']).toBe(false);
  });

  test('says what a user may write, not what comes out', () => {
    const byPath = new Map(fields(schema));
    expect(byPath.get('postgres.storageGiB')).toMatchObject({ default: 32 });
    expect(byPath.get('postgres.performanceTier')).not.toHaveProperty('default');
  });

  test('describes every field', () => {
    const images = /^registry\.images\.\w+$/;
    const undescribed = fields(schema)
      .filter(([path, field]) => typeof field['description'] !== 'string' && !images.test(path))
      .map(([path]) => path);
    expect(fields(schema).length).toBeGreaterThan(80);
    expect(undescribed).toEqual([]);
  });
});

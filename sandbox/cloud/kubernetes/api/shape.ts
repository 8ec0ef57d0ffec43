/** Whether a body has the shape its schema says: unknown fields, wrong types, and for custom kinds their rules. */
import { type Fields, isFields } from '../object.ts';
import { parseQuantity } from '../quantity.ts';
import { childSchema, type Schema } from './schema.ts';
import { type Cause, invalidValue, required, unsupported } from './status-error.ts';

export interface Shape {
  /** `spec.template.spec.containers[0].imagee`. */
  readonly unknown: string[];
  readonly mistyped: { readonly path: string; readonly expected: string; readonly found: string }[];
}

export function checkShape(
  schema: Schema,
  value: unknown,
  path = '',
  shape: Shape = { unknown: [], mistyped: [] },
): Shape {
  const expect = (expected: string): void => {
    shape.mistyped.push({ path, expected, found: typeName(value) });
  };
  if (value === null || value === undefined) return shape;
  switch (schema.type) {
    case 'any':
      return shape;
    case 'object':
      if (!isFields(value)) expect('map');
      else {
        for (const [name, own] of Object.entries(value)) {
          const below = path === '' ? name : `${path}.${name}`;
          if (!schema.fields.has(name) && !schema.keepsUnknown) shape.unknown.push(below);
          else checkShape(childSchema(schema, name), own, below, shape);
        }
      }
      return shape;
    case 'map':
      if (!isFields(value)) expect('map');
      else
        for (const [name, own] of Object.entries(value))
          checkShape(schema.values, own, `${path}.${name}`, shape);
      return shape;
    case 'list':
      if (!Array.isArray(value)) expect('list');
      else value.forEach((own, index) => void checkShape(schema.items, own, `${path}[${index}]`, shape));
      return shape;
    default:
      if (!isScalar(schema.type, value))
        expect(schema.type === 'integer' || schema.type === 'number' ? 'numeric' : schema.type);
      return shape;
  }
}

function isScalar(type: string, value: unknown): boolean {
  switch (type) {
    case 'string':
      return typeof value === 'string';
    case 'date':
      return typeof value === 'string' && !Number.isNaN(Date.parse(value));
    case 'integer':
      return Number.isInteger(value);
    case 'number':
      return typeof value === 'number';
    case 'boolean':
      return typeof value === 'boolean';
    case 'int-or-string':
      return typeof value === 'string' || Number.isInteger(value);
    default:
      return typeof value === 'number' || (typeof value === 'string' && parseQuantity(value) !== undefined);
  }
}

function typeName(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'object' ? 'object' : typeof value;
}

/** The value without fields its schema does not know and without nulls, quantities as text: what is stored. */
export function pruned(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => pruned(childSchema(schema), item));
  if (isFields(value)) {
    const result: Fields = {};
    for (const [name, own] of Object.entries(value)) {
      if (own === null || own === undefined) continue;
      if (schema.type === 'object' && !schema.fields.has(name) && !schema.keepsUnknown) continue;
      result[name] = pruned(childSchema(schema, name), own);
    }
    return result;
  }
  return schema.type === 'quantity' && typeof value === 'number' ? String(value) : value;
}

/** Fields that must be there, and for custom kinds enumerations, patterns and lengths. */
export function checkRules(schema: Schema, value: unknown, path = ''): Cause[] {
  if (Array.isArray(value)) {
    const keys = schema.type === 'list' ? schema.keys : [];
    return value.flatMap((item, index) => [
      ...(isFields(item)
        ? keys
            .filter((key) => item[key] === undefined && key !== 'protocol')
            .map((key) => required(`${path}[${index}].${key}`))
        : []),
      ...checkRules(childSchema(schema), item, `${path}[${index}]`),
    ]);
  }
  if (isFields(value)) {
    const causes: Cause[] = [];
    if (schema.type === 'object') {
      for (const name of schema.required) {
        const own = value[name];
        if (own === undefined || own === '') causes.push(required(path === '' ? name : `${path}.${name}`));
      }
      if (schema.oneOf !== undefined && Object.keys(value).length !== schema.oneOf) {
        const found = Object.keys(value).length;
        causes.push({
          reason: 'FieldValueInvalid',
          message: `Invalid value: ${found}: ${path} in body should have at ${found > 1 ? 'most' : 'least'} 1 properties`,
          field: path,
        });
      }
    }
    for (const [name, own] of Object.entries(value)) {
      causes.push(...checkRules(childSchema(schema, name), own, path === '' ? name : `${path}.${name}`));
    }
    return causes;
  }
  const rules = 'rules' in schema ? schema.rules : undefined;
  if (!rules || typeof value !== 'string') return [];
  if (rules.allowed && !rules.allowed.includes(value)) return [unsupported(path, value, rules.allowed)];
  if (rules.minLength !== undefined && value.length < rules.minLength) {
    return [invalidValue(path, value, `${path} in body should be at least ${rules.minLength} chars long`)];
  }
  if (rules.maxLength !== undefined && value.length > rules.maxLength) {
    return [invalidValue(path, value, `${path} in body should be at most ${rules.maxLength} chars long`)];
  }
  if (rules.pattern !== undefined && !new RegExp(rules.pattern).test(value)) {
    return [invalidValue(path, value, `${path} in body should match '${rules.pattern}'`)];
  }
  return [];
}

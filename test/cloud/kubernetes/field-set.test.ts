import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  difference,
  fieldsOf,
  intersection,
  isEmptySet,
  pathsOf,
  union,
  withoutFields,
} from '../../../sandbox/cloud/kubernetes/api/field-set.ts';
import { DEPLOYMENTS } from '../../../sandbox/cloud/kubernetes/api/kinds.ts';
import { applyTo } from '../../../sandbox/cloud/kubernetes/api/server-side-apply.ts';
import type { KubeObject } from '../../../sandbox/cloud/kubernetes/object.ts';

const { schema } = DEPLOYMENTS;

/** Small Deployments that overlap in labels, containers and environment. */
const name = fc.constantFrom('a', 'b', 'c');
const labels = fc.dictionary(name, fc.constantFrom('1', '2'), { minKeys: 1, maxKeys: 3 });
const container = fc.record(
  {
    name,
    image: fc.constantFrom('x:1', 'x:2'),
    env: fc.uniqueArray(fc.record({ name, value: fc.constantFrom('1', '2') }), {
      selector: (one) => one.name,
      minLength: 1,
    }),
  },
  { requiredKeys: ['name', 'image'] },
);
const deployment = fc.record({
  metadata: fc.record({ name: fc.constant('d'), labels }),
  spec: fc.record(
    {
      replicas: fc.constantFrom(1, 2, 3),
      template: fc.record({
        spec: fc.record({
          containers: fc.uniqueArray(container, { selector: (one) => one.name, minLength: 1 }),
        }),
      }),
    },
    { requiredKeys: ['template'] },
  ),
});

const manager = (who: string) => ({
  name: who,
  operation: 'Apply' as const,
  apiVersion: 'apps/v1',
  subresource: '',
});
const options = { force: true, now: '2026-11-23T08:00:00Z' };
const applied = (live: unknown, config: object, who: string) =>
  applyTo(
    live as KubeObject | undefined,
    structuredClone(config) as Record<string, unknown>,
    schema,
    manager(who),
    options,
  );

describe('sets of fields', () => {
  test('obey the laws of sets', () => {
    fc.assert(
      fc.property(deployment, deployment, (one, other) => {
        const [left, right] = [fieldsOf(one, schema), fieldsOf(other, schema)];
        expect(pathsOf(union(left, right))).toEqual(
          [...new Set([...pathsOf(left), ...pathsOf(right)])].sort(),
        );
        expect(pathsOf(intersection(left, right))).toEqual(
          pathsOf(left).filter((path) => pathsOf(right).includes(path)),
        );
        expect(pathsOf(difference(left, right))).toEqual(
          pathsOf(left).filter((path) => !pathsOf(right).includes(path)),
        );
      }),
    );
  });

  test('taken out of a value leave none of it', () => {
    fc.assert(
      fc.property(deployment, (value) => {
        expect(withoutFields(value, fieldsOf(value, schema), schema)).toBeUndefined();
      }),
    );
  });

  test('name fields as error messages do', () => {
    const set = fieldsOf(
      { spec: { template: { spec: { containers: [{ name: 'a', image: 'x' }] } } } },
      schema,
    );
    expect(pathsOf(set)).toContain('.spec.template.spec.containers[name="a"].image');
  });
});

describe('applying', () => {
  test('the same again changes nothing', () => {
    fc.assert(
      fc.property(deployment, (config) => {
        const once = applied(undefined, config, 'one');
        expect(applied(once, config, 'one')).toEqual(once);
      }),
    );
  });

  test('another wish leaves nothing of the first when nobody else wants it', () => {
    fc.assert(
      fc.property(deployment, deployment, (first, second) => {
        const after = applied(applied(undefined, first, 'one'), second, 'one');
        expect(pathsOf(difference(fieldsOf(strip(after), schema), fieldsOf(second, schema)))).toEqual([]);
      }),
    );
  });

  test('by force takes every conflicting field and keeps the others’ own', () => {
    fc.assert(
      fc.property(deployment, deployment, (mine, theirs) => {
        const both = applied(applied(undefined, mine, 'one'), theirs, 'two');
        const values = fieldsOf(strip(both), schema);
        expect(isEmptySet(difference(fieldsOf(theirs, schema), values))).toBe(true);
        expect(isEmptySet(difference(fieldsOf(mine, schema), values))).toBe(true);
      }),
    );
  });
});

function strip(object: Record<string, unknown>): unknown {
  const { managedFields: _, ...metadata } = object['metadata'] as Record<string, unknown>;
  return { ...object, metadata };
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { shapeOf } from '../../src/activities/stack.ts';
import { assertAcyclic } from '../../src/graph/plan.ts';
import { stack } from '../../src/resources/index.ts';

describe('the stack', () => {
  test('names every resource once, after its file', () => {
    const keys = stack.map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    const folder = join(import.meta.dirname, '..', '..', 'src', 'resources');
    expect(keys.filter((key) => !existsSync(join(folder, `${key}.ts`)))).toEqual([]);
  });

  test('waits in no circle, and only for what is in it', () => {
    assertAcyclic(shapeOf(stack));
    const keys = new Set(stack.map(({ key }) => key));
    const missing = stack.flatMap(({ key, dependsOn }) =>
      Object.values(dependsOn).flatMap((need) => (keys.has(need.key) ? [] : [`${key} → ${need.key}`])),
    );
    expect(missing).toEqual([]);
  });

  test('has a title for every resource', () => {
    expect(stack.filter(({ title }) => title.trim() === '')).toEqual([]);
  });
});

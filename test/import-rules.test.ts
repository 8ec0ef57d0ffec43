import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const statement = /^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;

const files = globSync('{src,sandbox,test}/**/*.ts', { cwd: root }).map((file) => file.replaceAll('\\', '/'));
const imports: Import[] = files.flatMap((from) =>
  [...readFileSync(join(root, from), 'utf8').matchAll(statement)].map(([, typeOnly, target = '']) => ({
    from,
    to: target.startsWith('.') ? normalize(join(dirname(from), target)).replaceAll('\\', '/') : target,
    typeOnly: typeOnly !== undefined,
  })),
);
const inFolder = (folder: string) => (file: string) => file.startsWith(`${folder}/`);
const broken = (rule: (item: Import) => boolean): string[] =>
  imports.filter(rule).map(({ from, to }) => `${from} imports ${to}`);

describe('import rules', () => {
  test('there is something to check', () => {
    expect(imports.length).toBeGreaterThan(100);
  });

  test('src knows neither sandbox nor test', () => {
    expect(
      broken(({ from, to }) => inFolder('src')(from) && (inFolder('sandbox')(to) || inFolder('test')(to))),
    ).toEqual([]);
  });

  test('sandbox knows neither src nor test: what passes there must not lean on the code it proves', () => {
    expect(
      broken(({ from, to }) => inFolder('sandbox')(from) && (inFolder('src')(to) || inFolder('test')(to))),
    ).toEqual([]);
  });

  test('graph imports nothing from outside itself', () => {
    expect(broken(({ from, to }) => inFolder('src/graph')(from) && !inFolder('src/graph')(to))).toEqual([]);
  });

  test('orchestrations import graph, themselves and the types of durable-functions', () => {
    const allowed = ({ to, typeOnly }: Import): boolean =>
      inFolder('src/graph')(to) ||
      inFolder('src/orchestrations')(to) ||
      (to === 'durable-functions' && typeOnly);
    expect(broken((item) => inFolder('src/orchestrations')(item.from) && !allowed(item))).toEqual([]);
  });

  test('resources import graph, clients, naming, spec and other resources', () => {
    const allowed = (to: string): boolean =>
      !to.startsWith('src/') ||
      ['src/graph', 'src/clients', 'src/resources', 'src/spec'].some((folder) => inFolder(folder)(to)) ||
      to === 'src/naming.ts';
    expect(broken(({ from, to }) => inFolder('src/resources')(from) && !allowed(to))).toEqual([]);
  });

  test('only main.ts imports the doors', () => {
    const doors = ['src/api', 'src/timers'];
    expect(
      broken(({ from, to }) =>
        doors.some(
          (door) =>
            inFolder(door)(to) && !inFolder(door)(from) && inFolder('src')(from) && from !== 'src/main.ts',
        ),
      ),
    ).toEqual([]);
  });

  test('only main.ts and the clients themselves make clients', () => {
    const makers = /^src\/clients\/(create-clients|credential)\.ts$/;
    expect(
      broken(
        ({ from, to }) =>
          makers.test(to) &&
          inFolder('src')(from) &&
          !inFolder('src/clients')(from) &&
          from !== 'src/main.ts',
      ),
    ).toEqual([]);
  });

  test('only config.ts and main.ts touch the environment', () => {
    const readers = files.filter(
      (file) => inFolder('src')(file) && /process\.env/.test(readFileSync(join(root, file), 'utf8')),
    );
    expect(readers.filter((file) => file !== 'src/config.ts' && file !== 'src/main.ts')).toEqual([]);
  });

  test('no file of src waits for an own circle of imports', () => {
    const edges = new Map<string, string[]>();
    for (const { from, to, typeOnly } of imports) {
      if (!typeOnly && to.startsWith('src/')) edges.set(from, [...(edges.get(from) ?? []), to]);
    }
    const circles: string[] = [];
    const settled = new Set<string>();
    const visit = (file: string, trail: readonly string[]): void => {
      if (trail.includes(file)) circles.push([...trail.slice(trail.indexOf(file)), file].join(' → '));
      else if (!settled.has(file)) {
        for (const to of edges.get(file) ?? []) visit(to, [...trail, file]);
        settled.add(file);
      }
    };
    for (const file of edges.keys()) visit(file, []);
    expect(circles).toEqual([]);
  });
});

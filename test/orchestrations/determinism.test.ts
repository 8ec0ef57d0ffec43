import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const files = globSync('src/orchestrations/**/*.ts', { cwd: root });
const code = (file: string): string =>
  readFileSync(join(root, file), 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/\/\/.*$/gm, '');

/** The linter's output for a line of code, were it an orchestration; by the repository's own rules, elsewhere. */
function lint(text: string): string {
  const elsewhere = mkdtempSync(join(tmpdir(), 'determinism-'));
  try {
    const folder = join(elsewhere, 'src', 'orchestrations');
    mkdirSync(folder, { recursive: true });
    cpSync(join(root, 'biome.json'), join(elsewhere, 'biome.json'));
    writeFileSync(join(folder, 'probe.ts'), text);
    const { stdout, stderr } = spawnSync(
      join(root, 'node_modules', '.bin', 'biome'),
      ['lint', '--vcs-enabled=false', '--diagnostic-level=error', folder],
      { cwd: elsewhere, encoding: 'utf8' },
    );
    return stdout + stderr;
  } finally {
    rmSync(elsewhere, { recursive: true, force: true });
  }
}

describe('the determinism fence around orchestrations', () => {
  test('has something to guard', () => {
    expect(files.length).toBeGreaterThan(2);
  });

  test.each([
    'Date.now()',
    'new Date()',
    'process.env',
    'fetch("https://example.com")',
    'setTimeout(() => {}, 1)',
    'crypto.randomUUID()',
    'performance.now()',
  ])('refuses %s', (expression) => {
    expect(lint(`export const value = ${expression};\n`)).toContain('noRestrictedGlobals');
  });

  test('lets a pure function pass', () => {
    const said = lint('export const double = (value: number): number => value * 2;\n');
    expect(said).toContain('Checked 1 file');
    expect(said).not.toContain('noRestrictedGlobals');
  });

  test('holds: nothing asynchronous, random or kept between runs', () => {
    const broken = files.flatMap((file) =>
      [/\basync\b/, /\bawait\b/, /\bPromise\b/, /Math\.random/, /^(?:export )?let /m]
        .filter((rule) => rule.test(code(file)))
        .map((rule) => `${file}: ${rule}`),
    );
    expect(broken).toEqual([]);
  });
});

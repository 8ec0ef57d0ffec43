import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A new directory for one suite, which removes it. Everybody may pass through it: run by root, PostgreSQL steps down to
 * another account, and where that cannot go it keeps its data elsewhere.
 */
export function makeDirectory(prefix: string): string {
  const directory = mkdtempSync(join(tmpdir(), prefix));
  chmodSync(directory, 0o711);
  return directory;
}

/**
 * The other Python program that the sandbox knows: it writes one small file and takes it away. A pod only gets this far
 * when its volume is mounted, so what is left to go wrong is that nothing persistent is mounted where it writes.
 */
import type { ProcessContext } from './process.ts';

/** The file that the program writes; undefined for any other program. */
export function writtenFile([, flag, source, ...rest]: readonly string[]): string | undefined {
  if (flag !== '-c' || source === undefined || rest.length > 0) return undefined;
  const isWrite =
    source.includes('with open(path, "w") as file:') && source.includes('os.fsync(file.fileno())');
  return isWrite && source.includes('os.remove(path)') ? /^path = "(.+)"$/m.exec(source)?.[1] : undefined;
}

/** What `strerror` would say; undefined when it could be written. */
export const writeProblem = ({ mounts }: ProcessContext, file: string): string | undefined =>
  mounts.some(({ path, isPersistent }) => isPersistent && file.startsWith(`${path}/`))
    ? undefined
    : 'Read-only file system';

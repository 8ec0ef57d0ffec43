/** One thing wrong with a spec, and where. Messages never repeat a value: what was pasted may be a secret. */
export interface Problem {
  /** Dotted path as a reader would write it: `cluster.nodePools[1].name`, `postgres.parameters['azure.extensions']`. */
  readonly field: string;
  /** Completes the sentence "the field …". */
  readonly message: string;
}

export const problem = (field: string, message: string): Problem => ({ field, message });

/** Writes a path; names that would read as two are put in brackets. */
export function fieldOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((so, part) => {
    if (typeof part === 'number') return `${so}[${part}]`;
    const name = String(part);
    if (!/^[\w$-]+$/.test(name)) return `${so}['${name.replaceAll("'", "\\'")}']`;
    return so === '' ? name : `${so}.${name}`;
  }, '');
}

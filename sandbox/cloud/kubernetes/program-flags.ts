/** Command-line flags as cobra programs (helm, kubectl) take them. */

export interface Flags {
  readonly positional: readonly string[];
  /** By name without dashes; every value that was given, in order. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
}

/** `switches` are flags that take no value; everything else that begins with a dash takes the next word. */
export function parseFlags(words: readonly string[], switches: readonly string[]): Flags {
  const positional: string[] = [];
  const flags = new Map<string, string[]>();
  const add = (name: string, value: string): void =>
    void flags.set(name, [...(flags.get(name) ?? []), value]);
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    const match = /^--?([A-Za-z][\w-]*)(?:=(.*))?$/s.exec(word);
    if (!match) {
      positional.push(word);
      continue;
    }
    const [, name = '', value] = match;
    if (value !== undefined) add(name, value);
    else if (switches.includes(name)) add(name, 'true');
    else {
      index += 1;
      add(name, words[index] ?? '');
    }
  }
  return { positional, flags };
}

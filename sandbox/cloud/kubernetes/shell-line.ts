/** The little of a shell that run command's lines need: words, quotes, and commands joined by `&&`, `;` or line ends. */

export interface ShellCommand {
  readonly words: readonly string[];
  /** Runs only if the one before succeeded. */
  readonly onlyAfterSuccess: boolean;
}

/** Throws SyntaxError on an open quote and on what is not understood (pipes, redirections, substitutions). */
export function parseShell(text: string): ShellCommand[] {
  const commands: ShellCommand[] = [];
  let words: string[] = [];
  let word: string | undefined;
  let onlyAfterSuccess = false;
  const endWord = (): void => {
    if (word !== undefined) words.push(word);
    word = undefined;
  };
  const endCommand = (joint: '&&' | ';'): void => {
    endWord();
    if (words.length > 0) commands.push({ words, onlyAfterSuccess });
    words = [];
    onlyAfterSuccess = joint === '&&';
  };
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index] ?? '';
    if (character === "'" || character === '"') {
      const end = closingQuote(text, index);
      word = (word ?? '') + unescaped(text.slice(index + 1, end), character);
      index = end;
    } else if (character === '\\') {
      index += 1;
      if (text[index] !== '\n') word = (word ?? '') + (text[index] ?? '');
    } else if (character === '&' && text[index + 1] === '&') {
      index += 1;
      endCommand('&&');
    } else if (character === ';' || character === '\n') endCommand(';');
    else if (/\s/.test(character)) endWord();
    else if ('|&<>`'.includes(character) || (character === '$' && text[index + 1] === '(')) {
      throw new SyntaxError(`the sandbox does not understand ${JSON.stringify(character)} in a command`);
    } else word = (word ?? '') + character;
  }
  endCommand(';');
  return commands;
}

function closingQuote(text: string, start: number): number {
  const quote = text[start];
  for (let index = start + 1; index < text.length; index += 1) {
    if (quote === '"' && text[index] === '\\') index += 1;
    else if (text[index] === quote) return index;
  }
  throw new SyntaxError(`unexpected EOF while looking for matching ${JSON.stringify(quote)}`);
}

function unescaped(text: string, quote: string): string {
  return quote === '"' ? text.replace(/\\(["\\$`])/g, '$1') : text;
}

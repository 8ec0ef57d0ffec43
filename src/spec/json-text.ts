/**
 * Reads JSON and says where it goes wrong. `JSON.parse` alone will not do: it often names no position, repeats the
 * text around the flaw, and lets the last of two equal names win without a word.
 */
import { DEEPEST, flawAt, type ParsedText } from './text-flaw.ts';

const blank = /[ \t\r\n]*/y;
const token =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids exactly these within quotes
  /[{}[\]:,]|"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})[^"\\\u0000-\u001f]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

type Expected =
  | 'a value'
  | 'a value or ]'
  | 'a name in double quotes'
  | 'a name in double quotes or }'
  | 'a colon'
  | 'a comma or }'
  | 'a comma or ]'
  | 'nothing more';

/** The names seen so far in an object; a list has none. */
type Container = Set<string> | 'list';

interface State {
  readonly open: Container[];
  expected: Expected;
}

function matchAt(pattern: RegExp, text: string, offset: number): string {
  pattern.lastIndex = offset;
  return pattern.exec(text)?.[0] ?? '';
}

function afterValue(open: readonly Container[]): Expected {
  const container = open.at(-1);
  if (container === undefined) return 'nothing more';
  return container === 'list' ? 'a comma or ]' : 'a comma or }';
}

/** Takes one token in; answers with the objection to it, if there is one. */
function advance(state: State, found: string): string | undefined {
  const { open, expected } = state;
  const objection = expected === 'nothing more' ? 'goes on after its end' : `needs ${expected}`;
  switch (found) {
    case '{':
    case '[':
      if (!expected.startsWith('a value')) return objection;
      if (open.length === DEEPEST) return `is nested more than ${DEEPEST} deep`;
      open.push(found === '[' ? 'list' : new Set());
      state.expected = found === '[' ? 'a value or ]' : 'a name in double quotes or }';
      return undefined;
    case '}':
    case ']':
      if (!expected.endsWith(`or ${found}`)) return objection;
      open.pop();
      state.expected = afterValue(open);
      return undefined;
    case ':':
      if (expected !== 'a colon') return objection;
      state.expected = 'a value';
      return undefined;
    case ',':
      if (!expected.startsWith('a comma')) return objection;
      state.expected = open.at(-1) === 'list' ? 'a value' : 'a name in double quotes';
      return undefined;
    default:
      return advanceScalar(state, found, objection);
  }
}

function advanceScalar(state: State, found: string, objection: string): string | undefined {
  const names = state.open.at(-1);
  if (state.expected.startsWith('a name') && found.startsWith('"') && names instanceof Set) {
    const name: string = JSON.parse(found);
    if (names.has(name)) return 'has this name twice in one object';
    names.add(name);
    state.expected = 'a colon';
    return undefined;
  }
  if (found === '' || !state.expected.startsWith('a value')) return objection;
  state.expected = afterValue(state.open);
  return undefined;
}

export function parseJsonText(text: string): ParsedText {
  const state: State = { open: [], expected: 'a value' };
  let offset = matchAt(blank, text, 0).length;
  while (offset < text.length) {
    const found = matchAt(token, text, offset);
    const objection = advance(state, found);
    if (objection) return flawAt(text, offset, objection);
    offset += found.length;
    offset += matchAt(blank, text, offset).length;
  }
  if (state.expected !== 'nothing more') {
    return flawAt(text, text.length, `ends too early: it needs ${state.expected}`);
  }
  return { ok: true, value: JSON.parse(text) };
}

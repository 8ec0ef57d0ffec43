/**
 * Reads one YAML document of the core schema. The parser's time grows with the square of some hostile texts and
 * exponentially with nested flow mappings, so the tokens are counted before it sees them; lexing is linear.
 */
import { CST, Lexer, parseDocument } from 'yaml';
import { DEEPEST, flawAt, type ParsedText } from './text-flaw.ts';

/** A spec of the largest size that can be stored has fewer. */
const MOST_TOKENS = 20_000;
/** How often anchors may be repeated in all, counted the parser's way; a few hundred bytes can else become gigabytes. */
const MOST_ALIASES = 100;

/** The objection to a text that would take the parser too long, with the place it was noticed at. */
function excess(text: string): { readonly offset: number; readonly message: string } | undefined {
  let offset = 0;
  let tokens = 0;
  let flowDepth = 0;
  let indicatorsInLine = 0;
  for (const source of new Lexer().lex(text)) {
    tokens += 1;
    switch (CST.tokenType(source)) {
      case 'newline':
        indicatorsInLine = 0;
        break;
      case 'flow-map-start':
      case 'flow-seq-start':
        flowDepth += 1;
        break;
      case 'flow-map-end':
      case 'flow-seq-end':
        flowDepth = Math.max(0, flowDepth - 1);
        break;
      case 'seq-item-ind':
      case 'explicit-key-ind':
        indicatorsInLine += 1;
        break;
    }
    if (Math.max(flowDepth, indicatorsInLine) > DEEPEST) {
      return { offset, message: `is nested more than ${DEEPEST} deep` };
    }
    if (tokens > MOST_TOKENS) return { offset, message: `has more than ${MOST_TOKENS} words and signs` };
    offset += source.length;
  }
  return undefined;
}

/** Deeper than allowed, or a mapping that contains itself through an alias. */
function isTooDeep(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth >= DEEPEST || Object.values(value).some((item) => isTooDeep(item, depth + 1));
}

export function parseYamlText(text: string): ParsedText {
  const tooMuch = excess(text);
  if (tooMuch) return flawAt(text, Math.min(tooMuch.offset, text.length), tooMuch.message);

  const document = parseDocument(text, {
    schema: 'core',
    prettyErrors: false,
    stringKeys: true,
    uniqueKeys: true,
    // No !!binary, !!set and the like: a spec holds what JSON can.
    resolveKnownTags: false,
  });
  const [flaw] = [...document.errors, ...document.warnings];
  if (flaw) {
    return flawAt(text, Math.min(flaw.pos[0], text.length), flawMessages[flaw.code] ?? 'is not valid YAML');
  }
  try {
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
    return isTooDeep(value) ? flawAt(text, 0, `is nested more than ${DEEPEST} deep`) : { ok: true, value };
  } catch (error) {
    // The parser resolves aliases last and only then objects: to one without an anchor, or to too many.
    if (error instanceof ReferenceError) {
      return flawAt(
        text,
        Math.max(0, text.indexOf('*')),
        'repeats an anchor too often, or one that is not there',
      );
    }
    throw error;
  }
}

/** In our own words: the parser's would quote the text. */
const flawMessages: Readonly<Record<string, string>> = {
  ALIAS_PROPS: 'has an alias with a tag or anchor',
  BAD_ALIAS: 'has an alias without a name',
  BAD_DIRECTIVE: 'has a directive that is not known',
  BAD_DQ_ESCAPE: 'has an unknown escape in double quotes',
  BAD_INDENT: 'is not indented as its neighbours are',
  BAD_PROP_ORDER: 'has a tag or anchor in the wrong place',
  BAD_SCALAR_START: 'has a value that begins with a reserved sign; put it in quotes',
  BLOCK_AS_IMPLICIT_KEY:
    'has a name that is not a simple one, or a line that is not indented as its neighbours are',
  BLOCK_IN_FLOW: 'has an indented block within brackets',
  DUPLICATE_KEY: 'has this name twice in one mapping',
  IMPOSSIBLE: 'is not valid YAML',
  KEY_OVER_1024_CHARS: 'has a name of more than 1024 characters',
  MISSING_CHAR: 'lacks a sign: a closing quote or bracket, a comma, a colon or a blank',
  MULTILINE_IMPLICIT_KEY: 'has a name that goes over several lines; a colon may be missing',
  MULTIPLE_ANCHORS: 'has two anchors at one place',
  MULTIPLE_DOCS: 'begins a second document; one is expected',
  MULTIPLE_TAGS: 'has two tags at one place',
  NON_STRING_KEY: 'has a name that is not text; put it in quotes',
  RESOURCE_EXHAUSTION: 'is nested too deep',
  TAB_AS_INDENT: 'is indented with a tab; use blanks',
  TAG_RESOLVE_FAILED: 'has a tag that is not known here',
  UNEXPECTED_TOKEN: 'has something here that was not expected',
};

/**
 * Conditions on role assignments, as far as they limit which roles their holder may hand out: the actions, and the
 * attributes of role assignments. https://learn.microsoft.com/azure/role-based-access-control/conditions-format
 */
import { matchesPattern } from './roles.ts';

/** What a condition can ask about the assignment that is written (`@Request`) or deleted (`@Resource`). */
export interface AssignmentAttributes {
  readonly RoleDefinitionId: string;
  readonly PrincipalId: string;
  readonly PrincipalType: string;
}

/** Attributes are undefined before they are known: comparisons then hold, and are asked again later. */
interface Question {
  readonly action: string;
  readonly attributes: AssignmentAttributes | undefined;
}
type Expression = (question: Question) => boolean;

const TOKENS =
  /\s*(?:(&&|\|\||[!()]|AND\b|OR\b|NOT\b)|ActionMatches\s*\{\s*'([^']*)'\s*\}|@(?:Request|Resource)\[Microsoft\.Authorization\/roleAssignments:(RoleDefinitionId|PrincipalId|PrincipalType)\]\s*(?:ForAnyOfAnyValues:|ForAnyOfAllValues:)?(Guid(?:Not)?Equals|String(?:Not)?Equals(?:IgnoreCase)?)\s*\{([^}]*)\})/giy;

type Token = string | Expression;

/** Undefined when the condition says something the sandbox cannot judge. */
export function parseCondition(text: string): Expression | undefined {
  const tokens = tokenize(text.trim());
  if (!tokens) return undefined;
  let at = 0;
  const isNext = (...words: string[]): boolean => {
    const token = tokens[at];
    if (typeof token !== 'string' || !words.includes(token)) return false;
    at += 1;
    return true;
  };
  const parseAny = (): Expression | undefined => {
    let left = parseAll();
    while (left && isNext('||', 'OR')) {
      const [before, right] = [left, parseAll()];
      left = right && ((question) => before(question) || right(question));
    }
    return left;
  };
  const parseAll = (): Expression | undefined => {
    let left = parseOne();
    while (left && isNext('&&', 'AND')) {
      const [before, right] = [left, parseOne()];
      left = right && ((question) => before(question) && right(question));
    }
    return left;
  };
  const parseOne = (): Expression | undefined => {
    if (isNext('!', 'NOT')) {
      const inner = parseOne();
      return inner && ((question) => !inner(question));
    }
    if (isNext('(')) {
      const inner = parseAny();
      return isNext(')') ? inner : undefined;
    }
    const token = tokens[at];
    at += 1;
    return typeof token === 'function' ? token : undefined;
  };
  const whole = parseAny();
  return at === tokens.length ? whole : undefined;
}

function tokenize(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  TOKENS.lastIndex = 0;
  while (TOKENS.lastIndex < text.length) {
    const match = TOKENS.exec(text);
    if (!match) return undefined;
    const [, word, pattern, attribute, comparison, values] = match;
    if (word !== undefined) tokens.push(word.toUpperCase());
    else if (pattern !== undefined) tokens.push(({ action }) => matchesPattern(pattern, action));
    else tokens.push(compare(attribute ?? '', comparison ?? '', values ?? ''));
  }
  return tokens;
}

function compare(attribute: string, comparison: string, values: string): Expression {
  const list = values.split(',').map((value) => value.trim().replaceAll("'", '').toLowerCase());
  return ({ attributes }) => {
    if (!attributes) return true;
    const value = attributes[attribute as keyof AssignmentAttributes].split('/').at(-1)?.toLowerCase() ?? '';
    return list.includes(value) !== /not/i.test(comparison);
  };
}

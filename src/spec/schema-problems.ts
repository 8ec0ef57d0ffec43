/** Turns what the schema objects to into sentences for people: one per field, saying what was given but not its value. */
import type { z } from 'zod';
import { fieldOf, type Problem, problem } from './problem.ts';

type Issue = z.core.$ZodIssue;

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
};

/** What a value is, in words; never the value itself. */
function kindOf(value: unknown): string {
  if (value === null) return 'nothing (null)';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return 'a number without limit';
    return Number.isInteger(value) ? 'a number' : 'a fraction';
  }
  return kinds[typeof value] ?? typeof value;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, part) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, part)
        ? Reflect.get(value, part)
        : undefined,
    input,
  );
}

/** YAML reads 18 and 1.33 as numbers; the commonest mistake of all deserves its remedy. */
const inQuotes = (given: unknown): string =>
  typeof given === 'number' || typeof given === 'boolean' ? '; put it in quotes' : '';

function messageOf(issue: Issue, given: unknown): string {
  switch (issue.code) {
    case 'invalid_type': {
      if (given === undefined) return 'is missing';
      const wanted = kinds[issue.expected] ?? issue.expected;
      return `must be ${wanted}, not ${kindOf(given)}${issue.expected === 'string' ? inQuotes(given) : ''}`;
    }
    case 'invalid_value': {
      if (given === undefined) return 'is missing';
      const choices = issue.values.map(String).join(', ');
      const wantsText = issue.values.every((value) => typeof value === 'string');
      if (wantsText && typeof given !== 'string') {
        return `must be one of ${choices} as text, not ${kindOf(given)}${inQuotes(given)}`;
      }
      return `must be one of ${choices}`;
    }
    case 'too_small':
      if (issue.origin === 'string') return 'must not be empty';
      return issue.origin === 'array'
        ? `must have at least ${issue.minimum} entry`
        : `must be at least ${issue.minimum}`;
    case 'too_big':
      if (issue.origin === 'string')
        return issue.message.startsWith('must')
          ? issue.message
          : `must be at most ${issue.maximum} characters`;
      return `must be at most ${issue.maximum}`;
    case 'invalid_key':
      return issue.issues[0]?.message ?? issue.message;
    default:
      return issue.message;
  }
}

/** All problems at once, in the order of the schema's fields; `input` is what was checked, `what` its name for people. */
export function schemaProblems(
  issues: readonly Issue[],
  input: unknown,
  what = 'the spec',
): readonly Problem[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      const unknown = issue.keys.filter((key) => key !== '__proto__');
      return unknown.map((key) => problem(fieldOf([...issue.path, key]), `is not a field of ${what}`));
    }
    return [problem(fieldOf(issue.path), messageOf(issue, valueAt(input, issue.path)))];
  });
}

/** Which events a subscription wants. https://learn.microsoft.com/azure/event-grid/event-filtering */
import { z } from 'zod';
import type { GridEvent } from './envelope.ts';

const key = z.string().min(1);
const strings = z.array(z.string()).min(1).max(25);
const numbers = z.array(z.number()).min(1).max(25);
const ranges = z
  .array(z.tuple([z.number(), z.number()]))
  .min(1)
  .max(25);

const stringOperators = [
  'StringIn',
  'StringNotIn',
  'StringContains',
  'StringNotContains',
  'StringBeginsWith',
  'StringNotBeginsWith',
  'StringEndsWith',
  'StringNotEndsWith',
] as const;
const comparisons = [
  'NumberLessThan',
  'NumberLessThanOrEquals',
  'NumberGreaterThan',
  'NumberGreaterThanOrEquals',
] as const;

const advancedFilter = z.union([
  z.strictObject({ operatorType: z.enum(stringOperators), key, values: strings }),
  z.strictObject({ operatorType: z.enum(['NumberIn', 'NumberNotIn']), key, values: numbers }),
  z.strictObject({ operatorType: z.enum(['NumberInRange', 'NumberNotInRange']), key, values: ranges }),
  z.strictObject({ operatorType: z.enum(comparisons), key, value: z.number() }),
  z.strictObject({ operatorType: z.literal('BoolEquals'), key, value: z.boolean() }),
  z.strictObject({ operatorType: z.enum(['IsNullOrUndefined', 'IsNotNull']), key }),
]);
type AdvancedFilter = z.infer<typeof advancedFilter>;

export const filterSchema = z.strictObject({
  /** Null: all types. */
  includedEventTypes: z.array(z.string()).nullish(),
  subjectBeginsWith: z.string().optional(),
  subjectEndsWith: z.string().optional(),
  isSubjectCaseSensitive: z.boolean().optional(),
  enableAdvancedFilteringOnArrays: z.boolean().nullish(),
  advancedFilters: z
    .array(advancedFilter)
    .refine(
      (filters) => filters.reduce((sum, one) => sum + ('values' in one ? one.values.length : 1), 0) <= 25,
      'at most 25 advanced filter values',
    )
    .nullish(),
});
export type Filter = z.infer<typeof filterSchema>;

export function matches(filter: Filter | undefined, event: GridEvent): boolean {
  if (!filter) return true;
  const types = filter.includedEventTypes?.map((type) => type.toLowerCase());
  if (types && types.length > 0 && !types.includes(event.eventType.toLowerCase())) return false;
  const fold = (text: string): string => (filter.isSubjectCaseSensitive ? text : text.toLowerCase());
  const subject = fold(event.subject);
  if (!subject.startsWith(fold(filter.subjectBeginsWith ?? ''))) return false;
  if (!subject.endsWith(fold(filter.subjectEndsWith ?? ''))) return false;
  const onArrays = filter.enableAdvancedFilteringOnArrays === true;
  return (filter.advancedFilters ?? []).every((one) => passes(one, valueAt(event, one.key), onArrays));
}

/** Keys by either schema's names; below `data` as deep as they go. */
function valueAt(event: GridEvent, path: string): unknown {
  const [first = '', ...rest] = path.split('.');
  const top: Readonly<Record<string, unknown>> = {
    id: event.id,
    topic: event.topic,
    source: event.topic,
    subject: event.subject,
    eventtype: event.eventType,
    type: event.eventType,
    dataversion: event.dataVersion,
    specversion: '1.0',
    data: event.data,
  };
  let found = top[first.toLowerCase()];
  for (const part of rest) {
    found =
      typeof found === 'object' && found !== null && !Array.isArray(found)
        ? (found as Record<string, unknown>)[part]
        : undefined;
  }
  return found;
}

/** A negated operator also lets events through that lack the key; any other does not. */
function passes(filter: AdvancedFilter, found: unknown, onArrays: boolean): boolean {
  switch (filter.operatorType) {
    case 'IsNullOrUndefined':
      return found === undefined || found === null;
    case 'IsNotNull':
      return found !== undefined && found !== null;
    default:
  }
  const isNegated = filter.operatorType.includes('Not');
  const values: unknown[] = Array.isArray(found) ? (onArrays ? found : []) : [found];
  const hit = values.some((value) => hits(filter, value));
  return isNegated ? !hit : hit;
}

function hits(filter: AdvancedFilter, found: unknown): boolean {
  switch (filter.operatorType) {
    case 'BoolEquals':
      return found === filter.value;
    case 'NumberIn':
    case 'NumberNotIn':
      return typeof found === 'number' && filter.values.includes(found);
    case 'NumberInRange':
    case 'NumberNotInRange':
      return typeof found === 'number' && filter.values.some(([low, high]) => found >= low && found <= high);
    case 'NumberLessThan':
      return typeof found === 'number' && found < filter.value;
    case 'NumberLessThanOrEquals':
      return typeof found === 'number' && found <= filter.value;
    case 'NumberGreaterThan':
      return typeof found === 'number' && found > filter.value;
    case 'NumberGreaterThanOrEquals':
      return typeof found === 'number' && found >= filter.value;
    case 'IsNullOrUndefined':
    case 'IsNotNull':
      return false;
    default:
      return typeof found === 'string' && hitsText(filter.operatorType, filter.values, found.toLowerCase());
  }
}

/** Comparisons of strings never regard case. */
function hitsText(
  operator: (typeof stringOperators)[number],
  values: readonly string[],
  found: string,
): boolean {
  const wanted = values.map((value) => value.toLowerCase());
  switch (operator) {
    case 'StringIn':
    case 'StringNotIn':
      return wanted.includes(found);
    case 'StringContains':
    case 'StringNotContains':
      return wanted.some((value) => found.includes(value));
    case 'StringBeginsWith':
    case 'StringNotBeginsWith':
      return wanted.some((value) => found.startsWith(value));
    case 'StringEndsWith':
    case 'StringNotEndsWith':
      return wanted.some((value) => found.endsWith(value));
  }
}

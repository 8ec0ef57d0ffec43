import type { HttpRequest } from '@azure/functions';
import { z } from 'zod';
import type { ProblemDetails } from './problem.ts';

const DEFAULT_TOP = '50';

/** How many of a list are asked for, `?top=`. */
export function topOf(
  request: HttpRequest,
  most: number,
): { readonly ok: true; readonly value: number } | { readonly ok: false; readonly details: ProblemDetails } {
  const top = z.coerce
    .number()
    .int()
    .min(1)
    .max(most)
    .safeParse(request.query.get('top') ?? DEFAULT_TOP);
  if (top.success) return { ok: true, value: top.data };
  const errors = [{ field: 'top', message: `must be a whole number from 1 to ${most}` }];
  return { ok: false, details: { detail: 'The query is not right.', errors } };
}

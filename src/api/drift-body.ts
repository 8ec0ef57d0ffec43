/** What the calls about drift and pauses have in common: a small body that may be left out, and names of resources. */
import type { HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions';
import { z } from 'zod';
import type { ResourceKey } from '../graph/resource.ts';
import { stack } from '../resources/index.ts';
import { readBody } from '../spec/read-body.ts';
import { bodyProblems, refuse } from './problem.ts';

const keys: ReadonlySet<string> = new Set(stack.map(({ key }) => key));

export const resourceKey = z.custom<ResourceKey>(
  (value) => typeof value === 'string' && keys.has(value),
  'must be the key of a resource, such as azure/postgres-server',
);
export const resourceKeys = z
  .array(resourceKey, 'must be a list of keys of resources')
  .min(1, 'must name at least one');

export type AskedBody<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: HttpResponseInit };

/** `isOptional`: no body is an empty one. */
export async function askedBody<T>(
  request: HttpRequest,
  context: InvocationContext,
  schema: z.ZodType<T>,
  { isOptional = false }: { readonly isOptional?: boolean } = {},
): Promise<AskedBody<T>> {
  const isEmpty = isOptional && (request.body === null || request.headers.get('content-length') === '0');
  const body = isEmpty ? { ok: true as const, value: {} } : await readBody(request);
  if (!body.ok) {
    const refusal = refuse(request, context, bodyProblems[body.reason], { detail: `${body.message}.` });
    return { ok: false, refusal };
  }
  const parsed = schema.safeParse(body.value);
  if (parsed.success) return { ok: true, value: parsed.data };
  const errors = parsed.error.issues.map(({ path, message }) => ({
    field: path.join('.') || 'body',
    message,
  }));
  return {
    ok: false,
    refusal: refuse(request, context, 'invalid-request', { detail: 'Nothing was changed.', errors }),
  };
}

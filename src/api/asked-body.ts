/**
 * The body of a request that asks for something, by its schema; what is wrong with it names the field. A list of names may
 * stand in the query instead (`?resources=azure/cluster,kubernetes/ollama`), so that a finding can name a call in one line.
 */
import type { HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions';
import type { z } from 'zod';
import { type Problem, problem } from '../spec/problem.ts';
import { type ReadBody, readBody } from '../spec/read-body.ts';
import { schemaProblems } from '../spec/schema-problems.ts';
import { bodyProblems, refuse } from './problem.ts';

/** A request that says nothing of its body may still come with one: an empty one, in pieces. */
async function bodyOf(
  request: HttpRequest,
  isOptional: boolean,
  list: string | undefined,
): Promise<ReadBody> {
  const listed = list === undefined ? null : request.query.get(list);
  if (listed !== null) return { ok: true, value: { [list ?? '']: listed.split(',') } };
  if (isOptional && request.headers.get('content-length') === '0') return { ok: true, value: {} };
  const body = await readBody(request);
  return isOptional && !body.ok && body.reason === 'empty' ? { ok: true, value: {} } : body;
}

export type AskedBody<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: HttpResponseInit };

/** `isOptional`: no body is an empty one. `list`: the field that may stand in the query; it is not looked for in a body then. */
export async function askedBody<T>(
  request: HttpRequest,
  context: InvocationContext,
  schema: z.ZodType<T>,
  { isOptional = false, list }: { readonly isOptional?: boolean; readonly list?: string } = {},
): Promise<AskedBody<T>> {
  const invalid = (errors: readonly Problem[]): AskedBody<T> => ({
    ok: false,
    refusal: refuse(request, context, 'invalid-request', { detail: 'Nothing was changed.', errors }),
  });
  const body = await bodyOf(request, isOptional, list);
  if (!body.ok && body.reason === 'empty' && list !== undefined) {
    return invalid([problem(list, `is missing: say it as ?${list}=… or in the body`)]);
  }
  if (!body.ok) {
    const refusal = refuse(request, context, bodyProblems[body.reason], { detail: `${body.message}.` });
    return { ok: false, refusal };
  }
  const parsed = schema.safeParse(body.value);
  if (parsed.success) return { ok: true, value: parsed.data };
  const problems = schemaProblems(parsed.error.issues, body.value, 'this request');
  return invalid(problems.map(({ field, message }) => problem(field || 'body', message)));
}

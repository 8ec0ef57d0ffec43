/**
 * Refusals as RFC 9457 problem details. The kind, at the end of `type`, is a name that stays; the text for people may
 * change.
 */
import type { HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions';
import type { Problem as FieldProblem } from '../spec/problem.ts';
import type { ReadBody } from '../spec/read-body.ts';

const kinds = {
  'malformed-body': { status: 400, title: 'The body cannot be read' },
  'invalid-spec': { status: 400, title: 'The spec is not valid' },
  'invalid-request': { status: 400, title: 'The request is not valid' },
  'not-found': { status: 404, title: 'There is no such thing' },
  'name-taken': { status: 409, title: 'Another deployment has what this spec asks for' },
  'changed-meanwhile': { status: 409, title: 'Somebody else is changing the same deployment' },
  'precondition-failed': { status: 412, title: 'The deployment is not as the request expects it' },
  'too-large': { status: 413, title: 'The body is too large' },
  'unsupported-body': { status: 415, title: 'The body has a form that is not understood' },
  unexpected: { status: 500, title: 'Something went wrong here' },
  'not-answered': { status: 503, title: 'The cloud did not answer as it should' },
  'not-ready': { status: 503, title: 'The app is not ready yet' },
  'not-started': { status: 503, title: 'What was asked for is stored, but the work could not be started' },
} as const;

export type ProblemKind = keyof typeof kinds;

/** What a body that cannot be read is answered with. */
export const bodyProblems: Readonly<Record<Extract<ReadBody, { ok: false }>['reason'], ProblemKind>> = {
  malformed: 'malformed-body',
  empty: 'malformed-body',
  'too-large': 'too-large',
  unsupported: 'unsupported-body',
};

export interface ProblemDetails {
  /** One or two sentences about this case, without anything secret. */
  readonly detail: string;
  readonly errors?: readonly FieldProblem[];
  readonly headers?: Readonly<Record<string, string>>;
}

export function refuse(
  request: HttpRequest,
  context: InvocationContext,
  kind: ProblemKind,
  { detail, errors, headers }: ProblemDetails,
): HttpResponseInit {
  const { status, title } = kinds[kind];
  return {
    status,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...headers },
    jsonBody: {
      type: `/problems/${kind}`,
      title,
      status,
      detail,
      instance: new URL(request.url).pathname,
      /** Under which the logs have this request. */
      correlationId: context.invocationId,
      ...(errors ? { errors } : {}),
    },
  };
}

/**
 * The one way to another spec, whichever call asks for it: the same checks, the same refusals, a new revision. What is
 * stored is what people wrote, without defaults, so that a default that changes later still reaches them.
 */
import type { HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions';
import type { Rule } from '../spec/contradictions.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import { type Problem, problem } from '../spec/problem.ts';
import type { DeploymentSpec, DeploymentSpecInput } from '../spec/spec.ts';
import { obstacleTo } from '../store/admission.ts';
import { ConflictError, type DeploymentRecord, type Store } from '../store/store.ts';
import { findDeployment } from './find-deployment.ts';
import { noSuchDeployment, outdatedSpec } from './on-deployment.ts';
import { preconditionHolds, preconditionOf } from './precondition.ts';
import { type ProblemDetails, type ProblemKind, refuse } from './problem.ts';
import { isResourceKey, NO_KEY } from './resource-keys.ts';
import type { ApiDependencies } from './respond.ts';

export type SpecChange =
  | { readonly ok: true; readonly record: DeploymentRecord; readonly at: Date }
  | { readonly ok: false; readonly refusal: HttpResponseInit };

type Checked =
  | { readonly ok: true; readonly given: DeploymentSpecInput }
  | { readonly ok: false; readonly refusal: HttpResponseInit };

/** Somebody who loses so often is better told. */
const TRIES = 5;

/** The whole spec, for a deployment that may not be there yet. */
export async function replaceSpec(
  { store, now = () => new Date() }: ApiDependencies,
  request: HttpRequest,
  context: InvocationContext,
  name: string,
  input: unknown,
): Promise<SpecChange> {
  const checked = await check(store, request, context, name, input);
  if (!checked.ok) return checked;
  const at = now();
  const precondition = preconditionOf(request.headers);
  try {
    return { ok: true, record: await store.putDeployment(name, checked.given, at, precondition), at };
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    const isConditional = precondition.ifMatch !== undefined || precondition.ifNoneMatch !== undefined;
    const kind = isConditional ? 'precondition-failed' : 'changed-meanwhile';
    const detail = `Nothing was written: ${error.message}.`;
    return { ok: false, refusal: refuse(request, context, kind, { detail }) };
  }
}

/**
 * The spec with some fields changed, and the field of the request that changes it; or what is wrong with the wish.
 * `defaulted` is the spec with every default. `fields` says by which field of the request one of the spec is meant, so that
 * what is wrong with it is told in the words of the request.
 */
export type Edit = (
  given: DeploymentSpecInput,
  defaulted: DeploymentSpec,
) =>
  | { readonly spec: unknown; readonly of?: string; readonly fields?: Readonly<Record<string, string>> }
  | { readonly errors: readonly Problem[] };

/** Some fields of the spec of a deployment that is there; what others change at the same moment stays changed. */
export async function changeSpec(
  { store, now = () => new Date() }: ApiDependencies,
  request: HttpRequest,
  context: InvocationContext,
  name: string,
  edit: Edit,
): Promise<SpecChange> {
  const refusal = (kind: ProblemKind, details: ProblemDetails): SpecChange => ({
    ok: false,
    refusal: refuse(request, context, kind, details),
  });
  const precondition = preconditionOf(request.headers);
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const found = await findDeployment(store, name);
    if (!found) return refusal('not-found', noSuchDeployment);
    if (!preconditionHolds(precondition, found.etag)) {
      return refusal('precondition-failed', { detail: 'Nothing was written: the deployment has changed.' });
    }
    const stored = parseSpec(found.name, found.spec);
    if (!stored.ok) {
      return refusal('invalid-spec', { ...outdatedSpec, errors: stored.problems });
    }
    const edited = edit(found.spec, stored.spec);
    if ('errors' in edited) {
      return refusal('invalid-request', { detail: 'Nothing was changed.', errors: edited.errors });
    }
    const checked = await check(store, request, context, found.name, edited.spec, edited);
    if (!checked.ok) return checked;
    const at = now();
    try {
      const record = await store.putDeployment(found.name, checked.given, at, { ifMatch: [found.etag] });
      return { ok: true, record, at };
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
  return refusal('changed-meanwhile', { detail: 'Nothing was written: others keep changing the spec.' });
}

/** A rule about what there is not would never apply. The spec alone cannot know. */
const rulesHaveResources: Rule = ({ spec }) =>
  spec.drift.rules.flatMap(({ resource }, index) =>
    isResourceKey(resource) ? [] : [problem(`drift.rules[${index}].resource`, NO_KEY)],
  );

async function check(
  store: Store,
  request: HttpRequest,
  context: InvocationContext,
  name: string,
  input: unknown,
  { of, fields = {} }: { readonly of?: string; readonly fields?: Readonly<Record<string, string>> } = {},
): Promise<Checked> {
  const parsed = parseSpec(name, input, [rulesHaveResources]);
  if (!parsed.ok) {
    const isOfRequest = parsed.problems.every(({ field }) => Object.hasOwn(fields, field));
    const kind = isOfRequest ? 'invalid-request' : 'invalid-spec';
    const detail = 'Every field that is at fault is named in errors.';
    const errors = parsed.problems.map(({ field, message }) => ({ field: fields[field] ?? field, message }));
    return { ok: false, refusal: refuse(request, context, kind, { detail, errors }) };
  }
  const obstacle = await obstacleTo(store, name, parsed);
  if (obstacle?.kind === 'too-large') {
    const errors = of === undefined ? [] : [{ field: of, message: 'makes the spec too long' }];
    return {
      ok: false,
      refusal: refuse(request, context, 'too-large', { detail: obstacle.message, errors }),
    };
  }
  if (obstacle) {
    const detail = 'Two deployments cannot share what is named in errors.';
    const errors = obstacle.problems;
    return { ok: false, refusal: refuse(request, context, 'name-taken', { detail, errors }) };
  }
  return { ok: true, given: parsed.given };
}

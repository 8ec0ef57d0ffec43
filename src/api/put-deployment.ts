/**
 * PUT /api/deployments/{name}: says what a deployment is to be. Checks the spec, stores it as given, enters an operation
 * and asks the engine to look. Every PUT has an operation of its own; one that comes while work is under way joins it.
 *
 * When the engine cannot be asked, the spec stays stored: it is a wish, and taking it back could take back somebody
 * else's.
 */
import type { HttpHandler } from '@azure/functions';
import { clashes, type NamedSpec } from '../spec/clashes.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import { readBody } from '../spec/read-body.ts';
import { ConflictError, type DeploymentRecord, LARGEST_SPEC_CHARACTERS, type Store } from '../store/store.ts';
import { enterOperation } from './enter-operation.ts';
import { preconditionOf } from './precondition.ts';
import { bodyProblems, refuse } from './problem.ts';
import { type ApiDependencies, answering } from './respond.ts';

export const putDeployment = (dependencies: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const name = request.params['name'] ?? '';
    const body = await readBody(request);
    if (!body.ok) return refuse(request, context, bodyProblems[body.reason], { detail: `${body.message}.` });

    const parsed = parseSpec(name, body.value);
    if (!parsed.ok) {
      const detail = 'Every field that is at fault is named in errors.';
      return refuse(request, context, 'invalid-spec', { detail, errors: parsed.problems });
    }
    const size = JSON.stringify(parsed.given).length;
    if (size > LARGEST_SPEC_CHARACTERS) {
      const detail = `As JSON the spec has ${size} characters; at most ${LARGEST_SPEC_CHARACTERS} can be stored.`;
      return refuse(request, context, 'too-large', { detail });
    }
    const taken = clashes({ name, spec: parsed.spec }, await otherSpecs(store, name));
    if (taken.length > 0) {
      const detail = 'Two deployments cannot share what is named in errors.';
      return refuse(request, context, 'name-taken', { detail, errors: taken });
    }

    const time = now();
    const precondition = preconditionOf(request.headers);
    let record: DeploymentRecord;
    try {
      record = await store.putDeployment(name, parsed.given, time, precondition);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      const isConditional = precondition.ifMatch !== undefined || precondition.ifNoneMatch !== undefined;
      const kind = isConditional ? 'precondition-failed' : 'changed-meanwhile';
      return refuse(request, context, kind, { detail: `Nothing was written: ${error.message}.` });
    }

    return enterOperation(dependencies, request, context, {
      record,
      kind: 'provision',
      look: 'all',
      now: time,
    });
  });

/** Stored specs that today's rules refuse claim nothing. */
async function otherSpecs(store: Store, name: string): Promise<readonly NamedSpec[]> {
  const others = (await store.listDeployments()).filter((record) => record.name !== name);
  return others.flatMap((record) => {
    const parsed = parseSpec(record.name, record.spec);
    return parsed.ok ? [{ name: record.name, spec: parsed.spec }] : [];
  });
}

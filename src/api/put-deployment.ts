/**
 * PUT /api/deployments/{name}: says what a deployment is to be. Checks the spec, stores it as given, enters an operation
 * and asks the engine to look. Every PUT has an operation of its own; one that comes while work is under way joins it.
 *
 * When the engine cannot be asked, the spec stays stored: it is a wish, and taking it back could take back somebody
 * else's. The operation is closed as failed and the answer, 503, says so; the same PUT again, or the next timer, brings
 * the stack there.
 */
import type { HttpHandler, HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions';
import { clashes, type NamedSpec } from '../spec/clashes.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import { type ReadBody, readBody } from '../spec/read-body.ts';
import {
  ConflictError,
  type DeploymentRecord,
  LARGEST_SPEC_CHARACTERS,
  type OperationRecord,
  type Store,
} from '../store/store.ts';
import { newOperationId } from './operation-id.ts';
import { preconditionOf } from './precondition.ts';
import { type ProblemKind, refuse } from './problem.ts';
import { type ApiDependencies, answering, deploymentUrl, operationUrl, respond } from './respond.ts';

const RETRY_AFTER_SECONDS = '10';

const bodyProblems: Readonly<Record<Extract<ReadBody, { ok: false }>['reason'], ProblemKind>> = {
  malformed: 'malformed-body',
  'too-large': 'too-large',
  unsupported: 'unsupported-body',
};

export const putDeployment = ({ store, lookAgain, now = () => new Date() }: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
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

    const operation = {
      id: newOperationId(time),
      deployment: name,
      kind: 'provision',
      cause: { kind: 'request', what: `PUT /api/deployments/${name}`, id: context.invocationId },
      revision: record.revision,
      requestedAt: time.toISOString(),
    } as const;
    await store.createOperation(operation);
    try {
      await lookAgain(context, { deployment: name, operationId: operation.id });
    } catch (error) {
      context.error(`operation ${operation.id} could not be started:`, error);
      return notStarted(request, context, store, operation.id, now());
    }
    return accepted(request, record, operation);
  });

function accepted(
  request: HttpRequest,
  record: DeploymentRecord,
  { id }: Pick<OperationRecord, 'id'>,
): HttpResponseInit {
  const url = operationUrl(request, id);
  return respond(
    202,
    {
      operation: { id, state: 'accepted', url },
      deployment: {
        name: record.name,
        revision: record.revision,
        createdAt: record.createdAt,
        updatedAt: record.updatedAt,
        url: deploymentUrl(request, record.name),
      },
    },
    { 'operation-location': url, 'retry-after': RETRY_AFTER_SECONDS, etag: record.etag },
  );
}

async function notStarted(
  request: HttpRequest,
  context: InvocationContext,
  store: Store,
  operationId: string,
  at: Date,
): Promise<HttpResponseInit> {
  await store.recordOutcome(operationId, {
    state: 'failed',
    at: at.toISOString(),
    failure: { kind: 'retryable', code: 'NotStarted', message: 'the work could not be started' },
  });
  return refuse(request, context, 'not-started', {
    detail: 'Repeat the request to try again at once; otherwise the next regular look takes the spec up.',
    headers: { 'retry-after': RETRY_AFTER_SECONDS, 'operation-location': operationUrl(request, operationId) },
  });
}

/** Stored specs that today's rules refuse claim nothing. */
async function otherSpecs(store: Store, name: string): Promise<readonly NamedSpec[]> {
  const others = (await store.listDeployments()).filter((record) => record.name !== name);
  return others.flatMap((record) => {
    const parsed = parseSpec(record.name, record.spec);
    return parsed.ok ? [{ name: record.name, spec: parsed.spec }] : [];
  });
}

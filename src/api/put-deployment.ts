/**
 * PUT /api/deployments/{name}: says what a deployment is to be. Checks the spec, stores it as given, enters an operation
 * and asks the engine to look. Every PUT has an operation of its own; one that comes while work is under way joins it.
 *
 * When the engine cannot be asked, the spec stays stored: it is a wish, and taking it back could take back somebody
 * else's.
 */
import type { HttpHandler } from '@azure/functions';
import { readBody } from '../spec/read-body.ts';
import { replaceSpec } from './change-spec.ts';
import { enterOperation } from './enter-operation.ts';
import { bodyProblems, refuse } from './problem.ts';
import { type ApiDependencies, answering } from './respond.ts';

export const putDeployment = (dependencies: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
    const name = request.params['name'] ?? '';
    const body = await readBody(request);
    if (!body.ok) return refuse(request, context, bodyProblems[body.reason], { detail: `${body.message}.` });
    const change = await replaceSpec(dependencies, request, context, name, body.value);
    if (!change.ok) return change.refusal;
    return enterOperation(dependencies, request, context, {
      record: change.record,
      kind: 'provision',
      look: 'all',
      now: change.at,
    });
  });

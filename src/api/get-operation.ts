/** GET /api/operations/{id}: how far a piece of work has got, what it did, and where the time went. */
import type { HttpHandler } from '@azure/functions';
import type { OperationRecord } from '../store/store.ts';
import { criticalPath, secondsBetween, secondsOf } from './critical-path.ts';
import { isOperationId } from './operation-id.ts';
import { refuse } from './problem.ts';
import { type ApiDependencies, answering, deploymentUrl, operationUrl, respond } from './respond.ts';
import { countSteps } from './step-counts.ts';

const RETRY_AFTER_SECONDS = '10';

export const getOperation = ({ store }: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
    const id = request.params['id'] ?? '';
    const operation = isOperationId(id) ? await store.findOperation(id) : undefined;
    if (!operation) {
      return refuse(request, context, 'not-found', { detail: 'There is no operation of this id.' });
    }
    const isUnderWay = operation.state === 'accepted' || operation.state === 'running';
    return respond(
      200,
      {
        id,
        url: operationUrl(request, id),
        deployment: { name: operation.deployment, url: deploymentUrl(request, operation.deployment) },
        kind: operation.kind,
        cause: operation.cause,
        revision: operation.revision,
        state: operation.state,
        requestedAt: operation.requestedAt,
        ...times(operation),
        failure: operation.failure,
        progress: countSteps(operation.steps),
        criticalPath: criticalPath(operation.steps),
        receipts: operation.receipts,
        steps: operation.steps.map(({ ordinal: _, outputs: __, findings: ___, wish: ____, ...step }) => ({
          ...step,
          seconds: secondsOf(step),
        })),
      },
      isUnderWay ? { 'retry-after': RETRY_AFTER_SECONDS } : {},
    );
  });

/** It starts when its first resource does. */
function times({ steps, finishedAt }: OperationRecord): {
  readonly startedAt?: string;
  readonly finishedAt?: string;
  readonly seconds?: number;
} {
  const [startedAt] = steps.flatMap((step) => step.startedAt ?? []).sort();
  return {
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(finishedAt === undefined ? {} : { finishedAt }),
    ...(startedAt === undefined || finishedAt === undefined
      ? {}
      : { seconds: secondsBetween(startedAt, finishedAt) }),
  };
}

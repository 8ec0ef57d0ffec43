/**
 * What every request that changes something has in common: an operation is entered, the request is left in the
 * deployment's inbox, and its run is woken. When that fails the operation is closed as failed and the answer, 503, says
 * so; the request stays in the inbox, and the timer or the same request again takes it up.
 */
import type { HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions';
import type { Look, OperationKind } from '../graph/request.ts';
import type { DeploymentRecord } from '../store/store.ts';
import { activePauses } from './active-pauses.ts';
import { newOperationId } from './operation-id.ts';
import { refuse } from './problem.ts';
import { type ApiDependencies, deploymentUrl, operationUrl, respond } from './respond.ts';

const RETRY_AFTER_SECONDS = '10';

export interface Asked {
  readonly record: DeploymentRecord;
  readonly kind: OperationKind;
  readonly look: Look;
  readonly now: Date;
}

/** 202 with the operation, or 503. */
export async function enterOperation(
  { store, wake, now: clock = () => new Date() }: ApiDependencies,
  request: HttpRequest,
  context: InvocationContext,
  { record, kind, look, now }: Asked,
): Promise<HttpResponseInit> {
  const what = `${request.method} ${new URL(request.url).pathname}`;
  const operation = {
    id: newOperationId(now),
    deployment: record.name,
    kind,
    cause: { kind: 'request', what, id: context.invocationId },
    requestedAt: now.toISOString(),
  } as const;
  await store.createOperation({ ...operation, revision: record.revision });
  try {
    await store.inbox.putRequest({ ...operation, look, operationId: operation.id });
    await wake(context, record.name);
  } catch (error) {
    context.error(`operation ${operation.id} could not be started:`, error);
    await store.recordOutcome(operation.id, {
      state: 'failed',
      at: clock().toISOString(),
      failure: { kind: 'retryable', code: 'NotStarted', message: 'the work could not be started' },
    });
    return refuse(request, context, 'not-started', {
      detail: 'Repeat the request to try again at once; otherwise the next regular look takes it up.',
      headers: {
        'retry-after': RETRY_AFTER_SECONDS,
        'operation-location': operationUrl(request, operation.id),
      },
    });
  }
  return accepted(request, record, operation.id, now);
}

function accepted(request: HttpRequest, record: DeploymentRecord, id: string, now: Date): HttpResponseInit {
  const url = operationUrl(request, id);
  // What is asked for meanwhile is looked at, and made when they are over.
  const pauses = activePauses(record.pauses, now);
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
      ...(pauses.length > 0 ? { pauses } : {}),
    },
    { 'operation-location': url, 'retry-after': RETRY_AFTER_SECONDS, etag: record.etag },
  );
}

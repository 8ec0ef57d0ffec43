/** How clients follow operations that last. */
import type { Principal } from '../../neighbours.ts';
import type { Frame } from './frame.ts';
import { Refusal } from './refusal.ts';
import type { Target } from './target.ts';

/** Where operations are followed; AKS has its own place for the results of commands. */
export const OPERATION_TYPE =
  /^([^/]+\/locations\/(operations|operationResults)|Microsoft.ContainerService\/managedClusters\/commandResults)$/i;

/** Polling: `operations` is a status document, `operationResults` is 202 until there is a result. */
export function answerOperation(
  frame: Frame,
  { request, url, principal }: { request: Request; url: URL; principal: Principal },
  target: Target,
): Response {
  const operation = frame.operations.get(target.names.at(-1) ?? '');
  if (!operation || request.method !== 'GET') {
    throw new Refusal(404, 'OperationNotFound', `The operation '${target.names.at(-1)}' could not be found.`);
  }
  const type = frame.catalogue.typeOf(operation.type);
  // Whoever started it may follow it; others need to be able to read the resource.
  if (operation.cause.principalId !== principal.id) {
    frame.rights.require(principal, `${type.type}/read`, operation.resourceId);
  }
  const headers = { 'retry-after': String(type.operations?.retryAfterSeconds ?? 10) };
  const isRunning = operation.status === 'InProgress';
  if (target.type.toLowerCase().endsWith('/operations')) {
    return Response.json(
      {
        id: url.pathname,
        name: operation.id,
        status: operation.status,
        startTime: new Date(operation.startedAt).toISOString(),
        ...(!isRunning && { endTime: new Date(operation.endsAt).toISOString() }),
        ...(operation.error && { error: operation.error }),
        ...(operation.result && { properties: operation.result }),
      },
      { headers: isRunning ? headers : {} },
    );
  }
  if (isRunning) return new Response(null, { status: 202, headers: { ...headers, location: request.url } });
  if (operation.error) throw new Refusal(409, operation.error.code, operation.error.message);
  if (operation.status === 'Canceled') {
    throw new Refusal(409, 'OperationCanceled', 'The operation was canceled.');
  }
  if (operation.result) return Response.json(operation.result);
  const stored = frame.store.get(operation.resourceId);
  return operation.verb === 'delete' || !stored
    ? new Response(null, { status: 200 })
    : Response.json(frame.show(stored));
}

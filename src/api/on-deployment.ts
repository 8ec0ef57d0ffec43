/** Routes of one deployment: a name that there is nothing of is refused before anything else is looked at. */
import type { HttpHandler, HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions';
import type { DeploymentRecord, Store } from '../store/store.ts';
import { findDeployment } from './find-deployment.ts';
import { refuse } from './problem.ts';
import { answering } from './respond.ts';

export const noSuchDeployment = { detail: 'There is no deployment of this name.' };
export const outdatedSpec = { detail: 'The stored spec is not valid by the rules of today: PUT it anew.' };

export const onDeployment = (
  store: Store,
  handle: (
    record: DeploymentRecord,
    request: HttpRequest,
    context: InvocationContext,
  ) => Promise<HttpResponseInit>,
): HttpHandler =>
  answering(async (request, context) => {
    const record = await findDeployment(store, request.params['name']);
    return record
      ? handle(record, request, context)
      : refuse(request, context, 'not-found', noSuchDeployment);
  });

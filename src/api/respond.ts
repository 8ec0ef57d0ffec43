/** What all routes share: their type, how they answer, and what happens when one throws. */
import type { HttpHandler, HttpRequest, HttpResponseInit, InvocationContext } from '@azure/functions';
import type { Clients } from '../clients/clients.ts';
import type { Waker } from '../reactions/waker.ts';
import type { Store } from '../store/store.ts';
import { refuse } from './problem.ts';

export interface ApiDependencies {
  readonly store: Store;
  readonly wake: Waker;
  readonly now?: () => Date;
}

/** For routes that tell of health: it is not known any more when it was last checked so many milliseconds ago. */
export interface HealthReading extends Pick<ApiDependencies, 'store' | 'now'> {
  readonly staleAfterMilliseconds: number;
}

/** For routes that ask the clouds themselves. */
export interface CloudDependencies extends ApiDependencies {
  readonly clientsFor: (subscriptionId: string) => Clients;
}

export function respond(
  status: 200 | 202,
  jsonBody: unknown,
  headers: Readonly<Record<string, string>> = {},
): HttpResponseInit {
  return { status, jsonBody, headers: { 'cache-control': 'no-store', ...headers } };
}

/** The one place that logs what nobody expected; the caller gets the id under which it is logged and nothing else. */
export const answering =
  (handle: (request: HttpRequest, context: InvocationContext) => Promise<HttpResponseInit>): HttpHandler =>
  async (request, context) => {
    try {
      return await handle(request, context);
    } catch (error) {
      context.error(`${request.method} ${new URL(request.url).pathname} failed:`, error);
      return refuse(request, context, 'unexpected', {
        detail: 'The request may be repeated as it is. The logs say more under the correlation id.',
      });
    }
  };

export const deploymentUrl = (request: HttpRequest, name: string): string =>
  new URL(`/api/deployments/${encodeURIComponent(name)}`, request.url).href;

export const operationUrl = (request: HttpRequest, id: string): string =>
  new URL(`/api/operations/${encodeURIComponent(id)}`, request.url).href;

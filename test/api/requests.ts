/** Calls the API's handlers the way the host does: real requests and invocation contexts, no host. */
import { type HttpHandler, HttpRequest, InvocationContext } from '@azure/functions';
import { deleteQuarantine } from '../../src/api/delete-quarantine.ts';
import { getDeployment } from '../../src/api/get-deployment.ts';
import { getEvents } from '../../src/api/get-events.ts';
import { getOperation } from '../../src/api/get-operation.ts';
import { listDeployments } from '../../src/api/list-deployments.ts';
import { postRotate } from '../../src/api/post-rotate.ts';
import { putDeployment } from '../../src/api/put-deployment.ts';
import type { ApiDependencies } from '../../src/api/respond.ts';
import { schema } from '../../src/api/schema.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into by the tests, which say what they expect
  readonly body: any;
  /** What the handler logged as an error. */
  readonly errors: readonly unknown[][];
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly query?: Readonly<Record<string, string>>;
}

export const INVOCATION_ID = '4f1c2d3e-0000-4000-8000-00000000000a';
const STALE_AFTER = 900_000;
const ORIGIN = 'https://func-openwebui-ctl.azurewebsites.net';

export class Api {
  readonly #dependencies: ApiDependencies;

  constructor(dependencies: ApiDependencies) {
    this.#dependencies = dependencies;
  }

  /** A text body; `spec` in other calls is sent as JSON. */
  put(name: string, options: RequestOptions = {}): Promise<Answer> {
    const path = `/api/deployments/${encodeURIComponent(name)}`;
    return call(putDeployment(this.#dependencies), 'PUT', path, { name }, options);
  }

  putSpec(name: string, spec: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const body = JSON.stringify(spec);
    return this.put(name, { body, headers: { 'content-type': 'application/json', ...headers } });
  }

  deployment(name: string): Promise<Answer> {
    const path = `/api/deployments/${encodeURIComponent(name)}`;
    return call(getDeployment({ ...this.#dependencies, staleAfterMilliseconds: STALE_AFTER }), 'GET', path, {
      name,
    });
  }

  events(name: string, query: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const path = `/api/deployments/${encodeURIComponent(name)}/events`;
    return call(getEvents(this.#dependencies), 'GET', path, { name }, { query });
  }

  rotate(name: string, body: unknown): Promise<Answer> {
    const path = `/api/deployments/${encodeURIComponent(name)}/rotate`;
    return call(
      postRotate(this.#dependencies),
      'POST',
      path,
      { name },
      {
        body: typeof body === 'string' ? body : JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      },
    );
  }

  liftQuarantine(name: string, digest: string): Promise<Answer> {
    const path = `/api/deployments/${encodeURIComponent(name)}/quarantine/${digest}`;
    return call(deleteQuarantine(this.#dependencies), 'DELETE', path, { name, digest });
  }

  deployments(): Promise<Answer> {
    return call(listDeployments(this.#dependencies), 'GET', '/api/deployments', {});
  }

  operation(id: string): Promise<Answer> {
    const path = `/api/operations/${encodeURIComponent(id)}`;
    return call(getOperation(this.#dependencies), 'GET', path, { id });
  }

  schema(): Promise<Answer> {
    return call(schema(), 'GET', '/api/schema', {});
  }
}

export async function call(
  handler: HttpHandler,
  method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE',
  path: string,
  params: Record<string, string>,
  { headers = {}, body, query = {} }: RequestOptions = {},
): Promise<Answer> {
  const errors: unknown[][] = [];
  const context = new InvocationContext({
    invocationId: INVOCATION_ID,
    logHandler: (level, ...values) => {
      if (level === 'error') errors.push(values);
    },
  });
  const request = new HttpRequest({
    method,
    url: `${ORIGIN}${path}?code=a-function-key`,
    headers: { ...headers },
    params,
    query: { ...query },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? { string: body } : { bytes: body } }),
  });
  const answer = await handler(request, context);
  if (!answer || !('jsonBody' in answer)) throw new Error('the handler answered without a JSON body');
  return {
    status: answer.status ?? 200,
    headers: new Headers(Object.entries(answer.headers ?? {})),
    // Through text, as over the wire: what JSON cannot hold is not there.
    body: JSON.parse(JSON.stringify(answer.jsonBody)),
    errors,
  };
}

/**
 * Microsoft Graph v1.0 over Azure's own REST pipeline. Entra promises no read after write, least of all to app-only
 * callers (https://devblogs.microsoft.com/identity/designing-for-eventual-consistency): a 404 for something just made
 * means "not yet", and every creation here is keyed so that repeating it finds the first one.
 */
import type { TokenCredential } from '@azure/identity';
import type {
  Client,
  PathUncheckedResponse,
  ResourceMethods,
  StreamableMethod,
} from '@azure-rest/core-client';
import { createRestError, getClient } from '@azure-rest/core-client';
import type { z } from 'zod';
import type { Cloud } from '../config.ts';
import type { FailureError } from '../graph/failure.ts';
import { retryable } from '../graph/failure.ts';
import { rememberErrorBody } from './error-body.ts';

/** Answers as they come; nothing is retried here. */
export function createGraph(cloud: Cloud, credential: TokenCredential): Client {
  return getClient(`${cloud.graph}/v1.0`, credential, {
    credentials: { scopes: [`${cloud.graph}/.default`] },
    retryOptions: { maxRetries: 0 },
    userAgentOptions: { userAgentPrefix: 'open-webui-control-plane' },
    additionalPolicies: [{ policy: rememberErrorBody, position: 'perCall' }],
  });
}

/**
 * A path of Graph as a template: graphPath(graph)`/applications(uniqueName='${name}')`. Keys stand in parentheses, which
 * the client's own path templates do not know, so values are encoded here; a quote inside a key is doubled by OData's rules.
 */
export const graphPath =
  (graph: Client) =>
  (parts: TemplateStringsArray, ...values: readonly string[]): ResourceMethods<StreamableMethod> =>
    graph.pathUnchecked(
      String.raw({ raw: parts }, ...values.map((value) => encodeURIComponent(value.replaceAll("'", "''")))),
    );

/** The parsed body of a success; throws a RestError for everything else, ZodError for a body Graph does not document. */
export async function graphBody<T>(
  schema: z.ZodType<T>,
  answer: PromiseLike<PathUncheckedResponse>,
): Promise<T> {
  return schema.parse((await graphDone(answer)).body);
}

/** The same for things looked up by key: `undefined` for 404, which is absence or not yet replicated. */
export async function findInGraph<T>(
  schema: z.ZodType<T>,
  answer: PromiseLike<PathUncheckedResponse>,
): Promise<T | undefined> {
  const response = await answer;
  if (response.status === '404') return undefined;
  return graphBody(schema, Promise.resolve(response));
}

/** Waits for a success; throws a RestError for everything else. */
export async function graphDone(answer: PromiseLike<PathUncheckedResponse>): Promise<PathUncheckedResponse> {
  const response = await answer;
  if (!response.status.startsWith('2')) throw createRestError(response);
  return response;
}

/** For what has just been made and cannot be used yet: minutes are normal, no limit is promised. */
export const notReplicated = (what: string): FailureError =>
  retryable('NotYetReplicated', `Microsoft Entra does not show ${what} everywhere yet`, 15);

/**
 * The newer Azure SDKs keep only the outermost code and message of an error (`createRestError` of
 * @typespec/ts-http-runtime), but Key Vault tells a missing role from a firewall only in `innererror.code`
 * (https://learn.microsoft.com/azure/key-vault/general/rest-error-codes). This policy remembers the body of each refused
 * request for as long as its error lives.
 */
import type { ClientOptions } from '@azure-rest/core-client';

type PipelinePolicy = NonNullable<ClientOptions['additionalPolicies']>[number]['policy'];

const bodies = new WeakMap<object, string>();

export const rememberErrorBody: PipelinePolicy = {
  name: 'rememberErrorBody',
  async sendRequest(request, next) {
    const response = await next(request);
    if (response.status >= 400 && response.bodyAsText) bodies.set(response.request, response.bodyAsText);
    return response;
  },
};

/** The body that came with an SDK's error, as text; undefined when there was none or it is not known. */
export function errorBodyOf(error: {
  readonly request?: unknown;
  readonly response?: unknown;
}): string | undefined {
  const { request, response } = error;
  if (typeof request === 'object' && request !== null && bodies.has(request)) return bodies.get(request);
  if (typeof response === 'object' && response !== null && 'bodyAsText' in response) {
    return typeof response.bodyAsText === 'string' ? response.bodyAsText : undefined;
  }
  return undefined;
}

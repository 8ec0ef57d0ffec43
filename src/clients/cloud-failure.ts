/**
 * The one place that decides what a refusal means: whatever any SDK throws becomes a Failure that says whether looking
 * again may help by itself. A code the table knows decides; an unknown one is judged by its HTTP status. The table
 * follows https://learn.microsoft.com/azure/role-based-access-control/troubleshooting,
 * https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors and the classifier
 * of Azure Service Operator. How long a retryable failure is borne is the resource's patience, not decided here. The file
 * is long because it is a table with a reader for each vendor's way of throwing; apart they would disagree.
 */

import type { Failure } from '../graph/failure.ts';
import { FailureError } from '../graph/failure.ts';
import { errorBodyOf } from './error-body.ts';
import { KubernetesError } from './kubernetes-api.ts';

type Kind = Failure['kind'];

const retryableCodes = [
  // A role takes up to ten minutes to work, and until then answers look exactly like a missing one.
  'AuthorizationFailed',
  'LinkedAuthorizationFailed',
  'ForbiddenByRbac',
  // New principals and role definitions take minutes to reach every region.
  'PrincipalNotFound',
  'RoleDefinitionDoesNotExist',
  'Request_ResourceNotFound',
  'Directory_ConcurrencyViolation',
  'ExpiredAuthenticationToken',
  'InvalidAuthenticationToken',
  // Throttles and locks. RetryableErrorDueToAnotherOperation is a lock of the network provider, not a quota.
  'TooManyRequests',
  'RequestThrottled',
  'SubscriptionRequestsThrottled',
  'RetryableError',
  'RetryableErrorDueToAnotherOperation',
  'AnotherOperationInProgress',
  'OperationNotAllowed',
  'OperationPreempted',
  'AKSOperationPreempted',
  'AKSOperationPreemptedByDelete',
  'EtagMismatch',
  'PreconditionFailed',
  'Conflict',
  'ConflictingConcurrentWriteNotAllowed',
  'ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity',
  'ServerIsBusy',
  'ServerBusy',
  'StorageAccountOperationInProgress',
  // Something else is not there yet, or not gone yet.
  'ParentResourceNotFound',
  'ResourceGroupNotFound',
  'ResourceNotFound',
  'ReferencedResourceNotProvisioned',
  'ResourceGroupBeingDeleted',
  'InUseSubnetCannotBeDeleted',
  'ObjectIsDeletedButRecoverable',
  'ObjectIsBeingDeleted',
  'ObjectIsBeingRecovered',
  'MissingSubscriptionRegistration',
  'SubscriptionNotRegistered',
  // The region is short of machines for the moment.
  'AllocationFailed',
  'ZonalAllocationFailed',
  'OverconstrainedAllocationRequest',
  'ResourceQuotaExceeded',
  'ScopeLocked',
  'InternalServerError',
  'InternalOperationError',
  'ServiceUnavailable',
  'ServerTimeout',
  'GatewayTimeout',
] as const;

const fatalCodes = [
  // Key Vault says why in words people can act on; none of these goes away by waiting.
  'ForbiddenByConnection',
  'ForbiddenByFirewall',
  'ForbiddenByPolicy',
  'SecretDisabled',
  'DenyAssignmentAuthorizationFailed',
  'Authorization_RequestDenied',
  'RequestDisallowedByPolicy',
  'RoleAssignmentUpdateNotPermitted',
  'PropertyChangeNotAllowed',
  'QuotaExceeded',
  'SkuNotAvailable',
  'LocationNotAvailableForResourceType',
  'InvalidResourceNamespace',
  'InvalidResourceType',
  'InvalidApiVersionParameter',
  'InvalidSubscriptionId',
  'SubscriptionNotFound',
  'ReadOnlyDisabledSubscription',
  'InvalidAuthenticationTokenTenant',
  // Names that are unique across a cloud and belong to somebody else.
  'VaultAlreadyExists',
  'StorageAccountAlreadyTaken',
  'AlreadyInUse',
  'ServerNameAlreadyExists',
] as const;

const kinds: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ...retryableCodes.map((code) => [code.toLowerCase(), 'retryable'] as const),
  ...fatalCodes.map((code) => [code.toLowerCase(), 'fatal'] as const),
]);

/** Sign-in refusals that pass by themselves: a clock a little off, a busy directory. All other AADSTS codes need somebody. */
export const passingSignInCodes: ReadonlySet<string> = new Set([
  'AADSTS700024',
  'AADSTS90033',
  'AADSTS50196',
  'AADSTS90055',
  'AADSTS90006',
]);

/** Delete locks and the directory's slowness are worth a look once in a while only. */
const slowCodes: ReadonlyMap<string, number> = new Map([['scopelocked', 300]]);

/** Cloudflare blocks whoever went over its limit for five minutes: https://developers.cloudflare.com/fundamentals/api/reference/limits */
const CLOUDFLARE_BLOCK_SECONDS = 300;

interface Refusal {
  readonly status?: number;
  /** From the innermost outwards. */
  readonly codes: readonly string[];
  readonly message: string;
  readonly retryAfterSeconds?: number;
}

/** Classifies whatever a cloud's SDK threw; never throws itself. */
export function toFailure(error: unknown): Failure {
  if (error instanceof FailureError) return error.failure;
  // Some SDKs take whatever kept a call from being made for a lost connection.
  if (error instanceof Error && error.cause instanceof FailureError) return error.cause.failure;
  if (error instanceof KubernetesError) return ofKubernetes(error);
  const signIn = signInFailure(error);
  if (signIn) return signIn;
  const cloudflare = cloudflareFailure(error);
  if (cloudflare) return cloudflare;
  const operation = failedOperation(error);
  if (operation) return judge(operation);
  const refusal = refusalOf(error);
  if (refusal) return judge(refusal);
  const network = networkFailure(error);
  if (network) return network;
  return {
    kind: 'fatal',
    code: 'UnexpectedError',
    message: plain(error instanceof Error ? `${error.name}: ${error.message}` : String(error)),
  };
}

/**
 * Whether an answer proves that the thing asked for does not exist. Not every 404 does: Microsoft Graph says
 * Request_ResourceNotFound for objects it has not replicated yet, ARM says 404 for unknown subscriptions and types, and
 * a 404 without a cloud's own error code comes from something in between.
 */
export function isNotFound(error: unknown): boolean {
  if (error instanceof KubernetesError) return error.status === 404 && error.reason === 'NotFound';
  const refusal = refusalOf(error);
  if (refusal?.status !== 404) return false;
  return refusal.codes.length > 0 && !refusal.codes.some((code) => inconclusive.has(code.toLowerCase()));
}

const inconclusive = new Set([
  'request_resourcenotfound',
  'subscriptionnotfound',
  'invalidresourcetype',
  'invalidresourcenamespace',
  'invalidapiversionparameter',
  'noregisteredproviderfound',
]);

/** The answer, or undefined when it proves absence; any other refusal is thrown on. */
export async function orAbsent<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Whether the failure is one of these codes, whatever its case. */
export const hasCode = (error: unknown, ...codes: readonly string[]): boolean =>
  codes.some((code) => code.toLowerCase() === toFailure(error).code.toLowerCase());

function judge(refusal: Refusal): Failure {
  const known = refusal.codes.find((code) => kinds.has(code.toLowerCase()));
  const code =
    known ?? refusal.codes.at(-1) ?? (refusal.status === undefined ? 'Unknown' : `Http${refusal.status}`);
  const named = specialMeaning(code, refusal.message);
  const kind = named?.kind ?? kinds.get(code.toLowerCase()) ?? kindOfStatus(refusal.status);
  const retryAfterSeconds = refusal.retryAfterSeconds ?? slowCodes.get(code.toLowerCase());
  return {
    kind,
    code: named?.code ?? code,
    message: plain(refusal.message),
    ...(kind === 'retryable' && retryAfterSeconds !== undefined ? { retryAfterSeconds } : {}),
  };
}

/** Codes that clouds use for different things; only the message tells them apart. */
function specialMeaning(code: string, message: string): { code: string; kind: Kind } | undefined {
  switch (code.toLowerCase()) {
    case 'operationnotallowed':
    case 'preconditionfailed':
    case 'badrequest':
      // AKS and Compute report a missing quota as OperationNotAllowed, as they do a running operation.
      return /quota/i.test(message) ? { code: 'QuotaExceeded', kind: 'fatal' } : undefined;
    case 'forbidden':
      if (/not a trusted service|client address is not authorized/i.test(message)) {
        return { code: 'ForbiddenByFirewall', kind: 'fatal' };
      }
      if (/public network access is disabled|private link/i.test(message)) {
        return { code: 'ForbiddenByConnection', kind: 'fatal' };
      }
      return /not authorized to perform action/i.test(message)
        ? { code: 'ForbiddenByRbac', kind: 'retryable' }
        : undefined;
    default:
      return undefined;
  }
}

/** Unknown codes. 403 may be a role under way and 404 something not replicated; a bad request stays one. */
function kindOfStatus(status: number | undefined): Kind {
  if (status === undefined) return 'retryable';
  if (status >= 500 || [401, 403, 404, 408, 409, 412, 423, 425, 429].includes(status)) return 'retryable';
  return 'fatal';
}

function ofKubernetes(error: KubernetesError): Failure {
  const isWrong = [400, 405, 413, 415, 422].includes(error.status);
  return {
    kind: isWrong ? 'fatal' : 'retryable',
    code: error.reason || `Http${error.status}`,
    message: plain(error.message),
    ...(!isWrong && error.retryAfterSeconds !== undefined
      ? { retryAfterSeconds: error.retryAfterSeconds }
      : {}),
  };
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

/** What REST SDKs throw: `statusCode`, perhaps a `code`, perhaps a body with codes inside codes. */
function refusalOf(error: unknown): Refusal | undefined {
  if (!isRecord(error) || typeof error['statusCode'] !== 'number') return undefined;
  const status = error['statusCode'];
  const inner = codesOf(bodyOf(error));
  const codes =
    inner.codes.length > 0 ? inner.codes : [text(error['code'])].filter((code) => code !== undefined);
  const retryAfterSeconds = retryAfterOf(
    isRecord(error['response']) ? error['response']['headers'] : undefined,
  );
  return {
    status,
    codes,
    message: inner.message ?? text(error['message']) ?? `the cloud answered ${status} without saying why`,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
}

function bodyOf(error: Readonly<Record<string, unknown>>): unknown {
  const remembered = errorBodyOf(error);
  if (remembered === undefined) return undefined;
  try {
    return JSON.parse(remembered);
  } catch {
    return undefined;
  }
}

/** ARM, Key Vault and Graph nest errors in `error.innererror` and `error.details`; registries list theirs in `errors`. */
function codesOf(body: unknown): { codes: string[]; message?: string } {
  if (!isRecord(body)) return { codes: [] };
  const listed = Array.isArray(body['errors']) ? body['errors'][0] : undefined;
  const root = isRecord(body['error']) ? body['error'] : isRecord(listed) ? listed : body;
  const codes: string[] = [];
  const visit = (node: unknown): void => {
    if (!isRecord(node)) return;
    visit(node['innererror'] ?? node['innerError']);
    if (Array.isArray(node['details'])) for (const detail of node['details']) visit(detail);
    const code = text(node['code']);
    if (code) codes.push(code);
  };
  visit(root);
  const message = text(root['message']);
  return { codes, ...(message ? { message } : {}) };
}

function retryAfterOf(headers: unknown): number | undefined {
  if (!isRecord(headers)) return undefined;
  const get = headers['get'];
  const read = (name: string): string | undefined =>
    typeof get === 'function' ? text(get.call(headers, name)) : text(headers[name]);
  const milliseconds = read('retry-after-ms') ?? read('x-ms-retry-after-ms');
  if (milliseconds !== undefined && Number.isFinite(Number(milliseconds))) return Number(milliseconds) / 1000;
  const seconds = read('retry-after');
  // A date instead of seconds is allowed by HTTP, but would need a clock; the ordinary pause does then.
  return seconds !== undefined && Number.isFinite(Number(seconds)) ? Number(seconds) : undefined;
}

/** What core-lro throws when an accepted operation ends badly: the cloud's code and message only as text. */
function failedOperation(error: unknown): Refusal | undefined {
  if (!(error instanceof Error) || 'statusCode' in error) return undefined;
  if (error.message === 'Operation was canceled') {
    return { codes: ['Canceled'], message: 'the operation was cancelled by somebody else' };
  }
  const [, code, message] =
    /^The long-running operation has failed(?:\. (\w+)\. ([\s\S]*))?$/.exec(error.message) ?? [];
  if (!error.message.startsWith('The long-running operation has failed')) return undefined;
  return {
    codes: [code ?? 'OperationFailed'],
    message: message ?? 'the cloud does not say why the operation failed',
  };
}

/** @azure/identity: one sign-in method's refusal, or one of each method it tried. */
function signInFailure(error: unknown): Failure | undefined {
  if (!(error instanceof Error)) return undefined;
  const names = ['AuthenticationError', 'CredentialUnavailableError', 'AggregateAuthenticationError'];
  if (!names.includes(error.name) || 'errors' in error !== (error.name === 'AggregateAuthenticationError')) {
    return undefined;
  }
  const code = /AADSTS\d+/.exec(error.message)?.[0];
  if (code) {
    const sentence = /AADSTS\d+: ([^\r\n]*?)(?= Trace ID:|[\r\n]|$)/.exec(error.message)?.[1];
    return {
      kind: passingSignInCodes.has(code) ? 'retryable' : 'fatal',
      code,
      message: plain(sentence ?? 'Microsoft Entra refused the sign-in'),
    };
  }
  // Without a directory's verdict it was the identity endpoint that did not answer, which it does after a moment.
  return {
    kind: 'retryable',
    code: error.name,
    message: 'the control plane got no token for its own identity',
  };
}

/** The `cloudflare` package: `status` and the envelope's `errors: [{code, message}]`. */
function cloudflareFailure(error: unknown): Failure | undefined {
  if (!isRecord(error) || !('status' in error) || !Array.isArray(error['errors'])) return undefined;
  const status = typeof error['status'] === 'number' ? error['status'] : undefined;
  if (status === undefined) {
    return { kind: 'retryable', code: 'ConnectionError', message: 'Cloudflare did not answer' };
  }
  const first = error['errors'].find(isRecord);
  const code = first?.['code'] === undefined ? `Http${status}` : String(first['code']);
  const message = plain(text(first?.['message']) ?? `Cloudflare answered ${status} without saying why`);
  // 971 is the block after too many requests; a token that may not do something has to be changed by somebody.
  const isThrottle = status === 429 || code === '971';
  const isRetryable = isThrottle || status >= 500 || [404, 408, 409].includes(status);
  if (!isRetryable) return { kind: 'fatal', code, message };
  const asked = retryAfterOf(error['headers']) ?? (isThrottle ? CLOUDFLARE_BLOCK_SECONDS : undefined);
  return { kind: 'retryable', code, message, ...(asked === undefined ? {} : { retryAfterSeconds: asked }) };
}

/** No answer at all: name not found (new names take a while), connection cut, answer cut short. */
function networkFailure(error: unknown): Failure | undefined {
  for (
    let cause: unknown = error, depth = 0;
    cause instanceof Error && depth < 5;
    cause = cause.cause, depth += 1
  ) {
    const code = 'code' in cause ? text(cause.code) : undefined;
    if (code && /^(CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|ERR_TLS_CERT)/.test(code)) {
      return { kind: 'fatal', code, message: 'the server shows a certificate that is not trusted' };
    }
    if (
      code &&
      /^(E[A-Z]{3,}|UND_ERR_\w+|REQUEST_SEND_ERROR|PARSE_ERROR|ERR_STREAM_PREMATURE_CLOSE)$/.test(code)
    ) {
      return { kind: 'retryable', code, message: `there was no usable answer: ${plain(cause.message)}` };
    }
    if (cause.name === 'AbortError' || cause.name === 'TimeoutError' || cause.name === 'APIConnectionError') {
      return { kind: 'retryable', code: cause.name, message: 'there was no answer in time' };
    }
    if (cause instanceof TypeError && cause.message === 'fetch failed' && !(cause.cause instanceof Error)) {
      return { kind: 'retryable', code: 'ConnectionError', message: 'there was no answer' };
    }
    if (/socket hang up|premature close|aborted/i.test(cause.message)) {
      return { kind: 'retryable', code: 'ConnectionError', message: 'the connection was cut' };
    }
  }
  return undefined;
}

/** One line, the same each time the same thing is wrong, and nothing in it that could be a secret. */
function plain(message: string): string {
  return message
    .replaceAll(/\b(Trace|Correlation|Request|Activity|Operation)[ -]?ID:?\s*[0-9a-f-]{32,36}/gi, '')
    .replaceAll(/\bTimestamp:?\s*\S+( \S+Z)?/gi, '')
    .replaceAll(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.]*(Z|[+-]\d\d:?\d\d)?/g, '(time)')
    .replaceAll(/:\/\/[^\s/:@]+:[^\s@]+@/g, '://(credentials)@')
    .replaceAll(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, '(token)')
    .replaceAll(/\b(Bearer|sig=|AccountKey=|password=)\s*[^\s;&'"]+/gi, '$1(secret)')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .slice(0, 1000);
}

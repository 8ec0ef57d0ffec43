import { describe, expect, test } from 'vitest';
import { hasCode, isNotFound, orAbsent, toFailure } from '../../src/clients/cloud-failure.ts';
import { KubernetesError } from '../../src/clients/kubernetes-api.ts';
import { fatal, retryable } from '../../src/graph/failure.ts';

/** What REST SDKs throw, as far as anybody looks at it. */
const refusal = (statusCode: number, body: unknown, headers: Record<string, string> = {}): Error => {
  const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined;
  return Object.assign(new Error(JSON.stringify(body)), {
    name: 'RestError',
    statusCode,
    ...(typeof error === 'object' && error !== null && 'code' in error ? { code: error.code } : {}),
    response: { bodyAsText: JSON.stringify(body), headers: new Headers(headers) },
  });
};
const arm = (
  statusCode: number,
  code: string,
  message = 'because',
  headers: Record<string, string> = {},
): Error => refusal(statusCode, { error: { code, message } }, headers);
const vault = (innererror: string, message: string): Error =>
  refusal(403, { error: { code: 'Forbidden', message, innererror: { code: innererror } } });
/** What the newer SDKs leave of Key Vault's answer when the body is not remembered. */
const vaultOuter = (message: string): Error =>
  Object.assign(new Error(message), { name: 'RestError', statusCode: 403, code: 'Forbidden' });
const cloudflare = (status: number, code: number, headers: Record<string, string> = {}): Error =>
  Object.assign(new Error(`${status}`), {
    status,
    headers: new Headers(headers),
    error: { success: false },
    errors: [{ code, message: 'because' }],
  });
const signIn = (description: string): Error =>
  Object.assign(
    new Error(`invalid_client: Error(s): 7000222 - Timestamp: 2026-11-23 10:00:00Z - ${description}`),
    {
      name: 'AuthenticationError',
      statusCode: 401,
    },
  );
const network = (code: string): Error =>
  Object.assign(new Error(`request failed: ${code}`), { name: 'RestError', code });

interface Case {
  readonly reason: string;
  readonly error: unknown;
  readonly kind: 'retryable' | 'fatal';
  readonly code: string;
}

const cases: readonly Case[] = [
  {
    reason: 'a role takes minutes to work',
    error: arm(403, 'AuthorizationFailed'),
    kind: 'retryable',
    code: 'AuthorizationFailed',
  },
  {
    reason: 'so does one on a linked scope',
    error: arm(403, 'LinkedAuthorizationFailed'),
    kind: 'retryable',
    code: 'LinkedAuthorizationFailed',
  },
  {
    reason: 'a new principal is not known everywhere',
    error: arm(400, 'PrincipalNotFound'),
    kind: 'retryable',
    code: 'PrincipalNotFound',
  },
  {
    reason: 'a new role definition neither',
    error: arm(404, 'RoleDefinitionDoesNotExist'),
    kind: 'retryable',
    code: 'RoleDefinitionDoesNotExist',
  },
  {
    reason: 'an assignment cannot get another principal',
    error: arm(400, 'RoleAssignmentUpdateNotPermitted'),
    kind: 'fatal',
    code: 'RoleAssignmentUpdateNotPermitted',
  },
  {
    reason: 'a lock of the network provider is not a quota',
    error: arm(429, 'RetryableErrorDueToAnotherOperation'),
    kind: 'retryable',
    code: 'RetryableErrorDueToAnotherOperation',
  },
  {
    reason: 'a busy cluster is waited for',
    error: arm(409, 'OperationNotAllowed', 'another operation is in progress'),
    kind: 'retryable',
    code: 'OperationNotAllowed',
  },
  {
    reason: 'the same code for a quota is not',
    error: arm(409, 'OperationNotAllowed', 'exceeding approved Total Regional Cores quota'),
    kind: 'fatal',
    code: 'QuotaExceeded',
  },
  {
    reason: 'a quota has to be raised by somebody',
    error: arm(400, 'QuotaExceeded'),
    kind: 'fatal',
    code: 'QuotaExceeded',
  },
  {
    reason: 'a region may be short of machines for a while',
    error: arm(409, 'AllocationFailed'),
    kind: 'retryable',
    code: 'AllocationFailed',
  },
  {
    reason: 'a size a region does not have will not come',
    error: arm(409, 'SkuNotAvailable'),
    kind: 'fatal',
    code: 'SkuNotAvailable',
  },
  {
    reason: 'policies are made by people',
    error: arm(403, 'RequestDisallowedByPolicy'),
    kind: 'fatal',
    code: 'RequestDisallowedByPolicy',
  },
  {
    reason: 'a deny assignment does not expire',
    error: arm(403, 'DenyAssignmentAuthorizationFailed'),
    kind: 'fatal',
    code: 'DenyAssignmentAuthorizationFailed',
  },
  {
    reason: 'some properties are for good',
    error: arm(409, 'PropertyChangeNotAllowed'),
    kind: 'fatal',
    code: 'PropertyChangeNotAllowed',
  },
  {
    reason: 'a parent may come',
    error: arm(404, 'ParentResourceNotFound'),
    kind: 'retryable',
    code: 'ParentResourceNotFound',
  },
  {
    reason: 'a group may be on its way out',
    error: arm(409, 'ResourceGroupBeingDeleted'),
    kind: 'retryable',
    code: 'ResourceGroupBeingDeleted',
  },
  {
    reason: 'a provider is being registered',
    error: arm(409, 'MissingSubscriptionRegistration'),
    kind: 'retryable',
    code: 'MissingSubscriptionRegistration',
  },
  {
    reason: 'a replaced operation is planned anew',
    error: arm(409, 'AKSOperationPreempted'),
    kind: 'retryable',
    code: 'AKSOperationPreempted',
  },
  {
    reason: 'a database server does one thing at a time',
    error: arm(409, 'ServerIsBusy'),
    kind: 'retryable',
    code: 'ServerIsBusy',
  },
  {
    reason: 'a changed ETag means look again',
    error: arm(412, 'PreconditionFailed'),
    kind: 'retryable',
    code: 'PreconditionFailed',
  },
  {
    reason: 'codes are compared without case',
    error: arm(403, 'authorizationfailed'),
    kind: 'retryable',
    code: 'authorizationfailed',
  },
  {
    reason: 'the innermost known code decides',
    error: refusal(400, {
      error: { code: 'BadRequest', message: 'm', details: [{ code: 'PrincipalNotFound', message: 'd' }] },
    }),
    kind: 'retryable',
    code: 'PrincipalNotFound',
  },
  {
    reason: 'an unknown bad request stays one',
    error: arm(400, 'SomethingNew'),
    kind: 'fatal',
    code: 'SomethingNew',
  },
  {
    reason: 'an unknown conflict passes',
    error: arm(409, 'SomethingNew'),
    kind: 'retryable',
    code: 'SomethingNew',
  },
  {
    reason: 'an unknown 403 may be a role under way',
    error: arm(403, 'SomethingNew'),
    kind: 'retryable',
    code: 'SomethingNew',
  },
  { reason: 'a server error passes', error: refusal(502, 'Bad Gateway'), kind: 'retryable', code: 'Http502' },
  {
    reason: 'the vault has not heard of the role',
    error: vault('ForbiddenByRbac', 'Caller is not authorized to perform action on resource.'),
    kind: 'retryable',
    code: 'ForbiddenByRbac',
  },
  {
    reason: 'the vault has no public side',
    error: vault('ForbiddenByConnection', 'Public network access is disabled'),
    kind: 'fatal',
    code: 'ForbiddenByConnection',
  },
  {
    reason: 'the vault does not like the address',
    error: vault('ForbiddenByFirewall', 'Client address is not authorized'),
    kind: 'fatal',
    code: 'ForbiddenByFirewall',
  },
  {
    reason: 'the same from the words alone: role',
    error: vaultOuter('Caller is not authorized to perform action on resource.'),
    kind: 'retryable',
    code: 'ForbiddenByRbac',
  },
  {
    reason: 'the same from the words alone: firewall',
    error: vaultOuter('Client address is not authorized and caller is not a trusted service.'),
    kind: 'fatal',
    code: 'ForbiddenByFirewall',
  },
  {
    reason: 'the same from the words alone: connection',
    error: vaultOuter(
      'Public network access is disabled and request is not from a trusted network nor via an approved private link.',
    ),
    kind: 'fatal',
    code: 'ForbiddenByConnection',
  },
  {
    reason: 'a disabled secret is somebody’s decision',
    error: vault('SecretDisabled', 'Operation get is not allowed on a disabled secret.'),
    kind: 'fatal',
    code: 'SecretDisabled',
  },
  {
    reason: 'a deleted secret is brought back',
    error: refusal(409, {
      error: { code: 'Conflict', message: 'm', innererror: { code: 'ObjectIsDeletedButRecoverable' } },
    }),
    kind: 'retryable',
    code: 'ObjectIsDeletedButRecoverable',
  },
  {
    reason: 'the directory may not have replicated',
    error: arm(404, 'Request_ResourceNotFound'),
    kind: 'retryable',
    code: 'Request_ResourceNotFound',
  },
  {
    reason: 'Graph permissions are granted by people',
    error: arm(403, 'Authorization_RequestDenied'),
    kind: 'fatal',
    code: 'Authorization_RequestDenied',
  },
  {
    reason: 'a registry lists its errors',
    error: refusal(404, { errors: [{ code: 'MANIFEST_UNKNOWN', message: 'no' }] }),
    kind: 'retryable',
    code: 'MANIFEST_UNKNOWN',
  },
  {
    reason: 'an accepted operation can fail for good',
    error: new Error('The long-running operation has failed. QuotaExceeded. Not enough cores.'),
    kind: 'fatal',
    code: 'QuotaExceeded',
  },
  {
    reason: 'or for now',
    error: new Error('The long-running operation has failed. AllocationFailed. None free.'),
    kind: 'retryable',
    code: 'AllocationFailed',
  },
  {
    reason: 'or without a word',
    error: new Error('The long-running operation has failed'),
    kind: 'retryable',
    code: 'OperationFailed',
  },
  {
    reason: 'or be cancelled',
    error: new Error('Operation was canceled'),
    kind: 'retryable',
    code: 'Canceled',
  },
  {
    reason: 'an expired credential needs somebody',
    error: signIn("AADSTS7000222: The provided client secret keys for app 'x' are expired."),
    kind: 'fatal',
    code: 'AADSTS7000222',
  },
  {
    reason: 'a clock a little off passes',
    error: signIn('AADSTS700024: Client assertion is not within its valid time range.'),
    kind: 'retryable',
    code: 'AADSTS700024',
  },
  {
    reason: 'an identity endpoint comes up',
    error: Object.assign(new Error('no managed identity'), { name: 'CredentialUnavailableError' }),
    kind: 'retryable',
    code: 'CredentialUnavailableError',
  },
  { reason: 'Cloudflare throttles', error: cloudflare(429, 971), kind: 'retryable', code: '971' },
  {
    reason: 'a Cloudflare token that may not stays so',
    error: cloudflare(403, 10000),
    kind: 'fatal',
    code: '10000',
  },
  {
    reason: 'a record that exists does not go by itself',
    error: cloudflare(400, 81053),
    kind: 'fatal',
    code: '81053',
  },
  { reason: 'Cloudflare fails', error: cloudflare(503, 0), kind: 'retryable', code: '0' },
  {
    reason: 'a wrong object stays wrong',
    error: new KubernetesError(422, 'Invalid', 'spec.replicas'),
    kind: 'fatal',
    code: 'Invalid',
  },
  {
    reason: 'a role in the cluster takes a while',
    error: new KubernetesError(403, 'Forbidden', 'cannot list'),
    kind: 'retryable',
    code: 'Forbidden',
  },
  {
    reason: 'a namespace may come',
    error: new KubernetesError(404, 'NotFound', 'namespace'),
    kind: 'retryable',
    code: 'NotFound',
  },
  {
    reason: 'new host names take a while',
    error: network('ENOTFOUND'),
    kind: 'retryable',
    code: 'ENOTFOUND',
  },
  { reason: 'connections are cut', error: network('ECONNRESET'), kind: 'retryable', code: 'ECONNRESET' },
  {
    reason: 'also below fetch',
    error: new TypeError('fetch failed', { cause: network('ECONNREFUSED') }),
    kind: 'retryable',
    code: 'ECONNREFUSED',
  },
  { reason: 'answers are cut short', error: network('PARSE_ERROR'), kind: 'retryable', code: 'PARSE_ERROR' },
  {
    reason: 'an untrusted certificate stays one',
    error: network('SELF_SIGNED_CERT_IN_CHAIN'),
    kind: 'fatal',
    code: 'SELF_SIGNED_CERT_IN_CHAIN',
  },
  {
    reason: 'our own mistakes do not mend themselves',
    error: new RangeError('out of range'),
    kind: 'fatal',
    code: 'UnexpectedError',
  },
  {
    reason: 'our own refusals are taken as they are',
    error: fatal('Foreign', 'not ours'),
    kind: 'fatal',
    code: 'Foreign',
  },
  { reason: 'also the passing ones', error: retryable('NotYet', 'soon'), kind: 'retryable', code: 'NotYet' },
];

describe('toFailure', () => {
  test.each(cases)('$code is $kind: $reason', ({ error, kind, code }) => {
    expect(toFailure(error)).toMatchObject({ kind, code });
  });

  test('takes Retry-After from the answer, in seconds', () => {
    expect(toFailure(arm(429, 'TooManyRequests', 'm', { 'retry-after': '17' }))).toMatchObject({
      retryAfterSeconds: 17,
    });
    expect(toFailure(arm(429, 'TooManyRequests', 'm', { 'x-ms-retry-after-ms': '2500' }))).toMatchObject({
      retryAfterSeconds: 2.5,
    });
    expect(toFailure(cloudflare(429, 971, { 'retry-after': '40' }))).toMatchObject({ retryAfterSeconds: 40 });
  });

  test('waits as long as Cloudflare blocks when it does not say, and longer for locks', () => {
    expect(toFailure(cloudflare(429, 971))).toMatchObject({ retryAfterSeconds: 300 });
    expect(toFailure(arm(409, 'ScopeLocked'))).toMatchObject({ kind: 'retryable', retryAfterSeconds: 300 });
  });

  test('leaves Retry-After out of fatal failures', () => {
    expect(toFailure(arm(400, 'QuotaExceeded', 'm', { 'retry-after': '17' }))).not.toHaveProperty(
      'retryAfterSeconds',
    );
  });

  test('says the same each time: no times, no request ids', () => {
    const at = (time: string, id: string) =>
      toFailure(arm(500, 'InternalServerError', `It broke at ${time}. Correlation ID: ${id}. Try later.`))
        .message;
    expect(at('2026-11-23T10:00:00.1Z', '0b7a9d4e-0000-4000-8000-000000000001')).toBe(
      at('2026-11-24T11:22:33Z', '0b7a9d4e-0000-4000-8000-000000000002'),
    );
  });

  test.each([
    ['a URL with a password', 'Invalid URL: postgresql://admin:hunter2hunter2@db:5432/x'],
    ['a token', 'refused eyJhbGciOi.eyJzdWIi.hunter2hunter2'],
    ['an account key', 'DefaultEndpointsProtocol=https;AccountKey=hunter2hunter2;x=y'],
    ['a bearer header', 'Authorization: Bearer hunter2hunter2'],
  ])('does not repeat %s', (_, message) => {
    expect(toFailure(new Error(message)).message).not.toContain('hunter2');
    expect(toFailure(arm(400, 'X', message)).message).not.toContain('hunter2');
  });
});

describe('isNotFound', () => {
  const answers: readonly { reason: string; error: unknown; absent: boolean }[] = [
    { reason: 'ARM does not have it', error: arm(404, 'ResourceNotFound'), absent: true },
    { reason: 'nor what it would be in', error: arm(404, 'ResourceGroupNotFound'), absent: true },
    { reason: 'the vault does not have it', error: arm(404, 'SecretNotFound'), absent: true },
    {
      reason: 'the registry does not have it',
      error: refusal(404, { errors: [{ code: 'NAME_UNKNOWN' }] }),
      absent: true,
    },
    {
      reason: 'the API server does not have it',
      error: new KubernetesError(404, 'NotFound', 'x'),
      absent: true,
    },
    {
      reason: 'not being allowed to look is not absence',
      error: arm(403, 'AuthorizationFailed'),
      absent: false,
    },
    {
      reason: 'Graph may not have replicated it',
      error: arm(404, 'Request_ResourceNotFound'),
      absent: false,
    },
    {
      reason: 'a wrong subscription has nothing to say',
      error: arm(404, 'SubscriptionNotFound'),
      absent: false,
    },
    { reason: 'something in between answered', error: refusal(404, '<html>not here</html>'), absent: false },
    { reason: 'the server failed', error: arm(500, 'NotFound'), absent: false },
    { reason: 'nobody answered', error: network('ENOTFOUND'), absent: false },
  ];

  test.each(answers)('is $absent: $reason', async ({ error, absent }) => {
    expect(isNotFound(error)).toBe(absent);
    const look = orAbsent(Promise.reject(error));
    if (absent) await expect(look).resolves.toBeUndefined();
    else await expect(look).rejects.toBe(error);
  });

  test('a code is recognised wherever it stands', () => {
    expect(hasCode(vault('ForbiddenByRbac', 'm'), 'ForbiddenByRbac')).toBe(true);
    expect(hasCode(arm(409, 'RoleAssignmentExists'), 'roleassignmentexists', 'Other')).toBe(true);
    expect(hasCode(arm(409, 'Conflict'), 'Other')).toBe(false);
  });
});

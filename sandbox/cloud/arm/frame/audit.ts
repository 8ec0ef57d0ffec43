/**
 * Every write, deletion and action tells the subscription's event stream, as
 * https://learn.microsoft.com/azure/event-grid/event-schema-subscriptions describes, and its activity log. Reads do not.
 */
import type { World } from '../../world.ts';
import { noteActivity } from './activity.ts';

/** Who did it and how it was allowed; kept with an operation until it ends. */
export interface Cause {
  readonly principalId: string;
  readonly appId?: string;
  readonly principalKind: 'managed-identity' | 'service-principal' | 'user';
  readonly correlationId: string;
  readonly clientRequestId: string;
  readonly method: string;
  readonly url: string;
  /** `Microsoft.KeyVault/vaults/write`. */
  readonly action: string;
  readonly role?: { readonly name: string; readonly assignmentId: string; readonly assignmentScope: string };
}

/** The AKS resource provider's own application, which owns what happens in node resource groups. */
export const AKS_PROVIDER_APP_ID = '7319c514-987d-4e9b-ac3d-d38c4f427f4c';

export function reportChange(
  world: World,
  cause: Cause,
  resourceId: string,
  outcome: 'Success' | 'Failure',
): void {
  const { subscriptionId, tenantId } = world.settings;
  noteActivity(world, cause, resourceId, outcome === 'Success' ? 'Succeeded' : 'Failed');
  const kind = cause.action.endsWith('/delete')
    ? 'Delete'
    : cause.action.endsWith('/write')
      ? 'Write'
      : 'Action';
  const resourceProvider = /\/providers\/([^/]+)\/(?!.*\/providers\/)/i.exec(resourceId)?.[1];
  world.emit({
    topic: `/subscriptions/${subscriptionId}`,
    subject: resourceId,
    eventType: `Microsoft.Resources.Resource${kind}${outcome}`,
    dataVersion: '2',
    data: {
      authorization: {
        scope: resourceId,
        action: cause.action,
        evidence: {
          ...(cause.role && {
            role: cause.role.name,
            roleAssignmentScope: cause.role.assignmentScope,
            roleAssignmentId: cause.role.assignmentId,
          }),
          principalId: cause.principalId.replaceAll('-', ''),
          principalType: cause.principalKind === 'user' ? 'User' : 'ServicePrincipal',
        },
      },
      claims: claimsOf(world, cause),
      correlationId: cause.correlationId,
      httpRequest: {
        clientRequestId: cause.clientRequestId,
        clientIpAddress: '127.0.0.1',
        method: cause.method,
        url: cause.url,
      },
      resourceProvider: resourceProvider ?? 'Microsoft.Resources',
      resourceUri: resourceId,
      operationName: cause.action,
      status: outcome === 'Success' ? 'Succeeded' : 'Failed',
      subscriptionId,
      tenantId,
    },
  });
}

/** The Azure CLI's own application, the same in every tenant: a person's token names what it was asked for with. */
const AZURE_CLI_APP_ID = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';

/** What the caller's token said, under the names that ARM gives the claims. */
export function claimsOf({ settings }: World, cause: Cause): Readonly<Record<string, string>> {
  const { tenantId, operator } = settings;
  const schema = 'http://schemas.microsoft.com/identity/claims';
  const person = 'http://schemas.xmlsoap.org/ws/2005/05/identity/claims';
  const isOperator = cause.principalId === operator.principalId;
  return {
    aud: 'https://management.azure.com',
    iss: `https://sts.windows.net/${tenantId}/`,
    ...(cause.appId !== undefined && { appid: cause.appId }),
    idtyp: cause.principalKind === 'user' ? 'user' : 'app',
    ...(isOperator && {
      appid: AZURE_CLI_APP_ID,
      ipaddr: '203.0.113.20',
      name: 'Tenant Operator',
      [`${person}/name`]: operator.userPrincipalName,
      [`${person}/upn`]: operator.userPrincipalName,
    }),
    [`${schema}/objectidentifier`]: cause.principalId,
    [`${schema}/tenantid`]: tenantId,
  };
}

/** A user's principal name, else which application it was. */
export const callerOf = ({ settings: { operator } }: World, cause: Cause): string =>
  cause.principalId === operator.principalId
    ? operator.userPrincipalName
    : (cause.appId ?? cause.principalId);

/**
 * The App Service form of the managed identity endpoint, which `@azure/identity` finds by `IDENTITY_ENDPOINT` and
 * `IDENTITY_HEADER`. The function app has one user-assigned identity and no system-assigned one, so a request that
 * names no identity fails here as it does in App Service.
 * https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
 */
import { randomUUID } from 'node:crypto';
import type { Entra } from './entra.ts';
import type { CallContext, Service, World } from './world.ts';

export const IDENTITY_PATH = '/msi/token';

/** The endpoint as a service; `header` is the secret that `X-IDENTITY-HEADER` must carry. */
export function createIdentityEndpoint(world: World, entra: Entra, header: string): Service {
  const { controlPlane } = world.settings;
  return {
    name: 'identity',
    matches: () => false,
    fetch: (request: Request, call: CallContext): Response => {
      const url = new URL(request.url);
      if (url.pathname !== IDENTITY_PATH || request.method !== 'GET') return refuse(404, 'Not Found');
      if (request.headers.get('x-identity-header') !== header) {
        return refuse(400, 'The X-IDENTITY-HEADER of the request is missing or wrong.');
      }
      if (url.searchParams.get('api-version') !== '2019-08-01') {
        return refuse(400, 'The api-version is not supported. Supported: 2019-08-01.');
      }
      const resource = url.searchParams.get('resource');
      if (!resource) return refuse(400, 'The parameter resource is missing.');
      if (!namesIdentity(url.searchParams, world)) {
        return refuse(400, 'Unable to load the proper Managed Identity.');
      }
      call.caller = controlPlane.identityName;
      if (!entra.hasAudience(resource)) {
        return refuse(
          400,
          `AADSTS500011: The resource principal named ${resource} was not found in the tenant named ${world.settings.tenantId}.`,
        );
      }
      const token = entra.issueToken(controlPlane.principalId, resource);
      return Response.json({
        access_token: token.accessToken,
        expires_on: String(token.expiresOn),
        resource,
        token_type: 'Bearer',
        client_id: controlPlane.clientId,
      });
    },
  };
}

function namesIdentity(parameters: URLSearchParams, { settings }: World): boolean {
  const { controlPlane, subscriptionId } = settings;
  const resourceId =
    `/subscriptions/${subscriptionId}/resourcegroups/${controlPlane.resourceGroup}` +
    `/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${controlPlane.identityName}`;
  return (
    parameters.get('client_id')?.toLowerCase() === controlPlane.clientId ||
    parameters.get('principal_id')?.toLowerCase() === controlPlane.principalId ||
    parameters.get('mi_res_id')?.toLowerCase() === resourceId.toLowerCase()
  );
}

function refuse(statusCode: number, message: string): Response {
  return Response.json({ statusCode, message, correlationId: randomUUID() }, { status: statusCode });
}

/**
 * How Event Grid signs in to a webhook behind Entra: a token of its own service principal for the webhook's application.
 * https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery
 */
import type { Frame } from '../arm/frame/frame.ts';
import { Refusal } from '../arm/frame/refusal.ts';

export interface SignIn {
  readonly azureActiveDirectoryTenantId?: string | undefined;
  readonly azureActiveDirectoryApplicationIdOrUri?: string | undefined;
}

/** Refuses half a sign-in, another tenant, and an application that the tenant does not have. */
export function requireSignIn(frame: Frame, signIn: SignIn): void {
  const { azureActiveDirectoryTenantId: tenant, azureActiveDirectoryApplicationIdOrUri: application } =
    signIn;
  if (tenant === undefined && application === undefined) return;
  if (tenant === undefined || application === undefined) {
    throw invalid(
      'Both azureActiveDirectoryTenantId and azureActiveDirectoryApplicationIdOrUri have to be given for secure webhook ' +
        'delivery.',
    );
  }
  if (!canSignIn(frame, signIn)) {
    throw invalid(
      `Access token for the Microsoft Entra application '${application}' in the tenant '${tenant}' could not be acquired.`,
    );
  }
}

/** Whether Entra would give a token: the application may be gone since. A webhook without sign-in needs none. */
export function canSignIn(frame: Frame, signIn: SignIn): boolean {
  const { azureActiveDirectoryTenantId: tenant, azureActiveDirectoryApplicationIdOrUri: application } =
    signIn;
  if (application === undefined) return true;
  const { tenantId } = frame.world.settings;
  return tenant?.toLowerCase() === tenantId && frame.neighbours.directory.hasAudience(application);
}

/** Value of the Authorization header; undefined for a webhook without sign-in. */
export function authorizationFor(
  frame: Frame,
  { azureActiveDirectoryApplicationIdOrUri }: SignIn,
): string | undefined {
  if (azureActiveDirectoryApplicationIdOrUri === undefined) return undefined;
  const { directory } = frame.neighbours;
  const known = frame.world.table<string>('event-grid/principal');
  const id = known.get('id') ?? directory.addManagedIdentity('Microsoft.EventGrid').id;
  known.set('id', id);
  return `Bearer ${directory.issueToken(id, azureActiveDirectoryApplicationIdOrUri).accessToken}`;
}

const invalid = (message: string): Refusal => new Refusal(400, 'InvalidRequest', message);

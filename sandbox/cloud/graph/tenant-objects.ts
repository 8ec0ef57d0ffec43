/**
 * The objects of the tenant as Entra and Graph share them: applications, service principals (managed identities are
 * service principals too) and delegated permission grants. Entra signs in with them, Graph shows and changes them.
 *
 * Since 30 June 2026 app-only callers no longer read their own writes at once (message centre MC1268930): a new object
 * is unknown to reads and references for a while. Here that is always the same while, so that tests can count on it.
 */
import { createHash } from 'node:crypto';
import type { Table, World } from '../world.ts';

/** Virtual milliseconds until a new object is found. */
export const REPLICATION_MILLISECONDS = 20_000;

/** The service principal of Microsoft Graph in this tenant, and its application id in every tenant. */
export const GRAPH_SERVICE_PRINCIPAL_ID = '96a94000-0000-4000-8000-000000000003';
export const GRAPH_APP_ID = '00000003-0000-0000-c000-000000000000';

export interface PasswordCredential {
  readonly keyId: string;
  readonly displayName: string | null;
  readonly startDateTime: string;
  readonly endDateTime: string;
  /** The first three characters, which is all that Graph ever shows again. */
  readonly hint: string;
  /** SHA-256 of the secret: Entra does not keep the text either. */
  readonly hash: string;
  readonly createdAt: number;
}

export interface Application {
  readonly id: string;
  readonly appId: string;
  readonly createdAt: number;
  readonly deletedAt?: number;
  /** What Graph's clients may write: displayName, signInAudience, web, tags … */
  readonly properties: Readonly<Record<string, unknown>>;
  readonly passwordCredentials: readonly PasswordCredential[];
  readonly ownerIds: readonly string[];
}

export interface ServicePrincipal {
  readonly id: string;
  readonly appId: string;
  readonly type: 'Application' | 'ManagedIdentity';
  readonly createdAt: number;
  readonly deletedAt?: number;
  /** displayName, accountEnabled, tags … */
  readonly properties: Readonly<Record<string, unknown>>;
  readonly ownerIds: readonly string[];
  /** Application permissions of Microsoft Graph granted to it, by value (`Application.ReadWrite.OwnedBy`). */
  readonly graphPermissions: readonly string[];
}

export interface PermissionGrant {
  readonly id: string;
  readonly clientId: string;
  readonly consentType: 'AllPrincipals' | 'Principal';
  readonly principalId: string | null;
  readonly resourceId: string;
  readonly scope: string;
  readonly createdAt: number;
}

export class TenantObjects {
  readonly applications: Table<Application>;
  readonly servicePrincipals: Table<ServicePrincipal>;
  readonly grants: Table<PermissionGrant>;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    this.applications = world.table('graph/applications');
    this.servicePrincipals = world.table('graph/service-principals');
    this.grants = world.table('graph/permission-grants');
    if (!this.servicePrincipals.has(GRAPH_SERVICE_PRINCIPAL_ID)) {
      this.servicePrincipals.set(GRAPH_SERVICE_PRINCIPAL_ID, {
        id: GRAPH_SERVICE_PRINCIPAL_ID,
        appId: GRAPH_APP_ID,
        type: 'Application',
        createdAt: 0,
        properties: { displayName: 'Microsoft Graph', accountEnabled: true },
        ownerIds: [],
        graphPermissions: [],
      });
    }
  }

  /** Whether reads and references find the object by now. */
  isReplicated(object: { readonly createdAt: number }): boolean {
    return this.#world.clock.now() - object.createdAt >= REPLICATION_MILLISECONDS;
  }

  /** A live, replicated application; `undefined` is all a caller learns about a new or a deleted one. */
  findApplication(by: { id: string } | { appId: string } | { uniqueName: string }): Application | undefined {
    return this.applications
      .values()
      .find(
        (application) =>
          application.deletedAt === undefined &&
          this.isReplicated(application) &&
          ('id' in by
            ? application.id === by.id.toLowerCase()
            : 'appId' in by
              ? application.appId === by.appId.toLowerCase()
              : application.properties['uniqueName'] === by.uniqueName),
      );
  }

  /** Grants go with the service principal they were given to. */
  removeGrantsOf(servicePrincipalId: string): void {
    for (const grant of this.grants.values()) {
      if (grant.clientId === servicePrincipalId) this.grants.delete(grant.id);
    }
  }

  /** A live, replicated service principal. */
  findServicePrincipal(by: { id: string } | { appId: string }): ServicePrincipal | undefined {
    return this.servicePrincipals
      .values()
      .find(
        (principal) =>
          principal.deletedAt === undefined &&
          this.isReplicated(principal) &&
          ('id' in by ? principal.id === by.id.toLowerCase() : principal.appId === by.appId.toLowerCase()),
      );
  }
}

export function hashOfSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

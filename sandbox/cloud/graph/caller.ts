/** Who calls Graph and what it may do: the application permissions granted to it, or an administrator's everything. */
import type { Principal } from '../neighbours.ts';
import type { AuditTarget, DirectoryAudits } from './directory-audits.ts';
import { GraphError } from './request.ts';
import type { TenantObjects } from './tenant-objects.ts';

export class GraphCaller {
  readonly principal: Principal;
  readonly #permissions: readonly string[];
  readonly #audits: DirectoryAudits;

  constructor(principal: Principal, objects: TenantObjects, audits: DirectoryAudits) {
    this.principal = principal;
    this.#audits = audits;
    this.#permissions = objects.servicePrincipals.get(principal.id)?.graphPermissions ?? [];
  }

  /** Needs any of the permissions; a user is the tenant's Global Administrator. */
  require(...permissions: readonly string[]): void {
    if (!this.#hasAny(permissions)) throw denied();
  }

  /**
   * Needs the permission over all applications, or `Application.ReadWrite.OwnedBy` and a hand in this object.
   * https://learn.microsoft.com/graph/permissions-reference#applicationreadwriteownedby
   */
  requireOwnership(owned: { readonly ownerIds: readonly string[] }): void {
    if (this.#hasAny(['Application.ReadWrite.All'])) return;
    this.require('Application.ReadWrite.OwnedBy');
    if (!owned.ownerIds.includes(this.principal.id)) throw denied();
  }

  requireReadingApplications(): void {
    this.require(
      'Application.Read.All',
      'Application.ReadWrite.OwnedBy',
      'Application.ReadWrite.All',
      'Directory.Read.All',
    );
  }

  /** For the directory's audit log, once it is done. */
  did(activity: string, ...targets: readonly AuditTarget[]): void {
    this.#audits.note(this.principal, activity, targets);
  }

  #hasAny(permissions: readonly string[]): boolean {
    return this.principal.kind === 'user' || permissions.some((name) => this.#permissions.includes(name));
  }
}

function denied(): GraphError {
  return new GraphError(
    403,
    'Authorization_RequestDenied',
    'Insufficient privileges to complete the operation.',
  );
}
